"""`/livez` tells that the process lives, `/readyz` on what it stands, in levels."""

from contextlib import contextmanager

import httpx
import pytest
from django.db import connection

from tests.ports import two_free_ports
from tests.running import Site, running
from tests.scenarios.story import until
from weelo import health
from weelo.lib.supervisor import Supervisor

NOWHERE = {
    "DATABASE_URL": "postgresql://weelo@127.0.0.1:1/weelo",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


def probe(site, path):
    answer = httpx.get(f"{site.api}{path}", timeout=10)
    return answer.status_code, answer.json()


def test_all_well_is_ok_with_version_and_commit():
    services = ("http", "loop", "worker", "beat")
    with running({"WEELO_COMMIT": "abc1234", "SWEEP_EVERY": "1"}, services) as site:
        while (answer := probe(site, "/readyz"))[1]["status"] != "ok":
            assert answer[0] == 200 and answer[1]["status"] == "degraded"
        checks = dict.fromkeys(("database", "redis", "loop", "beat"), "ok")
        told = {"checks": checks, "version": health.VERSION, "commit": "abc1234"}
        assert answer == (200, {"status": "ok", **told})


def test_what_only_degrades_is_told_and_takes_no_traffic_away():
    with running({"REDIS_URL": NOWHERE["REDIS_URL"]}, ("http",)) as site:
        status, told = probe(site, "/readyz")
        assert (status, told["status"]) == (200, "degraded")
        assert told["checks"]["database"] == "ok"
        assert told["checks"]["redis"].startswith("away: ")
        assert told["checks"]["loop"] == told["checks"]["beat"] == "never seen"
        assert probe(site, "/livez") == (200, {"status": "ok"})


def test_a_loop_that_went_silent_is_told_with_its_age():
    with running({}, ("http", "loop")) as site:
        site.stop("loop")
        with site.database() as database:
            database.execute("UPDATE dispatch_heartbeat SET at = at - interval '60 s'")
        status, told = probe(site, "/readyz")
        assert (status, told["status"]) == (200, "degraded")
        assert told["checks"]["loop"].startswith("silent for 6")


@contextmanager
def alone(tmp_path):
    """The http service with neither database nor Redis."""
    supervisor = Supervisor(lambda *_: None)
    own = {"WEELO_ENV": "test", "DATA": str(tmp_path), "PORT": str(two_free_ports())}
    site = Site({**NOWHERE, **own, "HTTP_WORKERS": "1"}, supervisor, [])
    try:
        site.start("http")
        yield site
    finally:
        site.stop("http")
        supervisor.close()


def answers(site):
    try:
        return probe(site, "/livez")
    except httpx.ConnectError:
        return None


def test_without_its_database_a_process_lives_and_is_not_ready(tmp_path):
    with alone(tmp_path) as site:
        until(lambda: answers(site))
        assert probe(site, "/livez") == (200, {"status": "ok"})
        status, told = probe(site, "/readyz")
        assert (status, told["status"]) == (503, "unavailable")
        assert told["checks"]["database"].startswith("away: ")
        assert told["checks"]["loop"] == "unknown"


@pytest.mark.django_db
def test_missing_migrations_make_it_unavailable_and_say_what_to_do(client, monkeypatch):
    monkeypatch.setattr(health, "_migrated", set())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'dispatch'")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "migrations missing: run manage.py migrate"

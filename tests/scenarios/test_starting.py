"""A start that must not be, and a deployment that must not be tried."""

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from tests.events.fcm import Fcm
from tests.ports import two_free_ports
from tests.production import ROOT, SETTINGS, STARTS, disguised, manage, start
from tests.running import Site, own_servers
from weelo.lib.supervisor import Supervisor

NEEDED = [
    "PUBLIC_URL",
    "SOCKET_URL",
    "ALLOWED_HOSTS",
    "SECRET_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "SMS_BACKEND",
    "SMS_HTTP_URL",
]


def named(ended):
    """The variables that a refused start names, one a line."""
    assert ended.returncode != 0, ended.stdout
    said = ended.stdout + ended.stderr
    assert "nothing was started" in said, said
    return [line.split(":")[0].strip() for line in said.splitlines() if line.startswith("  ")]


@pytest.mark.parametrize("service", STARTS)
def test_38_every_service_names_all_that_is_missing_at_once(service):
    ended = start(service, {"WEELO_ENV": "production"})
    assert named(ended) == NEEDED
    assert "for example PUBLIC_URL=https://weelo.example" in ended.stdout + ended.stderr


def test_38_a_missing_secret_a_bad_url_and_a_wrong_number_are_named_together():
    wrong = {"SECRET_KEY": "", "REDIS_URL": "cache:6379", "ORDER_TTL": "a minute"}
    assert named(start("http", {**SETTINGS, **wrong})) == ["SECRET_KEY", "REDIS_URL", "ORDER_TTL"]


def test_38_one_wrong_number_is_named_alone():
    ended = start("loop", {**SETTINGS, "LIMIT_ORDERS": "five"})
    assert named(ended) == ["LIMIT_ORDERS"]
    assert "'five' is not a whole number; for example LIMIT_ORDERS=5" in ended.stderr


def test_38_everything_unsafe_is_refused_at_once():
    unsafe = {
        "SECRET_KEY": "k3y",
        "DATABASE_URL": "postgresql://weelo:postgres@db/weelo",
        "REDIS_URL": "unix:///tmp/weelo-a1b2c3d4/valkey.sock?db=0",
        "SMS_BACKEND": "file",
        "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099",
        "DEBUG": "1",
    }
    assert sorted(named(start("live", {**SETTINGS, **unsafe}))) == sorted(unsafe)


ACCOUNT = json.loads(Fcm().account)
BROKEN_ACCOUNTS = {
    "missing": (None, "No such file"),
    "not JSON": ("private key", "is not JSON"),
    "a list": ("[]", "no JSON object"),
    "of a user": (json.dumps({**ACCOUNT, "type": "authorized_user"}), '"type"'),
    "without its fields": (
        json.dumps({"type": "service_account", "project_id": "weelo"}),
        "lacks client_email, private_key, token_uri",
    ),
    "with a broken key": (json.dumps({**ACCOUNT, "private_key": "hush"}), "no key in PEM"),
}


@pytest.mark.parametrize("what", BROKEN_ACCOUNTS)
def test_38_credentials_of_fcm_that_are_none_stop_the_loops_start_with_a_sentence(what, tmp_path):
    text, why = BROKEN_ACCOUNTS[what]
    path = tmp_path / "fcm.json"
    if text is not None:
        path.write_text(text)
    ended = start("loop", {**SETTINGS, "FCM_CREDENTIALS": str(path)})
    assert named(ended) == ["FCM_CREDENTIALS"]
    assert why in ended.stderr and "Traceback" not in ended.stderr and "hush" not in ended.stderr


# --- the server that is really there ------------------------------------------------------------


@pytest.fixture(scope="module")
def production():
    """Durable servers of its own, prepared, and a site over them with settings of production."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weelo-site-")))
        addresses = stack.enter_context(own_servers(data))
        settings = {
            **SETTINGS,
            **stack.enter_context(disguised(*addresses)),
            "DATA": str(data),
            "PORT": str(two_free_ports()),
            "HTTP_WORKERS": "1",
        }
        supervisor = Supervisor(lambda *_: None)
        stack.callback(supervisor.close)
        yield Site(settings, supervisor, [])


@pytest.fixture
def site(production):
    """The server as it was, after each test."""
    yield production
    with production.database() as server:
        server.execute("ALTER SYSTEM RESET ALL")
        server.execute("ALTER DATABASE weelo RESET ALL")
        server.execute("ALTER ROLE weelo CONNECTION LIMIT -1")
        server.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("service", STARTS)
def test_38_no_service_starts_on_a_postgresql_that_forgets(at_site, service):
    with at_site.database() as server:
        server.execute("ALTER SYSTEM SET fsync = off")
        server.execute("ALTER SYSTEM SET full_page_writes = off")
        server.execute("ALTER DATABASE weelo SET synchronous_commit = off")
        server.execute("SELECT pg_reload_conf()")
    ended = start(service, at_site.environment)
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0 and "Traceback" not in said, said
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        assert f"  {name} is off" in said, said


def test_38_more_connections_than_the_server_has_are_refused_with_the_numbers(at_site):
    ended = start("http", {**at_site.environment, "HTTP_THREADS": "99", "HTTP_COPIES": "2"})
    assert ended.returncode != 0
    said = "hold up to 224 connections (http 200 + live 14 + loop 3 + worker 2 + people 5), and it"
    assert f"{said} gives this user 117: raise max_connections" in ended.stderr, ended.stderr
    assert "HTTP_WORKERS × HTTP_THREADS" in ended.stderr


def test_38_the_limit_of_the_role_counts_as_well(at_site):
    with at_site.database() as server:
        server.execute("ALTER ROLE weelo CONNECTION LIMIT 20")
    ended = start("prepare", at_site.environment)
    assert ended.returncode != 0 and "gives this user 20" in ended.stderr


def test_38_a_server_that_is_not_there_is_waited_for_and_then_named(at_site):
    ended = start("loop", SETTINGS)
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    assert "PostgreSQL does not answer; nothing was started" in ended.stderr
    assert "port 1 failed" in ended.stderr


def test_38_with_everything_right_every_service_starts(at_site):
    services = ("http", "live", "loop", "worker", "beat")
    at_site.start(*services)
    try:
        at_site.wait()
        assert all(map(at_site.runs, services))
    finally:
        at_site.stop(*services)


# --- 45 -----------------------------------------------------------------------------------------


def check(path, **shell):
    return manage({"DATA": str(path.parent), **shell}, "env", "--check", path)


def compose(tmp_path, environment, **more):
    path = tmp_path / "compose.yaml"
    service = {"image": "registry.example/weelo:7", "environment": environment, **more}
    path.write_text(yaml.safe_dump({"services": {"http": service, "db": {"image": "postgres"}}}))
    return path


def without(*names):
    return {name: value for name, value in SETTINGS.items() if name not in names}


def test_45_the_deployment_of_this_repository_lacks_nothing(tmp_path):
    checked = manage({"DATA": str(tmp_path)}, "env", "--check", ROOT / "compose.yaml")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("\n") == 1
    assert "is fine: prepare, http, live, loop, worker, beat" in checked.stdout


def test_45_every_variable_that_compose_lacks_is_found_before_it_is_deployed(tmp_path):
    checked = check(compose(tmp_path, {"WEELO_ENV": "production"}))
    assert checked.returncode == 1
    for lacking in NEEDED:
        assert f"  http: {lacking}: must be set in production; for example" in checked.stderr
    assert checked.stderr.count("\n") == 1 + len(NEEDED), checked.stderr


@pytest.mark.parametrize("lacking", NEEDED)
def test_45_the_one_variable_that_compose_lacks_is_named_alone(tmp_path, lacking):
    with pytest.raises(CommandError) as refused:
        call_command("env", check=compose(tmp_path, without(lacking)))
    (_, told) = str(refused.value).splitlines()
    assert told.startswith(f"  http: {lacking}: must be set in production; for example")


def test_45_a_variable_that_a_task_definition_lacks_is_found_before_it_is_deployed(tmp_path):
    secrets = ("SECRET_KEY", "DATABASE_URL")
    container = {
        "name": "loop",
        "image": "weelo",
        "environment": [{"name": n, "value": v} for n, v in without(*secrets, "REDIS_URL").items()],
        "secrets": [{"name": name, "valueFrom": f"/weelo/{name}"} for name in secrets],
    }
    path = tmp_path / "task.json"
    path.write_text(json.dumps({"containerDefinitions": [container]}))
    checked = check(path)
    assert checked.returncode == 1 and "  loop: REDIS_URL: must be set" in checked.stderr
    assert checked.stderr.count("\n") == 2, checked.stderr
    container["environment"].append({"name": "REDIS_URL", "value": "redis://cache:6379/0"})
    path.write_text(json.dumps({"containerDefinitions": [container]}))
    assert check(path).stdout == f"{path} is fine: loop; not seen here: DATABASE_URL, SECRET_KEY\n"

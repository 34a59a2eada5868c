"""The sum of connections that the start asks for is what the processes really hold at most."""

import threading
import time
from collections import Counter

import httpx
from django.conf import settings

from tests.dispatch.drive import north
from tests.journeys.site import Ear
from tests.people import make_captains
from tests.running import running
from weelo import checks
from weelo.accounts import sessions

SERVICES = ("http", "live", "loop", "worker", "beat")
SIZES = {"HTTP_THREADS": "3", "LIVE_THREADS": "2", "WORKER_THREADS": "2"}
FLEETS, BUSY_S = 8, 10.0


class Phone:
    """What an Ear wants to know, and calls over HTTP, one after the other, until it is told."""

    def __init__(self, site, user):
        access = sessions.sign_in_by_phone(user.phone).access
        self.session = {"access": access, "socket_url": site.socket}
        headers = {"Authorization": f"Bearer {access}"}
        self.http = httpx.Client(base_url=f"{site.api}/api/v1/", headers=headers, timeout=10)
        self.ear = Ear(self, "captain", None, None)

    def be_busy(self, stop):
        lat, lng = north(500)
        while not stop.is_set():
            assert self.http.post("positions", json={"lat": lat, "lng": lng}).status_code == 202
            assert self.http.get("offers").status_code == 200
            assert self.ear.ask("availability", online=True)["status"] == 200
            self.ear.ask("position", lat=lat, lng=lng)
            time.sleep(0.1)  # a socket may send 30 frames a second
        self.ear.close()
        self.http.close()


def most_held(site):
    """The most connections of each kind of process while every thread of it has work."""
    most, stop = Counter(), threading.Event()
    phones = [Phone(site, fleet.owner) for fleet in make_captains(FLEETS)]
    busy = [threading.Thread(target=phone.be_busy, args=(stop,)) for phone in phones]
    for thread in busy:
        thread.start()
    with site.database() as database:

        def look():
            rows = database.execute(
                "SELECT split_part(application_name, '-', 2), count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'weelo-%'"
                " GROUP BY 1"
            )
            for kind, number in rows.fetchall():
                if kind != "command":  # this test
                    most[kind] = max(most[kind], number)

        try:
            deadline = time.monotonic() + BUSY_S
            while time.monotonic() < deadline:
                look()
                time.sleep(0.05)
        finally:
            stop.set()
            for thread in busy:
                thread.join()
    return most


def test_no_service_holds_more_connections_than_are_counted(django_db_blocker, monkeypatch):
    often = {"SWEEP_EVERY": "1", "RECONCILE_EVERY": "1", "LIMIT_CAPTAIN": "100000"}
    given = {**SIZES, **often, "SECRET_KEY": settings.SECRET_KEY}
    with running(given, SERVICES) as site, django_db_blocker.unblock(), site.django():
        most = most_held(site)
    monkeypatch.setattr(settings, "HTTP_WORKERS", 1)
    monkeypatch.setattr(settings, "HTTP_THREADS", 3)
    monkeypatch.setattr(settings, "LIVE_THREADS", 2)
    counted = checks.held()
    assert (counted["http"], counted["live"], counted["loop"], counted["worker"]) == (4, 8, 3, 2)
    assert {kind: number for kind, number in most.items() if number > counted[kind]} == {}, most
    assert most["http"] > 1 and most["live"] > 3 and most["loop"] == 3, most

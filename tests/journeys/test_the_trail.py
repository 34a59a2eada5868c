"""One id leads from a call through every process that it sets in motion; probes tell the levels."""

import json

import httpx
import pytest
from django.conf import settings

from tests.dispatch.drive import north
from tests.journeys.site import Ear
from tests.people import make_captain, make_customer
from tests.running import running
from tests.scenarios.site import Line
from tests.scenarios.story import body, until
from weelo.accounts import sessions

SERVICES = ("http", "live", "loop", "worker", "beat")
OF_THE_CALL = "the-call-of-asha"


@pytest.fixture(scope="module")
def site():
    told = {"LOG_FORMAT": "json", "RECONCILE_EVERY": "1", "SECRET_KEY": settings.SECRET_KEY}
    with running(told, SERVICES) as site:
        yield site


class Sockets:
    """What an Ear wants to know of a phone."""

    def __init__(self, site, user):
        access = sessions.sign_in_by_phone(user.phone).access
        self.session = {"access": access, "socket_url": site.socket}


def logged(site, *names, **fields):
    """The lines of these services with these fields, as objects; every line must be one."""
    lines = [json.loads(line) for name, line in list(site.lines) if name in names]
    return [line for line in lines if fields.items() <= line.items()]


def found(site, *names, **fields):
    """The one line, which may take a moment."""
    until(lambda: logged(site, *names, **fields))
    (line,) = logged(site, *names, **fields)
    return line


def test_the_id_of_a_call_is_found_in_the_log_of_http_loop_and_facts(site, django_db_blocker):
    with django_db_blocker.unblock(), site.django():
        asha, fleet = make_customer(), make_captain()
        lat, lng = north(1_000)
        phones = [Line(site, user) for user in (asha, fleet.owner)]
        assert phones[1].post("positions", {"lat": lat, "lng": lng}).is_success
        ear = Ear(Sockets(site, fleet.owner), "captain", None, None)
        try:
            answer = phones[0].post("orders", body(), **{"X-Request-ID": OF_THE_CALL})
            order = answer.json()["id"]
            assert answer.headers["X-Request-ID"] == OF_THE_CALL
            offer = ear.hear("new_broadcast")["offer_id"]
            vehicle = str(fleet.vehicles.get().id)
            reply = ear.ask("accept", offer_id=offer, vehicle_ids=[vehicle])
            assert reply["status"] == 200, reply
        finally:
            ear.close()
            for phone in phones:
                phone.http.close()
        with site.database() as database:
            facts = database.execute(
                "SELECT kind, request_id FROM orders_fact WHERE order_id = %s", [order]
            )
            written = dict(facts.fetchall())
    person = str(asha.id)
    call = {"request_id": OF_THE_CALL, "order_id": order}
    assert found(site, "http", event="order confirmed", **call)["user_id"] == person
    line = found(site, "http", event="http", request_id=OF_THE_CALL)
    assert (line["user_id"], line["status"], line["path"]) == (person, 201, "/api/v1/orders")
    assert found(site, "loop", event="wave sent", **call)["told"] == 1
    won = found(site, "live", event="trucks won", order_id=order)
    assert won["user_id"] == str(fleet.owner_id)
    assert written["order_confirmed"] == written["captain_told"] == OF_THE_CALL
    assert written["trip_assigned"] == won["request_id"] != OF_THE_CALL


def test_a_call_without_a_token_leaves_no_name_of_the_one_before(site):
    with httpx.Client(base_url=site.api) as http:
        answer = http.get("/api/v1/vehicle-types")
    line = found(site, "http", event="http", request_id=answer.headers["X-Request-ID"])
    assert "user_id" not in line


def test_what_a_task_logs_carries_the_tasks_id(site):
    until(lambda: logged(site, "worker", event="reconciliation done"))
    line = logged(site, "worker", event="reconciliation done")[0]
    assert line["task"] == "dispatch.tasks.reconcile" and len(line["request_id"]) == 36


def test_every_line_of_every_service_is_one_object_with_time_and_level(site):
    until(lambda: all(logged(site, name) for name in SERVICES if name != "beat"))
    lines = logged(site, *SERVICES)
    assert len(lines) > 10
    assert all({"event", "level", "timestamp", "logger"} <= line.keys() for line in lines)

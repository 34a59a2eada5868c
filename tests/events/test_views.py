"""`GET events` and `POST socket-ticket`."""

import uuid
from contextlib import contextmanager

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.events.conftest import message, tell
from weelo.accounts import tokens
from weelo.events import tickets
from weelo.events.mailbox import event_frame
from weelo.events.models import Event, Role, Stream
from weelo.lib.problems import TryAgain
from weelo.lib.redis import RedisAway, guarded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asha(person):
    return person()


@pytest.fixture
def session(session_of, asha):
    return session_of(asha)


@pytest.fixture
def get(client, session):
    """Asks for events of Asha."""
    headers = {"Authorization": f"Bearer {tokens.access(session)}"}
    return lambda **query: client.get("/api/v1/events", query, headers=headers)


def epoch():
    return str(Stream.objects.get().epoch)


def test_a_phone_without_a_socket_reads_the_same_frames_in_pages(get, asha):
    tell(*(message(asha, n) for n in range(1, 251)))
    first = get(role="customer", epoch=epoch(), after=0).json()
    assert (len(first["events"]), first["seq"], first["head"]) == (200, 200, 250)
    assert first["more"]
    assert not first["snapshot_needed"]
    second = get(role="customer", epoch=epoch(), after=first["seq"]).json()
    assert [event["seq"] for event in second["events"]] == list(range(201, 251))
    assert not second["more"]
    assert second["events"][0].keys() == {
        "type",
        "seq",
        "name",
        "at",
        "order_id",
        "order_version",
        "data",
    }


def test_the_first_call_needs_no_epoch(get, asha):
    assert get(role="customer").json()["epoch"] is None
    tell(message(asha, 1))
    page = get(role="customer").json()
    assert (page["epoch"], page["seq"], page["snapshot_needed"]) == (epoch(), 1, False)


def test_another_epoch_or_a_trimmed_stream_needs_a_snapshot(get, asha):
    tell(*(message(asha, n) for n in range(1, 5)))
    foreign = get(role="customer", epoch=str(uuid.uuid4()), after=1).json()
    assert (foreign["snapshot_needed"], foreign["events"], foreign["seq"]) == (True, [], 4)
    Event.objects.filter(seq__lte=2).delete()
    assert get(role="customer", epoch=epoch(), after=1).json()["snapshot_needed"]
    assert not get(role="customer", epoch=epoch(), after=2).json()["snapshot_needed"]


def test_the_time_in_a_broadcast_is_that_of_reading_it(get, asha):
    tell(message(asha, 1, server_time="2026-01-01T00:00:00.000000Z"))
    page = get(role="customer").json()
    assert page["events"][0]["data"]["server_time"][:15] == page["server_time"][:15]


def test_nobody_reads_the_stream_of_somebody_else(get, person):
    tell(message(person(), 1))
    assert get(role="customer").json()["events"] == []


def test_a_role_that_is_none_and_a_position_that_is_none_are_refused(get):
    answer = get(role="dispatcher", after=-1)
    assert answer.status_code == 400
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/role", "/after"}
    assert get(role="customer", epoch="x").status_code == 400
    assert get(role="customer", epoch="").status_code == 400, "an empty one is one"


def test_without_a_token_there_are_no_events(client):
    assert client.get("/api/v1/events", {"role": "customer"}).status_code == 401


def test_a_page_costs_one_statement_besides_the_authentication(get, asha):
    tell(message(asha, 1))
    with CaptureQueriesContext(connection) as queries:
        get(role="customer")
    assert len([q for q in queries if "events_stream" in q["sql"]]) == 1
    assert len(queries) == 2


def test_a_ticket_names_its_session_once(client, session, settings):
    headers = {"Authorization": f"Bearer {tokens.access(session)}"}
    answer = client.post("/api/v1/socket-ticket", headers=headers)
    assert answer.status_code == 201
    assert answer.json()["socket_url"] == settings.SOCKET_URL
    ticket = answer.json()["ticket"]
    assert tickets.redeem(ticket) == f"session:{session.pk}"
    assert tickets.redeem(ticket) is None


def test_a_ticket_lives_for_30_seconds_and_is_not_readable_in_redis(session):
    bearer = f"session:{session.pk}"
    ticket = tickets.issue(bearer)
    with guarded() as redis:
        keys = [key for key in redis.keys("ticket:*") if redis.get(key) == bearer.encode()]
        assert 28 <= redis.ttl(keys[0]) <= 30
    assert ticket not in keys[0].decode()


def test_without_redis_no_ticket_is_given_and_none_is_judged(client, session, monkeypatch):
    @contextmanager
    def away():
        raise RedisAway("down")
        yield

    monkeypatch.setattr(tickets, "guarded", away)
    headers = {"Authorization": f"Bearer {tokens.access(session)}"}
    answer = client.post("/api/v1/socket-ticket", headers=headers)
    assert answer.status_code == 503
    assert answer.json()["code"] == "TRY_AGAIN"
    assert answer.headers["Retry-After"] == "1"
    with pytest.raises(TryAgain):
        tickets.redeem("anything")


def test_an_event_frame_holds_data_as_it_was_stored():
    frame = event_frame((1, "order_expired", None, None, 3, '{"reason": "é"}'))
    assert frame == (
        '{"type":"event","seq":1,"name":"order_expired","at":null,"order_id":null,'
        '"order_version":3,"data":{"reason": "é"}}'
    )


@pytest.mark.parametrize("page", ["stream", "event", "ack"])
def test_staff_read_mailboxes_and_change_nothing(admin_client, asha, session, page):
    tell(message(asha, 1), message(asha, 1, Role.CAPTAIN))
    stream = Stream.objects.first()
    stream.acks.create(session=session, seq=1)
    cache.clear()
    with CaptureQueriesContext(connection) as queries:
        listed = admin_client.get(f"/admin/events/{page}/", {"q": asha.phone[-6:]})
    assert asha.name in listed.content.decode()
    assert len(queries) < 10
    row = {"stream": stream, "event": stream.events.first(), "ack": stream.acks.first()}[page]
    assert admin_client.get(f"/admin/events/{page}/{row.pk}/change/").status_code == 200
    assert admin_client.post(f"/admin/events/{page}/{row.pk}/delete/").status_code == 403
    assert admin_client.get(f"/admin/events/{page}/add/").status_code == 403

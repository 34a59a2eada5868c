"""The socket's contract, against the real live process."""

import contextlib
import json
import threading
import time
import uuid
from datetime import UTC, datetime

import httpx
import pytest
from django.db import connection, transaction
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from tests.events.conftest import message, tell
from weelo.events import tickets
from weelo.events.deliver import deliver
from weelo.events.models import Ack, Event, Role, Stream
from weelo.lib.hints import hint

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asha(person):
    return person()


@pytest.fixture
def phone(live, session_of, asha):
    """Opens sockets of Asha; they are closed at the end."""
    opened = []

    def open_one(session=None, role="customer", **options):
        opened.append(live.phone(session or session_of(asha), role, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


# --- hello, events, resume ---


def test_the_first_hello_gets_a_snapshot_with_its_position(phone, asha):
    tell(message(asha, 1), message(asha, 2))
    welcome = phone().welcome
    assert welcome["snapshot"] == {"events": 2}
    assert welcome["seq"] == 2
    assert welcome["epoch"] == str(Stream.objects.get().epoch)
    assert welcome["server_time"].endswith("Z")


def test_somebody_who_was_never_told_anything_starts_at_zero(phone, asha):
    asha_phone = phone()
    assert (asha_phone.welcome["seq"], asha_phone.welcome["snapshot"]) == (0, {"events": 0})
    tell(message(asha, 1))
    asha_phone.until(1)


def test_an_event_arrives_within_150_ms_of_the_commit(phone, asha):
    asha_phone = phone()
    waits = []
    for n in range(1, 31):
        tell(message(asha, n))
        committed = time.monotonic()
        asha_phone.until(n)
        waits.append(time.monotonic() - committed)
    assert sorted(waits)[-2] < 0.15, waits
    event = asha_phone.events[0]
    stored = Event.objects.get(seq=1)
    assert event == {
        "type": "event",
        "seq": 1,
        "name": "captains_told",
        "at": stored.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "order_id": str(stored.order_id),
        "order_version": 1,
        "data": {"n": 1},
    }


def test_a_socket_hears_its_own_stream_only(phone, person, asha):
    asha_phone, balu = phone(), person()
    tell(message(balu, 1), message(asha, 1, Role.CAPTAIN), message(asha, 2))
    asha_phone.until(1)
    assert [event["data"]["n"] for event in asha_phone.events] == [2]


def test_a_rolled_back_change_tells_nobody(phone, asha):
    asha_phone = phone()
    with pytest.raises(ZeroDivisionError), transaction.atomic(durable=True):
        deliver([message(asha, 1)])
        raise ZeroDivisionError
    tell(message(asha, 2))
    asha_phone.until(1)
    assert asha_phone.events[0]["data"]["n"] == 2


def test_who_comes_back_gets_what_was_missed_and_no_snapshot(phone, asha):
    first = phone()
    tell(message(asha, 1))
    first.until(1)
    first.close()
    tell(*(message(asha, n) for n in range(2, 12)))
    second = phone(epoch=first.epoch, after=first.after)
    assert (second.welcome["snapshot"], second.welcome["seq"]) == (None, 1)
    second.until(11)
    assert [event["data"]["n"] for event in second.events] == list(range(2, 12))


def test_the_time_in_a_broadcast_is_that_of_sending_however_late_it_is_read(phone, asha):
    long_ago = "2026-01-01T00:00:00.000000Z"
    first = phone()
    tell(message(asha, 1, server_time=long_ago, expires_at=long_ago), message(asha, 2))
    first.until(2)
    second = phone(epoch=first.epoch, after=0)
    second.until(2)
    for heard in (first, second):
        broadcast, other = (event["data"] for event in heard.events)
        said = datetime.strptime(broadcast["server_time"], "%Y-%m-%dT%H:%M:%S.%f%z")
        assert abs((datetime.now(UTC) - said).total_seconds()) < 5
        assert (broadcast["expires_at"], other) == (long_ago, {"n": 2})


@pytest.mark.parametrize(("missed", "is_snapshot"), [(500, False), (501, True)])
def test_up_to_500_missed_events_follow_and_beyond_comes_a_snapshot(
    phone, asha, missed, is_snapshot
):
    first = phone()
    first.close()
    tell(*(message(asha, n) for n in range(missed)))
    second = phone(epoch=first.epoch, after=0)
    assert (second.welcome["snapshot"] is not None) is is_snapshot
    second.until(missed)


def test_an_epoch_of_before_gets_a_snapshot(phone, asha):
    tell(message(asha, 1))
    assert phone(epoch=str(uuid.uuid4()), after=1).welcome["snapshot"] == {"events": 1}
    assert phone(epoch="of some other server", after=1).welcome["snapshot"] == {"events": 1}


def test_a_position_ahead_of_the_stream_gets_a_snapshot(phone, asha):
    tell(message(asha, 1))
    epoch = str(Stream.objects.get().epoch)
    assert phone(epoch=epoch, after=7).welcome["snapshot"] == {"events": 1}


def test_trimmed_events_cannot_be_resumed_from(phone, asha):
    tell(*(message(asha, n) for n in range(5)))
    Event.objects.filter(seq__lte=3).delete()
    epoch = str(Stream.objects.get().epoch)
    assert phone(epoch=epoch, after=2).welcome["snapshot"] is not None
    assert phone(epoch=epoch, after=3).welcome["snapshot"] is None


def test_hello_again_on_the_same_socket_starts_over(phone, asha):
    asha_phone = phone()
    tell(*(message(asha, n) for n in range(3)))
    asha_phone.until(3)
    asha_phone.after = 1
    asha_phone.hello()
    assert asha_phone.welcome["snapshot"] is None
    asha_phone.until(3)
    tell(message(asha, 4))
    asha_phone.until(4)


def test_nothing_is_lost_between_the_snapshot_and_the_first_event(phone, asha):
    stop = threading.Event()

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            tell(message(asha, n))
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(15):
            asha_phone = phone()
            assert asha_phone.welcome["snapshot"]["events"] == asha_phone.welcome["seq"]
            asha_phone.until(asha_phone.after + 20)
            asha_phone.close()
    finally:
        stop.set()
        writer.join()


def test_a_renewed_stream_sends_its_sockets_back_to_hello(phone, asha):
    tell(message(asha, 1))
    asha_phone = phone()
    Stream.objects.update(epoch=uuid.uuid4(), head=0)
    assert asha_phone.code() == 1012
    again = phone(epoch=asha_phone.epoch, after=1)
    assert again.welcome["snapshot"] is not None


# --- commands, positions, acks, live frames ---


def test_a_command_is_answered_under_its_ref(phone, asha):
    assert phone().ask("echo", said="hello") == {
        "type": "reply",
        "ref": "r1",
        "status": 200,
        "data": {"user": str(asha.id), "said": "hello"},
    }


def test_a_refusal_answers_as_http_would(phone):
    reply = phone().ask("refuse")
    assert reply["status"] == 404
    assert reply["problem"]["code"] == "NOT_FOUND"
    assert reply["problem"]["instance"] == "refuse"
    assert reply["problem"]["request_id"]


def test_a_fault_of_ours_answers_500_and_the_socket_lives(phone):
    asha_phone = phone()
    assert asha_phone.ask("fail")["problem"]["code"] == "OUR_FAULT"
    assert asha_phone.ask("echo")["status"] == 200


def test_a_slow_command_of_one_keeps_nobody_else_waiting(phone, live, session_of, person):
    slow, quick = phone(), live.phone(session_of(person()))
    slow.send(type="nap", ref="r1", seconds=1.0)
    started = time.monotonic()
    assert quick.ask("echo")["status"] == 200
    assert time.monotonic() - started < 0.5
    assert slow.next("reply")["status"] == 200
    quick.close()


def test_a_ping_gets_a_pong(phone):
    asha_phone = phone()
    asha_phone.send(type="ping")
    assert asha_phone.receive() == {"type": "pong"}


def test_acks_are_kept_per_session_and_never_run_backwards(phone, asha, session_of):
    session = session_of(asha)
    asha_phone = phone(session)
    tell(*(message(asha, n) for n in range(4)))
    asha_phone.until(4)
    for seq in (2, 3, 1, 99):
        asha_phone.send(type="ack", seq=seq)
    for _ in range(40):
        kept = Ack.objects.filter(session=session).values_list("seq", flat=True)
        if list(kept) == [3]:
            return
        time.sleep(0.05)
    raise AssertionError(list(kept))


def test_positions_reach_their_handler_and_live_frames_come_back(phone):
    captain = phone(role="captain")
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:  # the subscription is made soon after the hello
        captain.send(type="position", lat=12.9, lng=77.6, ref=7)
        frames = [captain.receive()]
        if frames[0]["type"] == "live":
            break
    live_frame = frames[0]
    assert live_frame == {
        "type": "live",
        "name": "location_updated",
        "data": {"lat": 12.9, "lng": 77.6},
    }
    reply = captain.next("reply")
    assert (reply["ref"], reply["data"]["accepted"]) == (7, 1)


def test_a_customer_sends_no_positions(phone):
    customer = phone()
    customer.send(type="position", lat=12.9, lng=77.6)
    assert customer.code() == 4400


# --- who may in, and how it ends ---


def test_an_unknown_path_closes_4404(live):
    assert live.phone(hello=False, path="/ws/nowhere/").code() == 4404


def test_without_a_token_the_socket_closes_4401(live):
    assert live.phone(hello=False).code() == 4401


@pytest.mark.parametrize("header", ["Bearer nonsense", "Basic abc", "Bearer", "\u00e9"])
def test_a_token_that_is_none_closes_4401(live, header):
    headers = {"Authorization": header}
    assert live.phone(hello=False, additional_headers=headers).code() == 4401


def test_a_session_that_is_over_closes_4401(phone, session_of, asha):
    over = session_of(asha, revoked_at=timezone.now())
    assert phone(over, hello=False).code() == 4401
    assert phone(session_of(asha, expires_at=timezone.now()), hello=False).code() == 4401


def test_the_wrong_role_and_the_blocked_close_4403(live, session_of, person):
    wrong, blocked = person(), person(is_active=False)
    type(wrong).objects.filter(pk=wrong.pk).update(name="not a captain")
    assert live.phone(session_of(wrong), "captain", hello=False).code() == 4403
    assert live.phone(session_of(blocked), hello=False).code() == 4403


def test_a_session_that_ends_takes_its_socket_along(phone, session_of, asha):
    ended, other = session_of(asha), session_of(asha)
    gone, stays = phone(ended), phone(other)
    type(ended).objects.filter(pk=ended.pk).update(revoked_at=timezone.now())
    hint("hint:sessions", "")
    assert gone.code(timeout=2) == 4401
    assert stays.ask("echo")["status"] == 200


def test_a_blocked_person_is_out_at_the_next_check(phone, session_of, asha):
    asha_phone = phone()
    type(asha).objects.filter(pk=asha.pk).update(is_active=False)
    assert asha_phone.code(timeout=20) == 4403


def test_a_foreign_origin_closes_4403_and_ours_is_let_in(phone):
    assert phone(hello=False, origin="https://evil.test").code() == 4403
    assert phone(origin="http://api.test").welcome


def test_a_ticket_opens_one_socket_and_is_not_echoed(live, session_of, asha):
    ticket = tickets.issue(f"session:{session_of(asha).pk}")
    offered = ["weelo.v1", f"ticket.{ticket}"]
    first = live.phone(subprotocols=offered)
    assert first.line.subprotocol == "weelo.v1"
    assert first.welcome
    assert live.phone(subprotocols=offered, hello=False).code() == 4401
    first.close()


def test_without_hello_the_socket_closes_4408_after_5_seconds(phone):
    started = time.monotonic()
    assert phone(hello=False).code(timeout=8) == 4408
    assert 4.5 < time.monotonic() - started < 6.5


@pytest.mark.parametrize(
    "raw",
    [
        "{",
        "[]",
        "1",
        b"\xff\x00",
        '{"type": "no such thing"}',
        '{"no": "type"}',
        '{"type": 1}',
        '{"type": ["hello"]}',
        '{"type": "ack"}',
        '{"type": "ack", "seq": -1}',
        '{"type": "ack", "seq": true}',
        '{"type": "ack", "seq": NaN}',
        '{"type": "hello", "after": "1"}',
        '{"type": "hello", "epoch": 1}',
        '{"type": "echo", "ref": {}}',
        '{"type": "echo", "text": "\\u0000"}',
        '{"type": "echo", "x": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"type": "echo", "x": ' + "9" * 5000 + "}",
    ],
)
def test_a_bad_frame_closes_4400(phone, raw):
    asha_phone = phone()
    asha_phone.line.send(raw)
    assert asha_phone.code() == 4400


def test_a_command_before_hello_closes_4400(phone):
    asha_phone = phone(hello=False)
    asha_phone.send(type="echo", ref="1")
    assert asha_phone.code() == 4400


def test_a_frame_over_16_kib_closes_1009(phone):
    asha_phone = phone()
    asha_phone.line.send(json.dumps({"type": "echo", "text": "x" * 16_000}))
    assert asha_phone.next("reply")["status"] == 200
    asha_phone.line.send(json.dumps({"type": "echo", "text": "x" * 17_000}))
    assert asha_phone.code() == 1009


def test_more_than_30_frames_a_second_close_4429(phone):
    asha_phone = phone(max_queue=None)
    with contextlib.suppress(ConnectionClosed):  # that it is closed may come before the last ping
        for _ in range(60):
            asha_phone.send(type="ping")
    assert asha_phone.code() == 4429


def test_frames_that_waited_for_a_slow_command_are_not_too_fast(phone):
    asha_phone = phone()
    asha_phone.send(type="nap", ref="r1", seconds=1.2)
    for _ in range(50):
        asha_phone.send(type="ping")
        time.sleep(0.022)
    assert asha_phone.next("reply")["status"] == 200
    for _ in range(50):
        assert asha_phone.next("pong")


def test_the_sixth_socket_of_a_person_and_role_replaces_the_oldest(phone):
    first, *others = [phone() for _ in range(5)]
    captain, sixth = phone(role="captain"), phone()
    assert first.code() == 4409
    for one in (*others, sixth):
        assert one.ask("echo")["status"] == 200
    captain.send(type="ping")
    assert captain.receive()["type"] == "pong"


def test_http_here_says_where_the_api_is(live):
    answer = httpx.get(f"http://127.0.0.1:{live.port}/api/v1/me")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "http://api.test/api/v1/" in answer.json()["detail"]


def test_an_idle_socket_lives_and_hears(phone, asha):
    asha_phone = phone()
    time.sleep(7)
    tell(message(asha, 1))
    asha_phone.until(1, timeout=0.5)


def test_nothing_of_all_this_was_a_fault_of_the_service(live):
    assert set(live.errors()) <= {"command failed"}

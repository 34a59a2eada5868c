import threading
import time
import uuid
from datetime import timedelta

import firebase_admin
import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from tests.events import fcm as fake
from tests.events.conftest import tell
from weelo.accounts.models import Device
from weelo.events import push, push_backends
from weelo.events.deliver import PUSH_AFTER_S, Message
from weelo.events.models import Ack, Event, Push, Role, Stream
from weelo.lib.breaker import Breaker

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def fcm(settings, monkeypatch):
    """FCM on loopback, and the product set up to use it."""
    server_of, server = fake.serve()
    settings.FCM_CREDENTIALS, settings.FCM_URL = server_of.account, server_of.address
    fresh = Breaker("fcm", failures=5, window_s=30, open_s=60)
    monkeypatch.setattr(push_backends, "breaker", fresh)
    push_backends._app.cache_clear()
    yield server_of
    if push_backends._app.cache_info().currsize:
        firebase_admin.delete_app(push_backends._app())
        push_backends._app.cache_clear()
    server.shutdown()
    server.server_close()


@pytest.fixture
def phone(person, session_of):
    """Makes people with so many signed-in devices; the tokens are `<name>-1` and so on."""

    def make(name="balu", devices=1, **fields):
        user = person()
        for n in range(1, devices + 1):
            session = session_of(user, **fields)
            Device.objects.create(session=session, push_token=f"{name}-{n}", platform="android")
        return user

    return make


def offer(user, order_id=None, until=MINUTE, name="new_broadcast", offer_id=None):
    ends = None if until is None else timezone.now() + until
    order_id = order_id or uuid.uuid4()
    data = {"order_id": order_id, "offer_id": offer_id or uuid.uuid4()}
    return Message(user.id, Role.CAPTAIN, name, data, order_id, 1, push_until=ends)


def make_due():
    """As if the second had passed in which a phone on a socket may say that it has read."""
    Push.objects.update(due_at=F("due_at") - timedelta(seconds=PUSH_AFTER_S + 0.1))


def ends():
    return list(Push.objects.order_by("id").values_list("outcome", flat=True))


def test_a_message_wakes_every_device_of_its_person_with_enough_to_fetch(fcm, phone):
    message = offer(phone(devices=2))
    tell(message)
    make_due()
    assert push.send_due() == 2
    assert sorted(fcm.tokens) == ["balu-1", "balu-2"]
    assert fcm.signed_in
    got = fcm.got[0]
    assert got["data"] == {
        "type": "new_broadcast",
        "order_id": str(message.order_id),
        "offer_id": str(message.data["offer_id"]),
        "role": "captain",
        "seq": "1",
        "expires_at": got["data"]["expires_at"],
    }
    assert got["data"]["expires_at"].endswith("Z")
    assert ends() == ["sent", "sent"]
    assert push.send_due() == 0


def test_a_push_is_urgent_lives_as_long_as_its_order_and_collapses_by_it(fcm, phone):
    message = offer(phone())
    tell(message)
    make_due()
    push.send_due()
    android, apns = fcm.got[0]["android"], fcm.got[0]["apns"]
    assert android["priority"] == "high"
    assert 55 < float(android["ttl"].rstrip("s")) <= 60
    assert android["collapse_key"] == apns["headers"]["apns-collapse-id"] == str(message.order_id)
    assert apns["payload"]["aps"] == {"content-available": 1}
    assert 0 < int(apns["headers"]["apns-expiration"]) - time.time() <= 60


def test_a_push_waits_a_second_in_which_a_phone_on_a_socket_may_read(fcm, phone):
    tell(offer(phone()))
    assert push.send_due() == 0
    wait = Push.objects.get().due_at - Event.objects.get().at
    assert timedelta(seconds=0.9) < wait < timedelta(seconds=1.1)


def test_a_device_whose_session_has_read_is_spared_and_the_other_is_not(fcm, phone):
    balu = phone(devices=2)
    tell(offer(balu))
    stream, device = Stream.objects.get(user=balu), Device.objects.get(push_token="balu-1")
    Ack.objects.create(session=device.session, stream=stream, seq=1)
    make_due()
    push.send_due()
    assert fcm.tokens == ["balu-2"]
    assert sorted(ends()) == ["read", "sent"]


def test_an_older_ack_spares_nothing(fcm, phone):
    balu = phone()
    tell(offer(balu, until=None), offer(balu))
    session = Device.objects.get().session
    Ack.objects.create(session=session, stream=Stream.objects.get(user=balu), seq=1)
    make_due()
    push.send_due()
    assert fcm.tokens == ["balu-1"]


def test_nobody_is_woken_for_a_card_that_is_gone(fcm, phone):
    balu, order_id = phone(), uuid.uuid4()
    tell(offer(balu, order_id), offer(balu))
    tell(offer(balu, order_id, until=None, name="broadcast_dismissed"))
    make_due()
    push.send_due()
    assert ends() == ["over", "sent"]


def test_one_told_again_after_the_card_was_gone_is_woken(fcm, phone):
    balu, order_id = phone(), uuid.uuid4()
    tell(offer(balu, order_id, until=None, name="broadcast_dismissed"), offer(balu, order_id))
    make_due()
    push.send_due()
    assert ends() == ["sent"]


def test_nothing_is_sent_past_its_time(fcm, phone):
    tell(offer(phone()))
    Push.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    make_due()
    assert push.send_due() == 1
    assert fcm.got == []
    assert ends() == ["late"]


@pytest.mark.parametrize("fault", [fake.UNREGISTERED, fake.WRONG_SENDER])
def test_a_dead_token_is_dropped_at_once_and_the_others_stay(fcm, phone, fault):
    fcm.answers["balu-1"] = fault
    tell(offer(phone(devices=2)))
    make_due()
    push.send_due()
    assert list(Device.objects.values_list("push_token", flat=True)) == ["balu-2"]
    assert ends() == ["sent"]


def test_a_token_that_was_bound_anew_meanwhile_is_not_dropped_for_the_old_one(fcm, phone):
    fcm.answers["balu-1"], fcm.hang_s = fake.UNREGISTERED, 0.5
    tell(offer(phone()))
    make_due()
    sending = threading.Thread(target=in_thread, args=(push.send_due,))
    sending.start()
    until = time.monotonic() + 5
    while not fcm.got and time.monotonic() < until:
        time.sleep(0.01)
    Device.objects.update(push_token="balu-new")
    sending.join()
    assert Device.objects.get().push_token == "balu-new"


def test_a_push_that_fcm_refuses_for_itself_is_not_tried_again(fcm, phone):
    fcm.answers["balu-1"] = fake.BAD_ARGUMENT
    tell(offer(phone()))
    make_due()
    push.send_due()
    assert ends() == ["refused"]
    assert Device.objects.exists()


@pytest.mark.parametrize("fault", [fake.AWAY, fake.BROKEN, fake.QUOTA])
def test_a_fault_of_fcm_is_tried_again_three_times_in_all(fcm, phone, fault):
    fcm.always = fault
    tell(offer(phone()))
    for n in range(1, push.TRIES + 1):
        Push.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        assert push.send_due() == 1
        assert len(fcm.got) == n, "firebase-admin repeats nothing by itself"
    assert ends() == ["given_up"]
    assert fault[2] in Push.objects.get().error


def test_a_retry_after_is_kept_to(fcm, phone):
    fcm.always, fcm.headers = fake.AWAY, {"Retry-After": "20"}
    tell(offer(phone()))
    make_due()
    started = time.monotonic()
    push.send_due()
    assert time.monotonic() - started < 5, "it must not be slept off inside the call"
    wait = Push.objects.get().due_at - timezone.now()
    assert timedelta(seconds=18) < wait < timedelta(seconds=21)


def test_the_breaker_opens_on_a_broken_fcm_and_a_probe_closes_it(fcm, phone, monkeypatch):
    fcm.always = fake.AWAY
    for n in range(5):
        tell(offer(phone(f"p{n}")))
        make_due()
        push.send_due()
    asked = len(fcm.got)
    assert push_backends.breaker.is_open
    tell(offer(phone("late")))
    make_due()
    assert push.send_due() == 0
    assert len(fcm.got) == asked
    fcm.always = None
    monkeypatch.setattr(push_backends.breaker, "_open_until", 0.1)
    make_due()
    assert push.send_due()
    assert not push_backends.breaker.is_open
    assert ends()[-1] == "sent"


def test_a_silent_fcm_costs_five_seconds_and_no_more(fcm, phone, monkeypatch):
    monkeypatch.setattr(push_backends, "TIMEOUT_S", 0.5)
    fcm.hang_s = 3
    tell(offer(phone(devices=5)))
    make_due()
    started = time.monotonic()
    push.send_due()
    assert time.monotonic() - started < 2
    assert ends() == [""] * 5
    assert push_backends.breaker.is_open


def test_two_loops_send_each_push_once(fcm, phone):
    push_backends._app()  # of a process; these loops share one
    for n in range(30):
        tell(offer(phone(f"p{n}")))
    make_due()
    loops = [threading.Thread(target=in_thread, args=(push.send_due,)) for _ in range(4)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    assert len(fcm.tokens) == len(set(fcm.tokens)) == 30
    assert set(ends()) == {"sent"}


def test_what_another_loop_is_taking_is_passed_over_at_once(fcm, phone):
    tell(offer(phone()), offer(phone("chitra")))
    make_due()
    found = []
    with transaction.atomic(durable=True):
        Push.objects.select_for_update(no_key=True).get(device__push_token="balu-1")
        other = threading.Thread(target=in_thread, args=(lambda: found.append(push.send_due()),))
        other.start()
        other.join()
    assert found == [1]
    assert fcm.tokens == ["chitra-1"]


def test_what_a_killed_loop_was_sending_is_sent_again_and_its_late_word_counts_for_nothing(
    fcm, phone
):
    tell(offer(phone()))
    make_due()
    killed = uuid.uuid4()
    letters, _ = push._claim(killed)
    assert push.send_due() == 0
    Push.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert push.send_due() == 1
    push._settle(killed, letters, [push_backends.Answer(None, "late")])
    assert ends() == ["sent"]


def test_a_session_that_is_over_is_not_woken(fcm, phone):
    tell(offer(phone(revoked_at=timezone.now())))
    assert not Push.objects.exists()


def test_a_rollback_takes_the_push_back(phone):
    balu = phone()
    with pytest.raises(ZeroDivisionError), transaction.atomic(durable=True):
        push.queue([balu.id], Role.CAPTAIN, "position_wanted", ttl=MINUTE)
        raise ZeroDivisionError
    assert not Push.objects.exists()


def test_a_message_without_a_time_for_it_makes_no_push(phone):
    tell(offer(phone(), until=None))
    assert not Push.objects.exists()


def test_without_credentials_pushes_go_into_the_log(phone, settings, caplog):
    settings.FCM_CREDENTIALS = ""
    tell(offer(phone()))
    make_due()
    assert push.send_due() == 1
    assert ends() == ["sent"]
    assert "push (no FCM credentials)" in caplog.text
    assert "balu-1" not in caplog.text


def in_thread(work):
    """A thread of its own takes a connection of its own."""
    try:
        work()
    finally:
        connection.close()

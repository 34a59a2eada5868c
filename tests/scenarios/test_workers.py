"""What two processes of the http service and one of the live service make of races."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from django.conf import settings
from redis import Redis

from orders.models import Order, Trip
from tests.events.live import Phone
from tests.people import make_captains, make_order, tell_them, vehicle_ids
from tests.races.racing import holding, race, race_for, wait_for_waiters
from tests.running import running
from tests.scenarios.site import one_of_twenty
from tests.scenarios.story import heard, names, new_customer
from weelo.accounts import sessions
from weelo.events.models import Role, Stream

PROCESSES = {"HTTP_WORKERS": "2", "HTTP_THREADS": "16"}


@pytest.fixture(scope="module")
def site():
    with running({**PROCESSES, "SECRET_KEY": settings.SECRET_KEY}, ("http", "live")) as site:
        yield site


def vehicles(fleet):
    return {"vehicle_ids": [str(id_) for id_ in vehicle_ids(fleet)]}


def accepting(line, offer, fleet):
    """A tap on accept; asks the database nothing when it is called."""
    return partial(line.post, f"offers/{offer.id}/accept", vehicles(fleet))


@pytest.mark.parametrize("_again", range(3))
def test_01_two_captains_accept_the_same_truck_at_the_same_instant_on_two_workers_and_one_wins(
    dial, _again
):
    fleets = make_captains(2)
    order, other = make_order(new_customer()), make_order(new_customer())
    offers, later = tell_them(order, fleets), tell_them(other, fleets)
    first = dial(fleets[0])
    lines = [first, dial(fleets[1], apart_from=first)]
    answers = race_for(order, *map(accepting, lines, offers, fleets))
    assert lines[0].process() != lines[1].process()
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    loser = [answer.status_code for answer in answers].index(409)
    assert answers[loser].json()["code"] == "TRUCK_TAKEN"
    (trip,) = Trip.objects.filter(order=order)
    assert trip.transporter == fleets[1 - loser]
    again = accepting(lines[loser], later[loser], fleets[loser])()
    assert again.status_code == 200, "the loser's vehicle stayed free"


@pytest.mark.parametrize("_again", range(3))
def test_03_one_vehicle_accepted_for_two_orders_at_once_by_socket_and_by_http_wins_one(
    dial, at_site, _again
):
    (balu,) = make_captains(1)
    orders = [make_order(new_customer()) for _ in range(2)]
    offers = [tell_them(order, [balu])[0] for order in orders]
    tap, wanted = accepting(dial(balu), offers[1], balu), vehicles(balu)
    session = sessions.sign_in_by_phone(balu.owner.phone).session
    socket = Phone(at_site.socket, session, "captain")

    def by_socket():
        reply = socket.ask("accept", offer_id=str(offers[0].id), **wanted)
        return reply["status"], reply.get("problem")

    def by_http():
        answer = tap()
        return answer.status_code, answer.json()

    try:
        results = race_for(balu, by_socket, by_http)
    finally:
        socket.close()
    assert sorted(status for status, _ in results) == [200, 409]
    loser = [status for status, _ in results].index(409)
    problem = results[loser][1]
    assert problem["code"] == "VEHICLE_BUSY"
    assert problem["vehicle_ids"] == wanted["vehicle_ids"]
    (trip,) = Trip.objects.filter(transporter=balu)
    assert trip.order == orders[1 - loser]


def test_05_a_confirm_that_timed_out_is_retried_with_its_key_and_gives_the_same_order(dial):
    ravi = new_customer()
    hasty, patient = dial(ravi), dial(ravi)
    with ThreadPoolExecutor(1) as pool:
        with holding(ravi, with_key=True):  # an order refers to its customer: it has to wait
            hasty.http.timeout = 0.3
            lost = pool.submit(hasty.confirming("key-1"))
            assert wait_for_waiters(1) == 1
            assert isinstance(lost.exception(5), httpx.ReadTimeout)
        answer = patient.confirming("key-1")()
    assert answer.status_code == 201, answer.text
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert answer.json()["id"] == str(Order.objects.get(customer=ravi).id)
    assert names(heard(ravi)) == ["order_created"]


def test_07_twenty_confirms_of_one_customer_with_different_keys_at_once_make_one_order(dial):
    ravi = new_customer()
    first = dial(ravi)
    lines = [first, dial(ravi, apart_from=first), *(dial(ravi) for _ in range(18))]
    one_of_twenty(ravi, race(*(line.confirming(f"key-{n}") for n, line in enumerate(lines))))


@pytest.mark.parametrize("moment", ["before its commit", "in its commit"])
def test_08_a_process_killed_in_the_middle_of_a_confirm_leaves_one_order_to_the_retry(
    dial, at_site, moment
):
    ravi = new_customer()
    stream = Stream.objects.create(user=ravi, role=Role.CUSTOMER)
    line = dial(ravi)
    victim = line.process()
    with ThreadPoolExecutor(1) as pool:
        # The messages are the last statement; that the customer exists is checked by the commit.
        with holding(stream) if moment == "before its commit" else holding(ravi, with_key=True):
            lost = pool.submit(line.confirming("key-1"))
            assert wait_for_waiters(1) == 1
            os.kill(victim, signal.SIGKILL)
            assert isinstance(lost.exception(5), httpx.TransportError)
            # Not "in progress" for ever: what the dead one held ends by itself.
            with Redis.from_url(at_site.environment["REDIS_URL"]) as redis:
                assert 0 < redis.pttl(f"lock:confirm:{ravi.id}") <= 5000
        answer = until_answered(dial(ravi), "key-1")
    assert answer.status_code == 201, answer.text
    assert ("Idempotency-Replayed" in answer.headers) == (moment == "in its commit")
    assert answer.json()["id"] == str(Order.objects.get(customer=ravi).id)
    assert names(heard(ravi)) == ["order_created"]


@pytest.mark.parametrize("_again", range(2))
def test_08_a_process_killed_after_the_commit_leaves_the_finished_order_to_the_retry(
    dial, at_site, _again
):
    ravi = new_customer()
    line = dial(ravi)
    victim = line.process()
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(line.confirming("key-1"))
        while not Order.objects.filter(customer=ravi).exists():
            assert not sent.done() or sent.result().status_code == 201
        os.kill(victim, signal.SIGKILL)
        sent.exception(5)
    answer = until_answered(dial(ravi), "key-1")
    assert answer.status_code == 201, answer.text
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert answer.json()["id"] == str(Order.objects.get(customer=ravi).id)
    assert names(heard(ravi)) == ["order_created"]


def until_answered(line, key):
    """What a phone does whose connection broke: the same confirm again with the same key."""
    for _ in range(20):
        try:
            return line.confirming(key)()
        except httpx.TransportError:
            continue
    raise AssertionError("nobody answers")

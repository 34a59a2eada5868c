"""A dispatcher issues a new code when the old one is used up."""

import pytest

from orders import refusals
from orders.change import SYSTEM
from orders.verbs.cancel import cancel
from orders.verbs.new_code import new_code
from orders.verbs.steps import Step, step
from tests.orders.test_steps import drive, win, wrong
from tests.people import make_dispatcher, make_order
from weelo.accounts.models import SmsMessage


@pytest.fixture
def trip(asha, balu):
    return win(balu, make_order(asha))


@pytest.fixture
def devi(db):
    return make_dispatcher()


def renewed(devi, trip, code):
    before = getattr(trip, code)
    new_code(devi.id, trip.id, code)
    trip.refresh_from_db()
    assert getattr(trip, code) != before
    return trip


def test_a_new_start_code_gives_all_tries_back(trip, devi, balu):
    drive(trip, "at_pickup")
    for _ in range(5):
        with pytest.raises(refusals.CodeWrong):
            step(balu.owner, trip.id, Step("in_transit", wrong(trip.start_code)))
    renewed(devi, trip, "start_code")
    assert trip.start_code_tries == 0
    fact = trip.order.facts.get(kind="start_code_renewed")
    assert (fact.by, fact.by_user_id, fact.data) == (
        "dispatcher",
        devi.id,
        {"start_code_tries": 0},
    )
    assert drive(trip, "in_transit").status == "in_transit"


def test_a_new_drop_code_goes_to_the_receiver_once_the_goods_are_on_their_way(trip, devi):
    renewed(devi, trip, "drop_code")
    assert not SmsMessage.objects.exists()
    drive(trip, "at_pickup", "in_transit")
    assert SmsMessage.objects.get().code == trip.drop_code
    renewed(devi, trip, "drop_code")
    assert SmsMessage.objects.latest("id").code == trip.drop_code


def test_a_code_that_has_done_its_work_is_not_renewed(trip, devi):
    drive(trip, "at_pickup", "in_transit")
    with pytest.raises(refusals.IllegalStep) as refused:
        new_code(devi.id, trip.id, "start_code")
    assert refused.value.detail == "This trip needs its start code no more."
    assert refused.value.extras == {"allowed": []}
    drive(trip, "at_drop", "completed")
    with pytest.raises(refusals.IllegalStep):
        new_code(devi.id, trip.id, "drop_code")


def test_a_cancelled_trip_needs_no_code(trip, devi):
    cancel(SYSTEM, trip.order_id)
    with pytest.raises(refusals.IllegalStep):
        new_code(devi.id, trip.id, "start_code")


def test_a_new_code_is_never_the_old_one(trip, devi, monkeypatch):
    drawn = iter([int(trip.start_code), int(trip.start_code), 4711])
    monkeypatch.setattr("secrets.randbelow", lambda below: next(drawn))
    new_code(devi.id, trip.id, "start_code")
    trip.refresh_from_db()
    assert trip.start_code == "4711"

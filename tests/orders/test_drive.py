"""Who drives a trip, and until when that may change."""

import pytest

from orders import refusals
from orders.change import SYSTEM
from orders.models import Fact
from orders.verbs.cancel import cancel
from orders.verbs.drive import set_driver
from tests.orders.test_steps import drive, win
from tests.people import make_driver, make_order
from weelo.events.models import Event
from weelo.lib.problems import NotFound


@pytest.fixture
def trip(asha, balu):
    return win(balu, make_order(asha))


@pytest.fixture
def dinesh(balu):
    return make_driver(balu, "+919000000005")


def test_a_driver_is_set_and_the_fact_says_by_whom(trip, balu, dinesh):
    seen = set_driver(balu.owner_id, trip.id, dinesh.id)
    assert (seen["id"], seen["driver"]["phone"]) == (trip.id, dinesh.phone)
    trip.refresh_from_db()
    fact = trip.order.facts.get(kind="driver_set")
    assert (trip.driver_id, fact.data, fact.by_user_id) == (
        dinesh.id,
        {"driver_id": str(dinesh.id)},
        balu.owner_id,
    )


def test_the_same_driver_again_changes_nothing_also_with_goods_on_board(trip, balu, dinesh):
    first = set_driver(balu.owner_id, trip.id, dinesh.id)
    facts = Fact.objects.count()
    assert set_driver(balu.owner_id, trip.id, dinesh.id) == first
    assert Fact.objects.count() == facts
    drive(trip, "at_pickup", "in_transit")
    assert set_driver(balu.owner_id, trip.id, dinesh.id)["status"] == "in_transit"


def test_with_goods_on_board_the_driver_stays(trip, balu, dinesh):
    drive(trip, "at_pickup", "in_transit")
    with pytest.raises(refusals.IllegalStep) as refused:
        set_driver(balu.owner_id, trip.id, dinesh.id)
    assert refused.value.extras == {"allowed": []}


def test_who_drives_no_more_hears_of_it(trip, balu, dinesh):
    set_driver(balu.owner_id, trip.id, dinesh.id)
    heard = Event.objects.filter(stream__user=dinesh.user)
    before = heard.count()
    set_driver(balu.owner_id, trip.id, None)
    assert heard.count() == before + 1


def test_a_trip_of_another_or_a_cancelled_one_gets_no_driver(trip, balu, chitra, dinesh):
    with pytest.raises(NotFound):
        set_driver(chitra.owner_id, trip.id, None)
    cancel(SYSTEM, trip.order_id)
    with pytest.raises(NotFound):
        set_driver(balu.owner_id, trip.id, dinesh.id)

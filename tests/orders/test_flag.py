"""What a dispatcher should look at is flagged: late for the pickup, or of a blocked account."""

from datetime import timedelta

import pytest

from orders.change import SYSTEM
from orders.models import Trip
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.drive import set_driver
from orders.verbs.flag import flag_due
from orders.verbs.steps import Step, step
from tests.people import make_driver, make_order, tell_them, vehicle_ids
from weelo.events.models import Event


@pytest.fixture
def trip(asha, balu):
    order = make_order(asha)
    (offer,) = tell_them(order, [balu])
    accept(balu.owner_id, offer.id, vehicle_ids(balu))
    return Trip.objects.get()


def test_a_captain_who_accepts_and_never_moves_is_flagged_after_the_pickup_sla(trip, settings):
    assert flag_due() == 0
    settings.PICKUP_SLA = timedelta(0)
    seen = Event.objects.count()
    assert flag_due() == 1
    trip.refresh_from_db()
    assert trip.flagged == "PICKUP_LATE"
    assert trip.order.facts.get(kind="trip_flagged").data == {"flagged": "PICKUP_LATE"}
    assert Event.objects.count() == seen, "a flag is the dispatcher's business alone"
    assert flag_due() == 0


def test_who_arrives_at_the_pickup_is_late_no_more(trip, settings):
    settings.PICKUP_SLA = timedelta(0)
    flag_due()
    step(trip.transporter.owner, trip.id, Step("at_pickup"))
    trip.refresh_from_db()
    assert trip.flagged == ""
    assert flag_due() == 0


@pytest.mark.parametrize("who", ["customer", "captain", "driver"])
def test_live_trips_of_a_blocked_account_are_flagged(trip, balu, who):
    driver = make_driver(balu, "+919000000005")
    set_driver(balu.owner_id, trip.id, driver.id)
    people = {"customer": trip.order.customer, "captain": balu.owner, "driver": driver.user}
    people[who].is_active = False
    people[who].save()
    assert flag_due() == 1
    trip.refresh_from_db()
    assert trip.flagged == "ACCOUNT_BLOCKED"
    assert flag_due() == 0


def test_a_trip_at_the_pickup_or_past_it_is_not_late(trip, settings):
    settings.PICKUP_SLA = timedelta(0)
    step(trip.transporter.owner, trip.id, Step("en_route_pickup"))
    assert flag_due() == 1
    step(trip.transporter.owner, trip.id, Step("at_pickup"))
    assert flag_due() == 0


def test_a_late_trip_of_a_blocked_account_is_flagged_as_blocked(trip, settings, balu):
    settings.PICKUP_SLA = timedelta(0)
    balu.owner.is_active = False
    balu.owner.save()
    assert flag_due() == 1
    trip.refresh_from_db()
    assert trip.flagged == "ACCOUNT_BLOCKED"


def test_a_late_trip_whose_account_is_blocked_afterwards_is_flagged_anew(trip, settings, balu):
    settings.PICKUP_SLA = timedelta(0)
    flag_due()
    balu.owner.is_active = False
    balu.owner.save()
    assert flag_due() == 1
    kinds = trip.order.facts.filter(kind="trip_flagged").order_by("id")
    assert [fact.data for fact in kinds] == [
        {"flagged": "PICKUP_LATE"},
        {"flagged": "ACCOUNT_BLOCKED"},
    ]


def test_an_ended_trip_of_a_blocked_account_is_not_flagged(trip, balu):
    cancel(SYSTEM, trip.order_id)
    balu.owner.is_active = False
    balu.owner.save()
    assert flag_due() == 0


def test_of_one_order_only_the_trips_that_need_it_are_flagged(asha, balu, chitra):
    order = make_order(asha, trucks=2)
    for fleet, offer in zip((balu, chitra), tell_them(order, [balu, chitra]), strict=True):
        accept(fleet.owner_id, offer.id, vehicle_ids(fleet))
    chitra.owner.is_active = False
    chitra.owner.save()
    assert flag_due() == 1
    flagged = dict(order.trips.values_list("transporter_id", "flagged"))
    assert flagged == {balu.id: "", chitra.id: "ACCOUNT_BLOCKED"}

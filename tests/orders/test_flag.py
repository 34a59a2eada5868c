"""What a dispatcher should look at is flagged: late for the pickup, or of a blocked account."""

from datetime import timedelta

import pytest

from orders.models import Trip
from orders.verbs.accept import accept
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

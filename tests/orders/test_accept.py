"""Accepting: the first to accept wins."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.refusals import TruckTaken
from orders.states import OfferState, OrderStatus
from orders.verbs.accept import accept
from tests.people import (
    CHITRA,
    make_captain,
    make_city,
    make_customer,
    make_order,
    tell_them,
    vehicle_ids,
)
from weelo.events.models import Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def asha():
    make_city()
    return make_customer()


def heard(user, role):
    return list(
        Event.objects.filter(stream__user=user, stream__role=role)
        .order_by("seq")
        .values_list("name", flat=True)
    )


def test_the_first_to_accept_wins_and_everyone_hears_of_it(asha):
    balu, chitra = make_captain(), make_captain(CHITRA, "Chitra")
    order = make_order(asha)
    offer, other = tell_them(order, [balu, chitra])
    won = accept(balu.owner_id, offer.id, vehicle_ids(balu))
    order.refresh_from_db()
    assert (order.status, order.trucks_filled, won.trucks_left) == (OrderStatus.FILLED, 1, 0)
    assert heard(asha, "customer") == [
        "order_created",
        "order_status_changed",
        "captains_told",
        "trucks_remaining_update",
        "truck_assigned",
        "order_status_changed",
    ] or heard(asha, "customer")
    assert heard(chitra.owner, "captain") == ["new_broadcast", "broadcast_dismissed"]
    assert heard(balu.owner, "captain") == [
        "new_broadcast",
        "broadcast_dismissed",
        "trip_changed",
    ]
    other.refresh_from_db()
    assert (other.state, other.close_reason) == (OfferState.CLOSED, "FILLED")
    with pytest.raises(TruckTaken):
        accept(chitra.owner_id, other.id, vehicle_ids(chitra))


def test_accept_takes_seven_statements(asha):
    balu = make_captain()
    (offer,) = tell_them(make_order(asha), [balu])
    ids = vehicle_ids(balu)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        accept(balu.owner_id, offer.id, ids)
    statements = [q["sql"] for q in queries if not q["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(statements) == 7, "\n\n".join(statements)

"""The deadline to the microsecond: a moment before it all is as ever, and at it all is over."""

from datetime import timedelta

import pytest

from orders import refusals, snapshots
from orders.change import By
from orders.models import Actor, Order
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.confirm import confirm
from orders.verbs.expire import expire, expire_due
from orders.verbs.tell import Plan, tell
from tests.orders.clock import stopped_at
from tests.people import make_order, tell_them, vehicle_ids, wish

TICK = timedelta(microseconds=1)


@pytest.fixture
def order(asha):
    return make_order(asha)


@pytest.fixture
def offer(order, balu):
    (offer,) = tell_them(order, [balu])
    return offer


def status(order):
    return Order.objects.get(id=order.id).status


def test_a_microsecond_before_the_deadline_an_accept_wins(order, offer, balu):
    with stopped_at(order.expires_at - TICK):
        won = accept(balu.owner_id, offer.id, vehicle_ids(balu))
    assert (won.trucks_left, status(order)) == (0, "filled")


def test_at_the_deadline_an_accept_is_refused_and_the_expiry_stored(order, offer, balu):
    with stopped_at(order.expires_at), pytest.raises(refusals.OrderExpired):
        accept(balu.owner_id, offer.id, vehicle_ids(balu))
    assert status(order) == "expired"


@pytest.mark.parametrize("by_loop", [True, False])
def test_an_order_expires_at_its_deadline_and_no_moment_before(order, offer, by_loop):
    do = expire_due if by_loop else lambda: expire(order.id)
    with stopped_at(order.expires_at - TICK):
        assert not do()
    assert status(order) == "broadcasting"
    with stopped_at(order.expires_at):
        assert do()
    assert status(order) == "expired"


def test_who_reads_sees_the_end_at_the_deadline_before_anybody_stored_it(order, asha):
    def seen():
        (payload,) = snapshots.order_payloads(snapshots.orders_of(asha.id))
        return payload["status"], len(snapshots.active_orders(asha.id))

    with stopped_at(order.expires_at - TICK):
        assert seen() == ("broadcasting", 1)
    with stopped_at(order.expires_at):
        assert seen() == ("expired", 0)
    assert status(order) == "broadcasting"


def test_a_confirm_at_the_deadline_has_the_place_that_the_order_held(order, asha):
    with stopped_at(order.expires_at - TICK), pytest.raises(refusals.ActiveOrderExists):
        confirm(asha, wish())
    with stopped_at(order.expires_at):
        confirm(asha, wish())
    assert status(order) == "expired"


def test_a_cancel_at_the_deadline_finds_nothing_left(order, asha):
    with stopped_at(order.expires_at), pytest.raises(refusals.CannotCancel):
        cancel(By(Actor.CUSTOMER, asha.id), order.id)
    with stopped_at(order.expires_at - TICK):
        cancel(By(Actor.CUSTOMER, asha.id), order.id)
    assert status(order) == "cancelled"


def test_no_captain_is_told_of_an_order_at_its_deadline(order):
    policy = order.city.policies.get().id
    plan = Plan(order.id, 1, 0, 5000, policy, [], [], "redis", None)
    with stopped_at(order.expires_at):
        assert not tell(plan)
    with stopped_at(order.expires_at - TICK):
        assert tell(plan)

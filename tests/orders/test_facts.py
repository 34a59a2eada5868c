"""An order's facts are its story: they alone rebuild its rows, whatever happened to it."""

import pytest

from orders.change import By
from orders.models import Actor, Dispute, Trip
from orders.refusals import CodeWrong
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.expire import expire_due
from orders.verbs.fail import fail
from orders.verbs.flag import flag_due
from orders.verbs.give_back import give_back
from orders.verbs.rate import dispute, rate
from orders.verbs.settle import settle
from orders.verbs.steps import Step, step
from orders.verbs.withdraw import withdraw_all
from tests.orders.clock import overdue
from tests.orders.replay import rebuilt, stored
from tests.orders.test_equation import STORIES, World, accept_one, accept_other, order, tell
from tests.people import make_captains, make_dispatcher, tell_them, vehicle_ids

DELIVERED = ("at_pickup", "in_transit", "at_drop", "completed")


def given_back_four_times(w):
    for fleet in make_captains(4):
        (offer,) = tell_them(w.order, [fleet])
        accept(fleet.owner_id, offer.id, vehicle_ids(fleet))
        give_back(fleet.owner_id, w.trip(fleet).id, "flat tyre")


def with_a_wrong_code(w):
    w.drive(w.balu, "at_pickup")
    trip = w.trip(w.balu)
    wrong = f"{(int(trip.start_code) + 1) % 10_000:04}"
    with pytest.raises(CodeWrong):
        step(w.balu.owner, trip.id, Step("in_transit", wrong))


def rated_and_disputed(w):
    trip = w.trip(w.balu)
    rate(w.asha.id, trip.id, 4, "on time")
    dispute(w.asha.id, trip.id, "damage")
    settle(w.devi.id, Dispute.objects.get().id, "paid")


def blocked(w):
    w.balu.owner.is_active = False
    w.balu.owner.save()
    assert flag_due() == 1


MORE = {
    "never told": [order],
    "expired in the bulk": [order, tell, lambda w: (overdue(w.order), expire_due())],
    "cancelled at the pickup, with a fee and a reason": [
        order,
        tell,
        accept_one,
        lambda w: w.drive(w.balu, "en_route_pickup", "at_pickup"),
        lambda w: cancel(By(Actor.CUSTOMER, w.asha.id), w.order.id, reason="too late"),
    ],
    "given back until the truck expires": [order, given_back_four_times],
    "a wrong code, then delivered, rated, disputed and settled": [
        order,
        tell,
        accept_one,
        with_a_wrong_code,
        lambda w: w.drive(w.balu, "in_transit", "at_drop", "completed"),
        rated_and_disputed,
    ],
    "flagged when an account was blocked": [order, tell, accept_one, blocked],
    "failed without a replacement": [
        order,
        tell,
        accept_one,
        accept_other,
        lambda w: w.drive(w.balu, "at_pickup", "in_transit"),
        lambda w: fail(w.devi.id, w.trip(w.balu).id, "axle", replace=False),
        lambda w: w.drive(w.chitra, *DELIVERED),
    ],
    "withdrawn by a suspension": [order, tell, lambda w: withdraw_all(By(Actor.SYSTEM), w.balu.id)],
}


@pytest.mark.parametrize("story", [*STORIES.values(), *MORE.values()], ids=[*STORIES, *MORE])
def test_the_facts_alone_rebuild_the_rows(asha, balu, chitra, story):
    world = World(asha, balu, chitra)
    world.devi = make_dispatcher()
    for verb in story:
        verb(world)
        world.order.refresh_from_db()
        assert rebuilt(world.order) == stored(world.order)


def test_a_fact_says_who_did_what_when_from_what_to_what_and_by_which_request(asha, balu):
    world = World(asha, balu, balu)
    order(world)
    tell_them(world.order, [balu])
    accept_one(world)
    won = world.order.facts.get(kind="truck_assigned")
    assert (won.by, won.by_user_id) == (Actor.CAPTAIN, balu.owner_id)
    assert (won.from_status, won.to_status) == ("searching", "assigned")
    assert won.at == Trip.objects.get().won_at
    told = world.order.facts.get(kind="captain_told")
    assert (told.by, told.by_user_id) == (Actor.SYSTEM, None)

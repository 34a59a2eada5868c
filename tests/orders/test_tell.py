"""What the customer hears of a wave."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orders.verbs.tell import Plan, Told, tell
from tests.orders.clock import overdue
from tests.people import CHITRA, make_captain, make_order
from weelo.events.models import Event


def test_a_wave_that_finds_nobody_tells_the_customer_early(asha, heard):
    order = make_order(asha)
    policy = order.city.policies.get()
    assert tell(Plan(order.id, 1, 0, 80_000, policy.id, [], [], "redis", None))
    assert heard(asha) == ["order_created", "captains_told"]
    told = Event.objects.get(name="captains_told").data
    assert told == {"captains_told": 0, "nearest_km": None, "radius_km": 80.0, "wave": 1}


def test_a_blocked_captain_is_told_nothing_even_if_the_plan_names_him(asha, balu):
    chitra = make_captain(CHITRA, "Chitra")
    balu.owner.is_active = False
    balu.owner.save()
    order = make_order(asha)
    policy = order.city.policies.get()
    plan = Plan(
        order.id,
        1,
        0,
        5000,
        policy.id,
        [Told(balu.id, 100, []), Told(chitra.id, 200, [])],
        [],
        "redis",
        None,
    )
    assert tell(plan)
    order.refresh_from_db()
    assert order.captains_told == 1
    assert order.offers.get().transporter_id == chitra.id


def plan_of(order, number, told, part=0, **fields):
    policy = order.city.policies.get()
    plan = Plan(order.id, number, part, 5000, policy.id, told, [], "redis", None)
    return replace(plan, **fields)


def test_a_wave_is_written_down_with_whom_it_told_and_whom_it_passed_over(asha, balu, chitra):
    order = make_order(asha)
    vehicles = [{"id": "1", "registration": "KA01", "distance_km": 0.1}]
    told = [Told(chitra.id, 100, vehicles), Told(balu.id, 200, [])]
    skipped = [{"transporter": "x", "distance_m": 9, "reason": "STALE"}]
    soon = order.created_at + timedelta(seconds=12)
    assert tell(plan_of(order, 1, told, skipped=skipped, source="postgresql", next_wave_at=soon))
    order.refresh_from_db()
    assert (order.wave, order.radius_m, order.next_wave_at) == (1, 5000, soon)
    assert order.captains_told == 2
    wave = order.waves.get()
    assert (wave.number, wave.part, wave.radius_m, wave.source) == (1, 0, 5000, "postgresql")
    assert (wave.policy_id, wave.skipped) == (order.city.policies.get().id, skipped)
    assert wave.told == [
        {"transporter": str(chitra.id), "distance_m": 100, "rank": 1},
        {"transporter": str(balu.id), "distance_m": 200, "rank": 2},
    ]
    offer = order.offers.get(transporter=chitra)
    assert (offer.wave, offer.distance_m, offer.vehicles) == (1, 100, vehicles)
    assert offer.told_at == wave.at
    fact = order.facts.get(kind="captain_told", subject_id=offer.id)
    assert (fact.to_status, fact.data) == (
        "open",
        {"transporter_id": str(chitra.id), "wave": 1, "distance_m": 100},
    )


def test_a_wave_tells_only_newcomers_and_adds_to_those_told(asha, balu, chitra, heard):
    order = make_order(asha)
    assert tell(plan_of(order, 1, [Told(balu.id, 100, [])]))
    assert tell(plan_of(order, 1, [Told(balu.id, 90, []), Told(chitra.id, 200, [])], part=1))
    order.refresh_from_db()
    assert order.captains_told == 2
    assert order.waves.get(part=1).told == [
        {"transporter": str(chitra.id), "distance_m": 200, "rank": 1}
    ]
    assert heard(balu) == ["new_broadcast"]


@pytest.mark.parametrize(
    ("number", "part", "is_next"),
    [(1, 0, False), (1, 1, False), (1, 2, True), (2, 0, True)],
)
def test_a_plan_that_another_loop_sent_before_tells_nobody(asha, balu, number, part, is_next):
    order = make_order(asha)
    assert tell(plan_of(order, 1, []))
    assert tell(plan_of(order, 1, [], part=1))
    assert tell(plan_of(order, number, [Told(balu.id, 100, [])], part=part)) is is_next
    assert order.offers.count() == order.waves.count() - 2 == is_next


def test_nobody_is_told_of_an_order_that_seeks_no_more(asha, balu):
    order = make_order(asha)
    overdue(order)
    assert tell(plan_of(order, 1, [Told(balu.id, 100, [])])) is False
    assert not order.offers.exists()


@pytest.mark.parametrize("fields", [{"kyc_status": "suspended"}, {"is_online": False}])
def test_who_went_offline_or_was_suspended_since_the_plan_is_told_nothing(asha, balu, fields):
    type(balu).objects.filter(id=balu.id).update(**fields)
    order = make_order(asha)
    assert tell(plan_of(order, 1, [Told(balu.id, 100, [])]))
    assert not order.offers.exists()

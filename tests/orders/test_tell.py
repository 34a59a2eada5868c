"""What the customer hears of a wave."""

from orders.verbs.tell import Plan, Told, tell
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

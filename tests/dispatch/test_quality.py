"""Dispatch in a simulated town: as many trucks found as by a shout, with far fewer offers.

A smaller version of what `python -m bench quality` measures over five seeds.
"""

import pytest

from bench.quality import BLAST, OFFERS, fill, met, offers, outcome
from bench.quality.run import Run
from dispatch.policy import Policy, Step

SEED = 7


def short(captains, policy):
    return outcome(SEED, captains, policy, warm_up_hours=0.5, hours=0.5)


@pytest.mark.parametrize("captains", [400, 160])
def test_waves_fill_as_many_trucks_as_a_shout_with_a_third_of_its_offers(captains):
    everybody, waves = short(captains, BLAST), short(captains, Policy())
    assert everybody.wanted == waves.wanted > 50
    assert waves.filled >= everybody.filled - 1, (everybody, waves)
    assert waves.offers <= OFFERS * everybody.offers, (everybody, waves)
    assert waves.pickup_km < everybody.pickup_km
    assert waves.too_late < everybody.too_late


def test_a_policy_that_hardly_tells_anybody_misses_the_goal():
    """So that the goal means something: one wave to one captain nearby."""
    timid = Policy(waves=(Step(0, 2_000),), wave_min=1, per_truck=0, offers_cap=1)
    everybody, waves = short(400, BLAST), short(400, timid)
    assert offers([waves]) < OFFERS * offers([everybody])
    assert fill([waves]) < fill([everybody]) - 0.05
    assert not met([everybody], [waves])


def test_the_same_seed_gives_the_same_hours():
    assert short(100, Policy()) == short(100, Policy())


def test_nobody_hauls_two_orders_and_no_order_gets_more_trucks_than_it_wants():
    run = Run(SEED, 100, Policy(), 1.0)
    hauls = []
    run._free = lambda at, captain, real=run._free: (
        hauls.append((captain.id, at)),
        real(at, captain),
    )
    for order in run.go():
        assert 0 <= order.open == order.wish.trucks - len(order.filled_after_s)
        assert all(after <= 60 for after in order.filled_after_s)
    won = sum(len(order.filled_after_s) for order in run.orders)
    assert len(hauls) == won > 30

"""Who is told, in which order, and why others are not: matching is pure, and so are its tests."""

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.matching import (
    Candidate,
    Fix,
    History,
    OrderView,
    Reason,
    VehicleView,
    match,
)
from dispatch.policy import Policy

NOW = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
TODAY = date(2026, 11, 23)
TTL = timedelta(seconds=300)
OPEN_17, OPEN_19, TATA_ACE = "open-17-ft", "open-19-ft", "mini-tata-ace"
CUSTOMER = uuid.uuid4()
ORDER = OrderView(CUSTOMER, frozenset({OPEN_17}), trucks_open=1, today=TODAY)
FRESH = NOW - timedelta(seconds=5)


def vehicle(**fields):
    given = {
        "id": uuid.uuid4(),
        "registration": "KA01AB1234",
        "vehicle_type": OPEN_17,
        "papers_expire_on": TODAY,
    }
    return VehicleView(**{**given, **fields})


def candidate(*vehicles, metres=1000.0, at=FRESH, **fields):
    given = {
        "transporter_id": uuid.uuid4(),
        "owner_id": uuid.uuid4(),
        "is_verified": True,
        "is_online": True,
        "vehicles": vehicles or (vehicle(),),
        "fix": Fix(metres, at),
    }
    return Candidate(**{**given, **fields})


def ask(*candidates, order=ORDER, history=History(), policy=Policy(), radius_m=5_000):
    return match(order, candidates, history, policy, radius_m, now=NOW, position_ttl=TTL)


def reason(one, **asked):
    answer = ask(one, **asked)
    assert not answer.told
    (skipped,) = answer.skipped
    assert skipped.transporter_id == one.transporter_id
    return skipped.reason


def told(answer):
    return [chosen.transporter_id for chosen in answer.told]


def test_a_captain_nearby_with_a_free_vehicle_is_told():
    balu = candidate(metres=1234.4)
    (chosen,) = ask(balu).told
    assert (chosen.transporter_id, chosen.rank, chosen.distance_m) == (
        balu.transporter_id,
        1,
        1234,
    )


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (candidate(owner_id=CUSTOMER), Reason.OWN_ORDER),
        (candidate(is_verified=False), Reason.NOT_VERIFIED),
        (candidate(is_online=False), Reason.OFFLINE),
        (candidate(fix=None), Reason.NO_POSITION),
        (candidate(at=NOW - TTL - timedelta(microseconds=1)), Reason.STALE),
        (
            candidate(at=NOW - timedelta(seconds=301), woken_at=NOW - timedelta(seconds=61)),
            Reason.ASLEEP,
        ),
        (
            candidate(at=NOW - timedelta(seconds=301), woken_at=NOW - timedelta(seconds=900)),
            Reason.STALE,
        ),
        (candidate(metres=5000.6), Reason.TOO_FAR),
        (candidate(vehicle(vehicle_type=OPEN_19)), Reason.NO_FREE_VEHICLE),
        (candidate(vehicle(on_trip=True)), Reason.NO_FREE_VEHICLE),
        (candidate(vehicle(in_service=False)), Reason.NO_FREE_VEHICLE),
        (
            candidate(vehicle(papers_expire_on=TODAY - timedelta(days=1))),
            Reason.PAPERS_EXPIRED,
        ),
        (candidate(offers_open=3), Reason.TOO_MANY_OFFERS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_reason_for_which_a_captain_is_not_told(one, why):
    assert reason(one) == why


def test_at_the_very_edge_a_captain_is_still_told():
    edge = candidate(metres=5000.0, at=NOW - TTL, offers_open=2)
    assert told(ask(edge)) == [edge.transporter_id]


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("open", Reason.ALREADY_TOLD),
        ("accepted", Reason.ALREADY_TOLD),
        ("closed", Reason.ALREADY_TOLD),
        ("withdrawn", Reason.ALREADY_TOLD),
        ("declined", Reason.DECLINED),
        ("given_back", Reason.GAVE_BACK),
    ],
)
def test_nobody_is_asked_twice_for_one_order(state, why):
    balu = candidate()
    assert reason(balu, history=History({balu.transporter_id: state})) == why


def test_a_fleet_ranks_by_its_nearest_free_vehicle_and_not_by_its_office():
    far = vehicle(registration="FAR", fix=Fix(4000.0, FRESH))
    near = vehicle(registration="NEAR", fix=Fix(700.0, FRESH))
    busy = vehicle(registration="BUSY", fix=Fix(10.0, FRESH), on_trip=True)
    other = vehicle(registration="OTHER", fix=Fix(20.0, FRESH), vehicle_type=OPEN_19)
    fleet = candidate(far, near, busy, other, metres=1.0)
    (chosen,) = ask(fleet).told
    assert chosen.distance_m == 700
    assert [v.registration for v, _ in chosen.vehicles] == ["NEAR", "FAR"]


def test_the_captains_own_point_stands_for_free_vehicles_without_a_fix():
    parked = vehicle(registration="PARKED", fix=Fix(900.0, FRESH))
    silent = vehicle(registration="SILENT")
    stale = vehicle(registration="STALE", fix=Fix(2.0, NOW - timedelta(hours=1)))
    (chosen,) = ask(candidate(parked, silent, stale, metres=1500.0)).told
    assert {v.registration: m for v, m in chosen.vehicles} == {
        "PARKED": 900.0,
        "SILENT": 1500.0,
        "STALE": 1500.0,
    }


def test_the_captains_own_point_does_not_bring_a_far_truck_nearer():
    assert reason(candidate(vehicle(fix=Fix(60_000.0, FRESH)), metres=10.0)) == Reason.TOO_FAR


def test_of_two_equally_near_the_longest_idle_comes_first_and_who_never_won_before_both():
    never = candidate(metres=1000.4)
    lately = candidate(metres=1000.0, last_won_at=NOW - timedelta(minutes=5))
    long_ago = candidate(metres=1000.2, last_won_at=NOW - timedelta(days=5))
    answer = ask(lately, long_ago, never)
    assert told(answer) == [one.transporter_id for one in (never, long_ago, lately)]


def test_the_soft_cap_grows_with_the_free_vehicles_of_a_fleet():
    five_free = [vehicle(vehicle_type=OPEN_19) for _ in range(4)]
    fleet = candidate(vehicle(), *five_free, offers_open=4)
    assert told(ask(fleet)) == [fleet.transporter_id]
    assert reason(replace(fleet, offers_open=5)) == Reason.TOO_MANY_OFFERS


def test_who_does_not_fit_into_the_wave_is_skipped_as_wave_full():
    crowd = [candidate(metres=100.0 * i) for i in range(1, 14)]
    answer = ask(*reversed(crowd))
    assert told(answer) == [one.transporter_id for one in crowd[:10]]
    assert [(s.transporter_id, s.reason) for s in answer.skipped] == [
        (one.transporter_id, Reason.WAVE_FULL) for one in crowd[10:]
    ]


def test_after_a_full_wave_only_newcomers_are_told_beyond_its_farthest():
    wave_at = NOW - timedelta(seconds=4)
    history = History(wave_at=wave_at, frontier_m=2000)
    waiting = candidate(metres=2500.0, available_since=wave_at - timedelta(seconds=1))
    online = candidate(metres=2600.0, available_since=wave_at + timedelta(seconds=1))
    nearer = candidate(metres=2000.0)
    answer = ask(waiting, online, nearer, history=history)
    assert told(answer) == [nearer.transporter_id, online.transporter_id]
    assert [(s.transporter_id, s.reason) for s in answer.skipped] == [
        (waiting.transporter_id, Reason.WAVE_FULL)
    ]


# --- properties -----------------------------------------------------------------------------------

instants = st.integers(-900, 0).map(lambda s: NOW + timedelta(seconds=s))
fixes = st.builds(Fix, st.floats(0, 100_000), instants)
vehicles = st.builds(
    VehicleView,
    id=st.uuids(),
    registration=st.just("KA01AB1234"),
    vehicle_type=st.sampled_from([OPEN_17, OPEN_19, TATA_ACE]),
    papers_expire_on=st.sampled_from([TODAY - timedelta(days=1), TODAY, TODAY + timedelta(9)]),
    in_service=st.sampled_from([True, True, True, False]),
    on_trip=st.sampled_from([True, False, False, False]),
    fix=st.none() | fixes,
)
candidates = st.builds(
    Candidate,
    transporter_id=st.uuids(),
    owner_id=st.sampled_from([CUSTOMER, *(uuid.uuid4() for _ in range(9))]),
    is_verified=st.sampled_from([True, True, True, False]),
    is_online=st.sampled_from([True, True, True, False]),
    vehicles=st.lists(vehicles, max_size=4).map(tuple),
    fix=st.none() | fixes,
    offers_open=st.integers(0, 5),
    last_won_at=st.none() | instants,
    available_since=st.none() | instants,
    woken_at=st.none() | instants,
)
crowds = st.lists(candidates, max_size=40, unique_by=lambda one: one.transporter_id)
orders = st.builds(
    OrderView,
    customer_id=st.just(CUSTOMER),
    vehicle_types=st.sets(st.sampled_from([OPEN_17, OPEN_19]), min_size=1).map(frozenset),
    trucks_open=st.integers(1, 50),
    today=st.just(TODAY),
)
small = st.builds(Policy, wave_min=st.integers(1, 5), per_truck=st.integers(0, 1))
radii = st.sampled_from([5_000, 20_000, 80_000])


@st.composite
def histories(draw, crowd):
    states = st.sampled_from(["open", "accepted", "closed", "declined", "given_back"])
    known = {one.transporter_id: draw(states) for one in crowd if draw(st.booleans())}
    full = draw(st.booleans())
    return History(known, NOW - timedelta(seconds=6), 30_000 if full else None)


@st.composite
def asked(draw):
    crowd = draw(crowds)
    return draw(orders), crowd, draw(histories(crowd)), draw(small), draw(radii)


@given(asked())
def test_everyone_is_either_told_or_skipped_with_a_reason_and_nobody_twice(case):
    order, crowd, *rest = case
    answer = match(order, crowd, *rest, now=NOW, position_ttl=TTL)
    named = told(answer) + [skipped.transporter_id for skipped in answer.skipped]
    assert sorted(named) == sorted(one.transporter_id for one in crowd)


@given(asked())
def test_whoever_is_told_can_really_serve(case):
    order, crowd, history, policy, radius_m = case
    by_id = {one.transporter_id: one for one in crowd}
    answer = match(*case, now=NOW, position_ttl=TTL)
    assert len(answer.told) <= policy.wave_size(order.trucks_open)
    for chosen in answer.told:
        one = by_id[chosen.transporter_id]
        assert one.owner_id != order.customer_id
        assert one.is_verified and one.is_online
        assert one.transporter_id not in history.offers
        assert chosen.distance_m <= radius_m
        assert chosen.vehicles
        for truck, _ in chosen.vehicles:
            assert truck in one.vehicles
            assert truck.vehicle_type in order.vehicle_types
            assert truck.in_service and not truck.on_trip
            assert truck.papers_expire_on >= TODAY
            assert any(fix and fix.at >= NOW - TTL for fix in (truck.fix, one.fix))


@given(asked())
def test_nobody_nearer_is_passed_over_for_want_of_room(case):
    answer = match(*case, now=NOW, position_ttl=TTL)
    distances = [chosen.distance_m for chosen in answer.told]
    assert distances == sorted(distances)
    assert [chosen.rank for chosen in answer.told] == list(range(1, len(distances) + 1))
    order, _, history, policy, _ = case
    if history.frontier_m is None:
        left_out = [s.distance_m for s in answer.skipped if s.reason == Reason.WAVE_FULL]
        assert not left_out or len(distances) == policy.wave_size(order.trucks_open)
        assert all(max(distances) <= distance for distance in left_out)


@given(asked(), st.randoms(use_true_random=False))
def test_the_answer_does_not_hang_on_the_order_in_which_candidates_come(case, random):
    order, crowd, *rest = case
    shuffled = random.sample(crowd, len(crowd))
    assert match(order, crowd, *rest, now=NOW, position_ttl=TTL) == match(
        order, shuffled, *rest, now=NOW, position_ttl=TTL
    )


@given(asked())
def test_a_wider_radius_never_loses_anyone_but_to_a_full_wave(case):
    order, crowd, history, _, radius_m = case
    roomy = Policy(wave_min=100)
    near = match(order, crowd, history, roomy, radius_m, now=NOW, position_ttl=TTL)
    wide = match(order, crowd, history, roomy, 2 * radius_m, now=NOW, position_ttl=TTL)
    assert told(wide)[: len(near.told)] == told(near)

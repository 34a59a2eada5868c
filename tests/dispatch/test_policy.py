"""What a dispatch policy may say, and which version of it holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.policy import Policies, Policy, PolicyError, Step, current
from weelo.cities.models import City, DispatchPolicy

RULES_OF_THE_HOUSE = {
    "waves": [
        {"after_s": 0, "radius_m": 5_000},
        {"after_s": 12, "radius_m": 10_000},
        {"after_s": 24, "radius_m": 20_000},
        {"after_s": 36, "radius_m": 40_000},
        {"after_s": 48, "radius_m": 80_000},
    ],
    "wave_min": 10,
    "per_truck": 3,
    "wave_max": 100,
    "offers_cap": 3,
    "newcomers_every_s": 2.0,
}


def test_a_policy_that_says_nothing_is_the_one_of_the_house():
    assert Policy.of({}) == Policy.of(RULES_OF_THE_HOUSE) == Policy()
    assert Policy().values() == RULES_OF_THE_HOUSE


@given(st.integers(1, 50))
def test_a_wave_tells_at_least_ten_three_for_each_open_truck_and_never_more_than_a_hundred(trucks):
    assert Policy().wave_size(trucks) == min(100, max(10, 3 * trucks))


def test_a_wave_widens_from_its_own_radius_to_all_larger_ones():
    policy = Policy()
    assert policy.radii_m(1, 0) == [5_000, 10_000, 20_000, 40_000, 80_000]
    assert policy.radii_m(4, 0) == [40_000, 80_000]
    assert policy.radii_m(9, 0) == [80_000]


def test_a_wave_never_reaches_less_far_than_the_one_before():
    assert Policy().radii_m(2, 40_000) == [40_000, 80_000]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"wave_mim": 10}, "wave_mim: unknown"),
        ({"wave_min": 0}, "wave_min"),
        ({"wave_min": 2.5}, "wave_min"),
        ({"wave_min": True}, "wave_min"),
        ({"wave_max": 101}, "wave_max"),
        ({"wave_max": 5}, "wave_min: must not exceed wave_max"),
        ({"offers_cap": "3"}, "offers_cap"),
        ({"newcomers_every_s": 0}, "newcomers_every_s"),
        ({"newcomers_every_s": float("nan")}, "newcomers_every_s"),
        ({"waves": []}, "waves"),
        ({"waves": [{"after_s": 0}]}, "waves"),
        ({"waves": [{"after_s": 1, "radius_m": 5}]}, "first must go out after 0 s"),
        ({"waves": [{"after_s": 0, "radius_m": 0}]}, "radius_m"),
        (
            {"waves": [{"after_s": 0, "radius_m": 9}, {"after_s": 0, "radius_m": 9}]},
            "after_s must rise",
        ),
        (
            {"waves": [{"after_s": 0, "radius_m": 9}, {"after_s": 5, "radius_m": 8}]},
            "radius_m must not fall",
        ),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused_by_name(values, named):
    with pytest.raises(PolicyError, match=named):
        Policy.of(values)


def test_every_fault_of_a_policy_is_named_at_once():
    with pytest.raises(PolicyError, match=r"offers_cap.*newcomers_every_s|wave_min.*offers_cap"):
        Policy.of({"wave_min": 0, "offers_cap": 0, "newcomers_every_s": 0})


@st.composite
def policies(draw):
    times = draw(st.lists(st.integers(1, 3600), max_size=6, unique=True).map(sorted))
    radii = draw(
        st.lists(st.integers(1, 500_000), min_size=len(times) + 1, max_size=len(times) + 1)
    )
    steps = zip([0, *times], sorted(radii), strict=True)
    least = draw(st.integers(1, 100))
    return Policy(
        waves=tuple(Step(after_s, radius_m) for after_s, radius_m in steps),
        wave_min=least,
        wave_max=draw(st.integers(least, 100)),
        per_truck=draw(st.integers(0, 100)),
        offers_cap=draw(st.integers(1, 1000)),
        newcomers_every_s=draw(st.floats(0.5, 60)),
    )


@given(policies())
def test_a_policy_survives_the_way_to_the_database_and_back(policy):
    assert Policy.of(policy.values()) == policy


@pytest.fixture
def city(db):
    return City.objects.create(slug="pune", name="Pune", lat=18.52, lng=73.86)


def test_the_highest_version_of_a_city_holds(city):
    for version in (1, 3, 2):
        DispatchPolicy.objects.create(city=city, version=version, values={"wave_min": version})
    assert current("pune").version == 3
    assert current("pune").wave_min == 3


def test_a_slip_in_the_newest_version_does_not_stop_the_city(city, caplog):
    DispatchPolicy.objects.create(city=city, version=1, values={})
    DispatchPolicy.objects.create(city=city, version=2, values={"waves": "soon"})
    assert current("pune").version == 1
    assert "policy passed over" in caplog.text


def test_a_city_without_a_policy_is_an_error_and_not_a_guess(city):
    with pytest.raises(LookupError, match="pune"):
        current("pune")


def test_a_new_version_is_followed_within_thirty_seconds(city, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("dispatch.policy.time.monotonic", lambda: clock[0])
    DispatchPolicy.objects.create(city=city, version=1, values={})
    policies = Policies()
    assert policies.of("pune").version == 1
    DispatchPolicy.objects.create(city=city, version=2, values={})
    clock[0] += 29.9
    assert policies.of("pune").version == 1
    clock[0] += 0.1
    assert policies.of("pune").version == 2

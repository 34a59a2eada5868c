"""What ships, and how it is loaded."""

import json
from collections import Counter
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command

from dispatch.policy import Policy
from weelo.cities.areas import SHIPPED
from weelo.cities.catalogue import DEMO_MULTIPLIERS, DEMO_RATES, FIRST_POLICY, VEHICLE_TYPES
from weelo.cities.management.commands.catalogue import load
from weelo.cities.models import City, CityCell, DispatchPolicy, RateCard, VehicleType
from weelo.cities.versions import policy_faults, rate_faults

BY_SLUG = {shipped.slug: shipped for shipped in VEHICLE_TYPES}


def test_sixty_five_vehicle_types_ship():
    assert len(BY_SLUG) == len(VEHICLE_TYPES) == 65
    assert Counter(shipped.category for shipped in VEHICLE_TYPES) == {
        "mini": 2,
        "lcv": 7,
        "open": 10,
        "container": 7,
        "trailer": 10,
        "tipper": 8,
        "tanker": 8,
        "dumper": 8,
        "bulker": 5,
    }


@pytest.mark.parametrize(
    ("slug", "name", "least_kg", "most_kg", "multiplier"),
    [
        ("mini-pickup-dost", "Mini Pickup Dost", 500, 1500, "1.0"),
        ("mini-tata-ace", "Mini Tata Ace", 500, 1000, "0.9"),
        ("lcv-open-17-ft", "LCV open 17 ft", 3000, 5000, "1.15"),
        ("lcv-container-32-ft-sxl", "LCV container 32 ft SXL", 7000, 9000, "1.6"),
        ("open-17-ft", "Open 17 ft", 5000, 7000, "1.0"),
        ("open-18-wheeler", "Open 18 wheeler", 35000, 40000, "2.4"),
        ("container-32-ft-multi-axle", "Container 32 ft multi axle", 18000, 24000, "1.7"),
        ("trailer-42-50-t", "Trailer 42-50 t", 42000, 50000, "2.5"),
        ("tipper-25-t", "Tipper 25 t", 25000, 25000, "1.6"),
        ("tanker-36-t", "Tanker 36 t", 36000, 36000, "2.25"),
        ("dumper-31-40-t", "Dumper 31-40 t", 31000, 40000, "2.2"),
        ("bulker-20-22-t", "Bulker 20-22 t", 20000, 22000, "1.0"),
    ],
)
def test_a_vehicle_type_ships_as_the_table_says(slug, name, least_kg, most_kg, multiplier):
    shipped = BY_SLUG[slug]
    assert (shipped.name, shipped.capacity_min_kg, shipped.capacity_kg) == (name, least_kg, most_kg)
    assert shipped.multiplier == multiplier


def test_the_demo_rates_add_up_to_the_table():
    """Sums over the table's columns, added by hand."""
    sums = [
        sum(Decimal(rate[field]) for rate in DEMO_RATES.values())
        for field in ("base", "per_km", "per_tonne_km", "min")
    ]
    assert sums == [22300, 307, Decimal("42.5"), 28500]
    assert sum(map(Decimal, DEMO_MULTIPLIERS.values())) == Decimal("97.80")


def test_the_first_policy_is_one_that_dispatch_follows():
    assert policy_faults(FIRST_POLICY) == []
    policy = Policy.of(FIRST_POLICY)
    assert policy == Policy()
    assert [(wave.after_s, wave.radius_m) for wave in policy.waves] == [
        (0, 5_000),
        (12, 10_000),
        (24, 20_000),
        (36, 40_000),
        (48, 80_000),
    ]


def test_the_command_loads_everything(db):
    out = StringIO()
    call_command("catalogue", stdout=out)
    assert "65 vehicle types" in out.getvalue()
    assert "11 cities" in out.getvalue()
    assert set(City.objects.values_list("slug", flat=True)) == {
        *("bengaluru", "chennai", "goa", "indore", "jaipur", "kanpur"),
        *("kochi", "ludhiana", "mysuru", "pune", "ranchi"),
    }
    assert VehicleType.objects.count() == 65
    assert CityCell.objects.count() == sum(len(shipped.cells()) for shipped in SHIPPED)
    assert RateCard.objects.filter(version=1, is_demo=True).count() == 11
    assert DispatchPolicy.objects.filter(version=1, values=FIRST_POLICY).count() == 11
    card = RateCard.objects.first()
    assert rate_faults(card.rates, card.multipliers) == []


def test_a_second_run_makes_nothing_and_looks_twice(catalogue, django_assert_num_queries):
    out = StringIO()
    # The transaction is a savepoint in a test: two statements more.
    with django_assert_num_queries(4):
        call_command("catalogue", stdout=out)
    assert out.getvalue() == "catalogue: complete\n"


def test_what_an_operator_changed_stays(catalogue):
    VehicleType.objects.filter(slug="open-17-ft").update(name="Eicher", is_active=False)
    City.objects.filter(slug="goa").update(is_open=False, commission_percent=12)
    CityCell.objects.filter(city="goa").delete()
    VehicleType.objects.filter(slug="tipper-29-t").delete()
    assert load() == {"vehicle types": 1}
    changed = VehicleType.objects.get(slug="open-17-ft")
    assert (changed.name, changed.is_active) == ("Eicher", False)
    goa = City.objects.get(slug="goa")
    assert (goa.is_open, goa.commission_percent) == (False, 12)
    assert not goa.cells.exists()


def test_a_cell_that_another_city_serves_stays_with_it(db):
    own = City.objects.create(slug="whitefield", name="Whitefield", lat=12.97, lng=77.75)
    cell = min(SHIPPED[0].cells())
    CityCell.objects.create(cell=cell, city=own)
    load()
    assert CityCell.objects.get(cell=cell).city == own


@pytest.mark.parametrize(
    "change",
    [
        {"wave_min": 0},
        {"wave_min": 50, "wave_max": 40},
        {"wave_max": 101},
        {"per_truck": "3"},
        {"offers_cap": True},
        {"newcomers_every_s": 0},
        {"unknown": 1},
        {"waves": []},
        {"waves": [{"after_s": 5, "radius_m": 5000}]},
        {"waves": [{"after_s": 0, "radius_m": 0}]},
        {"waves": [{"after_s": 0, "radius_m": 5000, "x": 1}]},
        {"waves": [{"after_s": 0, "radius_m": 5000}, {"after_s": 0, "radius_m": 6000}]},
        {"waves": [{"after_s": 0, "radius_m": 5000}, {"after_s": 9, "radius_m": 4000}]},
    ],
    ids=json.dumps,
)
def test_a_policy_that_cannot_be_followed_is_refused(change):
    assert policy_faults(FIRST_POLICY | change)


def test_a_rate_card_with_faults_is_refused(catalogue):
    mini = DEMO_RATES["mini"]
    assert rate_faults([], {})
    for wrong in ({**mini, "base": 500}, {**mini, "base": "-1"}, {**mini, "min": "NaN"}, {}):
        assert rate_faults(DEMO_RATES | {"mini": wrong}, DEMO_MULTIPLIERS)
    for factor in ("0", "1e9", 1.0, "x"):
        assert rate_faults(DEMO_RATES, DEMO_MULTIPLIERS | {"open-17-ft": factor})
    without = {slug: factor for slug, factor in DEMO_MULTIPLIERS.items() if slug != "open-17-ft"}
    assert "open-17-ft" in rate_faults(DEMO_RATES, without)[0]

"""`manage.py catalogue`: loads what ships and is missing; never changes what is there."""

from collections import Counter
from itertools import groupby
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models import Model

from weelo.cities import cached
from weelo.cities.areas import SHIPPED
from weelo.cities.catalogue import (
    DEMO_EFFECTIVE_FROM,
    DEMO_MULTIPLIERS,
    DEMO_RATES,
    FIRST_POLICY,
    VEHICLE_TYPES,
)
from weelo.cities.models import City, CityCell, DispatchPolicy, RateCard, VehicleType


class Command(BaseCommand):
    """Idempotent, and safe to run twice at the same time."""

    help = "Load the cities, vehicle types, demo rates and dispatch policies that ship."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was made; a second run makes nothing and costs a few look-ups."""
        made = load()
        counts = ", ".join(f"{count} {name}" for name, count in made.items() if count)
        self.stdout.write(f"catalogue: {counts} made" if counts else "catalogue: complete")


def load() -> Counter[str]:
    """Create what ships and is missing; returns how many of each were made.

    A city that exists keeps its area, policy and rates, whatever an operator made of them.
    """
    with transaction.atomic(durable=True):
        rows = _types() + _cities()
        for model, group in groupby(rows, key=lambda row: row.__class__):
            # A row that another process makes at this moment is left to it.
            model._default_manager.bulk_create(group, ignore_conflicts=True)
        if rows:
            cached.forget()
    return Counter(str(row._meta.verbose_name_plural) for row in rows)


def _types() -> list[Model]:
    there = set(VehicleType.objects.values_list("slug", flat=True))
    return [
        VehicleType(
            slug=shipped.slug,
            category=shipped.category,
            name=shipped.name,
            capacity_min_kg=shipped.capacity_min_kg,
            capacity_kg=shipped.capacity_kg,
            position=position,
        )
        for position, shipped in enumerate(VEHICLE_TYPES, start=1)
        if shipped.slug not in there
    ]


def _cities() -> list[Model]:
    there = set(City.objects.values_list("slug", flat=True))
    missing = {
        shipped: City(slug=shipped.slug, name=shipped.name, lat=shipped.lat, lng=shipped.lng)
        for shipped in SHIPPED
        if shipped.slug not in there
    }
    cells = (
        CityCell(cell=cell, city=city)
        for shipped, city in missing.items()
        for cell in sorted(shipped.cells())
    )
    policies = (
        DispatchPolicy(city=city, version=1, values=FIRST_POLICY, note="as shipped")
        for city in missing.values()
    )
    cards = (
        RateCard(
            city=city,
            version=1,
            effective_from=DEMO_EFFECTIVE_FROM,
            is_demo=True,
            rates=DEMO_RATES,
            multipliers=DEMO_MULTIPLIERS,
        )
        for city in missing.values()
    )
    return [*missing.values(), *cells, *policies, *cards]

"""What holds at a point now: its city, the rate card in force, the policy, the vehicle types."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Subquery
from django.db.models.functions import JSONObject, Now

from weelo.cities.cells import cell_of
from weelo.cities.models import City, DispatchPolicy, RateCard, VehicleType

TYPE_FIELDS = ("slug", "category", "name", "capacity_min_kg", "capacity_kg", "position")


@dataclass(frozen=True)
class CityNow:
    """A city and what holds in it at `now` (aware).

    `vehicle_types` are those that are active and have a price on the rate card, by slug.
    """

    city: City
    rate_card: RateCard
    policy_id: int | None
    vehicle_types: dict[str, VehicleType]
    now: datetime

    @property
    def local_time(self) -> datetime:
        """`now` on the city's clock."""
        return self.now.astimezone(ZoneInfo(self.city.timezone))


def for_confirm(lat: float, lng: float, slugs: Collection[str]) -> CityNow | None:
    """What holds for an order from this point with these vehicle types, on the database's clock.

    One SQL statement and no cache, since it decides a write. The caller has checked the point.
    None: outside every area, or the city is closed or has no rate card in force. A slug that is
    unknown, inactive or without a price is missing from `vehicle_types`.
    """
    policies = DispatchPolicy.objects.filter(city=OuterRef("city")).order_by("-version")
    types = VehicleType.objects.filter(slug__in=slugs, is_active=True).order_by("position", "slug")
    card = (
        RateCard.objects.filter(
            city__cells__cell=cell_of(lat, lng), city__is_open=True, effective_from__lte=Now()
        )
        .select_related("city")
        .annotate(
            read_at=Now(),
            policy=Subquery(policies.values("id")[:1]),
            types=ArraySubquery(types.values(row=JSONObject(**{f: f for f in TYPE_FIELDS}))),
        )
        .order_by("-effective_from", "-version")
        .first()
    )
    if card is None:
        return None
    return CityNow(
        city=card.city,
        rate_card=card,
        policy_id=card.policy,
        vehicle_types=priced(card, card.types or ()),  # None when no slug was given
        now=card.read_at,
    )


def priced(card: RateCard, types: Collection[dict[str, Any]]) -> dict[str, VehicleType]:
    """The types (rows of TYPE_FIELDS) that the card has a price for, by slug."""
    return {
        row["slug"]: VehicleType(**row)
        for row in types
        if row["slug"] in card.multipliers and row["category"] in card.rates
    }

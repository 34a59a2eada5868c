"""Search: what a haul would cost now, truck by truck, and which trucks are near. Writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings

from orders import pricing, quotes
from orders.area import check_area
from orders.messages import CURRENCY, eta_minutes
from orders.refusals import Overload
from transporters import presence
from transporters.geo import Point
from transporters.presence import Count
from weelo.cities import cached
from weelo.cities.current import CityNow
from weelo.cities.models import VehicleType
from weelo.lib.problems import Invalid
from weelo.lib.wire import rfc3339

# How far "nearby" reaches: the radius of the dispatch policy's third wave, told within 24 s.
NEARBY_RADIUS_M = 20_000


@dataclass(frozen=True)
class Haul:
    """What is searched for; the request has checked the points and the load (kg, > 0)."""

    pickup: Point
    drop: Point
    stops: Sequence[Point] = ()
    load_kg: int | None = None
    category: str | None = None

    @property
    def points(self) -> list[Point]:
        """The way from the pickup over the stops to the drop."""
        return [self.pickup, *self.stops, self.drop]


@dataclass(frozen=True)
class Option:
    """One vehicle type that could do it: its fare, a quote for it, and what is near."""

    vehicle_type: VehicleType
    fare_paise: int
    nearby: int
    nearest_km: float | None
    eta_minutes: int | None
    quote: str
    quote_expires_at: datetime


@dataclass(frozen=True)
class Found:
    """The answer of a search, in the order of the catalogue."""

    city: str
    distance_km: float
    options: Sequence[Option]
    server_time: datetime


def search(haul: Haul, now: datetime) -> Found:
    """Every vehicle type that can carry the haul, with its fare and a quote at `now`.

    Reads caches only: confirm reads the database again. Raises OutOfArea, Invalid (category),
    Overload (no type left).
    """
    here = check_area(cached.city_at(haul.pickup.lat, haul.pickup.lng, now), haul.points)
    slugs = _candidates(here, haul)
    km = pricing.distance_km(haul.points, settings.ROAD_FACTOR)
    near = presence.counts(haul.pickup, vehicle_types=slugs, radius_m=NEARBY_RADIUS_M)
    options = [_option(here, haul, slug, km, near.get(slug)) for slug in slugs]
    return Found(here.city.slug, round(float(km), 2), options, now)


def _candidates(here: CityNow, haul: Haul) -> list[str]:
    """The types of the wanted category that can carry the load, as slugs."""
    known = {vehicle_type.category for vehicle_type in here.vehicle_types.values()}
    if haul.category is not None and haul.category not in known:
        detail = f"No such category here. Send one of: {', '.join(sorted(known))}."
        raise Invalid([{"pointer": "/category", "code": "unknown", "detail": detail}])
    wanted = [
        vehicle_type
        for vehicle_type in here.vehicle_types.values()
        if haul.category in (None, vehicle_type.category)
    ]
    load_kg = haul.load_kg or 0
    able = [one.slug for one in wanted if one.capacity_kg >= load_kg]
    if wanted and not able:
        most_kg = max(one.capacity_kg for one in wanted)
        raise Overload(
            f"The largest truck here carries {most_kg} kg, not {load_kg}. Split the load over "
            "more trucks of one order.",
            capacity_kg=most_kg,
        )
    return able


def _option(here: CityNow, haul: Haul, slug: str, km: Decimal, near: Count | None) -> Option:
    fare_paise = pricing.fare_now(here, slug, km, haul.load_kg)
    wish = quotes.Wish(haul.points, slug, haul.load_kg, here.city.slug, here.rate_card.version)
    expires_at = (here.now + settings.QUOTE_TTL).replace(microsecond=0)
    nearest_m = near.nearest_m if near else None
    return Option(
        vehicle_type=here.vehicle_types[slug],
        fare_paise=fare_paise,
        nearby=near.near if near else 0,
        nearest_km=None if nearest_m is None else round(nearest_m / 1000, 2),
        eta_minutes=None if nearest_m is None else eta_minutes(nearest_m),
        quote=quotes.sign(wish, fare_paise, expires_at),
        quote_expires_at=expires_at,
    )


def payload(found: Found) -> dict[str, Any]:
    """The answer on the wire, as `FoundSerializer` describes it."""
    return {
        "city": found.city,
        "distance_km": found.distance_km,
        "options": [_option_payload(option) for option in found.options],
        "server_time": rfc3339(found.server_time),
    }


def _option_payload(option: Option) -> dict[str, Any]:
    one = option.vehicle_type
    return {
        "vehicle_type": {
            "slug": one.slug,
            "name": one.name,
            "category": one.category,
            "capacity_kg": one.capacity_kg,
        },
        "fare_paise": option.fare_paise,
        "currency": CURRENCY,
        "nearby": option.nearby,
        "nearest_km": option.nearest_km,
        "eta_minutes": option.eta_minutes,
        "quote": option.quote,
        "quote_expires_at": rfc3339(option.quote_expires_at),
    }

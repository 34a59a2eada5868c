"""Cached reads of what changes rarely: the catalogue, cities, rate cards. They decide no write.

Values stand in Django's cache under a generation: `forget()` starts a new one, and a value that
was read before but stored after it does not count. Without Redis every read goes to PostgreSQL.
"""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.db import transaction

from weelo.cities.cells import cell_of
from weelo.cities.current import TYPE_FIELDS, CityNow, priced
from weelo.cities.models import City, CityCell, RateCard, VehicleType
from weelo.lib.redis import RedisAway, guarded

TTL_S = 300
# Raise it when the shape of a cached value changes: two releases may run side by side.
_SHAPE = 2
_GENERATION = f"cities:{_SHAPE}:generation"


def city_at(lat: float, lng: float, now: datetime) -> CityNow | None:
    """What holds at a point at `now` (aware), with every vehicle type; None as `for_confirm`."""
    cell = cell_of(lat, lng)
    slug = _cached(f"cell:{cell}", lambda: _city_of(cell))
    found = _cached(f"city:{slug}", lambda: _city(slug)) if slug else None
    if found is None or not found["city"]["is_open"]:
        return None
    in_force = [card for card in found["rate_cards"] if card["effective_from"] <= now]
    if not in_force:
        return None
    city = City(**found["city"])
    card = RateCard(city=city, **in_force[0])
    return CityNow(city, card, priced(card, found["types"]), now)


def vehicle_types() -> list[dict[str, Any]]:
    """The active vehicle types as rows of TYPE_FIELDS, in the order of lists."""
    return list(_cached("types", _types) or [])


def forget() -> None:
    """Make every cached value count for nothing, after the caller's transaction commits.

    With Redis away old values live on for at most TTL_S.
    """
    transaction.on_commit(_renew)


def _renew() -> None:
    try:
        with guarded():
            cache.set(_GENERATION, uuid.uuid4().hex, timeout=None)
    except RedisAway:
        pass  # nothing is read from it either; values run out within TTL_S


def _cached(name: str, read: Callable[[], Any]) -> Any:
    """The value of `name` in this generation, or `read()`; a None is never kept."""
    key = f"cities:{_SHAPE}:{name}"
    try:
        with guarded():
            kept = cache.get_many([_GENERATION, key])
            generation = kept.get(_GENERATION) or _first_generation()
    except RedisAway:
        return read()
    born, value = kept.get(key, (None, None))
    if born == generation:
        return value
    value = read()
    if value is not None:
        _keep(key, (generation, value))
    return value


def _first_generation() -> Any:
    return cache.get_or_set(_GENERATION, uuid.uuid4().hex, timeout=None)


def _keep(key: str, value: Any) -> None:
    try:
        with guarded():
            cache.set(key, value, timeout=TTL_S)
    except RedisAway:
        pass  # the next reader reads PostgreSQL too


def _city_of(cell: int) -> str | None:
    return CityCell.objects.filter(cell=cell).values_list("city_id", flat=True).first()


def _city(slug: str) -> dict[str, Any] | None:
    """A city, the types, its rate cards, newest first: also those yet to begin."""
    city = City.objects.filter(slug=slug).values().first()
    if city is None:
        return None
    cards = RateCard.objects.filter(city=slug).order_by("-effective_from", "-version")
    return {
        "city": city,
        "types": _types(),
        "rate_cards": list(cards.values("id", "version", "effective_from", "rates", "multipliers")),
    }


def _types() -> list[dict[str, Any]]:
    return list(VehicleType.objects.filter(is_active=True).values(*TYPE_FIELDS))

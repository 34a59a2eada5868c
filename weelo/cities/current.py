"""What holds at a point now: its city, the rate card in force, the vehicle types."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import DEFAULT_DB_ALIAS, connection

from weelo.cities.cells import cell_of
from weelo.cities.models import City, RateCard, VehicleType

TYPE_FIELDS = ("slug", "category", "name", "capacity_min_kg", "capacity_kg", "position")
_CITY = [field.attname for field in City._meta.concrete_fields]
_CARD = ["id", "city_id", "version", "rates", "multipliers"]
# By hand because it is on the way of every confirm, where composing it costs the ORM ten times
# what PostgreSQL needs to answer; a test holds it equal to `cached.city_at`, the plain version.
_STATEMENT = f"""
SELECT statement_timestamp(),
       (SELECT jsonb_agg(to_jsonb(type) ORDER BY type.position, type.slug)
          FROM cities_vehicletype AS type WHERE type.slug = ANY(%s) AND type.is_active),
       {", ".join(f"city.{column}" for column in _CITY)},
       {", ".join(f"card.{column}" for column in _CARD)}
  FROM cities_citycell AS cell
  JOIN cities_city AS city ON city.slug = cell.city_id AND city.is_open
  JOIN cities_ratecard AS card
       ON card.city_id = city.slug AND card.effective_from <= statement_timestamp()
 WHERE cell.cell = %s
 ORDER BY card.effective_from DESC, card.version DESC
 LIMIT 1
"""  # noqa: S608 - made of column names  # nosec B608  # names are constants of the module; values are bound


@dataclass(frozen=True)
class CityNow:
    """A city and what holds in it at `now` (aware).

    `vehicle_types` are those that are active and have a price on the rate card, by slug.
    """

    city: City
    rate_card: RateCard
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
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT, [list(slugs), cell_of(lat, lng)])
        row = cursor.fetchone()
    if row is None:
        return None
    now, types, *values = row
    city = City.from_db(DEFAULT_DB_ALIAS, _CITY, values[: len(_CITY)])
    *columns, rates, multipliers = values[len(_CITY) :]
    prices = [json.loads(rates), json.loads(multipliers)]
    card = RateCard.from_db(DEFAULT_DB_ALIAS, _CARD, [*columns, *prices])
    card.city = city
    return CityNow(city, card, priced(card, json.loads(types or "[]")), now)


def priced(card: RateCard, types: Collection[dict[str, Any]]) -> dict[str, VehicleType]:
    """The types (rows of VehicleType) that the card has a price for, by slug."""
    return {
        row["slug"]: VehicleType(**row)
        for row in types
        if row["slug"] in card.multipliers and row["category"] in card.rates
    }

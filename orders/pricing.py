"""What a truck costs; pure, in Decimal rupees, rounded half up once to whole rupees.

`fare = max(min, (base + Σ km_i · factor_i · per_km + t · km · per_tonne_km) * multiplier * time)`
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

from orders.refusals import Overload
from transporters import geo
from weelo.cities.current import CityNow
from weelo.cities.models import RateCard, VehicleType

LEAST_KM = Decimal(5)
# Marginal: each kilometre costs the factor of the slab it lies in; (up to km, factor).
SLABS = (
    (Decimal(50), Decimal("1.3")),
    (Decimal(100), Decimal("1.2")),
    (Decimal(300), Decimal("1.0")),
    (Decimal(500), Decimal("0.95")),
    (Decimal("Infinity"), Decimal("0.9")),
)
PEAKS = ((time(8), time(11)), (time(17), time(20)))
PEAK_FACTOR = Decimal("1.2")
NIGHT_FROM, NIGHT_UNTIL = time(22), time(6)
NIGHT_FACTOR = Decimal("1.1")
WEEKEND_FACTOR = Decimal("1.05")
_SATURDAY = 5


@dataclass(frozen=True)
class Tariff:
    """The numbers that price one vehicle type: rupees, a factor, and its capacity."""

    base: Decimal
    per_km: Decimal
    per_tonne_km: Decimal
    minimum: Decimal
    multiplier: Decimal
    capacity_kg: int


def tariff(card: RateCard, vehicle_type: VehicleType) -> Tariff:
    """The card's numbers for a type it has a price for."""
    rates = card.rates[vehicle_type.category]
    return Tariff(
        base=Decimal(rates["base"]),
        per_km=Decimal(rates["per_km"]),
        per_tonne_km=Decimal(rates["per_tonne_km"]),
        minimum=Decimal(rates["min"]),
        multiplier=Decimal(card.multipliers[vehicle_type.slug]),
        capacity_kg=vehicle_type.capacity_kg,
    )


def fare_now(here: CityNow, slug: str, km: Decimal, load_kg: int | None) -> int:
    """The fare in paise of one truck in a city at its `now`; `slug` is in `vehicle_types`.

    Raises Overload.
    """
    vehicle_type = here.vehicle_types[slug]
    if load_kg is not None and load_kg > vehicle_type.capacity_kg:
        raise Overload(
            f"{vehicle_type.name} carries at most {vehicle_type.capacity_kg} kg, not {load_kg}. "
            "Choose a larger type or split the load over more trucks.",
            vehicle_type=slug,
            capacity_kg=vehicle_type.capacity_kg,
        )
    return fare_paise(tariff(here.rate_card, vehicle_type), km, load_kg, here.local_time)


def fare_paise(price: Tariff, km: Decimal, load_kg: int | None, local_time: datetime) -> int:
    """The fare of one truck in paise, a whole number of rupees.

    `km`: as `distance_km` gives it. `load_kg`: the capacity when not given; checked by the
    caller. `local_time`: on the city's clock.
    """
    tonnes = Decimal(price.capacity_kg if load_kg is None else load_kg) / 1000
    road = price.base + slab_km(km) * price.per_km + tonnes * km * price.per_tonne_km
    rupees = max(price.minimum, road * price.multiplier * time_factor(local_time))
    return int(rupees.quantize(Decimal(1), ROUND_HALF_UP)) * 100


def slab_km(km: Decimal) -> Decimal:
    """Kilometres weighted by the factor of the slab that each of them lies in."""
    edges = [Decimal(0), *(edge for edge, _ in SLABS)]
    parts = (
        (min(km, end) - start) * factor
        for (start, end), (_, factor) in zip(pairwise(edges), SLABS, strict=True)
        if km > start
    )
    return sum(parts, Decimal(0))


def time_factor(local_time: datetime) -> Decimal:
    """Peak, night and weekend by the city's clock; every span includes its start, not its end."""
    clock = local_time.time()
    factor = Decimal(1)
    if any(start <= clock < end for start, end in PEAKS):
        factor = PEAK_FACTOR
    elif clock >= NIGHT_FROM or clock < NIGHT_UNTIL:
        factor = NIGHT_FACTOR
    return factor * WEEKEND_FACTOR if local_time.weekday() >= _SATURDAY else factor


def distance_km(points: Sequence[geo.Point], factor: float) -> Decimal:
    """Kilometres that are charged from the pickup over all stops to the drop, at least 5.

    Great circles times `factor` (setting ROAD_FACTOR), not rounded.
    """
    return max(LEAST_KM, Decimal(geo.length_m(points)) * Decimal(str(factor)) / 1000)


def payout_paise(fare_paise: int, commission_percent: Decimal) -> int:
    """What the captain gets of a fare: the fare less the city's commission, half up to a paisa."""
    share = fare_paise * (100 - commission_percent) / 100
    return int(share.quantize(Decimal(1), ROUND_HALF_UP))

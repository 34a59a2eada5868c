"""The model's money: fare, captain's share and cancel fee, from the domain's own tables."""

import math
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

KOLKATA = ZoneInfo("Asia/Kolkata")
EARTH_KM = 6371.0088
# Rupees: base, per km, per tonne and km, least; and the capacity in tonnes (tests/people.py).
RATES = {
    "open-17-ft": (1500, 25, Decimal(4), 2000, Decimal(7)),
    "mini-tata-ace": (500, 12, Decimal(8), 800, Decimal(1)),
    "tipper-20-24-t": (2500, 35, Decimal("3.8"), 3000, Decimal(24)),
}


def capacity_kg(vehicle_type):
    return int(RATES[vehicle_type][4] * 1000)


def great_circle_km(here, there):
    (lat_a, lng_a), (lat_b, lng_b) = (map(math.radians, point) for point in (here, there))
    cosine = math.sin(lat_a) * math.sin(lat_b)
    cosine += math.cos(lat_a) * math.cos(lat_b) * math.cos(lng_b - lng_a)
    return math.acos(min(1.0, cosine)) * EARTH_KM


def road_km(points):
    km = sum(great_circle_km(*pair) for pair in pairwise(points))
    return max(Decimal(5), Decimal(str(round(km, 6))) * Decimal("1.4"))


def fare_paise(vehicle_type, points, load_kg, now):
    """The fare of one truck over these points (lat, lng) at `now`, without a quote."""
    base, per_km, per_tonne_km, least, capacity = RATES[vehicle_type]
    km = road_km(points)
    tonnes = capacity if load_kg is None else Decimal(load_kg) / 1000
    rupees = (base + _weighted(km) * per_km + tonnes * km * per_tonne_km) * _time(now)
    return int(max(Decimal(least), rupees).quantize(Decimal(1), ROUND_HALF_UP)) * 100


def _weighted(km):
    total, start = Decimal(0), Decimal(0)
    for end, factor in ((50, "1.3"), (100, "1.2"), (300, "1"), (500, "0.95"), (10**6, "0.9")):
        total += max(Decimal(0), min(km, Decimal(end)) - start) * Decimal(factor)
        start = Decimal(end)
    return total


def _time(now):
    local = now.astimezone(KOLKATA)
    factor = Decimal(1)
    if 8 <= local.hour < 11 or 17 <= local.hour < 20:
        factor = Decimal("1.2")
    elif local.hour >= 22 or local.hour < 6:
        factor = Decimal("1.1")
    return factor * Decimal("1.05") if local.isoweekday() in (6, 7) else factor


def less_commission(paise):
    """What the captain gets of a fare or a fee: 10 % less, half up."""
    return int((Decimal(paise) * Decimal("0.9")).quantize(Decimal(1), ROUND_HALF_UP))


def cancel_fee_paise(status, at_pickup_at, now):
    """₹50 for a won truck; at the pickup the larger of ₹100 and ₹5 a minute after five."""
    if status != "at_pickup":
        return 5000
    waited = (now - at_pickup_at - timedelta(minutes=5)) / timedelta(minutes=1)
    minutes = int(Decimal(waited).to_integral_value(ROUND_CEILING))
    return max(10000, 500 * minutes)

"""What a new version of a dispatch policy or a rate card must look like, fault by fault."""

from decimal import Decimal, InvalidOperation
from typing import Any

from weelo.cities.catalogue import FIRST_POLICY, RATE_FIELDS
from weelo.cities.models import VehicleType

FARTHEST_M = 500_000
MOST_TOLD = 100
_LARGEST = {"wave_min": MOST_TOLD, "wave_max": MOST_TOLD, "per_truck": MOST_TOLD, "offers_cap": 100}


def policy_faults(values: Any) -> list[str]:
    """What is wrong with the values of a dispatch policy; empty when they can be followed."""
    if not isinstance(values, dict) or set(values) != set(FIRST_POLICY):
        return [f"Send an object with exactly: {', '.join(FIRST_POLICY)}."]
    faults = [
        f"{name} must be a whole number from 1 to {most}."
        for name, most in _LARGEST.items()
        if not _is_whole(values[name], 1, most)
    ]
    if not _is_whole(values["newcomers_every_s"], 1, 60):
        faults.append("newcomers_every_s must be whole seconds from 1 to 60.")
    if not faults and values["wave_min"] > values["wave_max"]:
        faults.append("wave_min must not exceed wave_max.")
    return faults + _wave_faults(values["waves"])


def _wave_faults(waves: Any) -> list[str]:
    if not isinstance(waves, list) or not 1 <= len(waves) <= 20:
        return ["waves must be a list of 1 to 20."]
    for wave in waves:
        if not isinstance(wave, dict) or set(wave) != {"after_s", "radius_m"}:
            return ["Each wave must have after_s and radius_m, and nothing else."]
        if not _is_whole(wave["after_s"], 0, 3600) or not _is_whole(
            wave["radius_m"], 1, FARTHEST_M
        ):
            return [f"Waves go out after 0 to 3600 s and reach 1 to {FARTHEST_M} m."]
    times = [wave["after_s"] for wave in waves]
    radii = [wave["radius_m"] for wave in waves]
    if times[0] != 0 or times != sorted(set(times)) or radii != sorted(radii):
        return ["The first wave goes out after 0 s; each later one later, and no less far."]
    return []


def rate_faults(rates: Any, multipliers: Any) -> list[str]:
    """What is wrong with a rate card; every active vehicle type must have a price on it."""
    if not isinstance(rates, dict) or not isinstance(multipliers, dict):
        return ["Rates and multipliers must be objects."]
    faults = []
    for category, rupees in rates.items():
        if not isinstance(rupees, dict) or set(rupees) != set(RATE_FIELDS):
            faults.append(f"{category} must have exactly: {', '.join(RATE_FIELDS)}.")
        elif not all(_is_amount(amount) for amount in rupees.values()):
            faults.append(f'{category}: write rupees as text, such as "12.50", 0 to 1000000.')
    faults += [
        f'{slug}: write the multiplier as text, such as "1.25", above 0 and at most 100.'
        for slug, factor in multipliers.items()
        if not _is_amount(factor, most=100) or Decimal(factor) == 0
    ]
    active = VehicleType.objects.filter(is_active=True).values_list("slug", "category")
    missing = [
        slug for slug, category in active if slug not in multipliers or category not in rates
    ]
    if missing:
        faults.append(f"No price for active vehicle types: {', '.join(missing)}.")
    return faults


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_amount(value: Any, *, most: int = 1_000_000) -> bool:
    if not isinstance(value, str) or len(value) > 20:
        return False
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return False
    return amount.is_finite() and 0 <= amount <= most

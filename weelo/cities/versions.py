"""What a new version of a dispatch policy or a rate card must look like, fault by fault."""

from decimal import Decimal, InvalidOperation
from typing import Any

from weelo.cities import policies
from weelo.cities.catalogue import FIRST_POLICY, RATE_FIELDS
from weelo.cities.models import VehicleType


def policy_faults(values: Any) -> list[str]:
    """What is wrong with the values of a dispatch policy, which a version names all of."""
    if not isinstance(values, dict) or set(values) != set(FIRST_POLICY):
        return [f"Send an object with exactly: {', '.join(FIRST_POLICY)}."]
    return policies.faults(values)


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


def _is_amount(value: Any, *, most: int = 1_000_000) -> bool:
    if not isinstance(value, str) or len(value) > 20:
        return False
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return False
    return amount.is_finite() and 0 <= amount <= most

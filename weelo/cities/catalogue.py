"""The catalogue that ships: 65 vehicle types, the demo rate card, the first dispatch policy.

These are starting values, which operators change in the admin. A slug is category[-body]-size.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class ShippedType:
    """A vehicle type as it ships; `multiplier` goes to the demo rate card."""

    slug: str
    category: str
    name: str
    capacity_min_kg: int
    capacity_kg: int
    multiplier: str


def _sized(category: str, body: str, *sizes: tuple[str, float, float, str]) -> list[ShippedType]:
    """Types with a named size: (size, least tonnes, most tonnes, multiplier)."""
    words = [category.upper() if category == "lcv" else category.capitalize(), body]
    return [
        ShippedType(
            slug="-".join(filter(None, [category, body, size.lower().replace(" ", "-")])),
            category=category,
            name=" ".join(filter(None, [*words, size])),
            capacity_min_kg=round(least * 1000),
            capacity_kg=round(most * 1000),
            multiplier=multiplier,
        )
        for size, least, most, multiplier in sizes
    ]


def _by_load(category: str, *sizes: tuple[int, int, str]) -> list[ShippedType]:
    """Types named by what they carry: (least tonnes, most tonnes, multiplier)."""
    return [
        ShippedType(
            slug="-".join([category, *dict.fromkeys([str(least), str(most)]), "t"]),
            category=category,
            name=f"{category.capitalize()} {'-'.join(dict.fromkeys([str(least), str(most)]))} t",
            capacity_min_kg=least * 1000,
            capacity_kg=most * 1000,
            multiplier=multiplier,
        )
        for least, most, multiplier in sizes
    ]


# fmt: off
VEHICLE_TYPES: tuple[ShippedType, ...] = (
    *_sized("mini", "", ("Pickup Dost", 0.5, 1.5, "1.0"), ("Tata Ace", 0.5, 1, "0.9")),
    *_sized(
        "lcv", "open",
        ("14 ft", 2, 4, "1.0"), ("17 ft", 3, 5, "1.15"), ("19 ft", 4, 6, "1.25"),
    ),
    *_sized(
        "lcv", "container",
        ("14 ft", 2, 4, "1.1"), ("17 ft", 3, 5, "1.25"), ("19 ft", 4, 6, "1.35"),
        ("32 ft SXL", 7, 9, "1.6"),
    ),
    *_sized(
        "open", "",
        ("17 ft", 5, 7, "1.0"), ("19 ft", 6, 9, "1.1"), ("20 ft", 7, 10, "1.15"),
        ("22 ft", 9, 12, "1.25"), ("24 ft", 10, 15, "1.35"),
        ("10 wheeler", 15, 21, "1.6"), ("12 wheeler", 21, 25, "1.8"),
        ("14 wheeler", 25, 30, "2.0"), ("16 wheeler", 30, 35, "2.2"),
        ("18 wheeler", 35, 40, "2.4"),
    ),
    *_sized(
        "container", "",
        ("19 ft", 6, 9, "1.0"), ("20 ft", 7, 10, "1.05"), ("22 ft", 9, 14, "1.2"),
        ("24 ft", 10, 16, "1.35"), ("32 ft single axle", 14, 18, "1.5"),
        ("32 ft multi axle", 18, 24, "1.7"), ("32 ft triple axle", 24, 28, "1.9"),
    ),
    *_by_load(
        "trailer",
        (8, 11, "1.0"), (12, 15, "1.15"), (16, 19, "1.3"), (20, 22, "1.45"), (23, 25, "1.55"),
        (26, 28, "1.7"), (29, 31, "1.85"), (32, 35, "2.0"), (36, 41, "2.2"), (42, 50, "2.5"),
    ),
    *_by_load(
        "tipper",
        (9, 11, "1.0"), (15, 17, "1.25"), (18, 19, "1.35"), (20, 24, "1.5"), (25, 25, "1.6"),
        (26, 28, "1.75"), (29, 29, "1.85"), (30, 30, "1.95"),
    ),
    *_by_load(
        "tanker",
        (8, 11, "1.0"), (12, 15, "1.2"), (16, 20, "1.4"), (21, 25, "1.6"), (26, 29, "1.8"),
        (30, 31, "1.95"), (32, 35, "2.1"), (36, 36, "2.25"),
    ),
    *_by_load(
        "dumper",
        (9, 11, "1.0"), (12, 15, "1.2"), (16, 19, "1.4"), (20, 22, "1.55"), (23, 25, "1.7"),
        (26, 28, "1.85"), (29, 30, "2.0"), (31, 40, "2.2"),
    ),
    *_by_load(
        "bulker",
        (20, 22, "1.0"), (23, 25, "1.15"), (26, 28, "1.3"), (29, 31, "1.45"), (32, 40, "1.6"),
    ),
)

# Rupees: base, per km, per tonne and km, least fare.
_RATES = {
    "mini":      ("500", "12", "8", "800"),
    "lcv":       ("800", "15", "6", "1200"),
    "open":      ("1500", "25", "4", "2000"),
    "container": ("2000", "30", "4.5", "2500"),
    "trailer":   ("3000", "40", "3.5", "4000"),
    "tipper":    ("2500", "35", "3.8", "3000"),
    "tanker":    ("3500", "45", "4.0", "4500"),
    "dumper":    ("4000", "50", "4.2", "5000"),
    "bulker":    ("4500", "55", "4.5", "5500"),
}
# fmt: on

RATE_FIELDS = ("base", "per_km", "per_tonne_km", "min")
DEMO_RATES = {
    category: dict(zip(RATE_FIELDS, rupees, strict=True)) for category, rupees in _RATES.items()
}
DEMO_MULTIPLIERS = {shipped.slug: shipped.multiplier for shipped in VEHICLE_TYPES}
DEMO_EFFECTIVE_FROM = datetime(2022, 1, 1, tzinfo=UTC)

FIRST_POLICY: dict[str, Any] = {
    "waves": [
        {"after_s": 0, "radius_m": 5_000},
        {"after_s": 12, "radius_m": 10_000},
        {"after_s": 24, "radius_m": 20_000},
        {"after_s": 36, "radius_m": 40_000},
        {"after_s": 48, "radius_m": 80_000},
    ],
    "wave_min": 10,
    "per_truck": 3,
    "wave_max": 100,
    "offers_cap": 3,
    "newcomers_every_s": 2,
}

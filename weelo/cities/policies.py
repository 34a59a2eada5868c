"""What the values of a dispatch policy may be, fault by fault: for the admin and the loop alike."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from weelo.cities.catalogue import FIRST_POLICY

FARTHEST_M = 500_000
MOST_TOLD = 100
# name: least, most, and whether it must be whole
NUMBERS: dict[str, tuple[float, float, bool]] = {
    "wave_min": (1, MOST_TOLD, True),
    "per_truck": (0, MOST_TOLD, True),
    "wave_max": (1, MOST_TOLD, True),
    "offers_cap": (1, 1_000, True),
    "newcomers_every_s": (0.5, 60, False),
}


def faults(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the values of a policy; what they do not name has its default."""
    found = [f"{name}: unknown" for name in values if name not in (*NUMBERS, "waves")]
    for name, (least, most, whole) in NUMBERS.items():
        if name in values and not _is_number(values[name], least, most, whole=whole):
            found.append(f"{name}: must be a number from {least:g} to {most:g}")
    if "waves" in values:
        found += _faults_of_waves(values["waves"])
    if not found:
        full = {**FIRST_POLICY, **values}
        if full["wave_min"] > full["wave_max"]:
            found.append("wave_min: must not exceed wave_max")
    return found


def _faults_of_waves(waves: Any) -> list[str]:
    if not isinstance(waves, list) or not 1 <= len(waves) <= 20:
        return ["waves: must be a list of 1 to 20"]
    for wave in waves:
        if not isinstance(wave, dict) or set(wave) != {"after_s", "radius_m"}:
            return ["waves: each must have after_s and radius_m, and nothing else"]
        if not _is_number(wave["after_s"], 0, 3600, whole=False):
            return ["waves: after_s must be seconds from 0 to 3600"]
        if not _is_number(wave["radius_m"], 1, FARTHEST_M, whole=True):
            return [f"waves: radius_m must be whole metres from 1 to {FARTHEST_M}"]
    faults = []
    if waves[0]["after_s"] != 0:
        faults.append("waves: the first must go out after 0 s")
    pairs = list(pairwise(waves))
    if any(later["after_s"] <= wave["after_s"] for wave, later in pairs):
        faults.append("waves: after_s must rise from wave to wave")
    if any(later["radius_m"] < wave["radius_m"] for wave, later in pairs):
        faults.append("waves: radius_m must not fall from wave to wave")
    return faults


def _is_number(value: Any, least: float, most: float, *, whole: bool) -> bool:
    kinds = int if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most

"""What one version of a dispatch policy says otherwise than the one before. Pure."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

NOTHING = "—"


class Difference(NamedTuple):
    """One field as a dispatcher reads it, before and after."""

    field: str
    before: str
    after: str


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """The fields that differ, in the order of the newer values; a wave counts as a field."""
    old, new = _fields(before), _fields(after)
    names = dict.fromkeys([*new, *old])
    return [
        Difference(name, old.get(name, NOTHING), new.get(name, NOTHING))
        for name in names
        if old.get(name) != new.get(name)
    ]


def with_differences(versions: Iterable[Any]) -> list[tuple[Any, list[Difference]]]:
    """Each policy (newest first) with what it changed; the first one with all that it says."""
    rows = list(versions)
    changed = [(newer, differences(older.values, newer.values)) for newer, older in pairwise(rows)]
    return [*changed, *((first, differences({}, first.values)) for first in rows[-1:])]


def _fields(values: Mapping[str, Any]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in values.items():
        if name == "waves" and isinstance(value, list):
            fields |= {f"wave {n}": _wave(wave) for n, wave in enumerate(value, 1)}
        else:
            fields[name] = str(value)
    return fields


def _wave(wave: Any) -> str:
    if isinstance(wave, dict) and {"after_s", "radius_m"} <= set(wave):
        return f"after {wave['after_s']} s within {wave['radius_m']} m"
    return str(wave)

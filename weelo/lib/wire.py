"""JSON as phones read it: times RFC 3339 in UTC with `Z`, ids as text, decimals as numbers."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


def rfc3339(at: datetime) -> str:
    """An aware time in UTC with `Z` and microseconds. Raises ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError("A time without a zone cannot be told to anybody.")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def encode(value: Any) -> str:
    """The value as compact JSON. Raises TypeError or ValueError for what JSON cannot hold."""
    return json.dumps(
        value, default=_other, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )


class WireEncoder(json.JSONEncoder):
    """`encode` for a model's JSONField."""

    def default(self, o: Any) -> Any:
        return _other(o)


def _other(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} has no form on the wire.")

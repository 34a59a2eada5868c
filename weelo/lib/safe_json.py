"""The one reader of JSON from outside, for HTTP bodies and socket frames.

Python's own reader takes NaN, nesting until the stack ends, numbers of thousands of digits,
doubled keys and NUL, which PostgreSQL cannot store. All of them are refused here, once.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.parsers import BaseParser

from weelo.lib.problems import Refusal

DEPTH_LIMIT = 32
DIGITS_LIMIT = 100
WHOLE_LIMIT = 2**53 - 1  # what every JSON reader holds exactly (RFC 8259, section 6)

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(r"[\[\]{}]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BadJson(Refusal):
    """The body or frame is not a JSON object that we accept; the detail says why.

    Mend what the detail names: one JSON object in UTF-8, no doubled keys, no NaN, no NUL.
    """

    code = "BAD_JSON"
    status = 400
    title = "Bad JSON"


class BodyTooLarge(Refusal):
    """The body is longer than the limit.

    Send less: bodies have at most 64 KiB, frames 16 KiB.
    """

    code = "BODY_TOO_LARGE"
    status = 413
    title = "Body too large"


def read_object(raw: bytes | str, *, limit: int) -> dict[str, Any]:
    """The JSON object in `raw`, at most `limit` bytes of UTF-8.

    Raises BadJson (400) and BodyTooLarge (413).
    """
    if len(raw) > limit:
        raise too_large(limit)
    try:
        text = raw if isinstance(raw, str) else raw.decode()
    except UnicodeDecodeError as fault:
        raise BadJson(f"Byte {fault.start} is not UTF-8. Send JSON encoded as UTF-8.") from fault
    if text.count("[") + text.count("{") > DEPTH_LIMIT:
        _refuse_depth(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as fault:
        place = f"line {fault.lineno}, column {fault.colno}"
        raise BadJson(f"{fault.msg} at {place}. Send one JSON object.") from fault
    if not isinstance(value, dict):
        raise BadJson("Send one JSON object, not a list or a bare value.")
    # NUL and lone surrogates come by escapes only: bare ones are no JSON and no UTF-8.
    if "\\u" in text:
        _refuse_unstorable(value)
    return value


def too_large(limit: int) -> BodyTooLarge:
    """The refusal that names the limit."""
    return BodyTooLarge(f"The body is over {limit} bytes. Send less at a time.", limit=limit)


class SafeJSONParser(BaseParser):
    """DRF's door to `read_object`, with the limit of bodies."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Reads at most one byte more than is allowed, so that a large body costs nothing."""
        limit = settings.BODY_LIMIT
        return read_object(stream.read(limit + 1), limit=limit)


def _refuse_depth(text: str) -> None:
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEPTH_LIMIT:
            raise BadJson(f"Nested deeper than {DEPTH_LIMIT} levels. Send a flatter object.")


def _refuse_unstorable(value: Any) -> None:
    if isinstance(value, str) and _UNSTORABLE.search(value):
        raise BadJson("A text holds NUL or half a surrogate pair. Leave that character out.")
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_unstorable(key)
            _refuse_unstorable(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_unstorable(inner)


def _whole(digits: str) -> int:
    if len(digits) > DIGITS_LIMIT or abs(int(digits)) > WHOLE_LIMIT:
        raise BadJson(f"A whole number is beyond ±{WHOLE_LIMIT}. Send a smaller one.")
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > DIGITS_LIMIT or not math.isfinite(float(digits)):
        raise BadJson(f"A number is beyond reach or over {DIGITS_LIMIT} digits. Shorten it.")
    return float(digits)


def _constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON. Send a number, or leave the field out.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadJson(f"The key {twice[:40]!a} stands twice in one object. Send it once.")
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_fraction, parse_constant=_constant
)

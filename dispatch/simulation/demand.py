"""Recorded demand: rows of a CSV file, judged good or bad, and when each is due. Pure."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from transporters.geo import Point
from weelo.cities.cells import cell_of
from weelo.cities.india import in_india

COLUMNS = ("id", "at", "city", "pickup_lat", "pickup_lng", "drop_lat", "drop_lng")
INDIA = ZoneInfo("Asia/Kolkata")
LONGEST_GAP = timedelta(seconds=60)
_AT = "%d-%m-%Y %H:%M:%S"
_NOWHERE = Point(0.0, 0.0)


class Reason(StrEnum):
    """Why a row is no order."""

    BAD_ROW = "BAD_ROW"
    NO_TIME = "NO_TIME"
    BAD_POINT = "BAD_POINT"
    NO_POINT = "NO_POINT"
    OUTSIDE_INDIA = "OUTSIDE_INDIA"
    OUT_OF_AREA = "OUT_OF_AREA"
    UNKNOWN_CITY = "UNKNOWN_CITY"
    OTHER_CITY = "OTHER_CITY"


class BadFile(ValueError):
    """Not a file of demand; the text says what is missing."""


@dataclass(frozen=True)
class Row:
    """One order of the past: who is not known, only where, and when (aware)."""

    line: int
    id: str
    at: datetime
    city: str
    pickup: Point
    drop: Point


@dataclass(frozen=True)
class Reject:
    """A row that is no order: its line in the file, why, and what it said."""

    line: int
    reason: Reason
    detail: str
    values: Sequence[str]


class Refused(Exception):
    """A row is bad; raised while it is judged."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Places:
    """Which city serves a cell, and what cities are called: slug and name, in lower case."""

    city_of_cell: Mapping[int, str]
    slug_of_name: Mapping[str, str]


def read(lines: Iterable[str], places: Places) -> Iterator[Row | Reject]:
    """Every row of the file in its order, judged. Raises BadFile when columns are missing."""
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader, [])]
    if missing := [name for name in COLUMNS if name not in header]:
        raise BadFile(f"The first line lacks: {', '.join(missing)}. It must name every column.")
    for values in reader:
        if not values:
            continue  # an empty line is no row
        try:
            yield judge(reader.line_num, dict(_columns(header, values)), places)
        except Refused as fault:
            yield Reject(reader.line_num, fault.reason, fault.detail, values)


def judge(line: int, fields: Mapping[str, str], places: Places) -> Row:
    """The row, when it is good. Raises Refused; nothing is guessed or mended."""
    at = _time(fields["at"])
    pickup, drop = (_point(fields, end) for end in ("pickup", "drop"))
    for name, point in (("pickup", pickup), ("drop", drop)):
        if not in_india(point.lat, point.lng):
            raise Refused(Reason.OUTSIDE_INDIA, f"The {name} {_shown(point)} is not in India.")
    here = places.city_of_cell.get(cell_of(*pickup))
    if here is None:
        raise Refused(Reason.OUT_OF_AREA, f"No city serves the pickup {_shown(pickup)}.")
    named = places.slug_of_name.get(fields["city"].strip().lower())
    if named is None:
        raise Refused(Reason.UNKNOWN_CITY, f"{fields['city'].strip() or 'Nothing'} is no city.")
    if named != here:
        raise Refused(Reason.OTHER_CITY, f"The row says {named}, the pickup lies in {here}.")
    return Row(line, fields["id"].strip(), at, named, pickup, drop)


def timetable(rows: Iterable[Row], speed: float) -> Iterator[tuple[float, Row]]:
    """The rows in order of time, each with the seconds after the start at which it is due.

    Time runs `speed` times faster than then; of a gap, what is over 60 s is skipped.
    """
    due, before = timedelta(), None
    for row in sorted(rows, key=lambda row: row.at):
        due += min(row.at - before, LONGEST_GAP) if before else timedelta()
        before = row.at
        yield due.total_seconds() / speed, row


def _columns(header: Sequence[str], values: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(values) != len(header):
        said = f"{len(values)} values where {len(header)} are named."
        raise Refused(Reason.BAD_ROW, said)
    row = dict(zip(header, values, strict=True))
    if not row["id"].strip().isprintable() or not row["id"].strip().isascii():
        raise Refused(Reason.BAD_ROW, "The id is not plain text.")
    if not 0 < len(row["id"].strip()) <= 255:
        raise Refused(Reason.BAD_ROW, "The id is empty or too long.")
    yield from row.items()


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text.strip(), _AT).replace(tzinfo=INDIA)
    except ValueError:
        detail = f"{text.strip() or 'Nothing'} is no time like 29-03-2022 20:30:00."
        raise Refused(Reason.NO_TIME, detail) from None


def _point(fields: Mapping[str, str], end: str) -> Point:
    texts = [fields[f"{end}_{axis}"].strip() for axis in ("lat", "lng")]
    try:
        point = Point(*map(float, texts))
    except ValueError:
        raise Refused(Reason.BAD_POINT, f"The {end} {', '.join(texts)} is no point.") from None
    if not point.is_on_map():
        raise Refused(Reason.BAD_POINT, f"The {end} {_shown(point)} is not on the map.")
    if point == _NOWHERE:
        raise Refused(Reason.NO_POINT, f"The {end} is 0,0.")
    return point


def _shown(point: Point) -> str:
    return f"{point.lat:g},{point.lng:g}"

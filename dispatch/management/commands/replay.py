"""`manage.py replay`: a file of recorded demand, each good row a real order."""

import asyncio
import csv
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import connections

from dispatch.simulation.accounts import Crowd, area_of, check_types, make, refuse_in_production
from dispatch.simulation.api import Away, socket_url
from dispatch.simulation.captain import Manner
from dispatch.simulation.customer import Wishes
from dispatch.simulation.demand import BadFile, Places, Reason, Reject, Row, read, timetable
from dispatch.simulation.people import REPLAY_BLOCK, SPREAD_KM, Account
from dispatch.simulation.report import summary
from dispatch.simulation.rerun import Due, Outcome, play
from dispatch.simulation.town import Share
from weelo.cities.models import City, CityCell

LINE_EVERY_S = 5.0
BAR = 30  # characters
VEHICLE_TYPE = "mini-tata-ace"


class Command(BaseCommand):
    """Judges every row first, then plays the good ones."""

    help = (
        "Turn each good row of a CSV file (id, at, city, pickup_lat, pickup_lng, drop_lat, "
        "drop_lng; at as dd-mm-yyyy hh:mm:ss, Indian time) into a real order over HTTP, one "
        "customer per row. Bad rows go to FILE.rejects.csv with line and reason. Run again, it "
        "finds the same orders by their keys. Exit code 0 when every good row is an order."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.csv")
        parser.add_argument(
            "--speed",
            type=_speed,
            default=10_000.0,
            help="times faster than then (10000), or max; of a gap, what is over 60 s is skipped",
        )
        parser.add_argument("--city", help="only rows that name this city")
        parser.add_argument("--captains", type=int, default=0, metavar="N", help="in all cities")
        parser.add_argument("--vehicle-type", default=VEHICLE_TYPE, metavar="SLUG")
        parser.add_argument("--rejects", type=Path, metavar="PATH", help="for FILE.rejects.csv")
        parser.add_argument("--api", default=settings.PUBLIC_URL, metavar="URL")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exits 1 unless every good row became an order. Raises CommandError."""
        refuse_in_production()
        check_types((options["vehicle_type"],))
        judged = Judged.of(options["file"], options["city"])
        path = _write_rejects(options["file"], options["rejects"], judged.rejects)
        self.stdout.write(f"{judged.total} rows: {len(judged.rows)} to play, rejects in {path}")
        outcome = self._play(judged.rows, options) if judged.rows else Outcome()
        self.stdout.write("\n".join(_summary(judged, outcome)))
        if outcome.made + outcome.replayed != len(judged.rows):
            sys.exit(1)

    def _play(self, rows: list[Row], options: dict[str, Any]) -> Outcome:
        captains = _captains(rows, options["captains"], options["vehicle_type"])
        timetable = _timetable(rows, options["speed"])
        try:
            sockets = socket_url(options["api"], timetable[0].account)
        except Away as fault:
            raise CommandError(str(fault)) from fault
        share = Share(
            api=options["api"],
            sockets=sockets,
            captains=tuple(captains),
            customers=(),
            manner=Manner(),
            wishes=Wishes(area_of(rows[0].city), (), SPREAD_KM, 1.0),
            orders_per_minute=0.0,
            seconds=None,
            seed=options["file"].name,
        )
        connections.close_all()  # from here on, only what phones can do
        bar = _Bar(self.stdout, len(rows))
        outcome, tally = asyncio.run(play(timetable, options["vehicle_type"], share, bar))
        bar.end()
        if captains:
            self.stdout.write("\n".join(summary(tally, [one.user_id for one in captains])))
        return outcome


@dataclass(frozen=True)
class Judged:
    """A file's rows: to be played, bad, and good ones that name another city than asked for."""

    rows: list[Row]
    rejects: list[Reject]
    left_out: int

    @classmethod
    def of(cls, file: Path, city: str | None) -> "Judged":
        """Read and judge the file. Raises CommandError."""
        wanted = area_of(city).city if city else None
        try:
            with file.open(newline="", encoding="utf-8-sig", errors="replace") as lines:
                judged = list(read(lines, _places()))
        except (OSError, BadFile, csv.Error) as fault:
            raise CommandError(f"{file}: {fault}") from fault
        good = [row for row in judged if isinstance(row, Row)]
        rows = [row for row in good if wanted in (None, row.city)]
        rejects = [row for row in judged if isinstance(row, Reject)]
        return cls(rows, rejects, len(good) - len(rows))

    @property
    def total(self) -> int:
        return len(self.rows) + len(self.rejects) + self.left_out


class _Bar:
    """How far it is: a bar on a terminal, else a line every few seconds."""

    def __init__(self, out: OutputWrapper, total: int) -> None:
        self._out, self._total = out, total
        self._next_at = 0.0

    def __call__(self, outcome: Outcome) -> None:
        if time.monotonic() < self._next_at and outcome.total < self._total:
            return
        counts = f"{outcome.total} of {self._total}"
        if self._out.isatty():
            full = BAR * outcome.total // self._total
            self._out.write(f"\r[{'█' * full}{'·' * (BAR - full)}] {counts}", ending="")
            self._next_at = time.monotonic() + 0.1
        else:
            self._out.write(counts)
            self._next_at = time.monotonic() + LINE_EVERY_S
        self._out.flush()

    def end(self) -> None:
        """Begin a new line."""
        if self._out.isatty():
            self._out.write("")


def _speed(text: str) -> float:
    speed = float("inf") if text == "max" else float(text)
    if not speed > 0:
        raise ValueError(text)
    return speed


def _places() -> Places:
    names = City.objects.values_list("slug", "name")
    return Places(
        city_of_cell=dict(CityCell.objects.values_list("cell", "city_id")),
        slug_of_name={word.lower(): slug for slug, name in names for word in (slug, name)},
    )


def _write_rejects(file: Path, wanted: Path | None, rejects: list[Reject]) -> Path:
    beside = file.with_suffix(".rejects.csv")
    path = wanted or (beside if os.access(file.parent, os.W_OK) else Path(beside.name))
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["line", "reason", "detail", "row"])
        writer.writerows(
            [bad.line, bad.reason, bad.detail, ",".join(bad.values)] for bad in rejects
        )
    return path


def _captains(rows: list[Row], number: int, vehicle_type: str) -> list[Account]:
    """Spread over the cities as their rows are."""
    made: list[Account] = []
    seen = 0
    for city, count in Counter(row.city for row in rows).most_common():
        seen += count
        here = number * seen // len(rows) - len(made)
        crowd = Crowd(
            REPLAY_BLOCK, area_of(city), 0, here, (vehicle_type,), SPREAD_KM, first=len(made)
        )
        made += [account for batch in make(crowd) for account in batch]
    return made


def _timetable(rows: list[Row], speed: float) -> list[Due]:
    """With one customer per row: the same line of a file has the same customer every time."""
    crowd = Crowd(REPLAY_BLOCK, area_of(rows[0].city), rows[-1].line, 0, (VEHICLE_TYPE,))
    customers = [account for batch in make(crowd) for account in batch]
    return [Due(after_s, row, customers[row.line - 1]) for after_s, row in timetable(rows, speed)]


def _summary(judged: Judged, outcome: Outcome) -> list[str]:
    """Figures that add up: rows are good or rejected, and good ones left out, made, replayed or
    refused."""
    by_reason = Counter(bad.reason for bad in judged.rejects)
    good = len(judged.rows) + judged.left_out
    served = good + by_reason[Reason.OTHER_CITY] + by_reason[Reason.UNKNOWN_CITY]
    return [
        f"rows          {judged.total}",
        f"good          {good}",
        f"  pickup in some city's area {served}, in that of the city it names {good}",
        *([f"left out      {judged.left_out}  of other cities"] if judged.left_out else []),
        f"rejected      {len(judged.rejects)}",
        *(f"  {reason:<14}{count}" for reason, count in by_reason.most_common()),
        f"orders made   {outcome.made}",
        f"replayed      {outcome.replayed}",
        f"refused       {outcome.refused.total()}",
        *(f"  {code:<14}{count}" for code, count in outcome.refused.most_common()),
    ]

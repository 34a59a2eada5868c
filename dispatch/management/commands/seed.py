"""`manage.py seed`: accounts for load tests, with tokens and suggested places."""

import json
import os
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dispatch.simulation.accounts import Crowd, area_of, make, refuse_in_production
from dispatch.simulation.people import COMMON_TYPES, block_of


class Command(BaseCommand):
    """One JSON line an account: `role, phone, user_id, access, vehicle_ids, vehicle_type, lat,
    lng`."""

    requires_system_checks = ()
    help = (
        "Make accounts for load tests: signed-in customers, and captains who are verified and "
        "offline with one free vehicle each. The same seed gives the same accounts with fresh "
        "tokens; seeds 40 apart share theirs. lat and lng are suggestions, no position is "
        "stored. Access tokens hold for ACCESS_TTL seconds (900): for longer tests set it here "
        "and for the http and live services, such as ACCESS_TTL=86400."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--customers", type=int, default=0, metavar="N")
        parser.add_argument("--captains", type=int, default=0, metavar="M")
        parser.add_argument("--city", required=True, help="slug or name of a city")
        parser.add_argument(
            "--vehicle-type", metavar="SLUG", help="of every captain; else common types in turn"
        )
        parser.add_argument("--seed", type=int, default=1, metavar="K")
        parser.add_argument("--out", type=Path, required=True, help="file of JSON lines (mode 600)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Counts up while it works; says at the end how long it took. Raises CommandError."""
        refuse_in_production()
        crowd = Crowd(
            block=block_of(options["seed"]),
            area=area_of(options["city"]),
            customers=options["customers"],
            captains=options["captains"],
            vehicle_types=(options["vehicle_type"],) if options["vehicle_type"] else COMMON_TYPES,
        )
        started, made = time.monotonic(), 0
        with open(options["out"], "w", opener=_private) as file:
            for accounts in make(crowd):
                file.writelines(json.dumps(account.line()) + "\n" for account in accounts)
                made += len(accounts)
                self._progress(made, crowd.customers + crowd.captains)
        seconds = time.monotonic() - started
        self.stdout.write(f"{made} accounts in {seconds:.1f} s: {options['out']}")

    def _progress(self, made: int, wanted: int) -> None:
        ending = "\r" if self.stdout.isatty() and made < wanted else "\n"
        self.stdout.write(f"{made} of {wanted} accounts", ending=ending)
        self.stdout.flush()


def _private(path: str, flags: int) -> int:
    """The file holds tokens: for its owner alone, also when it was there before."""
    handle = os.open(path, flags, 0o600)
    os.fchmod(handle, 0o600)
    return handle

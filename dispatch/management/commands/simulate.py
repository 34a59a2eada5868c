"""`manage.py simulate`: captains and customers who use the public contract as phones do."""

import math
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from dispatch.simulation import processes
from dispatch.simulation.accounts import Crowd, area_of, make, refuse_in_production
from dispatch.simulation.api import Away, socket_url
from dispatch.simulation.captain import Manner
from dispatch.simulation.customer import Wishes
from dispatch.simulation.people import (
    CAPTAIN,
    COMMON_TYPES,
    CUSTOMER,
    DEMO_BLOCK,
    DEMO_CAPTAINS,
    DEMO_CITY,
    DEMO_SPREAD_KM,
    DEMO_TYPES,
    SPREAD_KM,
    Account,
    block_of,
)
from dispatch.simulation.report import Tally, live_line, summary
from dispatch.simulation.town import Share

LINE_EVERY_S = 10.0  # where there is no terminal
# A customer is busy for this long with one order, at most a customer for each order.
BUSY_MINUTES = 8.0


class Command(BaseCommand):
    """Makes its people first; from then on it knows only HTTP and sockets."""

    help = (
        "Simulate captains and customers over HTTP and sockets. Prints a line while it runs and "
        "figures at the end; exit code 1 when the server answered anything that the contract "
        "does not know."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--city", default=DEMO_CITY, help="slug or name of a city")
        parser.add_argument("--captains", type=int, help=f"200; with --demo {DEMO_CAPTAINS}")
        parser.add_argument("--orders-per-minute", type=float, help="30; with --demo 0")
        parser.add_argument("--minutes", type=float, help="5; with --demo until stopped")
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--api", default=settings.PUBLIC_URL, metavar="URL")
        parser.add_argument("--processes", type=int, default=1, metavar="K")
        parser.add_argument(
            "--speed", type=float, default=20, help="how much faster trucks drive, up to 50 m/s"
        )
        parser.add_argument(
            "--spread", type=float, default=SPREAD_KM, metavar="KM", help="of people in the city"
        )
        parser.add_argument("--haul", type=float, default=2.5, metavar="KM", help="mean way")
        parser.add_argument(
            "--demo", action="store_true", help="the captains of `make run`, until stopped"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Exits 1 after errors of the server. Raises CommandError."""
        refuse_in_production()
        plan = _with_defaults(options)
        people = [account for batch in make(_crowd(plan)) for account in batch]
        area = area_of(plan["city"])
        connections.close_all()  # from here on, only what phones can do
        wishes = Wishes(area, _types(plan), plan["spread"], plan["haul"])
        try:
            sockets = socket_url(plan["api"], people[-1])
        except Away as fault:
            raise CommandError(str(fault)) from fault
        shares = _shares(plan, people, wishes, sockets)
        show = _Show(self, quiet=plan["demo"])
        tally = processes.run(shares, show)
        captains = [account.user_id for account in people if account.role == CAPTAIN]
        show.end()
        self.stdout.write("\n".join(summary(tally, captains)))
        if tally.faults:
            sys.exit(1)


class _Show:
    """The live line: always the same one on a terminal, else one every ten seconds."""

    def __init__(self, command: BaseCommand, *, quiet: bool) -> None:
        self._out, self._quiet = command.stdout, quiet
        self._next_at = 0.0

    def __call__(self, tally: Tally) -> None:
        if self._quiet:
            return
        if self._out.isatty():
            self._out.write(f"\r{live_line(tally)}", ending="")
        elif time.monotonic() >= self._next_at:
            self._out.write(live_line(tally))
            self._next_at = time.monotonic() + LINE_EVERY_S
        self._out.flush()

    def end(self) -> None:
        """Begin a new line."""
        if self._out.isatty() and not self._quiet:
            self._out.write("")


def _with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    demo = options["demo"]
    defaults = {
        "captains": DEMO_CAPTAINS if demo else 200,
        "orders_per_minute": 0.0 if demo else 30.0,
        "minutes": None if demo else 5.0,
    }
    plan = options | {n: v for n, v in defaults.items() if options[n] is None}
    if plan["captains"] < 1 or plan["orders_per_minute"] < 0 or plan["processes"] < 1:
        raise CommandError("At least one captain, one process, and no fewer than no orders.")
    if demo:
        plan["spread"] = DEMO_SPREAD_KM
    return plan


def _types(plan: dict[str, Any]) -> tuple[str, ...]:
    return DEMO_TYPES if plan["demo"] else COMMON_TYPES


def _crowd(plan: dict[str, Any]) -> Crowd:
    at_once = min(plan["minutes"] or math.inf, BUSY_MINUTES)
    rate = plan["orders_per_minute"]
    return Crowd(
        block=DEMO_BLOCK if plan["demo"] else block_of(plan["seed"]),
        area=area_of(plan["city"]),
        customers=math.ceil(1.3 * rate * at_once) + 5 * plan["processes"] if rate else 0,
        captains=plan["captains"],
        vehicle_types=_types(plan),
        spread_km=plan["spread"],
    )


def _shares(
    plan: dict[str, Any], people: list[Account], wishes: Wishes, sockets: str
) -> list[Share]:
    """Every process gets its part of captains, customers and orders."""
    count = plan["processes"]
    captains = [account for account in people if account.role == CAPTAIN]
    customers = [account for account in people if account.role == CUSTOMER]
    manner = Manner(speed_up=plan["speed"], goes_home=plan["demo"], says=plan["demo"])
    return [
        Share(
            api=plan["api"],
            sockets=sockets,
            captains=tuple(captains[number::count]),
            customers=tuple(customers[number::count]),
            manner=manner,
            wishes=wishes,
            orders_per_minute=plan["orders_per_minute"] / count,
            seconds=None if plan["minutes"] is None else 60 * plan["minutes"],
            seed=f"{plan['seed']} {number}",
        )
        for number in range(count)
    ]

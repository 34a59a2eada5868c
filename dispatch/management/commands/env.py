"""`manage.py env`: every setting of this installation, written in several ways, or a check of a
deployment that is yet to come."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from weelo import refusals
from weelo.lib import deployments
from weelo.lib.deployments import written
from weelo.lib.deployments.judge import faults_of, is_ours
from weelo.lib.environment import Fault
from weelo.settings import env


class Command(BaseCommand):
    """Shows settings from the one place that declares them, weelo/settings.py."""

    help = "Show every setting: its value (secrets masked), where that is from, what it means."
    requires_system_checks: list[str] = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--format",
            choices=("table", "dotenv", "compose", "ecs"),
            default="table",
            help="table: what holds here; dotenv: all defaults, explained (.env.example); compose: "
            "an `environment:` for compose.yaml; ecs: environment and secrets of a container in a "
            "task definition",
        )
        parser.add_argument(
            "--check",
            type=Path,
            metavar="FILE",
            help="test a compose file or an ECS task definition (JSON) and start nothing: exit 1 "
            "with all faults. Like docker compose, ${…} is filled in from .env beside the file "
            "and from the environment",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints to stdout; needs neither database nor Redis. Raises CommandError."""
        if options["check"] is not None:
            self.stdout.write(check(options["check"]))
        elif options["format"] == "table":
            table = written.table(env.variables, os.environ)
            self.stdout.write(f"{table}\nData folder: {settings.DATA}")
        else:
            self.stdout.write(written.FORMATS[options["format"]](env.variables, os.environ))


def check(path: Path) -> str:
    """One line about a deployment that is in order. Raises CommandError with all faults."""
    try:
        services = deployments.read(path, os.environ)
    except deployments.Unreadable as fault:
        raise CommandError(f"{path} cannot be checked: {fault}") from fault
    ours = [service for service in services if is_ours(service)]
    if not ours:
        raise CommandError(f"{path} cannot be checked: none of its services is Weelo's.")
    told: dict[str, list[str]] = {}
    for service in ours:
        for why in faults_of(service, env.variables, rules):
            told.setdefault(why, []).append(service.name)
    if told:
        lines = [f"  {', '.join(names)}: {why}" for why, names in told.items()]
        raise CommandError(f"{path} would not start:\n" + "\n".join(lines))
    return fine(path, ours)


def rules(values: dict[str, Any], given: dict[str, str], in_production: bool) -> list[Fault]:
    """What does not go together, as the start itself sees it."""
    faults = refusals.everywhere(values)
    if in_production:
        faults += refusals.in_production(values, given)
    return faults


def fine(path: Path, ours: list[deployments.Service]) -> str:
    """`compose.yaml is fine: http, live; not seen here: SECRET_KEY`."""
    unseen = sorted({name for one in ours for name in one.demanded or one.open})
    rest = f"; not seen here: {', '.join(unseen)}" if unseen else ""
    return f"{path} is fine: {', '.join(service.name for service in ours)}{rest}"

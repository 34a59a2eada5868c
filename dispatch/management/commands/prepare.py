"""`manage.py prepare`: brings the database up to what this code expects."""

import time
from collections.abc import Callable
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from weelo import checks
from weelo.lib.terminal import step_line


class Command(BaseCommand):
    """What a deployment runs once before its services, and `make run` at every start."""

    help = "Migrate, load the catalogue and, unless told otherwise, the demo accounts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="leave out the demo accounts")

    def handle(self, *args: Any, **options: Any) -> None:
        """One line a step; with the demo, the last line is its accounts as JSON."""
        checks.stand_or_exit(in_demo=True)
        self._step("migrate", migrate)
        self._step("catalogue", lambda: last_line("catalogue").removeprefix("catalogue: "))
        if not options["no_demo"]:
            accounts = ""

            def demo() -> str:
                nonlocal accounts
                accounts = last_line("demo")
                return "demo accounts and fleet"

            self._step("demo", demo)
            self.stdout.write(accounts)

    def _step(self, name: str, work: Callable[[], str]) -> None:
        started = time.monotonic()
        detail = work()
        self.stdout.write(step_line(name, time.monotonic() - started, detail))
        self.stdout.flush()


def migrate() -> str:
    """Applies what is missing; says so in words. A look alone takes a tenth of a migrate."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return "up to date"
    call_command("migrate", interactive=False, verbosity=0)
    return f"{len(plan)} migrations applied"


def last_line(command: str) -> str:
    """Runs a command of ours and returns the last line it printed."""
    output = StringIO()
    call_command(command, stdout=output)
    return output.getvalue().strip().rsplit("\n", 1)[-1]

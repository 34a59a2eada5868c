"""`manage.py env`: every setting of this installation, and the file that explains them all."""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from weelo.lib.environment import Variable
from weelo.settings import env

HEAD = """\
# Every setting of Weelo, with its default. `manage.py env` shows those of an installation.
# Written by `manage.py env --format dotenv`; tests/test_house.py keeps it so.
# A line that is not commented out sets a value.
"""


class Command(BaseCommand):
    """Shows settings from the one place that declares them, weelo/settings.py."""

    help = "Show every setting: its value (secrets masked), where that is from, what it means."
    requires_system_checks: list[str] = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--format",
            choices=("table", "dotenv"),
            default="table",
            help="table: what holds here; dotenv: all defaults, explained (.env.example)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints to stdout; needs neither database nor Redis."""
        text = dotenv(env.variables) if options["format"] == "dotenv" else table(env.variables)
        self.stdout.write(text)


def dotenv(variables: list[Variable]) -> str:
    """Each variable with its meaning and default, commented out; a secret has no default.

    Some defaults follow from other settings (`PORT`), so that .env.example is written with an
    empty environment.
    """
    parts = [HEAD]
    for variable in variables:
        default = "" if variable.secret else written(variable.default)
        quoted = f"'{default}'" if set(default) & set(' "{}#') else default
        parts.append(f"# {variable.meaning}\n#{variable.name}={quoted}\n")
    return "\n".join(parts)


def table(variables: list[Variable]) -> str:
    """Name, value, source (environment or default) and meaning, in columns."""
    rows = [("NAME", "VALUE", "SOURCE", "MEANING")]
    for variable in variables:
        is_set = variable.name in os.environ
        value = os.environ[variable.name] if is_set else written(variable.default)
        if variable.secret:
            value = "(secret)" if value or is_set else ""
        source = "environment" if is_set else "default"
        rows.append((variable.name, value, source, variable.meaning))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]
    return "\n".join([*lines, f"Data folder: {settings.DATA}"])


def written(value: Any) -> str:
    """A default as it would stand in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    return str(value)

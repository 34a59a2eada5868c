"""manage.py audit: asks every promise about the data; exit code 1 when one is broken."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from dispatch.audit import MOST_ROWS, Finding, audit


class Command(BaseCommand):
    """A table for people, `--json` for machines."""

    help = "Checks every invariant of the data. Exit code 1 when one is violated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")  # a big house takes long to look over
        findings = audit()
        broken = [finding for finding in findings if finding.rows]
        self.stdout.write(_as_json(findings) if options["json"] else _as_table(findings))
        if broken:
            sys.exit(1)


def _as_json(findings: list[Finding]) -> str:
    return json.dumps(
        {
            "violations": sum(len(finding.rows) for finding in findings),
            "invariants": [
                {
                    "name": finding.invariant.name,
                    "sentence": finding.invariant.sentence,
                    "violations": len(finding.rows),
                    "rows": finding.rows,
                }
                for finding in findings
            ],
        },
        default=str,
        indent=2,
    )


def _as_table(findings: list[Finding]) -> str:
    width = max(len(finding.invariant.name) for finding in findings)
    lines = [f"{'invariant':{width}}  violations"]
    for finding in findings:
        count = len(finding.rows)
        more = " or more" if count == MOST_ROWS else ""
        lines.append(f"{finding.invariant.name:{width}}  {count}{more}")
        lines += (f"    {json.dumps(row, default=str)}" for row in finding.rows[:5])
    total = sum(bool(finding.rows) for finding in findings)
    lines.append(f"{len(findings)} invariants asked, {total} broken.")
    return "\n".join(lines)

"""The figures measured: kept in docs/reliability.json, shown in docs/RELIABILITY.md."""

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psycopg

from tests.running import ROOT

KEPT, PAGE = ROOT / "docs" / "reliability.json", ROOT / "docs" / "RELIABILITY.md"
HEAD = """# Reliability: what was done to it, and what came of it

Written by `make soak` (`python -m tests.soak`); nothing here is written by hand. A part that was
not run again keeps the figures of its last run, whose date, commit and machine stand with it. The
load is made on the same machine by processes that share its cores with what they measure, so times
are upper bounds of what the services need. ✓ goal met, ✗ goal missed, – no goal.
"""


@dataclass(frozen=True)
class Run:
    """One part that was run: when, on what, and its Figures."""

    part: str
    about: str
    date: str
    commit: str
    machine: str
    seconds: int
    figures: list


def run_of(part, about, measure):
    """The Run of the figures that `measure()` returns, on this commit and machine."""
    load, began = os.getloadavg()[0], time.monotonic()
    machine, figures = f"{_machine()}, load average {load:.1f} before", measure()
    seconds = round(time.monotonic() - began)
    return Run(part, about, _now(), _commit(), machine, seconds, figures)


def keep(run):
    """Put a run in the place of the part's earlier one, and write the page anew."""
    known = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    known[run.part] = asdict(run)
    KEPT.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(known))


def page(known):
    """The page of runs, as they stand in the JSON file, by part."""
    return "\n".join([HEAD, *(_section(run) for run in known.values())])


def _section(run):
    lines = [
        f"## {run['part'].replace('_', ' ').capitalize()}",
        "",
        run["about"],
        "",
        f"{run['date']} · commit {run['commit']} · {run['machine']} · {run['seconds']} s",
        "",
        "| figure | what was done | goal | measured | |",
        "|---|---|---|---|---|",
    ]
    for one in run["figures"]:
        mark = ("✓" if one["met"] else "✗") if one["goal"] else "–"
        cells = (one["name"], one["done"], one["goal"] or "–", one["value"], mark)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _now():
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _commit():
    def git(*words):
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!docs")
    return git("rev-parse", "--short", "HEAD") + " with changes" * bool(changed)


def _machine():
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        (postgres,) = connection.execute("SHOW server_version").fetchone()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory_gb:.0f} GB, Python {platform.python_version()},"
        f" PostgreSQL {postgres}"
    )

"""Where measurements are written, with date, commit and machine beside them."""

import os
import platform
import subprocess  # nosec B404  # only our own programs are started
import sys
from datetime import UTC, datetime
from pathlib import Path

from django.db import connection

ROOT = Path(__file__).resolve().parents[1]


def write(name, text):
    """Write a page of docs/."""
    (ROOT / "docs" / name).write_text(text)
    progress(f"docs/{name} is written")


def where():
    """One line: when, of which commit and on what the figures were measured."""
    commit = subprocess.run(  # nosec B603, B607  # git, as found in PATH; no caller's words
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        ((postgresql,),) = cursor.fetchall()
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}, commit {commit}, {os.cpu_count()} cores,"
        f" {memory:.0f} GiB, Python {platform.python_version()}, PostgreSQL {postgresql}."
    )


def progress(text):
    """One line for whoever waits."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()

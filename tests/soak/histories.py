"""Thousands of histories of the state machine against its model, by two processes at once."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.running import ROOT
from tests.soak.figures import at_least, exactly

FOLDER = "tests/machine"
PROCESSES = 2
# Of the run that this process belongs to: each pytest starts servers of its own.
OF_THE_RUN = ("WEELO_TEST_DATA", "DATABASE_URL", "REDIS_URL", "DATA", "WEELO_ENV")
TOLD_EVERY_S = 30.0


def histories(say, *, seed, number=10_000):
    """`number` histories in all, half in each process. Returns Figures."""
    assert (ROOT / FOLDER).is_dir(), f"{FOLDER} is missing: there is no machine to run"
    with tempfile.TemporaryDirectory() as folder:
        reports = [Path(folder) / f"{n}.json" for n in range(PROCESSES)]
        runs = [
            _start(seed * PROCESSES + n, number // PROCESSES, report)
            for n, report in enumerate(reports)
        ]
        began = time.monotonic()
        while any(run.poll() is None for run in runs):
            ended = sum(part["histories"] for report in reports for part in _parts(report))
            say(f"histories: {ended:,} of {number:,}, {time.monotonic() - began:.0f} s")
            time.sleep(TOLD_EVERY_S)
        failed = [report for run, report in zip(runs, reports, strict=True) if run.returncode]
        for report in failed:
            say(_log(report).read_text()[-4000:])
        parts = [part for report in reports for part in _parts(report)]
    done = f"{PROCESSES} processes, seeds {seed * PROCESSES} and on, each judged by a model"
    return [
        at_least("histories", done, number, sum(part["histories"] for part in parts)),
        exactly("runs with a history that is wrong, or too few of a kind", done, 0, len(failed)),
        at_least("steps", done, number, sum(part["steps"] for part in parts)),
        at_least(
            "least median of steps", done, 20, min((p["median_steps"] for p in parts), default=0)
        ),
        exactly(
            "cells of state × verb that were never met",
            done,
            0,
            sum(part["cells"] - part["cells_hit"] for part in parts),
        ),
    ]


def _start(seed, number, report):
    kept = {name: value for name, value in os.environ.items() if name not in OF_THE_RUN}
    wanted = {
        "HISTORIES": str(number),
        "HISTORIES_SEED": str(seed),
        "HISTORIES_OUT": str(report),
    }
    with _log(report).open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-n", "0", FOLDER],
            cwd=ROOT,
            env=kept | wanted,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _log(report):
    return report.with_suffix(".log")


def _parts(report):
    """The summaries that the tests wrote so far; each test of the machine writes its own."""
    if not report.exists():
        return []
    with report.open() as written:
        fcntl.flock(written, fcntl.LOCK_SH)
        return json.loads(written.read() or "{}").values()

"""Starts the fuzz of the OpenAPI document: a site, a town in it, and every kind of caller.

`fuzz.py` is what each caller's process does; the short run is `test_fuzz.py`, the long one the
part `fuzz` of `make soak`.
"""

import json
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

from tests.running import ROOT, running

MANY = "10000000"
LIMITS = (
    *("LIMIT_CUSTOMER", "LIMIT_CAPTAIN", "LIMIT_ORDERS", "LIMIT_OTP_ADDRESS"),
    *("LIMIT_SEARCH_ADDRESS", "OTP_PER_HOUR", "OTP_PER_DAY", "OTP_PREFIX_PER_HOUR"),
    "SMS_PER_HOUR",
)
SETTINGS = {
    **dict.fromkeys(LIMITS, MANY),
    "ORDER_TTL": "3600",
    "ACCESS_TTL": "86400",
    "LOG_LEVEL": "WARNING",
}
CALLERS = ("captain", "customer", "driver", "staff", "nobody")
PHASES = ("examples", "coverage", "fuzzing", "stateful")


@contextmanager
def fuzzed_site():
    """A running site with the town of `fuzz_town.py`; the site, and its tokens and ids."""
    with running(SETTINGS, services=("http",)) as site:
        done = site.manage("shell", "-c", "from tests.contract.fuzz_town import settle; settle()")
        (line,) = (line for line in done.stdout.splitlines() if line.startswith("{"))
        yield site, json.loads(line)


def fuzz(site, town, caller, *, seed, examples, phases=PHASES):
    """`{"cases", "statuses", "faults"}` of one caller; `examples` for each operation."""
    plan = {
        "api": site.api,
        "tokens": town["tokens"].get(caller, []),
        "ids": town["ids"],
        "seed": seed,
        "examples": examples,
        "phases": phases,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.fuzz"],
        cwd=ROOT,
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {**found, "cases": Counter(found["cases"]), "statuses": Counter(found["statuses"])}


def server_errors(statuses):
    """How many answers were 5xx, or none at all."""
    return sum(n for status, n in statuses.items() if not status.isdigit() or status >= "500")

"""Known faults of the locked packages, by pip-audit; what it could not look up is a fault too."""

import json
import subprocess
import sys

from packaging.utils import canonicalize_name

COMMAND = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
FORMAT = ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
PATIENCE_S = 900
MOST_NAMED = 5


def audit(files):
    """What pip-audit says of locked files: its JSON, or a text when it has none."""
    chosen = [word for file in files for word in ("-r", str(file))]
    done = subprocess.run(
        [*COMMAND, *FORMAT, *chosen],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except ValueError:
        return done.stderr.strip() or f"pip-audit ended with {done.returncode} and said nothing"


def judge(requirements, answer):
    """`(checked, faults)`: how many packages were looked up, and all that must be looked at."""
    if isinstance(answer, str):
        last = answer.splitlines()[-1]
        return 0, [f"Known faults could not be looked up at all; nothing is proven: {last}"]
    told = {canonicalize_name(one["name"]): one for one in answer["dependencies"]}
    here = [one for one in requirements if not one.marker or one.marker.evaluate()]
    wanted = sorted({canonicalize_name(one.name) for one in here})
    unseen = {name: why for name in wanted if (why := _unseen(told.get(name)))}
    faults = [
        f"{name} {one['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions'])}"
        for name, one in told.items()
        for fault in one.get("vulns", [])
    ]
    if unseen:
        faults.insert(0, _not_checked(unseen, len(wanted)))
    return len(wanted) - len(unseen), faults


def _unseen(one):
    if one is None:
        return "pip-audit does not name it"
    return one.get("skip_reason", "" if "vulns" in one else "it says nothing of it")


def _not_checked(unseen, of):
    named = ", ".join(list(unseen)[:MOST_NAMED]) + (", …" if len(unseen) > MOST_NAMED else "")
    why = next(iter(unseen.values()))
    return (
        f"{len(unseen)} of {of} packages could not be checked for known faults ({named}): {why}. "
        "Nothing is proven of them; run this where the service of advisories can be reached."
    )

"""`make supply-chain`: known faults and licences of everything that is locked.

Whatever could not be checked is a fault: a look that sees nothing must not pass for a good one.
"""

import sys
from collections import Counter
from pathlib import Path

from tests.supply_chain import advisories, licences

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "requirements.txt", ROOT / "requirements-dev.txt"]


def main():
    requirements = [pin for file in FILES for pin in licences.pins(file.read_text())]
    rows, faults = licences.judge(unique(requirements), licences.rules())
    for licence, number in Counter(licence for _, licence in rows).most_common():
        say(f"{number:4}  {licence}")
    checked, known = advisories.judge(requirements, advisories.audit(FILES))
    read = [name for name, _ in rows if not name.startswith("(")]
    say(f"{len(read)} licences read; {checked} packages looked up for known faults")
    for fault in (*faults, *known):
        say(f"✗ {fault}")
    return 1 if faults or known else 0


def say(text):
    sys.stdout.write(f"{text}\n")


def unique(requirements):
    """The same pin stands in both files."""
    return list({str(one): one for one in requirements}.values())


if __name__ == "__main__":
    sys.exit(main())

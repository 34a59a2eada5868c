"""Under which licences the locked packages come, and whether those are on the allow-list."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LIST = Path(__file__).with_name("licences.toml")
PIN = re.compile(r"^[A-Za-z0-9][^\s]*==\S+.*?(?=\s*\\?$)", re.MULTILINE)
CLASSIFIER = "License :: OSI Approved :: "
LONGEST_NAME = 60  # longer ones are the licence's whole text


def pins(text):
    """The requirements of a locked file, hashes and comments left out."""
    return [Requirement(line.rstrip(" \\")) for line in PIN.findall(text)]


def licence_of(told):
    """What the metadata of a package says, in SPDX' words if it does; empty if nothing."""
    if expression := told.get("License-Expression"):
        return expression
    classified = [
        one.removeprefix(CLASSIFIER)
        for one in told.get_all("Classifier") or []
        if one.startswith(CLASSIFIER)
    ]
    if classified:
        return " AND ".join(classified)
    written = (told.get("License") or "").strip()
    return written if len(written) <= LONGEST_NAME else ""


def is_allowed(licence, allowed):
    """Whether an expression is: every part of an AND, any part of an OR."""
    if licence in allowed:
        return True
    plain = licence.replace("(", " ").replace(")", " ").strip()
    if " AND " in plain:
        return all(is_allowed(part, allowed) for part in plain.split(" AND "))
    return any(part.strip() in allowed for part in plain.split(" OR "))


def judge(requirements, rules, look=metadata):
    """`(rows, faults)`: every package with its licence, and what must be looked at."""
    rows, faults, elsewhere = [], [], []
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate():
            elsewhere.append(name)
            continue
        try:
            licence = rules["packages"].get(name) or licence_of(look(name))
        except PackageNotFoundError:
            faults.append(f"{name} is not installed, so that its licence could not be checked")
            continue
        rows.append((name, licence))
        if not licence:
            faults.append(
                f"{name} does not say its licence; read it, and write it into {LIST.name}"
            )
        elif not is_allowed(licence, [*rules["allowed"], rules.get("tools", {}).get(name)]):
            faults.append(f"{name} comes under {licence!r}, which {LIST.name} does not allow")
    if elsewhere:
        rows.append(("(of other systems)", ", ".join(sorted(elsewhere))))
    return rows, faults


def rules():
    return tomllib.loads(LIST.read_text())

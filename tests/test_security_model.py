"""docs/SECURITY_MODEL.md names the tests that show what it says; here they are looked for."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "SECURITY_MODEL.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def missing(page):
    """The tests that a page names and that do not exist."""
    return [
        f"{file}::{name}" for file, name in NAMED.findall(page) if name not in names_in(ROOT / file)
    ]


def names_in(file):
    if not file.exists():
        return set()
    return {getattr(node, "name", "") for node in ast.parse(file.read_text()).body}


def test_every_test_that_the_security_model_names_exists():
    page = PAGE.read_text()
    assert len(NAMED.findall(page)) > 50
    assert page.count("::test_") == len(NAMED.findall(page)), "each is written in full"
    assert missing(page) == []


def test_a_test_that_is_gone_is_seen():
    gone = "`tests/test_house.py::test_that_is_gone` `tests/gone.py::test_any`"
    assert missing(gone) == ["tests/test_house.py::test_that_is_gone", "tests/gone.py::test_any"]

"""Which scenarios there are: none is lost in silence, and none stands here without its number."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.django_db  # as every test here, it is audited
HERE = Path(__file__)
SHOWN = set(range(1, 46))


def all_names():
    for file in sorted(HERE.parent.glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if file != HERE and getattr(node, "name", "").startswith("test_"):
                yield node.name


def test_the_scenarios_that_are_shown_are_exactly_these():
    numbers = {name: re.match(r"test_(\d\d)[a-z]?_", name) for name in all_names()}
    assert [name for name, number in numbers.items() if number is None] == []
    assert {int(number[1]) for number in numbers.values()} == SHOWN

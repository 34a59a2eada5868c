"""The look at licences and known faults fails on whatever it could not see."""

from email.message import Message
from importlib.metadata import PackageNotFoundError

import pytest

from tests.supply_chain import advisories, licences
from tests.supply_chain.__main__ import FILES

LOCKED = """\
# a comment
good==1.0 \\
    --hash=sha256:00
    # via weelo
Odd-One[extra]==2.0 ; python_version >= "3.8" \\
    --hash=sha256:01
far==3.0 ; sys_platform == "win32" \\
    --hash=sha256:02
"""
GOOD, ODD, FAR = licences.pins(LOCKED)
RULES = {"allowed": ["MIT", "BSD License"], "packages": {}}


def says(**fields):
    told = Message()
    for name, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            told[name.replace("_", "-")] = value
    return told


def test_every_pin_of_the_locked_files_is_read():
    assert [str(pin).partition("==")[0] for pin in (GOOD, ODD, FAR)] == [
        "good",
        "Odd-One[extra]",
        "far",
    ]
    for file in FILES:
        begun = [line for line in file.read_text().splitlines() if line[:1].isalnum()]
        assert len(licences.pins(file.read_text())) == len(begun) > 50


@pytest.mark.parametrize(
    ("told", "licence"),
    [
        (says(License_Expression="MIT OR GPL-3.0-only", License="x"), "MIT OR GPL-3.0-only"),
        (says(Classifier=["A :: B", "License :: OSI Approved :: BSD License"]), "BSD License"),
        (says(License="MIT"), "MIT"),
        (says(License="Permission is hereby granted, " * 10), ""),
        (says(), ""),
    ],
)
def test_the_licence_is_read_where_packages_tell_it(told, licence):
    assert licences.licence_of(told) == licence


@pytest.mark.parametrize(
    ("licence", "passes"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND (BSD License OR GPL-3.0-only)", True),
    ],
)
def test_a_licence_is_held_against_the_list(licence, passes):
    assert licences.is_allowed(licence, RULES["allowed"]) is passes


def test_a_licence_that_is_not_allowed_not_told_or_not_there_is_a_fault():
    def faults(look, rules=RULES):
        return licences.judge([GOOD], rules, look)[1]

    def absent(name):
        raise PackageNotFoundError(name)

    assert faults(lambda _: says(License="MIT")) == []
    assert "does not allow" in faults(lambda _: says(License="GPL"))[0]
    assert "does not say" in faults(lambda _: says())[0]
    assert "not installed" in faults(absent)[0]
    assert faults(lambda _: says(), {**RULES, "packages": {"good": "MIT"}}) == []


def test_what_is_for_other_systems_is_named_and_no_fault():
    rows, faults = licences.judge([FAR], RULES, lambda _: says())
    assert (rows, faults) == ([("(of other systems)", "far")], [])


def fine(name, **more):
    return {"name": name, "version": "1.0", "vulns": [], **more}


def test_a_package_with_a_known_fault_is_named_with_what_mends_it():
    fault = {"id": "CVE-2026-1", "fix_versions": ["1.1"]}
    answer = {"dependencies": [fine("good", vulns=[fault]), fine("odd-one")]}
    assert advisories.judge([GOOD, ODD, FAR], answer) == (
        2,
        ["good 1.0: CVE-2026-1, mended in 1.1"],
    )


@pytest.mark.parametrize(
    "seen",
    [
        [fine("good")],
        [fine("good"), {"name": "odd-one", "skip_reason": "not found on the index"}],
        [fine("good"), {"name": "odd-one", "version": "2.0"}],
    ],
)
def test_a_package_that_could_not_be_looked_up_is_a_fault(seen):
    checked, faults = advisories.judge([GOOD, ODD, FAR], {"dependencies": seen})
    assert checked == 1
    assert faults[0].startswith("1 of 2 packages could not be checked for known faults (odd-one)")


def test_an_audit_that_answers_nothing_is_a_fault():
    checked, faults = advisories.judge([GOOD], "Traceback\nConnectionError: no route")
    assert checked == 0 and faults[0].endswith("nothing is proven: ConnectionError: no route")


def test_every_package_that_is_locked_comes_under_a_licence_of_the_list():
    requirements = [pin for file in FILES for pin in licences.pins(file.read_text())]
    rows, faults = licences.judge(requirements, licences.rules())
    assert len(rows) > 100 and faults == []


def test_what_is_only_a_tool_of_the_tests_is_not_shipped():
    shipped, *_ = (file.read_text() for file in FILES)
    names = {pin.name for pin in licences.pins(shipped)}
    assert not names & licences.rules()["tools"].keys()
    assert licences.judge(licences.pins("libfaketime==1"), {**licences.rules(), "tools": {}})[1]

"""Streams stay whole while phones are cut off and servers fail; small: `make soak` does it long."""

import copy

import pytest

from tests.running import running
from tests.soak.streams import SETTINGS, judge, run

EVENTS, PEOPLE, CUT_S, A_SECOND = 20_000, 60, 4.0, 1500


@pytest.fixture(scope="module")
def site():
    with running(SETTINGS, services=("live",), durable=True) as site:
        yield site


@pytest.fixture(scope="module")
def outcome(site):
    ears, faults, _ = run(site, lambda _line: None, 1, EVENTS, 5.0, PEOPLE, CUT_S, A_SECOND)
    return ears, faults


def test_twenty_thousand_events_reach_phones_without_a_gap(site, outcome):
    ears, faults = outcome
    judged = judge(site, ears)
    assert ears["breaches"] == []
    assert judged.wrong == []
    assert judged.told >= EVENTS
    assert judged.heard >= judged.told * 0.9, "most went as events, not within snapshots"
    assert faults.missing() == []
    assert {"abort", "close", "stall"} == set(ears["cuts"])
    assert "1012" in ears["closed"]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda values: values.pop(), "lost"),
        (lambda values: values.__setitem__(3, -1), "#"),
        (lambda values: values.insert(2, values[2]), "#"),
    ],
    ids=["one is lost", "one is another", "one came twice"],
)
def test_a_phone_that_has_not_what_was_told_is_named(site, outcome, harm, said):
    ears = copy.deepcopy(outcome[0])
    ear = ears["ears"][7]
    harm(ear["parts"][-1][1])
    wrong = judge(site, ears).wrong
    assert wrong
    assert all(ear["user_id"] in line and said in line for line in wrong)

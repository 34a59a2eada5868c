"""Lives of orders go on over HTTP while their parts are killed; small: `make soak` does it long."""

import random
import time
import uuid

import pytest

from tests.running import running
from tests.soak.crashes import Crashes
from tests.soak.crashes_under_load import SETTINGS, Clients, people
from tests.soak.judge import judge
from tests.soak.life import SAID
from tests.soak.site import broken

LIVES, BETWEEN = 4, 25
KINDS = ("http worker", "loop", "postgres kill")


@pytest.fixture(scope="module")
def site():
    with running(SETTINGS, services=("http", "loop"), durable=True) as site:
        yield site


@pytest.fixture(scope="module")
def entries(site):
    """The books of a load through which PostgreSQL, the loop and a web process were killed."""
    clients, crashes = (
        Clients(site, people(site, LIVES), 1, seed=1),
        Crashes(site, random.Random(1)),
    )
    for kind in KINDS:
        await_writes(clients, clients.acknowledged + BETWEEN)
        crashes.crash(kind)
    await_writes(clients, clients.acknowledged + BETWEEN)
    assert crashes.done.total() == len(KINDS)
    return clients.stop()


def await_writes(clients, number, within_s=60):
    deadline = time.monotonic() + within_s
    while clients.acknowledged < number:
        clients.check()
        assert time.monotonic() < deadline, "the clients come to nothing"
        time.sleep(0.05)


def judged(site, entries):
    with site.database() as database:
        return judge(database, entries)


def test_what_was_acknowledged_outlives_the_crashes(site, entries):
    verdict = judged(site, entries)
    assert verdict.lost == []
    assert not verdict.faults
    assert verdict.acknowledged.total() >= BETWEEN * len(KINDS)
    assert verdict.unknown, "no request met a crash"
    assert {"confirm", "accept", "step", "availability"} <= set(verdict.acknowledged)
    assert broken(site) == []


@pytest.mark.parametrize("what", sorted(SAID))
def test_a_promise_that_was_not_kept_is_named(site, entries, what):
    verdict = judged(site, [*entries, never_kept(entries, what)])
    assert [kind for kind, *_ in verdict.lost] == [what]


def never_kept(entries, what):
    """An acknowledgement of the kind that nothing in the database stands behind."""
    made_up = str(uuid.uuid4())
    said = {
        "confirm": {"order": made_up},
        "accept": {"trips": {made_up: made_up}},
        "decline": {"offer": made_up, "state": "declined"},
        "step": {"trip": made_up, "status": "in_transit"},
        "give back": {"trip": made_up, "status": "cancelled"},
        "cancel": {"order": made_up, "trucks": {made_up: "cancelled"}},
        "rate": {"trip": made_up, "stars": 5},
        "availability": {"online": True},
    }[what]
    who = next(entry["who"] for entry in reversed(entries) if entry["what"] == "availability")
    last = [e for e in entries if e["what"] == "availability" and e["who"] == who][-1]
    if what == "availability":
        said = {"online": not last["said"]["online"]} if last["result"] == "ok" else said
    return {"what": what, "who": who, "key": made_up, "result": "ok", "status": 200, "said": said}

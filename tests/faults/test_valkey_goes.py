"""Valkey is stopped, frozen and emptied under confirms and accepts: what it costs, in figures."""

import json
import statistics
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from django.conf import settings

from tests.faults.pairs import Pair, at_work
from tests.faults.town import is_sound
from tests.people import make_customer
from tests.running import running
from tests.scenarios.site import Ear
from tests.scenarios.story import until
from tests.valkey import Valkey
from transporters.models import CurrentPosition

TRUCKS = ("open-17-ft", "open-19-ft", "open-20-ft")  # one for each pair of people
IDLE = 20  # sockets on which nothing happens
FAULT_S, WELL_S = 5.0, 1.0
# As many as a process has threads: those in flight at once cannot know of each other.
MOST_THAT_PAY = 4
RECOVERY_S, TO_SOCKET_S = 6.0, 1.2
UNLIMITED = {f"LIMIT_{who}": "1000000" for who in ("CUSTOMER", "CAPTAIN", "ORDERS")}
LOGS = {"LOG_LEVEL": "DEBUG", "LOG_FORMAT": "json"}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.end()


@pytest.fixture(scope="module")
def site(valkey, django_db_blocker):
    own = {"REDIS_URL": valkey.url, "SECRET_KEY": settings.SECRET_KEY}
    with running({**own, **UNLIMITED, **LOGS}, ("http", "live", "loop")) as site:
        with django_db_blocker.unblock(), site.django():
            yield site


@pytest.fixture(scope="module")
def people(site):
    """Pairs who can work without Redis too, and sockets that only listen."""
    pairs = [Pair(site, slug, number) for number, slug in enumerate(TRUCKS)]
    idle = [Ear(site, make_customer(f"+9174{number:08}")) for number in range(IDLE)]
    known = CurrentPosition.objects.filter(transporter__in=[pair.fleet for pair in pairs])
    until(lambda: known.count() == len(pairs))
    yield pairs, idle
    for pair in pairs:
        pair.hang_up()
    for ear in idle:
        ear.close()


@contextmanager
def emptied(valkey):
    """Several times a second."""
    over = threading.Event()

    def empty():
        with valkey.client() as client:
            while not over.wait(0.3):
                client.flushall()

    emptying = threading.Thread(target=empty)
    emptying.start()
    try:
        yield
    finally:
        over.set()
        emptying.join()


# --- what the services say of it ----------------------------------------------------------------


class Said:
    """What the services have logged since the fault began, in order of time."""

    def __init__(self, site, began):
        self.entries = []
        for name, line in list(site.lines):
            entry = json.loads(line) if line.startswith("{") else {}
            at = datetime.fromisoformat(entry.get("timestamp", "1970-01-01T00:00:00Z"))
            if at >= began:
                self.entries.append((at, name, entry))

    def breaker(self, word):
        """When each service's breaker for Redis was opened (closed) for the last time."""
        mine = (one for one in self.entries if one[2].get("breaker") == "redis")
        return {name: at for at, name, entry in mine if entry["event"] == f"breaker {word}"}

    def waits(self):
        """How often each request waited for Redis before its process gave it up, by service."""
        waits, opened = defaultdict(Counter), set()
        for _, name, entry in self.entries:
            if entry.get("breaker") == "redis":
                opened.add(name)
            elif entry["event"] == "redis did not answer" and name not in opened:
                waits[name][entry.get("request_id")] += "request_id" in entry
        return waits

    def is_well_again(self):
        """Whether every breaker that was opened is closed."""
        opened, closed = self.breaker("opened"), self.breaker("closed")
        return all(closed.get(name, at) > at for name, at in opened.items())


def figures(pairs, since, until):
    """Requests answered, and the seconds from commit to socket, in a span of time."""
    answers = [s for pair in pairs for at, _, s in pair.answers if since <= at <= until]
    delays = [s for pair in pairs for at, s in pair.delays if since <= at <= until]
    return answers, delays


FAULTS = {"stopped": Valkey.killed, "frozen": Valkey.frozen, "emptied": emptied}


@pytest.mark.parametrize("fault", FAULTS)
def test_confirms_and_accepts_all_succeed_and_no_socket_drops_while_valkey_is(
    site, valkey, people, fault
):
    pairs, idle = people
    with at_work(pairs):
        time.sleep(WELL_S)
        began = datetime.now(UTC)
        with FAULTS[fault](valkey):
            time.sleep(FAULT_S)
            back = datetime.now(UTC)
        until(lambda: Said(site, began).is_well_again())
        time.sleep(WELL_S)
    said = Said(site, began)
    answers, delays = figures(pairs, began, back)
    closed = said.breaker("closed").values()
    recovery_s = max(((at - back).total_seconds() for at in closed), default=0.0)
    waits = said.waits()
    print(  # noqa: T201
        f"\nValkey {fault} for {FAULT_S} s: {len(answers)} requests, all answered as they should,"
        f" the slowest after {max(answers):.2f} s; commit to socket {statistics.median(delays):.2f}"
        f" s, at most {max(delays):.2f} s; waits before the breaker opened:"
        f" { ({name: sorted(times.values()) for name, times in waits.items()}) };"
        f" recovery {recovery_s:.1f} s"
    )
    assert len(answers) >= 3 * len(pairs)
    assert max(delays) <= TO_SOCKET_S
    assert (said.breaker("opened").keys() >= {"http", "loop"}) == (fault != "emptied")
    for requests in waits.values():
        assert len(requests) <= MOST_THAT_PAY
        # Three waits open the breaker; those that had begun then end by themselves.
        assert sum(requests.values()) < MOST_THAT_PAY + len(pairs)
    assert recovery_s <= RECOVERY_S
    for ear in (*idle, *(ear for pair in pairs for ear in pair.ears)):
        ear.send(type="ping")
        assert ear.next("pong")
    assert is_sound()

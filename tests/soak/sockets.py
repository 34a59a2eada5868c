"""Thousands of captains on one live process: what they cost, how fast they hear and return."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from tests.running import running
from tests.soak.crashes import children_of, eventually
from tests.soak.figures import at_least, at_most, exactly, in_words, percentile, told
from tests.soak.site import accounts
from tests.soak.streams import SETTINGS as OF_STREAMS
from tests.soak.talk import Talk

SETTINGS = {**OF_STREAMS, "LIVE_WORKERS": "1"}
IDLE_S = 90.0
BROADCASTS, TO = 300, 10
PAUSE_S = 0.05
HEARD_P99_S, RETURN_S = 0.15, 15.0
OPENED_WITHIN_S, HEARD_WITHIN_S = 180.0, 10.0


class Crowd(Talk):
    """The sockets' side."""

    def __init__(self, site, captains):
        super().__init__("tests.soak.crowd")
        ears = [
            {"user_id": one.user_id, "role": "captain", "access": one.access} for one in captains
        ]
        self.began = time.monotonic()
        self.say({"socket": site.socket, "ears": ears})

    @property
    def now(self):
        return self.last or {"open": 0, "opened": 0, "closed": {}}

    def heard(self):
        """When each (n, user id) was heard; asserts that nobody heard anything twice."""
        rows = [row for line in list(self.lines) for row in line["heard"]]
        found = {(n, user_id): at for n, user_id, at in rows}
        assert len(found) == len(rows)
        return found


def sockets(say, *, captains=5000, idle_s=IDLE_S, seed=1):
    """Open them, wait, tell some, kill the process. Returns Figures."""
    with running(SETTINGS, services=("live",), durable=True) as site:
        _, fleet = accounts(site, captains=captains)
        before = memory_of(site)
        crowd = Crowd(site, fleet)
        broadcasting = Talk(
            "tests.soak.broadcasting", {**site.environment, "WEELO_PROCESS": "command"}
        )
        try:
            return measure(say, site, fleet, crowd, broadcasting, before, idle_s, seed)
        finally:
            crowd.stop()
            broadcasting.stop()


def measure(say, site, fleet, crowd, broadcasting, before, idle_s, seed):
    number, rng = len(fleet), random.Random(seed)
    eventually(lambda: crowd.now["open"] == number, OPENED_WITHIN_S)
    opening_s = crowd.now["welcomed_at"] - crowd.began
    each = (memory_of(site) - before) / number
    say(f"sockets: {number:,} open after {opening_s:.0f} s, {each:.0f} KiB each")
    time.sleep(idle_s)
    ended = crowd.now["opened"] - number
    say(f"sockets: {ended} ended within {idle_s:.0f} idle seconds")
    latencies = broadcasts(fleet, crowd, broadcasting, rng)
    say(f"sockets: p99 {percentile(latencies, 99) * 1000:.0f} ms after the commit")
    returned_s, missed = storm(site, fleet, crowd, broadcasting)
    say(f"sockets: all caught up {returned_s:.1f} s after the process was killed")
    done = f"{number:,} captains on one live process"
    told_to = f"{BROADCASTS} times {TO} of them are told; from the commit to the frame"
    killed = "the process is killed (-9), each is told something, all return within a second"
    return [
        told("memory of the process for each socket", done, f"{each:.0f} KiB"),
        told("opened a second, welcomed", done, f"{number / opening_s:.0f}"),
        exactly(f"ended within {idle_s:.0f} idle seconds", done, 0, ended),
        at_least("frames heard", told_to, BROADCASTS * TO, len(latencies)),
        told("commit → socket, p50", told_to, f"{percentile(latencies, 50) * 1000:.0f} ms"),
        at_most("commit → socket, p99", told_to, HEARD_P99_S, percentile(latencies, 99), "s"),
        at_most("all are back and caught up", killed, RETURN_S, returned_s, "s"),
        exactly("frames lost", killed, 0, missed),
        told("ends of sockets", "codes and faults", in_words(Counter(crowd.now["closed"]))),
    ]


def broadcasts(fleet, crowd, broadcasting, rng):
    """Seconds from each commit to each of the ten who were told."""
    asked = {}
    for n in range(BROADCASTS):
        asked[n] = [one.user_id for one in rng.sample(fleet, TO)]
        broadcasting.say({"n": n, "user_ids": asked[n]})
        eventually(lambda n=n: len(broadcasting.lines) > n, HEARD_WITHIN_S)
        time.sleep(PAUSE_S)
    wanted = {(n, user_id) for n, user_ids in asked.items() for user_id in user_ids}
    eventually(lambda: wanted <= crowd.heard().keys(), HEARD_WITHIN_S)
    committed = {line["n"]: line["committed"] for line in broadcasting.lines}
    heard = crowd.heard()
    return [max(0.0, heard[key] - committed[key[0]]) for key in wanted]


def storm(site, fleet, crowd, broadcasting):
    """Seconds until everybody is back and has heard what was told meanwhile; how many have not."""
    number, opened, n = len(fleet), crowd.now["opened"], BROADCASTS
    began = time.monotonic()
    for worker in children_of(site.pid("live")):
        os.kill(worker, signal.SIGKILL)
    for start in range(0, number, 500):
        some = [one.user_id for one in fleet[start : start + 500]]
        broadcasting.say({"n": n, "user_ids": some})
    wanted = {(n, one.user_id) for one in fleet}
    deadline = began + 4 * RETURN_S
    while time.monotonic() < deadline and not wanted <= crowd.heard().keys():
        time.sleep(0.5)
    heard = crowd.heard()
    missed = wanted - heard.keys()
    assert crowd.now["opened"] >= opened + number - len(missed), "not all were cut off"
    last = max(heard[key] for key in wanted - missed)
    return last - began, len(missed)


def memory_of(site):
    """KiB that belong to the live process alone, or its share of what is shared."""
    (worker,) = children_of(site.pid("live"))
    rollup = Path(f"/proc/{worker}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))

"""A million events to phones that are cut off, while sockets, Valkey and the database fail."""

import os
import random
import signal
import time
from collections import Counter, defaultdict

import redis

from tests.running import running
from tests.soak.crashes import children_of, eventually, is_gone
from tests.soak.figures import at_least, exactly, in_words, told
from tests.soak.site import accounts
from tests.soak.talk import Talk

SETTINGS = {
    "LIVE_WORKERS": "2",
    "ACCESS_TTL": "86400",
    "LIMIT_CUSTOMER": "1000000",
    "LIMIT_CAPTAIN": "1000000",
    "LOG_LEVEL": "WARNING",
}
PAUSE_S = (1.0, 5.0)
A_SECOND = 5000  # events told, at most
FROZEN_S = 1.5
BACK_WITHIN_S = 30.0


class Faults:
    """What is done to the site meanwhile; `done` counts what really happened."""

    KINDS = (
        "live worker killed",
        "live service restarted",
        "valkey flushed",
        "valkey killed",
        "valkey frozen",
        "database connections cut",
    )

    def __init__(self, site, rng):
        self.site, self.rng, self.done = site, rng, Counter()
        self._redis = redis.Redis.from_url(site.environment["REDIS_URL"])

    def any(self):
        """One by chance; those that never happened come first."""
        kind = self.rng.choice(self.missing() or self.KINDS)
        getattr(self, f"_{kind.replace(' ', '_')}")()
        self.done[kind] += 1
        return kind

    def missing(self):
        return [kind for kind in self.KINDS if not self.done[kind]]

    def _live_worker_killed(self):
        victim = self.rng.choice(children_of(self.site.pid("live")))
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: is_gone(victim), BACK_WITHIN_S)

    def _live_service_restarted(self):
        self.site.stop("live")
        self.site.start("live")
        self.site.wait()

    def _valkey_flushed(self):
        self._redis.flushall()

    def _valkey_killed(self):
        """Its keeper starts another."""
        victim = self._valkey()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: is_gone(victim) and self._answers(), BACK_WITHIN_S)

    def _valkey_frozen(self):
        victim = self._valkey()
        os.kill(victim, signal.SIGSTOP)
        try:
            time.sleep(FROZEN_S)
        finally:
            os.kill(victim, signal.SIGCONT)

    def _database_connections_cut(self):
        with self.site.database() as database:
            rows = database.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            assert rows.fetchone()[0] > 0

    def _valkey(self):
        return self._redis.info("server")["process_id"]

    def _answers(self):
        try:
            return self._redis.ping()
        except redis.ConnectionError:
            return False


def streams(say, *, seed, events=1_000_000, minutes=30.0, people=300, cut_s=10.0):
    """Tell `events` messages while faults happen. Returns Figures."""
    with running(SETTINGS, services=("live",), durable=True) as site:
        ears, faults, took_s = run(site, say, seed, events, minutes, people, cut_s)
        judged = judge(site, ears)
    for line in judged.wrong[:20]:
        say(f"WRONG: {line}")
    done = (
        f"{people} phones (half captains) that are cut off every {cut_s:g} s, a fault every"
        f" {PAUSE_S[0]:g}–{PAUSE_S[1]:g} s, {took_s / 60:.1f} min, seed {seed}"
    )
    kinds = in_words(faults.done)
    cuts, closed = in_words(ears["cuts"]), in_words(ears["closed"])
    return [
        exactly("gaps, repeats or disorder seen by a phone", done, 0, len(ears["breaches"])),
        exactly("events lost, or other than in the database", done, 0, len(judged.wrong)),
        at_least("events told", done, events, judged.told),
        at_least("events heard one by one", "the rest were part of a snapshot", 1, judged.heard),
        exactly("kinds of fault that never happened", kinds, 0, len(faults.missing())),
        told("faults", "each seen to have happened", kinds),
        told("cuts by the phones", "without a word, politely, or not reading", cuts),
        told("ends of sockets as the phones saw them", "codes and faults", closed),
    ]


def run(site, say, seed, events, minutes, people, cut_s, a_second=A_SECOND):
    """The ears' report, the faults, and how long it took."""
    customers, captains = accounts(site, customers=people - people // 2, captains=people // 2)
    who = [
        {"user_id": one.user_id, "role": one.role, "access": one.access}
        for one in (*customers, *captains)
    ]
    faults, began = Faults(site, random.Random(seed)), time.monotonic()
    listening = Talk("tests.soak.ears")
    listening.say({"socket": site.socket, "seed": seed, "cut_s": cut_s, "ears": who})
    plan = {
        "people": [[one["user_id"], one["role"]] for one in who],
        "seed": seed,
        "events": events,
        "a_second": a_second,
    }
    telling = Talk("tests.soak.telling", {**site.environment, "WEELO_PROCESS": "command"})
    telling.say(plan)
    while telling.process.poll() is None and time.monotonic() - began < minutes * 60:
        time.sleep(faults.rng.uniform(*PAUSE_S))
        kind = faults.any()
        say(f"streams: {telling.last:,} told, {listening.last:,} heard; {kind}")
    while faults.missing():
        faults.any()
    telling.stop()
    heads = {f"{role} {user_id}": len(told) for (user_id, role), told in stored(site).items()}
    listening.say({"heads": heads})
    report = listening.stop(patience_s=300)
    return report, faults, time.monotonic() - began


class Judged:
    """Every event of the database held against what its phone has."""

    def __init__(self):
        self.told = self.heard = 0
        self.wrong = []


def judge(site, ears):
    """Each phone has every event up to its stream's head, as it stands in the database, or was
    given a snapshot of a later moment."""
    judged, kept = Judged(), stored(site)
    for ear in ears["ears"]:
        stream = kept.get((ear["user_id"], ear["role"]), [])
        judged.told += len(stream)
        covered = [False] * len(stream)
        for start, end in ear["jumped"]:
            covered[start:end] = [True] * (end - start)
        for first, values in ear["parts"]:
            judged.heard += len(values)
            for seq, n in enumerate(values, first):
                if seq > len(stream) or stream[seq - 1] != n:
                    judged.wrong.append(f"{ear['role']} {ear['user_id']} #{seq}: {n}")
                else:
                    covered[seq - 1] = True
        begun = ear["parts"][0][0] - 1 if ear["parts"] else 0
        lost = [seq for seq, is_there in enumerate(covered, 1) if not is_there and seq > begun]
        judged.wrong += [f"{ear['role']} {ear['user_id']} #{seq}: lost" for seq in lost]
    return judged


def stored(site):
    """The `n` of all events by (user id, role), in order; asserts that no number is missing."""
    found = defaultdict(list)
    with site.database() as database:
        rows = database.execute(
            "SELECT stream.user_id::text, stream.role, event.seq, (event.data ->> 'n')::bigint"
            " FROM events_event event JOIN events_stream stream ON stream.id = event.stream_id"
            " ORDER BY event.stream_id, event.seq"
        )
        for user_id, role, seq, n in rows:
            stream = found[user_id, role]
            stream.append(n)
            assert seq == len(stream), f"{role} {user_id}: #{seq} stands at {len(stream)}"
    return found

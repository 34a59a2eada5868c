"""Crashes every few seconds while orders live their lives over HTTP: is every promise kept?"""

import json
import random
import subprocess
import sys
import threading
import time

from tests.running import ROOT, running
from tests.soak.crashes import Crashes
from tests.soak.figures import at_least, exactly, in_words, percentile, told
from tests.soak.judge import judge, read
from tests.soak.site import accounts, broken

SETTINGS = {
    "HTTP_WORKERS": "2",
    "ORDER_TTL": "120",
    "POSITION_TTL": "3600",
    "ACCESS_TTL": "86400",
    "LIMIT_CUSTOMER": "1000000",
    "LIMIT_CAPTAIN": "1000000",
    "LIMIT_ORDERS": "1000000",
    "LOG_LEVEL": "WARNING",
}
SERVICES = ("http", "loop", "worker", "beat")
PAUSE_S = (1.0, 5.0)
LONGER_S = (5.0, 15.0)  # once there were enough crashes
CAPTAINS = 3  # of each life
SETTLED_S = 10.0  # what is overdue is expired before the audit looks


class Clients:
    """The processes in which lives are led; each prints how many writes were acknowledged."""

    def __init__(self, site, lives, processes, seed):
        self.books = [site.data / f"book-{n}.jsonl" for n in range(processes)]
        self.counts = [0] * processes
        self.processes = [
            self._start(site, lives[n::processes], n, f"{seed} {n}") for n in range(processes)
        ]
        self._readers = [
            threading.Thread(target=self._count, args=(n,), daemon=True) for n in range(processes)
        ]
        for reader in self._readers:
            reader.start()

    def _start(self, site, lives, n, seed):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.life"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        plan = {"port": site.port, "seed": seed, "out": str(self.books[n]), "lives": lives}
        process.stdin.write(json.dumps(plan).encode() + b"\n")
        process.stdin.flush()
        return process

    def _count(self, n):
        for line in self.processes[n].stdout:
            self.counts[n] = int(line)

    @property
    def acknowledged(self):
        return sum(self.counts)

    def check(self):
        """Raises when a client process has ended by itself."""
        for process in self.processes:
            assert process.poll() is None, f"a client ended with {process.returncode}"

    def stop(self):
        """Let every life finish what it waits for; returns the entries of all books."""
        for process in self.processes:
            process.stdin.close()
        codes = [process.wait(60) for process in self.processes]
        for reader, process in zip(self._readers, self.processes, strict=True):
            reader.join(10)
            process.stdout.close()
        assert codes == [0] * len(codes), f"clients ended with {codes}"
        return read(self.books)


def crashes_under_load(
    say, *, seed, writes=100_000, crashes=50, minutes=20.0, lives=16, processes=2
):
    """Crash what there is until both targets are met or the time is over. Returns Figures."""
    with running(SETTINGS, SERVICES, durable=True) as site:
        verdict, crashing, took_s = run(
            site,
            say,
            seed,
            writes=writes,
            crashes=crashes,
            minutes=minutes,
            lives=lives,
            processes=processes,
        )
        found, events = broken(site), count(site, "events_event")
        doubled = count(site, DOUBLED)
    for what, promise in verdict.lost[:20]:
        say(f"LOST: {what} {promise}")
    what = (
        f"{lives} customers with {CAPTAINS} captains each live orders over HTTP for"
        f" {took_s / 60:.1f} min while a part is killed every 1–5 s (after {crashes} crashes every"
        f" 5–15 s), seed {seed}"
    )
    kinds = in_words(crashing.done)
    return [
        exactly("acknowledged writes lost", what, 0, len(verdict.lost)),
        at_least("acknowledged writes", in_words(verdict.acknowledged), writes, verdict.number),
        at_least("crashes", kinds, crashes, crashing.done.total()),
        exactly("kinds of crash that never happened", kinds, 0, len(crashing.missing())),
        exactly(
            "invariants broken", "`manage.py audit` afterwards", "none", ", ".join(found) or "none"
        ),
        exactly("keys that made two orders", "one key for each confirm, sent again", 0, doubled),
        exactly("answers 5xx but 503", "every answer", 0, verdict.faults.total()),
        told("events in streams without a gap", "`manage.py audit` afterwards", f"{events:,}"),
        told(
            "requests whose fate was unknown",
            "no answer, or 503; sent again with the same key and body until there was one",
            f"{verdict.unknown:,}",
        ),
        told("refusals", "every answer 4xx", in_words(verdict.refused) or "0"),
        told(
            "until /readyz was 200 again, p50 and the longest",
            "from each crash",
            f"{percentile(crashing.away_s, 50):.1f} s, {max(crashing.away_s):.1f} s",
        ),
    ]


DOUBLED = (
    "(SELECT FROM orders_order GROUP BY customer_id, idempotency_key HAVING count(*) > 1) twice"
)


def count(site, rows):
    """How many rows a table or subquery has."""
    with site.database() as database:
        return database.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]


def run(site, say, seed, *, writes, crashes, minutes, lives, processes):
    """The load and the crashes; returns the Verdict, the Crashes and the seconds it took."""
    rng = random.Random(seed)
    clients = Clients(site, people(site, lives), processes, seed)
    crashing, began = Crashes(site, rng), time.monotonic()
    deadline = began + minutes * 60
    kind = "nothing yet"
    while time.monotonic() < deadline:
        say(
            f"crashes under load: {clients.acknowledged:,} of {writes:,} writes,"
            f" {crashing.done.total()} of {crashes} crashes, last: {kind}"
        )
        if clients.acknowledged >= writes and crashing.done.total() >= crashes:
            break
        is_enough = crashing.done.total() >= crashes
        time.sleep(rng.uniform(*(LONGER_S if is_enough else PAUSE_S)))
        clients.check()
        kind = crashing.any()
    took_s = time.monotonic() - began
    entries = clients.stop()
    time.sleep(SETTLED_S)
    with site.database() as database:
        return judge(database, entries), crashing, took_s


def people(site, lives):
    """For each life its customer and captains, who have the only trucks of their type."""
    with site.database() as database:
        rows = database.execute(
            "SELECT slug FROM cities_vehicletype ORDER BY slug LIMIT %s", [lives]
        )
        types = [slug for (slug,) in rows]
    assert len(types) == lives, f"only {len(types)} vehicle types"
    customers, captains = accounts(
        site, customers=lives, captains=CAPTAINS * lives, vehicle_types=types, online=False
    )
    return [
        {
            "customer": vars(customer),
            "captains": [vars(one) for one in captains if one.vehicle_type == slug],
        }
        for customer, slug in zip(customers, types, strict=True)
    ]

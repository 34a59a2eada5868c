"""How many waves one loop sends in a second, and what each costs.

`python -m bench waves` runs it with PostgreSQL of its own, fsync on, and writes docs/WAVES.md.
"""

import os
import random
import statistics
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bench import page, places, supply
from dispatch import waves
from dispatch.policy import Policies
from orders.models import Wave
from orders.verbs.confirm import confirm
from tests import people
from weelo.accounts.models import User
from weelo.cities.models import DispatchPolicy

SEED = 1
CAPTAINS = 3_000
ORDERS = 60
ROUNDS = 7
TOGETHER = (1, waves.BATCH)
COMMITS = 300
TYPE = "open-17-ft"
# Captains who have three offers open would be passed over, and later waves be shorter.
POLICY = people.POLICY | {"offers_cap": 1_000}


@dataclass(frozen=True)
class Cost:
    """What one first wave cost on average: times in ms."""

    wall: float
    ours: float
    postgres: float


def main():
    rng = random.Random(SEED)
    settings.ORDER_TTL = timedelta(hours=1)  # none expires while others are measured
    city = people.make_city(radius_km=70)
    DispatchPolicy.objects.create(city=city, version=2, values=POLICY)
    supply.plant([places.somewhere(rng) for _ in range(CAPTAINS)], TYPE)
    supply.fill_index()
    confirm_orders(rng, ORDERS)
    supply.tidy()
    send(ORDERS, together=waves.BATCH)
    costs = {together: [] for together in TOGETHER}
    commits = []
    for number in range(ROUNDS):
        commits.append(commit_ms())
        for together in TOGETHER:
            confirm_orders(rng, ORDERS)
            costs[together].append(send(ORDERS, together=together))
            page.progress(f"round {number}, {together} together: {costs[together][-1]}")
    counts = {together: statements(rng, together=together) for together in TOGETHER}
    page.write("WAVES.md", text(costs, counts, statistics.median(commits)))
    return True


def confirm_orders(rng, number):
    """So many customers confirm an order of one truck somewhere in the city."""
    known = User.objects.count()
    people_ = User.objects.bulk_create(
        User(phone=f"+918{known + i:09}", name="Asha") for i in range(number)
    )
    for customer in people_:
        pickup = people.place(*places.somewhere(rng))
        confirm(customer, people.wish() | {"pickup": pickup}, "")


def send(number, *, together):
    """Send the first waves of so many new orders, so many at a time; what one cost."""
    policies = Policies()
    before, backend = Wave.objects.count(), backend_pid()
    ours, postgres, wall = time.process_time(), cpu_s(backend), time.perf_counter()
    for _ in range(0, number, together):
        waves.send_due(policies, limit=together)
    spent = time.perf_counter() - wall, time.process_time() - ours, cpu_s(backend) - postgres
    assert Wave.objects.count() - before == number
    return Cost(*(seconds / number * 1000 for seconds in spent))


def statements(rng, *, together):
    """How many statements a first wave takes, without BEGIN and COMMIT."""
    confirm_orders(rng, together)
    with CaptureQueriesContext(connection) as seen:
        send(together, together=together)
    # Those of `send` itself aside: the waves twice, the backend, the policy that a loop remembers.
    sent = [one["sql"] for one in seen if one["sql"] not in ("BEGIN", "COMMIT")]
    return (len(sent) - 4) / together


def backend_pid():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def cpu_s(pid):
    """What a process has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def commit_ms():
    """The floor: a row written and committed for good, one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_floor (n int)")
        started = time.perf_counter()
        for n in range(COMMITS):
            cursor.execute("INSERT INTO bench_floor VALUES (%s)", [n])
        return (time.perf_counter() - started) / COMMITS * 1000


def text(costs, counts, commit):
    head = (
        "together | waves a second | one wave | in durable commits | CPU, Python | CPU, PostgreSQL"
    )
    rows = "\n".join(row(together, costs[together], counts[together], commit) for together in costs)
    return f"""# Waves

One loop sends the first waves of {ORDERS} orders of one truck, each to ten of {CAPTAINS:,} captains
of a city (seed {SEED}), fsync on; medians of {ROUNDS} rounds, which take turns. "Together" is how
many orders are picked and searched for at once; they are told of one by one, each in a transaction
of its own. "In durable commits" says how many commits of one row, one after the other, take as long
as a wave: one took {commit:.2f} ms in the same run. BEGIN and COMMIT are not counted as statements.

| {head} | statements |
|---|---|---|---|---|---|---|
{rows}

Several loops share the orders that are due.

{page.where()}
"""


def row(together, rounds, count, commit):
    wall, ours, postgres = (
        statistics.median(getattr(cost, name) for cost in rounds)
        for name in ("wall", "ours", "postgres")
    )
    return (
        f"| {together} | {1000 / wall:.0f} | {wall:.1f} ms | {wall / commit:.1f} | {ours:.1f} ms"
        f" | {postgres:.1f} ms | {count:.1f} |"
    )

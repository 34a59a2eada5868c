"""How long overdue orders take to close, beside a hundred thousand and a million old ones.

`make bench` runs it with PostgreSQL of its own, fsync on, and writes docs/EXPIRY.md.
"""

import statistics
import time

from django.db.models.functions import Now

from bench import page
from bench.old_orders import plant
from orders.change import By
from orders.models import Actor, Order
from orders.verbs.cancel import cancel
from orders.verbs.expire import expire_due
from tests import people

DUE = 10_000
OLD = (100_000, 1_000_000)
GOAL_S = 3.0
CAPTAINS = 50


def main():
    people.make_city()
    asha, ravi = people.make_customer(), people.make_customer("+919000000007", "Ravi")
    fleets = people.make_captains(CAPTAINS)
    ended = told_order(asha, fleets)
    cancel(By(Actor.CUSTOMER, asha.id), ended.id)
    rows, plans, old = [], [], 0
    for wanted in OLD:
        page.progress(f"planting {wanted - old} old orders")
        ended.refresh_from_db()
        plant(ended, wanted - old, created="now() - interval '1 day' - n * interval '1 s'")
        old = wanted
        idle = statistics.median(timed(expire_due)[1] for _ in range(20))
        seeking = told_order(ravi, fleets)
        plant(seeking, DUE, created="now() - interval '2 minutes' - n * interval '1 ms'")
        cancel(By(Actor.CUSTOMER, ravi.id), seeking.id)
        plans.append((old, plan_of_due()))
        page.progress(f"closing {DUE} overdue orders beside {old} old ones")
        closed, seconds = timed(lambda: sum(iter(expire_due, 0)))
        page.progress(f"{closed} closed in {seconds:.2f} s")
        assert closed == DUE, closed
        assert Order.objects.filter(status="expired").count() == DUE * len(plans)
        rows.append((f"{old:,}", f"{idle * 1000:.1f} ms", f"{seconds:.2f} s", seconds <= GOAL_S))
    page.write("EXPIRY.md", text(rows, plans))
    return all(met for *_, met in rows)


def told_order(customer, fleets):
    """An order that seeks one truck and was told to two captains: the template of the copies."""
    order = people.make_order(customer)
    people.tell_them(order, fleets[:2])
    return order


def timed(runner):
    started = time.perf_counter()
    return runner(), time.perf_counter() - started


def plan_of_due():
    """The plan of the query that finds what is due."""
    overdue = Order.objects.filter(trucks_searching__gt=0, expires_at__lte=Now())
    query = overdue.order_by("expires_at").values_list("id", flat=True)[:500]
    return query.explain(analyze=True, buffers=True)


def text(rows, plans):
    table = "\n".join(
        f"| {old} | {idle} | {closed} | {'met' if met else 'missed'} |"
        for old, idle, closed, met in rows
    )
    shown = "\n\n".join(f"Beside {old:,} old orders:\n\n```\n{plan}\n```" for old, plan in plans)
    return f"""# Expiry

{DUE:,} orders are overdue, each of one truck, told to two captains, in one process and batches of
500, fsync on. Each gets its rows, its facts and the messages to the customer and both captains.
The goal is {GOAL_S:.0f} s, and the same beside a million old orders as beside a hundred thousand.

| old orders | a look when nothing is due (median of 20) | {DUE:,} overdue orders closed in | goal |
|---|---|---|---|
{table}

{page.where()}

## The plan that finds what is due

{shown}
"""

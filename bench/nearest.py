"""How fast the nearest of 100,000 and of 1,000,000 trucks are found, in Valkey and PostgreSQL.

`python -m bench nearest` runs it with servers of its own and writes docs/NEAREST.md.
"""

import random
import time
from dataclasses import dataclass
from functools import partial

from bench import page, places, supply
from tests import people
from transporters.geo import metres
from transporters.presence import index, nearby, twin
from transporters.presence.seen import Ask

SEED = 1
TRUCKS = (100_000, 1_000_000)
GOAL_MS = {100_000: 5.0, 1_000_000: 10.0}
RADII_M = (5_000, 20_000, 80_000)
NEAREST = 10
ASKED = 1_000
CHECKED = 20
TYPE = "open-17-ft"


@dataclass(frozen=True)
class Row:
    """One row of the page: times in ms, `wrong` of `CHECKED` answers beyond a metre."""

    trucks: int
    where: str
    p50: float
    p99: float
    wrong: int

    @property
    def met(self):
        return self.p99 <= GOAL_MS[self.trucks]


def main():
    rng = random.Random(SEED)
    people.make_city(radius_km=1)
    trucks, rows, filled = [], [], []
    for wanted in TRUCKS:
        page.progress(f"planting {wanted - len(trucks):,} trucks")
        new = [places.somewhere(rng) for _ in range(wanted - len(trucks))]
        supply.plant(new, TYPE, after=len(trucks))
        trucks += new
        supply.tidy()
        held, seconds = timed(supply.fill_index)
        assert held == wanted, held
        filled.append(f"{held:,} in {seconds:.0f} s")
        pickups = [places.somewhere(rng) for _ in range(ASKED)]
        for where, ask in questions():
            rows.append(measured(where, ask, pickups, trucks))
            page.progress(str(rows[-1]))
    page.write("NEAREST.md", text(rows, filled))
    return all(row.met and not row.wrong for row in rows)


def questions():
    """What is measured: how it is called on the page, and a function of a pickup."""
    for radius_m in RADII_M:
        yield f"Valkey, {radius_m // 1000} km", lambda pickup, r=radius_m: in_valkey(pickup, r)
    yield "PostgreSQL, any radius", lambda pickup: twin.nearest(pickup, [TYPE], NEAREST)


def in_valkey(pickup, radius_m):
    """As the product asks: the script, and the answer made exact."""
    ((filled, seen),) = index.nearest([Ask(pickup, [TYPE], radius_m, NEAREST)])
    assert filled
    return seen


def measured(where, ask, pickups, trucks):
    """Ask for each pickup once, after a hundred to warm up, and hold some to brute force."""
    for pickup in pickups[:100]:
        ask(pickup)
    times = sorted(timed(partial(ask, pickup))[1] * 1000 for pickup in pickups)
    checked = random.Random(SEED).sample(pickups, CHECKED)
    wrong = sum(not is_exact(ask(pickup), pickup, trucks, where) for pickup in checked)
    return Row(len(trucks), where, times[len(times) // 2], times[len(times) * 99 // 100], wrong)


def is_exact(seen, pickup, trucks, where):
    """Whether the answer is that of brute force, each rank to a metre."""
    radius_m = 1e9 if "any" in where else float(where.split()[1]) * 1000
    got = [one.distance_m for one in nearby._order(seen, radius_m)[:NEAREST]]
    span = max(got, default=radius_m) + 100
    close = (truck for truck in trucks if abs(truck.lat - pickup.lat) * 111_000 <= span)
    truth = sorted(d for d in (metres(pickup, truck) for truck in close) if d <= radius_m)
    return len(got) == min(NEAREST, len(truth)) and all(
        abs(mine - true) < 1 for mine, true in zip(got, truth, strict=False)
    )


def timed(runner):
    started = time.perf_counter()
    return runner(), time.perf_counter() - started


def text(rows, filled):
    table = "\n".join(
        f"| {row.trucks:,} | {row.where} | {row.p50:.2f} ms | {row.p99:.2f} ms |"
        f" {GOAL_MS[row.trucks]:.0f} ms | {'met' if row.met else 'missed'} |"
        f" {CHECKED - row.wrong} of {CHECKED} |"
        for row in rows
    )
    return f"""# Nearest

The nearest {NEAREST} of so many trucks of one type in one city: four in five around six hubs, the
rest up to 60 km out. {ASKED:,} pickups, spread alike, are asked for once each by one client (seed
{SEED}), timed from the call to the answer in Python. Valkey answers in one script, PostgreSQL,
its twin, in one statement, whatever the radius. Exact: the set and order of brute force by
haversine, to a metre.

| trucks | where | p50 | p99 | goal for p99 | | exact |
|---|---|---|---|---|---|---|
{table}

After a flush the product fills Valkey from PostgreSQL: {", ".join(filled)}.

{page.where()}
"""

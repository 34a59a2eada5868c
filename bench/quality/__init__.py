"""Does dispatch find as many trucks as a shout to everybody, with far fewer offers?

`python -m bench quality` simulates hours of a town, with the product's own looks, search and
matching, and writes docs/DISPATCH_QUALITY.md.
"""

import statistics
from dataclasses import dataclass

from bench import page
from bench.quality import town
from bench.quality.run import Run
from dispatch.policy import Policy, Step

LEVELS = {"rich": 800, "tight": 330, "poor": 220}  # captains
WARM_UP_HOURS, HOURS = 1.5, 2.0
SEEDS = range(1, 4)
LESS_FILL, OFFERS = 0.01, 0.35  # goal: so much less fill at most, with so many of its offers
WIDEST_M = Policy().waves[-1].radius_m
# Everybody within the widest radius at once, however many offers they have; newcomers too.
EVERYBODY = 1_000_000
BLAST = Policy(
    waves=(Step(0, WIDEST_M),), wave_min=EVERYBODY, wave_max=EVERYBODY, offers_cap=EVERYBODY
)
# Another policy to hold beside it: half as many in a wave, and a shorter reach.
SPARING = Policy(
    wave_min=5,
    waves=tuple(
        Step(wave.after_s, radius_m)
        for wave, radius_m in zip(
            Policy().waves, (5_000, 10_000, 15_000, 25_000, 40_000), strict=True
        )
    ),
)
POLICIES = {"everybody": BLAST, "waves": Policy(), "sparing waves": SPARING}


@dataclass(frozen=True)
class Outcome:
    """What became of the orders of one run after its warm-up."""

    wanted: int
    filled: int
    offers: int
    too_late: int
    first_s: float
    pickup_km: float

    @property
    def fill(self) -> float:
        return self.filled / self.wanted


def outcome(seed, captains, policy, *, warm_up_hours=WARM_UP_HOURS, hours=HOURS):
    """One run: what became of the orders that came after the warm-up."""
    orders = Run(seed, captains, policy, warm_up_hours + hours).go()
    counted = [order for order in orders if order.wish.at >= warm_up_hours * 3600]
    waits = [order.filled_after_s[0] for order in counted if order.filled_after_s]
    ways = [metres for order in counted for metres in order.pickup_m]
    return Outcome(
        wanted=sum(order.wish.trucks for order in counted),
        filled=sum(len(order.pickup_m) for order in counted),
        offers=sum(len(order.offers) for order in counted),
        too_late=sum(order.too_late for order in counted),
        first_s=statistics.median(waits),
        pickup_km=statistics.mean(ways) / 1000,
    )


def main():
    found = {}
    for level, captains in LEVELS.items():
        for name, policy in POLICIES.items():
            for seed in SEEDS:
                found.setdefault((level, name), []).append(outcome(seed, captains, policy))
                page.progress(f"{level}, {name}, seed {seed}: {found[level, name][-1]}")
    page.write("DISPATCH_QUALITY.md", text(found))
    return all(met(found[level, "everybody"], found[level, "waves"]) for level in LEVELS)


def fill(outcomes):
    return sum(one.filled for one in outcomes) / sum(one.wanted for one in outcomes)


def offers(outcomes):
    return sum(one.offers for one in outcomes)


def met(everybody, waves):
    """Whether waves fill as much, but for a point, with the share of offers that is the goal."""
    return fill(waves) >= fill(everybody) - LESS_FILL and offers(waves) <= OFFERS * offers(
        everybody
    )


def text(found):
    rows = "\n".join(row(level, name, found[level, name]) for level in LEVELS for name in POLICIES)
    verdicts = "\n".join(
        verdict(level, name, found[level, "everybody"], found[level, name])
        for name in list(POLICIES)[1:]
        for level in LEVELS
    )
    radii = ", ".join(str(step.radius_m // 1000) for step in SPARING.waves)
    return f"""# Dispatch quality

Waves by the default policy against a shout: everybody with a free truck of the type within
{WIDEST_M // 1000} km is told at once, however many offers they have, and so are newcomers. The goal:
the share of trucks filled is at most a point lower, with at most {OFFERS:.0%} of the offers.

| captains | who is told | trucks filled | worst and best seed | offers | offers a truck filled | accepts too late | first truck after | way to the pickup |
|---|---|---|---|---|---|---|---|---|
{rows}

"Sparing waves" tell {SPARING.wave_min} at least instead of {Policy().wave_min}, within {radii} km at
the same times; nobody ships them.

| captains | who is told | trucks filled, against the shout | offers, of the shout's | goal |
|---|---|---|---|---|
{verdicts}

## What is simulated, and how

{assumptions()}

{page.where()}
"""  # noqa: E501 - a row of a table is one line


def row(level, name, outcomes):
    fills = [one.fill for one in outcomes]
    filled = sum(one.filled for one in outcomes)
    return (
        f"| {level}, {LEVELS[level]} | {name} | {fill(outcomes):.1%} |"
        f" {min(fills):.1%} to {max(fills):.1%} | {offers(outcomes):,} |"
        f" {offers(outcomes) / filled:.1f} | {sum(one.too_late for one in outcomes):,} |"
        f" {statistics.median(one.first_s for one in outcomes):.1f} s |"
        f" {statistics.mean(one.pickup_km for one in outcomes):.1f} km |"
    )


def verdict(level, name, everybody, waves):
    points = (fill(waves) - fill(everybody)) * 100
    share = offers(waves) / offers(everybody)
    return (
        f"| {level} | {name} | {points:+.1f} points | {share:.0%} | {told(met(everybody, waves))} |"
    )


def told(is_met):
    return "met" if is_met else "missed"


def assumptions():
    share = ", ".join(f"{slug} {part:.0%}" for slug, part in town.TYPES.items())
    trucks = ", ".join(f"{number}: {part:.0%}" for number, part in town.TRUCKS.items())
    return f"""The looks, the search, the matching and the times of waves are the product's own
(`dispatch.waves.Look`, `dispatch.search`, `dispatch.matching`, `dispatch.policy`); the stores and
the people are simulated, by the seeds {SEEDS[0]} to {SEEDS[-1]}, {HOURS:g} hours each after
{WARM_UP_HOURS:g} hours that do not count. The same seed gives the same captains, wishes and
answers, whoever is told.

- The town: points as in `bench/places.py`, four in five around six hubs of Bengaluru, the rest up
  to 60 km out. {town.ORDERS_PER_HOUR} orders an hour, pickup and drop drawn alike; trucks of an
  order {trucks}. An order seeks for 60 s and is not wished again.
- Captains: one truck each ({share}), all online. Without work they stand {minutes(town.STANDS_S)}
  minutes, then drive to another place. A trip takes its way by road ({town.ROAD_FACTOR} times the
  straight one, {town.SPEED_MPS * 3.6:.0f} km/h) and {town.HANDLING_S // 60} minutes each at pickup
  and drop, where the captain is then free. Positions are exact and never stale.
- Answers: {town.LOOKS:.0%} of those told look at the phone. Of these {town.EAGER:.0%} accept at
  their door, and 1/e of that {town.FAR_M // 1000} km away; of the others {town.DECLINES:.0%}
  decline. It takes them {town.THINKS_S:.0f} s (median, log-normal, sigma {town.SPREAD}) and
  {town.SLOWER_S_PER_KM} s for each km. Who won meanwhile accepts nothing. Nobody grows tired of
  offers, which spares the shout its worst effect.
- Rich, tight and poor: about a third of the captains are needed, five in six, and more than there
  are."""


def minutes(seconds):
    return " to ".join(str(one // 60) for one in seconds)

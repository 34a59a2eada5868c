"""Steers histories towards what was seldom met, so that a run of some hundred meets everything.

What a history aims at is settled when its number is first drawn, from what was rare by then. The
same number drawn again, as when Hypothesis shortens a failing history, has the same aims.
"""

from itertools import islice

from tests.machine.haulage import STEPS
from tests.machine.model import LIVE

AMONG = 4  # of so many things to do that are wanted most one is drawn
AT_ONCE = 16
ENDS = 3  # how much more a way counts for the ends it is there for, which only few ways lead to
POW = 1
PUT_OFF = 0.3
# What moves an order on is put off until its present state has been seen from all sides.
MOVES_ON = {
    "accept",
    "cancel_order",
    "cancel_truck",
    "cancel_by_dispatcher",
    "expire",
    "expire_due",
    "fail",
    "give_back",
    "reconcile",
    "run_out",
    "withdraw",
}
WAYS = []


class Way:
    """Something to do with a target; `outcomes` are the ends it is there for, if any."""

    def __init__(self, of, verb, outcomes, fits, do, more):
        self.of, self.verb, self.outcomes = of, verb, outcomes
        self.fits, self.do, self.more = fits, do, more
        self._gains = {}

    def gain(self, key):
        """The cells that a target of this key is good for, and how much a hit of them counts."""
        if key not in self._gains:
            self._gains[key] = self._cells(key), PUT_OFF if self._moves_on(key) else 1
        return self._gains[key]

    def _cells(self, key):
        kinds = {"order": ("order",), "offer": ("order", "offer"), "trip": ("order", "trip")}
        kinds = kinds.get(self.of, ("order",))
        met = [(kind, state, self.verb) for kind, state in zip(kinds, key, strict=False)]
        return [*met, *(("step", key[1], to) for to in self.more)] if self.of != "town" else []

    def _moves_on(self, key):
        """Whether a target of this key is likely to be in another state afterwards."""
        if self.verb == "step":
            return key[1] in LIVE and (not self.more or self.more[0] in STEPS[key[1]])
        return self.verb in MOVES_ON


def way(of, verb, *outcomes, fits=lambda _acts, _target: True, more=()):
    """Registers a function of acts, draw and target as a way to use a verb.

    `of`: town, customer, order, offer or trip; `outcomes`: how the verb then ends; `more`: the
    statuses that a trip is asked to take.
    """

    def register(do):
        ends = tuple((verb, how) if isinstance(how, str) else how for how in outcomes)
        WAYS.append(Way(of, verb, ends, fits, do, more))
        return do

    return register


def targets(known):
    """What can be acted on, by kind and then by key: `{of: {key: [target]}}`."""
    found = {"town": {(): [None]}, "customer": {}, "order": {}, "offer": {}, "trip": {}}
    for customer in known.customers:
        newest = customer.orders[-1].cell() if customer.orders else "none"
        found["customer"].setdefault((newest,), []).append(customer)
    for order in known.orders():
        found["order"].setdefault((order.cell(),), []).append(order)
    for offer in known.offers():
        key = (offer.order.cell(), offer.state, offer.fleet.kyc)
        found["offer"].setdefault(key, []).append(offer)
    for trip in known.trips():
        found["trip"].setdefault((trip.truck.order.cell(), trip.status), []).append(trip)
    return found


class Guide:
    """What is known of a run: what it met, and what each opening leads to."""

    def __init__(self, coverage, goal):
        """`goal`: the hits of anything that histories still care for."""
        self.coverage, self.goal = coverage, goal
        self.aims, self.profiles = {}, {}

    def begin(self, number):
        """The tally of the history of this number."""
        if number not in self.aims:
            met = {**self.coverage.cells, **self.coverage.outcomes}
            wanted = {what: self.goal - hits for what, hits in met.items()}
            self.aims[number] = wanted, dict(self.profiles)
        wanted, profiles = self.aims[number]
        return Tally(self.coverage, self.goal, dict(wanted), profiles)

    def learn(self, opening, acts, met):
        """What was met on the way through this opening, and what can be met after it."""
        if opening not in self.profiles:
            found = targets(acts.model)
            cells = {
                cell
                for one in WAYS
                for key, group in found[one.of].items()
                if any(one.fits(acts, target) for target in group)
                for cell in (*one.gain(key)[0], *one.outcomes)
            }
            self.profiles[opening] = sorted(cells | met)


class Tally:
    """What one history meets, and how many hits of what are still wanted."""

    def __init__(self, coverage, goal, wanted, profiles):
        self.coverage, self.profiles = coverage, profiles
        self._goal, self._wanted, self.met = goal, wanted, set()

    def cell(self, kind, state, verb):
        self.coverage.cells[kind, state, verb] += 1
        self._meet((kind, state, verb))

    def outcome(self, verb, how):
        self.coverage.outcomes[verb, how] += 1
        self._meet((verb, how))

    def _meet(self, what):
        self.met.add(what)
        self._wanted[what] = self._wanted.get(what, self._goal) - 1

    def seen(self, what, is_so=True):
        if is_so:
            self.outcome("seen", what)

    def _need(self, cells):
        wanted = (self._wanted.get(cell, self._goal) for cell in cells)
        return [hits for hits in wanted if hits > 0]

    def opening(self, draw, names):
        """One of the openings that lead to what is wanted, those never played first."""
        unknown = [name for name in names if name not in self.profiles]
        ranked = sorted(self.profiles, key=lambda name: -self._promise(self.profiles[name]))
        return draw.one_of(*(unknown or ranked[:AMONG])) if draw.number(10) else draw.one_of(*names)

    def _promise(self, cells):
        """How much of what is wanted a history has time for."""
        return sum(x**POW for x in sorted(self._need(cells))[-AT_ONCE:])

    def go_on(self, acts, draw):
        """One thing done: most often one that is wanted."""
        found = targets(acts.model)
        options = [
            (self._worth(one, key), one, group)
            for one in WAYS
            for key, group in found[one.of].items()
        ]
        wanted = sorted((o for o in options if o[0]), key=lambda option: -option[0])
        fitting = _fitting(acts, wanted) if draw.number(10) else iter(())
        options = tuple(islice(fitting, AMONG)) or tuple(_fitting(acts, options))
        _, one, group = draw.one_of(*options)
        one.do(acts, draw, draw.one_of(*group))

    def _worth(self, one, key):
        cells, factor = one.gain(key)
        return sum(self._need(cells)) * factor + sum(self._need(one.outcomes)) * ENDS


def _fitting(acts, options):
    """The options with those targets that fit, one after the other."""
    for worth, one, group in options:
        fitting = [target for target in group if one.fits(acts, target)]
        if fitting:
            yield worth, one, fitting

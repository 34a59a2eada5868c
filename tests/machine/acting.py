"""One verb at a time: called for real, predicted by the model, and the two compared."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import time_machine
from hypothesis import note

from tests.machine.booking import Booking
from tests.machine.comparing import Comparison, versions_follow
from tests.machine.haulage import Haulage
from tests.machine.model import Refused, Span
from weelo.lib.problems import Refusal

# Verbs that write what is no part of order, truck or trip, and may count it as a version.
SIDE_NOTES = {"rate", "dispute", "settle"}


class Everything(Booking, Haulage):
    """The whole model."""


class Acting:
    """A history under way: the model, the last look at the rows, and the calls counted."""

    def __init__(self, town, tally):
        self.town, self.tally = town, tally
        self.model = town.fresh_model(Everything)
        self.hours = 0
        self.steps = 0
        self.failed = False
        self.look()

    def look(self, text="a history begins"):
        """Read all rows, after a change that was no verb."""
        note(f"     {text}")
        self.now, self.rows = self.town.read()

    def act(self, verb, text, real, predict, shown=lambda _: None, *, stores_expiry=False):
        """Call the verb and hold its outcome and all rows to the model's.

        `predict(span)` changes the model and returns what `shown(result)` must equal, or raises
        Refused. `stores_expiry`: a success has to have stored what the deadline did; any other
        call may do so or leave it. Returns what the verb returned, or its refusal.
        """
        self.steps += 1
        self.failed = True
        before, earlier = self.rows, self.now
        got = self._call(real)
        self.now, self.rows = self.town.read()
        if isinstance(got, Refusal) or not stores_expiry:
            self._learn_expiries()
        want = _outcome(predict, Span(earlier, self.now))
        found = f"refused {got.code}" if isinstance(got, Refusal) else "done"
        note(f"{self.steps:3}. ({self.hours:+d} h) {text}: {found}")
        self.tally.outcome(verb, got.code if isinstance(got, Refusal) else "done")
        problems = _unlike(want, got, shown)
        problems += Comparison(self.model, self.rows).run()
        problems += versions_follow(before, self.rows, verb in SIDE_NOTES)
        assert not problems, "\n".join([f"{text}: {found}", *problems])
        self.failed = False
        return got

    def _call(self, real):
        """The verb, as a process calls it whose clock is wrong."""
        moment = datetime.now(UTC) + timedelta(hours=self.hours)
        clock = time_machine.travel(moment, tick=True) if self.hours else nullcontext()
        with clock:
            try:
                return real()
            except Refusal as refusal:
                return refusal

    def _learn_expiries(self):
        """Whoever met an overdue order may have stored its expiry; readers see no difference."""
        expired = {row["id"] for row in self.rows["truck"] if row["status"] == "expired"}
        for order in self.model.orders():
            if order.is_overdue() and all(truck.id in expired for truck in order.searching()):
                self.model.expire(order)


def _outcome(predict, span):
    try:
        return predict(span)
    except Refused as refused:
        return refused


def _unlike(want, got, shown):
    """How the verb's answer differs from the model's, if it does."""
    if isinstance(want, Refused) or isinstance(got, Refusal):
        codes = getattr(want, "code", "done"), getattr(got, "code", "done")
        if codes[0] != codes[1]:
            return [f"the model says {codes[0]}, the verb {codes[1]}"]
        extras = ((name, want.extras[name], got.extras.get(name)) for name in want.extras)
        return [
            f"{name}: {value!r}, not {seen!r}"
            for name, value, seen in extras
            if not _fits(value, seen)
        ]
    answer = shown(got)
    return [] if answer == want else [f"the model answers {want}, the verb {answer}"]


def _fits(value, seen):
    """Sets stand for lists in any order, or for one of several answers that are right."""
    if isinstance(value, set | frozenset):
        return set(seen) == value if isinstance(seen, list) else seen in value
    return sorted(seen) == sorted(value) if isinstance(value, list) else seen == value

"""The state machine: draws verbs and their arguments, and holds each to the model."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from dispatch.audit import audit
from dispatch.reconcile import reconcile
from tests.machine import ways_of_orders, ways_of_trips  # noqa: F401 - they register
from tests.machine.drawing import Draw
from tests.machine.openings import OPENINGS, ROUTES, Opening
from tests.machine.orders_acts import OrdersActs
from tests.machine.readers import disagreements
from tests.machine.trips_acts import TripsActs

HOURS = (0, -1, 1)


class Acts(OrdersActs, TripsActs):
    """Every verb, and the look at everything after the last one."""

    def reconcile(self):
        # What is overdue for more than five seconds is a find; a slow machine must not make one.
        self.expire_due()
        for order in self.model.orders():
            self.tally.cell("order", order.cell(), "reconcile")
        self.act(
            "reconcile",
            "reconciliation finds nothing to repair",
            lambda: reconcile("beat"),
            lambda _: [],
            lambda repairs: repairs,
        )

    def end(self):
        """Readers agree, the loop comes by, nothing is to be repaired, and the audit is clean."""
        wrong = disagreements(self.model)
        assert not wrong, "\n".join(wrong)
        self.reconcile()
        findings = [f"{one.invariant.name}: {one.rows}" for one in audit() if one.rows]
        assert not findings, "\n".join(findings)
        self.tally.coverage.history(self.steps)


class Histories(RuleBasedStateMachine):
    """Histories of verbs. One rule draws the verb itself, by what the guide has on offer:
    Hypothesis would leave some rules out of a history altogether."""

    town = guide = None
    openings = 1

    @initialize(data=st.data())
    def open(self, data):
        draw = Draw(data)
        self.tally = self.guide.begin(draw.name_of_history())
        self.acts = Acts(self.town, self.tally)
        for i, customer in enumerate(self.acts.model.customers[: self.openings]):
            opening = self.tally.opening(draw, tuple(OPENINGS))
            self.acts.hours = draw.one_of(*HOURS)
            Opening(self.acts, customer).play(OPENINGS[opening], draw.one_of(*ROUTES))
            if i == 0:
                self.guide.learn(opening, self.acts, self.tally.met)

    @rule(data=st.data())
    def go_on(self, data):
        draw = Draw(data)
        self.acts.hours = draw.one_of(*HOURS)
        self.tally.go_on(self.acts, draw)

    def teardown(self):
        if hasattr(self, "acts") and not self.acts.failed:
            self.acts.end()

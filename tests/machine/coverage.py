"""What the histories met: every state with every verb, and every way a verb can end."""

import fcntl
import json
import os
import statistics
from collections import Counter
from itertools import product
from pathlib import Path

from tests.machine.model import TRIP_STATUSES

ORDER_STATES = (
    "broadcasting",
    "partially_filled",
    "filled",
    "in_progress",
    "completed",
    "cancelled",
    "expired",
    "overdue",  # past its deadline, and nobody has stored that yet
)
OFFER_STATES = ("open", "accepted", "declined", "withdrawn", "closed", "given_back")
OF_TRIPS = (
    "give_back",
    "step",
    "check_stop",
    "set_driver",
    "fail",
    "new_code",
    "rate",
    "dispute",
    "settle",
)
OF_OFFERS = ("accept", "decline", "withdraw", "reinstate")
OF_ORDERS = (
    "confirm",
    "tell",
    "cancel_order",
    "cancel_truck",
    "cancel_by_dispatcher",
    "expire",
    "expire_due",
    "reconcile",
)
CELLS = {
    ("order", "none", "confirm"),
    *product(["order"], ORDER_STATES, (*OF_ORDERS, *OF_OFFERS, *OF_TRIPS)),
    *product(["offer"], OFFER_STATES, OF_OFFERS),
    *product(["trip"], TRIP_STATUSES, (*OF_TRIPS, "cancel_order", "cancel_truck")),
    # What a trip is, and what the captain would have it become.
    *product(["step"], TRIP_STATUSES, TRIP_STATUSES),
}
# Cells that no history can reach, each with its reason.
UNREACHABLE = {
    ("order", "overdue", "reconcile"): "what is overdue for more than 5 s is a find, and a slow"
    " machine must not make one: the sweep comes by first",
}
OUTCOMES = {
    "confirm": "done IDEMPOTENCY_KEY_REUSED RATE_LIMITED CONCURRENT_REQUEST ACTIVE_ORDER_EXISTS"
    " OUT_OF_AREA UNKNOWN_VEHICLE_TYPE LOAD_OVER_CAPACITY QUOTE_INVALID",
    "tell": "done STALE SEEKS_NOT",
    "accept": "done NOT_FOUND NOT_VERIFIED ORDER_EXPIRED ORDER_CANCELLED OFFER_CLOSED"
    " VEHICLE_BUSY DRIVER_BUSY WRONG_VEHICLE TRUCK_TAKEN",
    "decline": "done NOT_FOUND OFFER_CLOSED",
    "decide": "done ILLEGAL_MOVE INVALID",
    "cancel_order": "done NOT_FOUND CANNOT_CANCEL REASON_REQUIRED",
    "cancel_truck": "done NOT_FOUND CANNOT_CANCEL REASON_REQUIRED",
    "cancel_by_dispatcher": "done CANNOT_CANCEL REASON_REQUIRED",
    "expire": "done",
    "expire_due": "done",
    "reconcile": "done",
    "give_back": "done NOT_FOUND ILLEGAL_MOVE",
    "step": "done NOT_FOUND ILLEGAL_MOVE CODE_WRONG PROOF_REQUIRED",
    "check_stop": "done NOT_FOUND ILLEGAL_MOVE",
    "set_driver": "done NOT_FOUND ILLEGAL_MOVE DRIVER_BUSY WRONG_VEHICLE",
    "fail": "done NOT_FOUND ILLEGAL_MOVE",
    "new_code": "done NOT_FOUND ILLEGAL_MOVE",
    "rate": "done NOT_FOUND CANNOT_RATE",
    "dispute": "done NOT_FOUND",
    "settle": "done NOT_FOUND ALREADY_SETTLED",
    # What a plain count of outcomes would not tell.
    "seen": "replayed quoted fourth_give_back told_again code_used_up photo waiting_fee"
    " same_vehicles several_won expired_with_the_give_back",
}
TOLD_EVERY = 50  # histories


class Coverage:
    """Counts of one run of histories, and the run's name in the report."""

    def __init__(self, name):
        self.name = name
        self.cells, self.outcomes, self.lengths = Counter(), Counter(), []

    def history(self, steps):
        """One ended well."""
        self.lengths.append(steps)
        if len(self.lengths) % TOLD_EVERY == 0:
            self.write()

    def rare(self, least):
        """What was met less often than that, as lines of a table."""
        wanted = {(verb, how) for verb, hows in OUTCOMES.items() for how in hows.split()}
        rows = [(self.cells[cell], cell) for cell in CELLS - set(UNREACHABLE)]
        rows += [(self.outcomes[outcome], outcome) for outcome in wanted]
        return [f"{hits:6} x {' / '.join(what)}" for hits, what in sorted(rows) if hits < least]

    def surprises(self):
        """What was met although nobody expects it to be reachable."""
        known = {(verb, how) for verb, hows in OUTCOMES.items() for how in hows.split()}
        met = {outcome for outcome in self.outcomes if outcome[0] not in ("switch", "run_out")}
        return sorted((set(self.cells) - CELLS) | (set(self.cells) & set(UNREACHABLE))) + sorted(
            met - known
        )

    def median_steps(self):
        return statistics.median(self.lengths)

    def summary(self):
        """The figures of a report, as JSON values."""
        reachable = CELLS - set(UNREACHABLE)
        ends = {" ".join(outcome): hits for outcome, hits in sorted(self.outcomes.items())}
        return {
            "histories": len(self.lengths),
            "steps": sum(self.lengths),
            "median_steps": self.median_steps(),
            "cells": len(reachable),
            "cells_hit": sum(self.cells[cell] > 0 for cell in reachable),
            "least_hits_of_a_cell": min(self.cells[cell] for cell in reachable),
            "outcomes": ends,
        }

    def write(self):
        """Put the summary into the report, which other processes may be writing too."""
        path = Path(os.environ.get("HISTORIES_OUT", ".build/machine.json"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as report:
            fcntl.flock(report, fcntl.LOCK_EX)
            report.seek(0)
            known = json.loads(report.read() or "{}")
            report.truncate(0)
            json.dump({**known, self.name: self.summary()}, report, indent=1)

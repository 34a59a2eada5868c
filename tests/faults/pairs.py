"""A small load that needs every part of a site: pairs of people who confirm, win and cancel."""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import connections

from tests.people import make_captain, make_customer, vehicle_ids
from tests.scenarios.site import Ear, Line, seconds_since

PATIENCE_S = 15.0


@dataclass
class Pair:
    """A customer and the only captain with a truck of her kind, each with a line and a socket."""

    site: object
    slug: str
    number: int
    answers: list = field(default_factory=list)  # (when, what, seconds it took)
    delays: list = field(default_factory=list)  # (when it was heard, seconds since it was written)
    orders: int = 0

    def __post_init__(self):
        customer = make_customer(f"+9172{self.number:08}")
        self.fleet = make_captain(f"+9173{self.number:08}", "Balu", vehicle_type=self.slug)
        self.lines = Line(self.site, customer), Line(self.site, self.fleet.owner)
        self.ears = Ear(self.site, customer), Ear(self.site, self.fleet)
        self.truck = {"vehicle_ids": [str(vehicle_ids(self.fleet)[0])]}
        self.lines[1].stand(1000)

    def book(self):
        """One order: confirmed, told, won, heard of, cancelled. Raises for whatever goes wrong."""
        self.orders += 1
        (customer, captain), (hers, his) = self.lines, self.ears
        confirm = customer.confirming(f"key-{self.orders}", vehicle_type=self.slug)
        order = self.ask("confirm", 201, confirm)
        offer = self.hear(his, "new_broadcast")["data"]["offer_id"]
        accept = f"offers/{offer}/accept"
        self.ask("accept", 200, lambda: captain.post(accept, self.truck))
        self.hear(hers, "truck_assigned")
        cancel = f"orders/{order['id']}/cancel"
        self.ask("cancel", 200, lambda: customer.post(cancel))
        self.hear(his, "order_cancelled")

    def ask(self, what, status, call):
        began = time.monotonic()
        answer = call()
        self.answers.append((datetime.now(UTC), what, time.monotonic() - began))
        assert answer.status_code == status, answer.text
        return answer.json()

    def hear(self, ear, name):
        frame = ear.hear(name, PATIENCE_S)
        self.delays.append((datetime.now(UTC), seconds_since(frame)))
        return frame

    def hang_up(self):
        for line in self.lines:
            line.http.close()
        for ear in self.ears:
            ear.close()


@contextmanager
def at_work(pairs):
    """All pairs book while the block runs; raises what any of them met."""
    over, faults = threading.Event(), []

    def work(pair):
        try:
            while not over.is_set():
                pair.book()
        except Exception as fault:
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(pair,)) for pair in pairs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(2 * PATIENCE_S)
    for fault in faults:
        raise fault

"""One order of a simulated customer: confirmed, then seen through the customer's own eyes."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dispatch.simulation.api import Answer, Phone
from dispatch.simulation.codes import tell
from dispatch.simulation.feed import Frame
from dispatch.simulation.people import Account
from dispatch.simulation.world import World

ENDED = {"completed", "cancelled", "expired"}


class Booking:
    """An order as its customer's phone shows it; its codes are passed on to the captains."""

    def __init__(self, account: Account, world: World) -> None:
        self.phone: Phone = world.phone(account)
        self.order: dict[str, Any] = {}
        self.changed = asyncio.Event()
        self.is_new = False  # made by this run
        self._tally, self._codes = world.tally, world.codes
        self._assigned: set[str] = set()

    async def confirm(self, body: Mapping[str, Any], key: str) -> Answer:
        """Make the order, which may be refused while another one is active.

        Raises Away, SignedOut.
        """
        answer = await self.phone.post("orders", body, key=key, but={"ACTIVE_ORDER_EXISTS"})
        if answer.ok:
            self.is_new = answer.headers.get("Idempotency-Replayed") != "true"
            self._tally.count("orders", self.is_new)
            self.see(answer.body)
        return answer

    async def look(self) -> None:
        """See how the order stands. Raises Away, SignedOut."""
        answer = await self.phone.get(f"orders/{self.order['id']}")
        if answer.ok:
            self.see(answer.body)

    @property
    def is_done(self) -> bool:
        """Whether the order has ended, as far as the customer has seen."""
        return self.order["status"] in ENDED

    def see(self, order: dict[str, Any]) -> None:
        """Take in the whole order, as an answer or a snapshot shows it."""
        self.order = order
        self._see_trips([truck["trip"] for truck in order["trucks"] if truck["trip"]])
        self.changed.set()

    def hear(self, frame: Frame) -> None:
        """Take in what comes over the customer's socket."""
        if frame["type"] == "welcome" and frame["snapshot"]:
            snapshot = frame["snapshot"]
            for order in (*snapshot["orders"], snapshot["last_order"]):
                if order and order["id"] == self.order["id"]:
                    self.see(order)
        elif frame["type"] == "event" and frame["order_id"] == self.order["id"]:
            self._hear_event(frame["name"], frame["data"])

    def count_end(self) -> None:
        """Count what became of the order, if this run made it."""
        if not self.is_new:
            return
        order = self.order
        if order["trucks_filled"] >= order["trucks_wanted"]:
            self._tally.count("filled")
        elif order["status"] == "cancelled":
            self._tally.count("filled" if self._assigned else "cancelled while seeking")
        self._tally.count(order["status"])

    def _hear_event(self, name: str, data: dict[str, Any]) -> None:
        if name == "truck_assigned":
            self._see_trips([data["trip"]])
        elif name == "trip_changed":
            self._see_trips([data])
        elif name == "order_status_changed":
            self.order |= {"status": data["status"]}
            self.changed.set()

    def _see_trips(self, trips: list[dict[str, Any]]) -> None:
        tell(self._codes, trips)
        for trip in trips:
            if self.is_new and not self._assigned:
                since = _time(trip["steps"][0]["at"]) - _time(self.order["created_at"])
                self._tally.seconds_to_accept.append(since.total_seconds())
            self._assigned.add(trip["id"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)

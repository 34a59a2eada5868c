"""A simulated customer: searches, confirms, follows the order to its end, sometimes cancels."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dispatch.simulation.booking import Booking
from dispatch.simulation.people import Account, Area
from dispatch.simulation.world import World
from transporters.geo import Point

POLL_S = 2.0
LOOK_AGAIN_S = 20.0  # also with a socket, for the end of an order that nobody told
CANCEL_WITHIN_S = 60.0
GOODS = {"category": "household", "description": "boxes"}


@dataclass(frozen=True)
class Wishes:
    """What customers want: pickups in the area, drops some kilometres away, these types.

    Parts (0 to 1): `doubles` want two trucks, `cancels` change their mind within a minute,
    `polls` look every 2 s instead of listening, `rates` say how it was.
    """

    area: Area
    vehicle_types: tuple[str, ...]
    spread_km: float
    haul_km: float
    doubles: float = 0.08
    cancels: float = 0.06
    polls: float = 0.3
    rates: float = 0.7


class Customer:
    """One customer with one order."""

    def __init__(self, account: Account, world: World, wishes: Wishes, rng: random.Random) -> None:
        self._world, self._wishes, self._rng = world, wishes, rng
        self._booking = Booking(account, world)
        self._phone = self._booking.phone

    async def resume(self) -> None:
        """Follow the order of an earlier run to its end, if there is one.

        Raises Away, SignedOut.
        """
        active = await self._phone.get("orders/active")
        if active.ok and active.body["order"]:
            self._world.tally.count("orders of before")
            self._booking.see(active.body["order"])
            await self._follow()

    async def order(self) -> None:
        """Book a truck and follow the order to its end. Raises Away, SignedOut."""
        pickup, drop = self._way()
        option = await self._search(pickup, drop)
        if option is None:
            return
        truck = {
            "vehicle_type": option["vehicle_type"]["slug"],
            "quantity": 2 if self._rng.random() < self._wishes.doubles else 1,
            "quote": option["quote"],
        }
        # No contact: nobody gets an SMS for a simulated delivery.
        body = {
            "pickup": {"lat": pickup.lat, "lng": pickup.lng, "address": "simulated pickup"},
            "drop": {"lat": drop.lat, "lng": drop.lng, "address": "simulated drop"},
            "trucks": [truck],
            "goods": GOODS,
            "payment": {"mode": "cash", "paid_by": "sender"},
        }
        key = str(UUID(int=self._rng.getrandbits(128)))
        if (await self._booking.confirm(body, key)).ok:
            await self._follow()

    def _way(self) -> tuple[Point, Point]:
        wishes = self._wishes
        pickup = wishes.area.place(self._rng, wishes.spread_km)
        # The mean distance of a two-dimensional normal distribution is 1.25 standard deviations.
        return pickup, wishes.area.place_near(pickup, self._rng, wishes.haul_km / 1.25)

    async def _search(self, pickup: Point, drop: Point) -> Mapping[str, Any] | None:
        """An option of a type that captains have, rather one that is near."""
        found = await self._phone.get(
            "search", pickup=f"{pickup.lat},{pickup.lng}", drop=f"{drop.lat},{drop.lng}"
        )
        if not found.ok:
            return None
        wanted = self._wishes.vehicle_types
        options = [o for o in found.body["options"] if o["vehicle_type"]["slug"] in wanted]
        near = [option for option in options if option["nearby"]]
        return self._rng.choice(near or options) if options else None

    async def _follow(self) -> None:
        booking = self._booking
        async with asyncio.TaskGroup() as tasks:
            busy = [tasks.create_task(self._watch())]
            if booking.is_new and self._rng.random() < self._wishes.cancels:
                busy.append(tasks.create_task(self._cancel()))
            while not booking.is_done:
                await booking.changed.wait()
                booking.changed.clear()
            for task in busy:
                task.cancel()
        await booking.look()
        booking.count_end()
        if booking.is_new:
            await self._rate()

    async def _watch(self) -> None:
        if self._rng.random() < self._wishes.polls:
            await self._poll(POLL_S)
        feed = self._world.feed(self._phone, "customer", self._booking.hear)
        async with asyncio.TaskGroup() as both:
            both.create_task(feed.run())
            both.create_task(self._poll(LOOK_AGAIN_S))

    async def _poll(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self._booking.look()

    async def _cancel(self) -> None:
        await asyncio.sleep(self._rng.uniform(2, CANCEL_WITHIN_S))
        path = f"orders/{self._booking.order['id']}/cancel"
        answer = await self._phone.post(path, {"reason": "plans changed"}, but={"CANNOT_CANCEL"})
        if answer.ok:
            self._booking.see(answer.body)

    async def _rate(self) -> None:
        for truck in self._booking.order["trucks"]:
            if truck["status"] == "completed" and self._rng.random() < self._wishes.rates:
                path = f"trips/{truck['trip']['id']}/rating"
                rated = await self._phone.post(path, {"stars": self._rng.choice((3, 4, 4, 5, 5))})
                self._world.tally.count("rated", rated.ok)

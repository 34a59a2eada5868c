"""A simulated captain: online, on the move, answers offers, and drives the trips that he wins."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from dispatch.simulation import road
from dispatch.simulation.api import Away
from dispatch.simulation.feed import Frame
from dispatch.simulation.haul import ENDED, Haul
from dispatch.simulation.people import Account
from dispatch.simulation.truck import STOPPED_EVERY_S, Truck
from dispatch.simulation.world import World

log = structlog.get_logger(__name__)

TOO_LATE = {"TRUCK_TAKEN", "ORDER_EXPIRED", "ORDER_CANCELLED", "OFFER_CLOSED", "VEHICLE_BUSY"}

Payload = dict[str, Any]


@dataclass(frozen=True)
class Manner:
    """How captains decide and drive.

    Of offers at the door `eager` is accepted, falling to 1/e of that at `far_km`; of the others
    `polite` are declined, the rest ignored. An answer takes `think_s` (least, most) seconds.
    Who `goes_home` after a trip waits there, the others where the trip ended; who `says` so logs
    what he does.
    """

    eager: float = 0.9
    far_km: float = 12.0
    polite: float = 0.5
    think_s: tuple[float, float] = (2.0, 6.0)
    speed_up: float = 20.0
    goes_home: bool = False
    says: bool = False


class Captain:
    """One captain with one truck and one socket."""

    def __init__(self, account: Account, world: World, manner: Manner, rng: random.Random) -> None:
        self._account, self._world, self._manner, self._rng = account, world, manner, rng
        self._tally = world.tally
        self._phone = world.phone(account)
        self._feed = world.feed(self._phone, "captain", self._hear)
        self._truck = Truck(account, self._feed, road.speed_mps(manner.speed_up), rng)
        self._thinking: dict[str, asyncio.Task[None]] = {}
        self._driving: asyncio.Task[None] | None = None
        self._trip_id = ""
        self._tasks: asyncio.TaskGroup

    async def run(self) -> None:
        """Until cancelled. Raises SignedOut, in a group."""
        # First, since a socket remembers for a while whether its fleet is online.
        await self._go_online()
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._feed.run())
            self._tasks.create_task(self._stroll())

    async def go_off(self) -> None:
        """Switch off, so that nobody is offered to a captain who is not there."""
        await self._switch(online=False)

    async def _go_online(self) -> None:
        while not await self._switch(online=True):
            await asyncio.sleep(STOPPED_EVERY_S)
        self._say("captain online", vehicle_type=self._account.vehicle_type)

    async def _switch(self, *, online: bool) -> bool:
        try:
            return (await self._phone.call("PUT", "availability", {"online": online})).ok
        except Away:
            self._tally.count("calls given up")
            return False

    async def _stroll(self) -> None:
        while True:
            if self._driving is None:
                await self._truck.stroll()
            await asyncio.sleep(STOPPED_EVERY_S)

    # --- what comes over the socket ---

    def _hear(self, frame: Frame) -> None:
        if frame["type"] == "welcome" and frame["snapshot"] is not None:
            self._begin(frame["snapshot"])
        elif frame["type"] == "event":
            self._hear_event(frame["name"], frame["data"])
        elif frame["type"] == "reply":
            self._hear_reply(frame)

    def _begin(self, snapshot: Payload) -> None:
        """Go on with what the snapshot shows: a trip under way, offers that wait."""
        for trip in snapshot["trips"]:
            self._take_on(trip)
        for offer in snapshot["offers"]:
            if offer["state"] == "open":
                self._consider(offer)

    def _hear_event(self, name: str, data: Payload) -> None:
        if name == "new_broadcast":
            if not data["again"]:
                self._tally.count("told")
                self._tally.offers[self._account.user_id] += 1
            self._consider(data)
        elif name == "broadcast_dismissed":
            thought = self._thinking.pop(data["offer_id"], None)
            if thought is not None:
                thought.cancel()
        elif name == "trip_changed" and data["id"] == self._trip_id:
            self._follow_trip(data["status"])

    def _hear_reply(self, frame: Frame) -> None:
        """Of a position, the only command sent over the socket."""
        if frame["status"] != 200:
            self._tally.fault(f"socket position: {frame['status']} {frame['problem']['code']}")
            return
        for verdict, number in frame["data"].items():
            if number:
                self._tally.count(f"positions {verdict}", number)

    # --- offers ---

    def _consider(self, offer: Payload) -> None:
        if self._driving is not None or offer["offer_id"] in self._thinking:
            return
        nearness = math.exp(-offer["pickup_distance_km"] / self._manner.far_km)
        if self._rng.random() < self._manner.eager * nearness:
            answer = self._accept
        elif self._rng.random() < self._manner.polite:
            answer = self._decline
        else:
            self._tally.count("ignored")
            return
        thought = self._tasks.create_task(self._think(offer, answer))
        self._thinking[offer["offer_id"]] = thought

    async def _think(self, offer: Payload, answer: Callable[[Payload], Awaitable[None]]) -> None:
        await asyncio.sleep(self._rng.uniform(*self._manner.think_s))
        # Sent once thought through: from here on a dismissal comes too late to hold it back.
        self._thinking.pop(offer["offer_id"], None)
        try:
            await answer(offer)
        except Away:
            self._tally.count("calls given up")

    async def _accept(self, offer: Payload) -> None:
        if self._driving is not None:
            return
        body = {"vehicle_ids": list(self._account.vehicle_ids)}
        path = f"offers/{offer['offer_id']}/accept"
        answer = await self._phone.post(path, body, but=TOO_LATE)
        if answer.ok:
            self._tally.count("accepted")
            self._say("offer accepted", order_id=offer["order_id"])
            self._take_on(answer.body["trips"][0])

    async def _decline(self, offer: Payload) -> None:
        answer = await self._phone.post(f"offers/{offer['offer_id']}/decline", but=TOO_LATE)
        if answer.ok:
            self._tally.count("declined")

    # --- the trip ---

    def _take_on(self, trip: Payload) -> None:
        if self._driving is None and trip["status"] not in ENDED:
            self._trip_id, self._truck.vehicle_id = trip["id"], trip["vehicle"]["id"]
            haul = Haul(trip, self._truck, self._phone, self._world, self._say)
            self._driving = self._tasks.create_task(self._drive(haul))

    def _follow_trip(self, status: str) -> None:
        """Stop driving when the customer or a dispatcher has ended the trip."""
        if self._driving is not None and status in ("cancelled", "failed"):
            self._tally.count(f"trips {status} under way")
            self._driving.cancel()
            self._stop_driving()

    async def _drive(self, haul: Haul) -> None:
        try:
            await haul.run()
        except Away:
            # Whatever became of it, the snapshot of the next connection tells.
            self._tally.count("calls given up")
        self._stop_driving()

    def _stop_driving(self) -> None:
        self._driving = None
        self._truck.vehicle_id = self._account.vehicle_ids[0]
        if not self._manner.goes_home:
            self._truck.home = self._truck.here

    def _say(self, what: str, **fields: Any) -> None:
        if self._manner.says:
            log.info(what, captain=self._account.phone, **fields)

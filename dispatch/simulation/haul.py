"""A won trip, driven step by step to its end."""

import asyncio
from collections.abc import Callable
from typing import Any

from dispatch.simulation.api import Phone
from dispatch.simulation.codes import ask
from dispatch.simulation.truck import Truck
from dispatch.simulation.world import World

PATIENCE_S = 180.0  # for the customer with the code
LOADING_S = 2.0  # at pickup and drop, before anything moves
ENDED = {"completed", "cancelled", "failed"}
_OVER = "over"

Say = Callable[..., None]


class Haul:
    """One trip of one captain; `trip` is the contract's, in whatever status it is."""

    def __init__(
        self, trip: dict[str, Any], truck: Truck, phone: Phone, world: World, say: Say
    ) -> None:
        self.trip_id: str = trip["id"]
        self._trip, self._truck, self._phone = trip, truck, phone
        self._tally, self._codes, self._say = world.tally, world.codes, say

    async def run(self) -> None:
        """Every step that is left. Raises Away, SignedOut."""
        trip, status = self._trip, self._trip["status"]
        if status == "assigned":
            await asyncio.sleep(LOADING_S)
            status = await self._step("en_route_pickup")
        if status == "en_route_pickup":
            await self._drive_to(trip["pickup"])
            status = await self._step("at_pickup")
        if status == "at_pickup":
            status = await self._load()
        if status == "in_transit":
            await self._deliver()
            status = await self._step("at_drop")
        if status == "at_drop" and (told := await ask(self._codes, self.trip_id, PATIENCE_S)):
            status = await self._step("completed", proof={"kind": "code", "code": told[1]})
            self._tally.count("trips completed", status == "completed")

    async def _load(self) -> str:
        """Wait for the start code; give the truck back when nobody comes with it."""
        told = await ask(self._codes, self.trip_id, PATIENCE_S)
        if told is not None:
            await asyncio.sleep(LOADING_S)
            return await self._step("in_transit", start_code=told[0])
        path, reason = f"trips/{self.trip_id}/give-back", {"reason": "nobody at the pickup"}
        answer = await self._phone.post(path, reason, but={"ILLEGAL_MOVE"})
        self._tally.count("trips given back", answer.ok)
        self._say("truck given back", trip_id=self.trip_id)
        return _OVER

    async def _deliver(self) -> None:
        for number, stop in enumerate(self._trip["stops"], start=1):
            await self._drive_to(stop)
            for state in ("arrived", "done"):
                path = f"trips/{self.trip_id}/stops/{number}"
                await self._phone.post(path, {"state": state})
        await self._drive_to(self._trip["drop"])

    async def _drive_to(self, place: dict[str, Any]) -> None:
        await self._truck.drive_to(place)

    async def _step(self, status: str, **fields: Any) -> str:
        """The trip's status after the step; `over` when it was cancelled or failed meanwhile."""
        path, body = f"trips/{self.trip_id}/status", {"status": status, **fields}
        answer = await self._phone.post(path, body, but={"ILLEGAL_MOVE"})
        if not answer.ok:
            return _OVER
        self._say("trip goes on", trip_id=self.trip_id, status=status)
        return str(answer.body["status"])

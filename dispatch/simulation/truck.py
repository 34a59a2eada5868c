"""Where a simulated truck is, and how it gets somewhere; every step is told over the socket."""

import asyncio
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dispatch.simulation import road
from dispatch.simulation.feed import Feed
from dispatch.simulation.people import Account
from transporters.geo import Point, metres

STOPPED_EVERY_S, DRIVING_EVERY_S = 5.0, 1.0
LEASH_M = 2_000.0


class Truck:
    """One truck; it stays around `home` while it waits for work."""

    def __init__(self, account: Account, feed: Feed, speed_mps: float, rng: random.Random) -> None:
        self.vehicle_id = account.vehicle_ids[0]
        self.home = self.here = account.point
        self._feed, self._speed_mps, self._rng = feed, speed_mps, rng
        self._moved_at = time.time()

    async def stroll(self) -> None:
        """A few steps around, or back towards home."""
        if metres(self.here, self.home) > LEASH_M:
            there = road.toward(self.here, self.home, self._speed_mps * STOPPED_EVERY_S)
        else:
            there = road.wander(self.here, road.WALK_MPS * STOPPED_EVERY_S, self._rng)
        await self._move(there)

    async def drive_to(self, place: Mapping[str, Any]) -> None:
        """All the way to a place of the contract."""
        goal = Point(place["lat"], place["lng"])
        while metres(self.here, goal) > 1:
            await asyncio.sleep(DRIVING_EVERY_S)
            reach_m = self._speed_mps * (time.time() - self._moved_at)
            await self._move(road.toward(self.here, goal, reach_m))

    async def _move(self, there: Point) -> None:
        """Be there, and say so."""
        now = time.time()
        speed_mps = metres(self.here, there) / max(now - self._moved_at, 0.1)
        direction = road.heading(self.here, there)
        self.here, self._moved_at = there, now
        await self._feed.send(
            type="position",
            ref="position",
            lat=there.lat,
            lng=there.lng,
            heading=direction,
            speed_mps=round(min(speed_mps, road.MOST_SPEED_MPS), 1),
            at=datetime.fromtimestamp(now, UTC).isoformat(),
            vehicle_id=self.vehicle_id,
        )

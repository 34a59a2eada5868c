"""Recorded demand becomes real orders: every row once, at its time, over HTTP."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dispatch.simulation.api import Answer, Away, SignedOut, client
from dispatch.simulation.booking import Booking
from dispatch.simulation.demand import Row
from dispatch.simulation.people import Account
from dispatch.simulation.report import Tally
from dispatch.simulation.town import Share, Town
from dispatch.simulation.world import World
from transporters.geo import Point

AT_ONCE = 16  # confirms under way
LOOKS_PER_S = 40.0  # at orders, all customers together
ACTIVE_TRIES = 3
STOPPED, NO_ANSWER, SIGNED_OUT = "STOPPED", "NO_ANSWER", "SIGNED_OUT"


@dataclass
class Outcome:
    """What became of the good rows: each is in exactly one of these."""

    made: int = 0
    replayed: int = 0  # the order of an earlier run, found by its key
    refused: Counter[str] = field(default_factory=Counter)  # by code

    @property
    def total(self) -> int:
        return self.made + self.replayed + self.refused.total()


@dataclass(frozen=True)
class Due:
    """A row, the seconds after the start at which it is due, and whose order it is."""

    after_s: float
    row: Row
    account: Account


Show = Callable[[Outcome], None]


async def play(
    timetable: Sequence[Due], vehicle_type: str, share: Share, show: Show
) -> tuple[Outcome, Tally]:
    """Confirm every row, in order of time, an order for one truck of the type.

    The captains of `share`, if there are any, answer; then this lasts until all orders have
    ended. SIGINT and SIGTERM end it early. Returns the outcome and what else was counted.
    """
    stop, over = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    codes: dict[str, tuple[str, str]] = {}
    town = Town(share, codes, over)
    async with client(share.api) as line:
        world = World(line, share.sockets, codes, town.tally)
        rerun = Rerun(world, vehicle_type, show)
        async with asyncio.TaskGroup() as group:
            if share.captains:
                group.create_task(town.live(lambda _: True))
                await town.ready()
            await rerun.run(timetable, stop)
            if share.captains:
                await rerun.follow(stop)
            over.set()
    return rerun.outcome, town.tally


class Rerun:
    """One run through the rows."""

    def __init__(self, world: World, vehicle_type: str, show: Show) -> None:
        self.outcome = Outcome()
        self._world, self._vehicle_type, self._show = world, vehicle_type, show
        self._open: list[Booking] = []

    async def run(self, timetable: Sequence[Due], stop: asyncio.Event) -> None:
        """Confirm every row; those that `stop` came before count as refused, `STOPPED`."""
        waiting: asyncio.Queue[Due] = asyncio.Queue(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(self._work(waiting)) for _ in range(AT_ONCE)]
            started = asyncio.get_running_loop().time()
            for due in timetable:
                await _until(started + due.after_s, stop)
                if stop.is_set():
                    self._note_refused(STOPPED)
                else:
                    await waiting.put(due)
            await waiting.join()
            for worker in workers:
                worker.cancel()

    async def follow(self, stop: asyncio.Event) -> None:
        """Be the customers of the orders made until all have ended: hand over the codes."""
        while self._open and not stop.is_set():
            for booking in list(self._open):
                await asyncio.sleep(1 / LOOKS_PER_S)
                try:
                    await booking.look()
                except (Away, SignedOut):
                    self._world.tally.count("calls given up")
                if booking.is_done:
                    booking.count_end()
                    self._open.remove(booking)

    async def _work(self, waiting: asyncio.Queue[Due]) -> None:
        while True:
            due = await waiting.get()
            try:
                await self._confirm(due)
            except Away:
                self._note_refused(NO_ANSWER)
            except SignedOut:
                self._note_refused(SIGNED_OUT)
            finally:
                waiting.task_done()

    async def _confirm(self, due: Due) -> None:
        booking = Booking(due.account, self._world)
        body = order_of(due.row, self._vehicle_type)
        answer = await booking.confirm(body, due.row.id)
        for _ in range(ACTIVE_TRIES):
            if answer.code != "ACTIVE_ORDER_EXISTS":
                break
            # The same customer's row of another file; it ends by itself when nobody takes it.
            await asyncio.sleep(_left_s(answer))
            answer = await booking.confirm(body, due.row.id)
        if not answer.ok:
            self._note_refused(answer.code or str(answer.status))
            return
        self.outcome.made += booking.is_new
        self.outcome.replayed += not booking.is_new
        self._open.append(booking)
        self._show(self.outcome)

    def _note_refused(self, code: str) -> None:
        self.outcome.refused[code] += 1
        self._show(self.outcome)


def order_of(row: Row, vehicle_type: str) -> dict[str, Any]:
    """The body of a row's confirm: always the same, so that its key finds the order again."""
    return {
        "pickup": _place(row.pickup, f"pickup of {row.id}"),
        "drop": _place(row.drop, f"drop of {row.id}"),
        "trucks": [{"vehicle_type": vehicle_type, "quantity": 1}],
        "payment": {"mode": "cash", "paid_by": "sender"},
    }


def _place(point: Point, address: str) -> dict[str, Any]:
    return {"lat": point.lat, "lng": point.lng, "address": address}


def _left_s(answer: Answer) -> float:
    """Seconds until the order that stands in the way runs out."""
    ends, now = (datetime.fromisoformat(answer.body[at]) for at in ("expires_at", "server_time"))
    return max(1.0, (ends - now).total_seconds())


async def _until(time: float, stop: asyncio.Event) -> None:
    left_s = time - asyncio.get_running_loop().time()
    if left_s > 0 and not stop.is_set():
        try:
            async with asyncio.timeout(left_s):
                await stop.wait()
        except TimeoutError:
            return

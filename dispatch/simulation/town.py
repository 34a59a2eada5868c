"""A town of simulated captains and customers: one process's share of it, from start to end."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from dispatch.simulation.api import Away, SignedOut, client
from dispatch.simulation.captain import Captain, Manner
from dispatch.simulation.codes import Codes
from dispatch.simulation.customer import Customer, Wishes
from dispatch.simulation.people import Account
from dispatch.simulation.report import Tally
from dispatch.simulation.world import World

# Longer than an order seeks, is driven to and delivered.
DRAIN_S = 360.0
PUBLISH_S = 1.0
ARRIVE_S = 5.0  # captains come online one after the other within this time
LEAVE_S = 10.0

# Takes this process's tally; answers whether all processes are over.
Publish = Callable[[Tally], bool]


@dataclass(frozen=True)
class Share:
    """What one process simulates; everything in it can be sent to another process.

    `api` and `sockets` are addresses such as http://127.0.0.1:8000 and ws://127.0.0.1:8001.
    `seconds` is how long orders come in; None: until stopped.
    """

    api: str
    sockets: str
    captains: tuple[Account, ...]
    customers: tuple[Account, ...]
    manner: Manner
    wishes: Wishes
    orders_per_minute: float
    seconds: float | None
    seed: str


class Town:
    """One share while it lives."""

    def __init__(self, share: Share, codes: Codes, stop: asyncio.Event) -> None:
        self.tally = Tally()
        self._share, self._codes, self._stop = share, codes, stop
        self._rng = random.Random(share.seed)  # noqa: S311  # nosec B311  # for spreading and play, not for secrets
        self._free: deque[Account] = deque()
        self._orders: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup
        self._world: World

    async def live(self, publish: Publish) -> None:
        """Until the orders are over, or `stop` is set; `publish` gets the tally every second."""
        async with client(self._share.api) as line:
            self._world = World(line, self._share.sockets, self._codes, self.tally)
            captains = [self._captain(account) for account in self._share.captains]
            async with asyncio.TaskGroup() as self._group:
                publishing = self._group.create_task(self._publish(publish))
                driving = [self._group.create_task(self._drive(captain)) for captain in captains]
                resumed = [self._begin(self._resume(one)) for one in self._share.customers]
                await self._take_orders()
                await self._drain()
                await self._wait_for_others(publish)
                for task in (*driving, *resumed, *self._orders):
                    task.cancel()
                await self._send_home(captains)
                publishing.cancel()
        publish(self.tally)

    def _captain(self, account: Account) -> Captain:
        rng = random.Random(f"{self._share.seed} {account.phone}")  # noqa: S311  # nosec B311  # for spreading and play, not for secrets
        return Captain(account, self._world, self._share.manner, rng)

    async def _drive(self, captain: Captain) -> None:
        await asyncio.sleep(self._rng.uniform(0, ARRIVE_S))
        await self._signed_in(captain.run())

    async def _send_home(self, captains: list[Captain]) -> None:
        leaving = [asyncio.create_task(captain.go_off()) for captain in captains]
        if leaving:
            await asyncio.wait(leaving, timeout=LEAVE_S)

    async def _publish(self, publish: Publish) -> None:
        while True:
            publish(self.tally)
            await asyncio.sleep(PUBLISH_S)

    async def ready(self) -> None:
        """Wait until the captains should be online."""
        await self._pause(ARRIVE_S + 1)

    # --- orders ---

    async def _take_orders(self) -> None:
        loop, share = asyncio.get_running_loop(), self._share
        ends_at = float("inf") if share.seconds is None else loop.time() + share.seconds
        while not self._stop.is_set() and (left_s := ends_at - loop.time()) > 0:
            gap_s = self._gap_s()
            await self._pause(min(gap_s, left_s))
            if gap_s <= left_s and not self._stop.is_set():
                self._take_order()

    def _gap_s(self) -> float:
        """Until the next order: exponential, as when many people decide for themselves."""
        per_second = self._share.orders_per_minute / 60
        return self._rng.expovariate(per_second) if per_second else float("inf")

    def _take_order(self) -> None:
        if self._free:
            self._begin(self._order(self._free.popleft()))
        else:
            self.tally.count("customers missing")

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._group.create_task(work)
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
        return task

    def _customer(self, account: Account) -> Customer:
        rng = random.Random(self._rng.random())  # noqa: S311  # nosec B311  # for spreading and play, not for secrets
        return Customer(account, self._world, self._share.wishes, rng)

    async def _order(self, account: Account) -> None:
        await self._signed_in(self._customer(account).order())
        self._free.append(account)

    async def _resume(self, account: Account) -> None:
        await self._signed_in(self._customer(account).resume())
        self._free.append(account)

    async def _drain(self) -> None:
        """Let the orders that were made come to their end."""
        stopped = asyncio.create_task(self._stop.wait())
        deadline = asyncio.get_running_loop().time() + DRAIN_S
        while self._orders and not self._stop.is_set():
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                break
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait({*self._orders, stopped}, timeout=left_s, return_when=first)
        stopped.cancel()
        self.tally.count("orders left unfinished", len(self._orders))

    async def _wait_for_others(self, publish: Publish) -> None:
        """Our captains may be on their way with orders of other processes."""
        self.tally.is_over = True
        deadline = asyncio.get_running_loop().time() + DRAIN_S
        while not publish(self.tally) and not self._stop.is_set():
            if asyncio.get_running_loop().time() > deadline:
                break
            await self._pause(PUBLISH_S)

    async def _signed_in(self, work: Coroutine[None, None, None]) -> None:
        """Do it; a server that is away, or a session that ended, ends only this."""
        try:
            await work
        except* Away:
            self.tally.fault("no answer for as long as a phone tries")
        except* SignedOut:
            self.tally.fault("a session ended")
            if self._share.seconds is None:
                self._stop.set()  # started again, it has new ones

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(None if seconds == float("inf") else seconds):
                await self._stop.wait()
        except TimeoutError:
            return

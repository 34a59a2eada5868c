"""Hundreds of phones that come back at once."""

import asyncio
import time
from dataclasses import dataclass, field

from tests import cheap_socket

PATIENCE_S = 60.0
AGAIN_S = 0.5


@dataclass
class Member:
    """A phone of the crowd: how it signs in, and what it holds of its stream."""

    access: str
    role: str = "captain"
    epoch: str | None = None
    seq: int | None = None
    names: list = field(default_factory=list)
    resumed: bool = False
    codes: list = field(default_factory=list)  # with which the server closed
    caught_up_s: float | None = None  # from the first call of the crowd

    async def call(self, port, wanted):
        """Call, also again, as a phone does that was sent away, until it holds `wanted` events."""
        done = asyncio.get_running_loop().create_future()

        def hear(frame):
            self._hear(frame)
            if self.seq == wanted and not done.done():
                self.caught_up_s = time.perf_counter()
                done.set_result(None)

        phone = {"role": self.role, "access": self.access}
        while True:
            line = await cheap_socket.connect(port, phone, hear, epoch=self.epoch, after=self.seq)
            await asyncio.wait({done, line.ended}, return_when=asyncio.FIRST_COMPLETED)
            if done.done():
                return line
            self.codes.append(await line.ended)
            await asyncio.sleep(AGAIN_S)

    def _hear(self, frame):
        if frame["type"] == "welcome":
            self.resumed = frame["snapshot"] is None
            self.epoch, self.seq = frame["epoch"], frame["seq"]
        elif frame["type"] == "event":
            assert frame["seq"] == self.seq + 1, f"gap: {self.seq} -> {frame['seq']}"
            self.seq = frame["seq"]
            self.names.append(frame["name"])


async def _come(members, port, wanted, within_s):
    loop, calls = asyncio.get_running_loop(), []
    began = time.perf_counter()
    for n, member in enumerate(members):
        member.caught_up_s, member.codes, member.names = None, [], []
        await asyncio.sleep(max(0.0, began + n * within_s / len(members) - time.perf_counter()))
        calls.append(loop.create_task(member.call(port, wanted)))
    left_s = time.perf_counter() - began
    async with asyncio.timeout(PATIENCE_S):
        for line in await asyncio.gather(*calls):
            line.abort()
    await asyncio.sleep(0.1)  # so that the cut lines are let go of
    for member in members:
        if member.caught_up_s is not None:
            member.caught_up_s -= began
    return left_s


def come(members, port, *, wanted, within_s):
    """All members open a socket within so many seconds, stay until each holds `wanted` events, and
    are cut off together. Returns within how many seconds they really called."""
    return asyncio.run(_come(members, port, wanted, within_s))

"""A phone's socket: says hello, gets every event once and in order, and comes back when cut off."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from dispatch.simulation.api import Away, Phone
from dispatch.simulation.report import Tally

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
OPEN_S = 10.0
OVER = 4401  # the close code of a session or token that holds no more
FAULTY = {4400, 4403, 4404, 4429, 1009}  # codes that a well-behaved phone never gets

Frame = dict[str, Any]
Hear = Callable[[Frame], None]


class Feed:
    """The socket of one person in one role; `hear` gets `welcome`, `event` and `reply` frames."""

    def __init__(self, phone: Phone, url: str, role: str, hear: Hear, tally: Tally) -> None:
        self._phone, self._url, self._hear, self._tally = phone, f"{url}/ws/{role}/", hear, tally
        self._line: ClientConnection | None = None
        self._epoch: str | None = None
        self._seq: int | None = None
        self._retry_s: float | None = None
        self._welcomed = False

    async def run(self) -> None:
        """Stay connected until cancelled. Raises SignedOut."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                headers = {"Authorization": f"Bearer {await self._phone.access()}"}
                async with connect(
                    self._url,
                    additional_headers=headers,
                    compression=None,
                    proxy=None,
                    open_timeout=OPEN_S,
                ) as line:
                    await self._follow(line)
            except ConnectionClosed as cut:
                self._note(cut)
            except (OSError, TimeoutError, InvalidHandshake, Away):
                self._tally.count("sockets not opened")
            pause_s = FIRST_PAUSE_S if self._welcomed else min(2 * pause_s, LONGEST_PAUSE_S)
            wait_s = self._retry_s if self._retry_s is not None else pause_s
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311  # nosec B311  # for spreading and play, not for secrets

    async def send(self, **frame: Any) -> bool:
        """Send a frame; False while there is no connection."""
        if self._line is None:
            return False
        try:
            await self._line.send(json.dumps(frame))
        except ConnectionClosed:
            return False
        return True

    async def _follow(self, line: ClientConnection) -> None:
        self._welcomed, self._retry_s = False, None
        await self._hello(line)
        self._tally.sockets += 1
        try:
            async for text in line:
                await self._take(line, json.loads(text))
            raise ConnectionClosed(line.protocol.close_rcvd, line.protocol.close_sent)
        finally:
            self._line = None
            self._tally.sockets -= 1

    async def _hello(self, line: ClientConnection) -> None:
        hello = {"type": "hello", "epoch": self._epoch, "after": self._seq}
        await line.send(json.dumps(hello))

    async def _take(self, line: ClientConnection, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "welcome":
            self._epoch, self._seq = frame["epoch"], frame["seq"]
            self._line, self._welcomed = line, True
            self._hear(frame)
        elif kind == "event":
            await self._take_event(line, frame)
        elif kind == "restart":
            self._retry_s = frame["retry_in"]
        elif kind == "reply":
            self._hear(frame)
        elif kind not in ("live", "pong"):
            self._tally.fault(f"socket: a frame of type {kind}")

    async def _take_event(self, line: ClientConnection, frame: Frame) -> None:
        seq = frame["seq"]
        if self._seq is None or seq > self._seq + 1:
            self._tally.fault("socket: a gap between events")
            await self._hello(line)
        elif seq == self._seq + 1:
            self._seq = seq
            self._hear(frame)
            await line.send(json.dumps({"type": "ack", "seq": seq}))

    def _note(self, cut: ConnectionClosed) -> None:
        code = cut.rcvd.code if cut.rcvd else 1006
        self._tally.count(f"sockets closed {code}")
        if code in FAULTY:
            self._tally.fault(f"socket: closed {code}")
        if code == OVER:
            self._phone.distrust()

"""Hundreds of phones that come back at once, each at the price of a few string operations.

No client library in between, since the crowd shares the machine with what it measures. What goes
over a socket is held to the contract elsewhere; here only numbers are looked at.
"""

import asyncio
import json
import struct
import time
from dataclasses import dataclass, field

PATIENCE_S = 60.0
AGAIN_S = 0.5
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


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


class Call(asyncio.Protocol):
    """One socket of a member, until it holds `wanted` events."""

    def __init__(self, member, port, wanted):
        self.member, self._port, self._wanted = member, port, wanted
        self._buffer, self._is_open = b"", False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(
            f"GET /ws/{self.member.role}/ HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {self.member.access}\r\n\r\n".encode()
        )

    def data_received(self, data):
        self._buffer += data
        if not self._is_open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._is_open, self._buffer = True, rest
            hello = {"type": "hello", "epoch": self.member.epoch, "after": self.member.seq}
            self._say(TEXT, json.dumps(hello).encode())
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def connection_lost(self, fault):
        self._end()

    def _frame(self):
        """The next whole frame: opcode and content."""
        if len(self._buffer) < 2:
            return None
        length, start = self._buffer[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(self._buffer) < start:
                return None
            length = int.from_bytes(self._buffer[2:start])
        if len(self._buffer) < start + length:
            return None
        opcode, content = self._buffer[0] & 0xF, self._buffer[start : start + length]
        self._buffer = self._buffer[start + length :]
        return opcode, content

    def _take(self, opcode, content):
        if opcode == CLOSE:
            self.member.codes.append(int.from_bytes(content[:2]))
            self._end()
        elif opcode == PING:
            self._say(PONG, content)
        elif opcode == TEXT:
            self._hear(json.loads(content))

    def _hear(self, frame):
        member = self.member
        if frame["type"] == "welcome":
            member.resumed = frame["snapshot"] is None
            member.epoch, member.seq = frame["epoch"], frame["seq"]
        elif frame["type"] == "event":
            assert frame["seq"] == member.seq + 1, f"gap: {member.seq} -> {frame['seq']}"
            member.seq = frame["seq"]
            member.names.append(frame["name"])
        if member.seq == self._wanted and not self.done.done():
            self.member.caught_up_s = time.perf_counter()
            self._end()

    def _say(self, opcode, content):
        """A frame with a mask of zeros, which leaves the content as it is."""
        assert len(content) < 65536
        short = len(content) < 126
        length = (
            bytes([0x80 | len(content)]) if short else b"\xfe" + struct.pack(">H", len(content))
        )
        self.transport.write(bytes([0x80 | opcode]) + length + bytes(4) + content)

    def _end(self):
        if not self.done.done():
            self.done.set_result(None)


async def _come(members, port, wanted, within_s):
    loop, calls = asyncio.get_running_loop(), []
    began = time.perf_counter()
    for n, member in enumerate(members):
        member.caught_up_s, member.codes, member.names = None, [], []
        await asyncio.sleep(max(0.0, began + n * within_s / len(members) - time.perf_counter()))
        calls.append(loop.create_task(_call(member, port, wanted)))
    left_s = time.perf_counter() - began
    async with asyncio.timeout(PATIENCE_S):
        for call in await asyncio.gather(*calls):
            call.transport.abort()
    await asyncio.sleep(0.1)  # so that the cut lines are let go of
    for member in members:
        if member.caught_up_s is not None:
            member.caught_up_s -= began
    return left_s


async def _call(member, port, wanted):
    """Also again, as a phone does that was sent away."""
    loop = asyncio.get_running_loop()
    while True:
        _, call = await loop.create_connection(
            lambda: Call(member, port, wanted), "127.0.0.1", port
        )
        await call.done
        if member.caught_up_s is not None:
            return call
        await asyncio.sleep(AGAIN_S)


def come(members, port, *, wanted, within_s):
    """All members open a socket within so many seconds, stay until each holds `wanted` events, and
    are cut off together. Returns within how many seconds they really called."""
    return asyncio.run(_come(members, port, wanted, within_s))

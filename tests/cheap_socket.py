"""A phone's socket at the price of a few string operations, for processes that hold many.

No client library, since the crowd shares the machine with what it measures. What goes over a
socket is held to the contract elsewhere; here only numbers are looked at.
"""

import asyncio
import json
import struct

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


async def connect(port, phone, hear, *, epoch, after):
    """A CheapSocket of `phone` (`{"role", "access"}`) that has said hello with what it holds, once
    the first frame came or it ended before. `hear(frame)` gets every frame."""
    loop = asyncio.get_running_loop()
    hello = {"type": "hello", "epoch": epoch, "after": after}
    _, line = await loop.create_connection(
        lambda: CheapSocket(port, phone, hear, hello), "127.0.0.1", port
    )
    await asyncio.wait({line.begun, line.ended}, return_when=asyncio.FIRST_COMPLETED)
    return line


class CheapSocket(asyncio.Protocol):
    """`ended` gives the code that the server closed with, None for a line that was cut, or raises
    what `hear` raised."""

    def __init__(self, port, phone, hear, hello):
        self._port, self._phone, self._hear, self._hello = port, phone, hear, hello
        self._buffer, self._is_open = b"", False
        loop = asyncio.get_running_loop()
        self.begun, self.ended = loop.create_future(), loop.create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(
            f"GET /ws/{self._phone['role']}/ HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {self._phone['access']}\r\n\r\n".encode()
        )

    def data_received(self, data):
        self._buffer += data
        if not self._is_open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._end(fault=ConnectionRefusedError(head[:80].decode("latin-1")))
                return
            self._is_open, self._buffer = True, rest
            self.say(self._hello)
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def connection_lost(self, _fault):
        self._end()

    def say(self, frame):
        """Send a frame of the contract."""
        self._send(TEXT, json.dumps(frame).encode())

    def close(self):
        """Ask for the end, as a phone does that is put away."""
        self._send(CLOSE, (1000).to_bytes(2))

    def abort(self):
        """End it without a word."""
        self.transport.abort()

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
            self._end(code=int.from_bytes(content[:2]) or None)
        elif opcode == PING:
            self._send(PONG, content)
        elif opcode == TEXT and not self.ended.done():
            try:
                self._hear(json.loads(content))
            except Exception as fault:
                self._end(fault=fault)
            else:
                if not self.begun.done():
                    self.begun.set_result(None)

    def _send(self, opcode, content):
        """A frame with a mask of zeros, which leaves the content as it is."""
        assert len(content) < 65536
        short = len(content) < 126
        length = (
            bytes([0x80 | len(content)]) if short else b"\xfe" + struct.pack(">H", len(content))
        )
        self.transport.write(bytes([0x80 | opcode]) + length + bytes(4) + content)

    def _end(self, *, code=None, fault=None):
        if self.ended.done():
            return
        if fault is None:
            self.ended.set_result(code)
        else:
            self.ended.set_exception(fault)
            self.transport.abort()

"""A kept HTTP connection at the price of a few string operations: the soak's own client.

The clients share the machine with what they measure, so there is no client library in between.
"""

import asyncio
import json
import time


class Line(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self):
        self.transport = None
        self.buffer = b""
        self.answer = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int({k.lower(): v for k, v in headers.items()}[b"content-length"])
        if len(body) >= length and self.answer is not None and not self.answer.done():
            self.buffer = b""
            self.answer.set_result((int(head[9:12]), time.perf_counter(), headers, body))

    def connection_lost(self, fault):
        if self.answer is not None and not self.answer.done():
            self.answer.set_result((0, time.perf_counter(), {}, str(fault).encode()))

    def ask(self, request):
        """Send bytes; the answer comes as a future of (status, moment, headers, body)."""
        self.answer = asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            self.answer.set_result((0, time.perf_counter(), {}, b"closed"))
        else:
            self.transport.write(request)
        return self.answer


class Caller:
    """Calls of the API over one connection that is opened again when it broke."""

    PATIENCE_S = 10.0

    def __init__(self, port):
        self.port = port
        self.line = None

    async def call(self, method, path, account, body=None, key=""):
        """`(status, body)` of a call under /api/v1; status 0: nobody knows what became of it."""
        text = json.dumps(body or {})
        named = f"Idempotency-Key: {key}\r\n" if key else ""
        request = (
            f"{method} /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {account['access']}\r\n{named}"
            f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"
        )
        try:
            line = await self._open()
            status, _, headers, answer = await asyncio.wait_for(
                line.ask(request.encode()), self.PATIENCE_S
            )
        except (OSError, TimeoutError) as fault:
            self.close()
            return 0, {"code": type(fault).__name__}
        if status == 0 or headers.get(b"Connection", b"").lower() == b"close":
            self.close()
        if status == 0:
            return 0, {"code": "connection lost"}
        return status, json.loads(answer) if answer else None

    async def _open(self):
        if self.line is None:
            loop = asyncio.get_running_loop()
            connecting = loop.create_connection(Line, "127.0.0.1", self.port)
            _, self.line = await asyncio.wait_for(connecting, self.PATIENCE_S)
        return self.line

    def close(self):
        """Let go of the connection."""
        if self.line is not None:
            self.line.transport.abort()
            self.line = None

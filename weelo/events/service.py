"""The live service as an ASGI application: sockets by path, a probe, the hub's life."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from types import FrameType
from typing import Any, LiteralString

from django.conf import settings

from weelo.events.connection import Connection
from weelo.events.hub import Hub
from weelo.events.socket import Code
from weelo.lib.problems import MEDIA_TYPE, problem
from weelo.lib.wire import encode

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class LiveService:
    """Sockets under their paths; `/livez`; anything else is told where to go.

    The hub is made when the server starts the application, in the worker's own process and loop.
    """

    def __init__(self, sockets: Mapping[str, type[Connection]], on_ack: LiteralString = "") -> None:
        """`on_ack`: see `Hub`."""
        self.hub: Hub
        self._on_ack = on_ack
        self.paths = tuple(sockets)
        self._sockets = {path: kind.as_asgi(lambda: self.hub) for path, kind in sockets.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await self._sockets.get(scope["path"], _unknown)(scope, receive, send)
        else:
            await _http(scope, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.hub = Hub(self._on_ack)
        await self.hub.start()
        _before_signal(self.hub.goodbye)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if not self.hub.leaving:
            await self.hub.goodbye()
        await self.hub.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _before_signal(goodbye: Callable[[], Awaitable[None]]) -> None:
    """On SIGTERM and SIGINT, say goodbye first and let the server's own handler go on after it.

    The server closes all sockets before it tells the application to shut down, which is too late
    to say when to come back.
    """
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    leaving: set[asyncio.Task[None]] = set()

    async def leave(number: int) -> None:
        await goodbye()
        handler = handlers[signal.Signals(number)]
        if callable(handler):
            handler(number, None)

    def on_signal(number: int, _: FrameType | None) -> None:
        loop.call_soon_threadsafe(lambda: leaving.add(asyncio.ensure_future(leave(number))))

    try:
        for number in handlers:
            signal.signal(number, on_signal)
    except ValueError:
        pass  # not the main thread, as in tests: whoever runs it there ends it there


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": Code.UNKNOWN_PATH})


async def _http(scope: Scope, send: Send) -> None:
    if scope["path"] == "/livez":
        await _answer(send, 200, "application/json", {"status": "ok"})
        return
    detail = f"Here are sockets only. The HTTP API is at {settings.PUBLIC_URL}/api/v1/."
    body = problem("NOT_FOUND", 404, detail, instance=scope["path"])
    await _answer(send, 404, MEDIA_TYPE, body)


async def _answer(send: Send, status: int, kind: str, content: dict[str, Any]) -> None:
    body = encode(content).encode()
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

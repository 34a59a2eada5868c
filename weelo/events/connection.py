"""One WebSocket from its handshake to its end: who may in, frames within limits, how it closes.

A subclass says who is admitted (`admit`, a plain function of Django code, run in a thread) and what
is done with a frame (`take`). Whatever goes wrong ends with a code that the client can read.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections

from weelo.events import door
from weelo.events.door import Closed
from weelo.events.hub import Hub
from weelo.events.pace import Pace
from weelo.events.socket import Code, Socket
from weelo.lib.problems import Refusal, as_refusal
from weelo.lib.safe_json import read_object

log = structlog.get_logger(__name__)

HELLO_SECONDS = 5.0
FRAMES_PER_SECOND = 30
GONE_SECONDS = 10.0  # how long a closed socket's peer may take to leave

Payload = dict[str, Any]
P = ParamSpec("P")
R = TypeVar("R")

verbs = ThreadPoolExecutor(settings.LIVE_THREADS, thread_name_prefix="verbs")


class Connection:
    """An ASGI application per connection. `is_greeted` once the client has said hello."""

    # --- what a subclass says ---

    def admit(self) -> None:
        """Find out who knocks. Raises Closed."""
        raise NotImplementedError

    async def take(self, kind: Any, frame: Payload) -> None:
        """Do what a frame of this type asks for; `ping` is answered before. Raises Closed."""
        raise NotImplementedError

    # --- its life ---

    @classmethod
    def as_asgi(cls, hub: Callable[[], Hub]) -> Callable[..., Awaitable[None]]:
        """The ASGI application; `hub()` gives the process's hub."""

        async def application(scope: Payload, receive: Any, send: Any) -> None:
            await cls(hub(), scope, receive, send).run()

        return application

    def __init__(self, hub: Hub, scope: Payload, receive: Any, send: Any) -> None:
        self.hub = hub
        self.scope, self.socket = scope, Socket(send)
        self.is_greeted = False
        self._receive, self._send = receive, send
        self._pace = Pace(FRAMES_PER_SECOND)

    async def run(self) -> None:
        """Accept, serve until either side ends it, and clear up."""
        await self._receive()
        await self._send({"type": "websocket.accept", "subprotocol": door.subprotocol(self.scope)})
        try:
            await self._serve()
        except Closed as end:
            log.info("socket refused", code=end.code, path=self.scope["path"])
            self.socket.close(end.code)
            self.hub.leave(self.socket)
            await self._see_off()
        except OSError:
            pass  # the peer is gone
        finally:
            self.hub.leave(self.socket)
            self.socket.abandon()

    async def _serve(self) -> None:
        if self.hub.leaving:
            raise Closed(Code.RESTART)
        deadline = asyncio.get_running_loop().time() + HELLO_SECONDS
        await unless_away(self.admit)
        while True:
            self._pace.rest()
            frame = await self._next_frame(None if self.is_greeted else deadline)
            if frame is None:
                return
            self._pace.work()
            if not self._pace.allows():
                raise Closed(Code.TOO_FAST)
            await self._take(frame)

    async def _next_frame(self, deadline: float | None) -> Payload | None:
        """The next frame, or None when the peer has left. Raises Closed."""
        try:
            async with asyncio.timeout_at(deadline):
                message = await self._receive()
        except TimeoutError as fault:
            raise Closed(Code.SILENT) from fault
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        if not isinstance(text, str):
            raise Closed(Code.BAD_FRAME)
        if len(text) > settings.FRAME_LIMIT or len(text.encode()) > settings.FRAME_LIMIT:
            raise Closed(Code.TOO_BIG)
        try:
            return read_object(text, limit=settings.FRAME_LIMIT)
        except Refusal as fault:
            raise Closed(Code.BAD_FRAME) from fault

    async def _see_off(self) -> None:
        """Wait until the peer has left, so that it can read the code."""
        try:
            async with asyncio.timeout(GONE_SECONDS):
                await self.socket.finished()
                while (await self._receive())["type"] != "websocket.disconnect":
                    pass
        except TimeoutError:
            pass  # the protocol cuts the connection

    async def _take(self, frame: Payload) -> None:
        kind = frame.pop("type", None)
        if self.socket.code is not None:
            return  # closing
        if kind == "ping":
            self.socket.say('{"type":"pong"}')
        else:
            await self.take(kind, frame)


async def in_thread(
    pool: ThreadPoolExecutor, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run Django code in the pool, with this task's context and a connection of its own."""

    def run() -> R:
        try:
            return work(*args, **kwargs)
        finally:
            close_old_connections()

    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(pool, context.run, run)


async def unless_away(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run it in a thread; with the database away the socket closes 1013, to come back later."""
    try:
        return await in_thread(verbs, work, *args, **kwargs)
    except (DatabaseError, InterfaceError) as fault:
        if as_refusal(fault) is None:
            raise
        raise Closed(Code.OVERLOAD) from fault

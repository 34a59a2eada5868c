"""The sending side of one socket: ordered, without gaps, bounded, and in nobody's way."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID

import structlog

from weelo.events.models import Role

log = structlog.get_logger(__name__)

BACKLOG = 256 * 1024  # characters that may wait for one reader
LIVE_BACKLOG = 20  # frames; a reader that is behind hears no live frames
STALL_SECONDS = 8.0  # how long one frame may take to leave

Key = tuple[UUID, Role]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Code:
    """Why a socket is closed, as the client reads it."""

    NOT_UTF8 = 1007  # by the protocol, before a consumer sees the frame
    TOO_BIG = 1009
    RESTART = 1012
    OVERLOAD = 1013
    BAD_FRAME = 4400
    NOT_SIGNED_IN = 4401
    NOT_ALLOWED = 4403
    UNKNOWN_PATH = 4404
    SILENT = 4408
    REPLACED = 4409
    TOO_FAST = 4429


class Socket:
    """One connected device of one person in one role.

    Nobody who says something here ever waits: frames go into a queue, and a task that lives only
    while there is something to send empties it. All methods belong to the event loop's thread.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue: deque[str] = deque()
        self._waiting = 0  # characters
        self._most = BACKLOG
        self._task: asyncio.Task[None] | None = None
        self._held: list[tuple[int, str]] | None = []
        self.sent = 0
        self.code: int | None = None
        self.key: Key | None = None  # whose stream
        self.session_id: UUID | None = None

    # --- events, in order ---

    def hold(self) -> None:
        """Keep events back until `start`, while it is found out where the client stands."""
        self._held = []

    def start(self, welcome: str, seq: int, missed: Iterable[str]) -> None:
        """Say welcome, then everything after `seq`: what was missed, then what was held back."""
        self._enqueue(welcome)
        self.sent = seq
        for frame in missed:
            self.sent += 1
            self._enqueue(frame)
        self._most = self._waiting + BACKLOG
        held, self._held = self._held or [], None
        for number, frame in held:
            self.event(number, frame)

    def event(self, seq: int, frame: str) -> None:
        """Send one event: the next one; older ones were sent, and a gap ends the socket."""
        if self._held is not None:
            self._held.append((seq, frame))
        elif seq == self.sent + 1:
            self.sent = seq
            self.say(frame)
        elif seq > self.sent and self.code is None:
            log.error("gap in a stream", sent=self.sent, seq=seq, stream=self.key)
            self.close(Code.RESTART)

    # --- everything else ---

    def say(self, frame: str) -> None:
        """Queue a frame. A reader that is too far behind is closed with 1013."""
        if self.code is None and self._waiting and self._waiting + len(frame) > self._most:
            self._give_up("backlog full")
        self._enqueue(frame)

    def live(self, frame: str) -> None:
        """Queue a frame that may be lost: only for a reader that keeps up."""
        if len(self._queue) < LIVE_BACKLOG and self._held is None:
            self.say(frame)

    def close(self, code: int) -> None:
        """Close with `code` once the frames before it are out; the first code counts."""
        if self.code is None:
            self.code = code
            self._work()

    async def finished(self) -> None:
        """Wait until nothing is left to send."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def abandon(self) -> None:
        """The peer is gone: forget what waits for it."""
        self._queue.clear()
        self.code = self.code or Code.RESTART
        if self._task is not None:
            self._task.cancel()

    def _enqueue(self, frame: str) -> None:
        if self.code is None:
            self._queue.append(frame)
            self._waiting += len(frame)
            self._work()

    def _work(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._empty())

    async def _empty(self) -> None:
        try:
            while self._queue:
                await self._send_first()
            self._waiting, self._most = 0, BACKLOG
            if self.code is not None:
                await self._send({"type": "websocket.close", "code": self.code})
        except OSError:  # the peer is gone; the receiving side hears of it
            self._queue.clear()
        finally:
            self._task = None

    async def _send_first(self) -> None:
        frame = self._queue.popleft()
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._send({"type": "websocket.send", "text": frame})
        except TimeoutError:
            self._give_up("stalled")
        self._waiting -= len(frame)

    def _give_up(self, reason: str) -> None:
        """Drop what waits and close at once, past a frame that cannot leave."""
        self._queue.clear()
        if self.code is None:
            log.info("slow reader closed", reason=reason, stream=self.key)
            self.code = Code.OVERLOAD
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.add_done_callback(lambda _: self._work())
            self._task.cancel()

"""`/ws/ops/`: the dispatchers' board, a snapshot and then differences once a second.

Each live process reads the board for its own dispatchers, once a second for all of them and not at
all without any: no process has to lead, and nothing is lost with Redis. A frame that a slow reader
missed is healed by the next snapshot.
"""

import asyncio
import time
from typing import Any, ClassVar

import structlog
from django.db import DatabaseError, InterfaceError

from dispatch import board
from weelo.accounts.staff import may_enter
from weelo.events import door, tickets
from weelo.events.connection import Connection, Payload, in_thread, verbs
from weelo.events.door import Closed
from weelo.events.socket import Code, Socket
from weelo.lib import clock
from weelo.lib.wire import encode, rfc3339

log = structlog.get_logger(__name__)

EVERY_S = 1.0
SNAPSHOT_EVERY_S = 30.0
SUPPLY_EVERY_S = 5.0
RECHECK_EVERY_S = 15.0


class Feed:
    """One per process: reads the board while somebody watches. Belongs to the event loop."""

    def __init__(self) -> None:
        self._watching: dict[Socket, str] = {}
        self._greeted: set[Socket] = set()
        self._task: asyncio.Task[None] | None = None
        self._board: board.Board = {}
        self._supply: board.Supply
        self._due = {"supply": 0.0, "snapshot": 0.0, "recheck": 0.0}

    def join(self, socket: Socket, session_key: str) -> None:
        """Send the board to the socket from now on, beginning with a snapshot."""
        self._watching[socket] = session_key
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._look_round():
            began = time.monotonic()
            try:
                await self._tell()
            except (DatabaseError, InterfaceError) as fault:
                log.warning("board not read", reason=str(fault).split("\n")[0])
            await asyncio.sleep(max(0.0, began + EVERY_S - time.monotonic()))

    def _look_round(self) -> bool:
        """Forget who has left; whether anybody watches."""
        for socket in [one for one in self._watching if one.code is not None]:
            del self._watching[socket]
            self._greeted.discard(socket)
        return bool(self._watching)

    async def _tell(self) -> None:
        at, new = await in_thread(verbs, self._read)
        snapshot = encode({"type": "snapshot", "at": at, **board.listed(new)})
        changes = board.difference(self._board, new) if self._board else {}
        is_due = self._is_due("snapshot", SNAPSHOT_EVERY_S)
        frame = encode({"type": "difference", "at": at, **changes})
        for socket in list(self._watching):
            if socket not in self._greeted:
                self._greeted.add(socket)
                socket.start(snapshot, 0, ())
            elif is_due:
                socket.live(snapshot)
            elif changes:
                socket.live(frame)
        self._board = new
        if self._is_due("recheck", RECHECK_EVERY_S):
            await self._recheck()

    def _read(self) -> tuple[str, board.Board]:
        if self._is_due("supply", SUPPLY_EVERY_S):
            self._supply = board.Supply()
        shown = board.read(self._supply)
        return rfc3339(clock.now()), shown

    async def _recheck(self) -> None:
        for socket, session_key in list(self._watching.items()):
            if not await in_thread(verbs, may_enter, session_key):
                socket.close(Code.NOT_SIGNED_IN)

    def _is_due(self, what: str, every_s: float) -> bool:
        if time.monotonic() < self._due[what]:
            return False
        self._due[what] = time.monotonic() + every_s
        return True


class OpsConsumer(Connection):
    """A dispatcher's socket, opened with a ticket of the admin (`POST /admin/ops/ticket`)."""

    feed: ClassVar[Feed] = Feed()

    def admit(self) -> None:
        door.headers_of(self.scope)
        session_key = door.bearer_of(self.scope, tickets.STAFF)
        if session_key is None:
            raise Closed(Code.NOT_SIGNED_IN)
        if not may_enter(session_key):
            raise Closed(Code.NOT_ALLOWED)
        self._session_key = session_key

    async def take(self, kind: Any, frame: Payload) -> None:
        if kind != "hello" or self.is_greeted:
            raise Closed(Code.BAD_FRAME)
        self.is_greeted = True
        self.hub.guests.add(self.socket)
        self.feed.join(self.socket, self._session_key)

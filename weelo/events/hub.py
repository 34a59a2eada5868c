"""The hub of a socket process: finds new events for all local sockets at once, and fans them out.

A hint over Redis wakes it within a millisecond or two; a look every second finds what a lost hint
missed. Both cost one or two statements for the whole process, however many sockets there are.
"""

import asyncio
import json
import os
import random
import signal
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import structlog

from weelo.events import mailbox
from weelo.events.deliver import HINT_CHANNEL
from weelo.events.listener import Listener
from weelo.events.live import frame_of, topic_of
from weelo.events.models import Role
from weelo.events.socket import Code, Key, Socket
from weelo.events.store import AWAY, EVENTS_AT_ONCE, Store
from weelo.lib.wire import encode

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
ACK_SECONDS = 0.5
RECHECK_SECONDS = 15.0
AGAIN_SECONDS = 0.1  # between tries while PostgreSQL is away
SOCKETS_PER_STREAM = 5
RECHECK_CHANNEL = "hint:sessions"
RETURNS_PER_SECOND = 1000  # how many sockets may come back at once after a restart


@dataclass(slots=True)
class Mailbox:
    """A stream with sockets in this process, and how far it was read for them."""

    key: Key
    stream_id: int
    epoch: UUID
    sent: int
    sockets: list[Socket] = field(default_factory=list)  # the oldest first


class Hub:
    """One per socket process. All methods belong to the event loop's thread."""

    def __init__(self, on_ack: LiteralString = "") -> None:
        """`on_ack`: a statement to run before acks are kept, with the ids of sessions, the ids of
        streams, and how far each session says that it has read its stream."""
        self.leaving = False
        self._store = Store(on_ack)
        self._listener = Listener((HINT_CHANNEL, RECHECK_CHANNEL), self._hear, self._heard_again)
        self._boxes: dict[Key, Mailbox] = {}
        self._by_id: dict[int, Mailbox] = {}
        self._by_topic: dict[str, Mailbox] = {}
        self._hinted: set[int] = set()
        self._wake = asyncio.Event()
        self._recheck = asyncio.Event()
        self._acks: dict[tuple[UUID, int], int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        # Sockets without a stream, which only hear when to come back.
        self.guests: set[Socket] = set()

    # --- life ---

    async def start(self) -> None:
        """Begin to look and to listen. PostgreSQL and Redis may be away."""
        for work in (self._looking(), self._listener.run(), self._acking(), self._rechecking()):
            task = asyncio.create_task(work)
            task.add_done_callback(_end_process_on_fault)
            self._tasks.append(task)

    async def goodbye(self) -> None:
        """Tell every socket when to come back, and close it with 1012."""
        self.leaving = True
        everybody = [*self.sockets(), *self.guests]
        spread_s = max(1.0, len(everybody) / RETURNS_PER_SECOND)
        for socket in everybody:
            retry_in = round(random.uniform(0.1, spread_s), 2)  # noqa: S311  # nosec B311  # for spreading and play, not for secrets
            socket.say(encode({"type": "restart", "retry_in": retry_in}))
            socket.close(Code.RESTART)
        if everybody:
            await asyncio.wait({asyncio.create_task(s.finished()) for s in everybody}, timeout=1.0)
        log.info("sockets sent away", sockets=len(everybody))

    async def stop(self) -> None:
        """Keep the last acks and let go of both servers."""
        for task in self._tasks:
            task.remove_done_callback(_end_process_on_fault)
            task.cancel()
        await asyncio.wait(self._tasks)
        await _unless_away(self._keep_acks())
        await self._store.close()

    # --- sockets come and go ---

    def sockets(self) -> list[Socket]:
        """Every socket that has said hello here."""
        return [socket for box in self._boxes.values() for socket in box.sockets]

    async def join(self, socket: Socket, key: Key) -> None:
        """Give the socket its stream's events from now on; it must hold them until it started.

        Made in this order (join, then read, then start) nothing falls between the reading and the
        first event. Raises one of `store.AWAY` when PostgreSQL is away.
        """
        box = self._boxes.get(key)
        if box is None:
            stream_id, epoch, head = await self._store.stream(*key)
            box = self._boxes.get(key) or self._open_box(Mailbox(key, stream_id, epoch, head))
        socket.key = key
        if socket not in box.sockets:
            box.sockets.append(socket)
        if len(box.sockets) > SOCKETS_PER_STREAM:
            box.sockets[0].close(Code.REPLACED)
            self.leave(box.sockets[0])

    def leave(self, socket: Socket) -> None:
        """Forget the socket; harmless when it never joined."""
        self.guests.discard(socket)
        box = self._boxes.get(socket.key) if socket.key else None
        if box is None or socket not in box.sockets:
            return
        box.sockets.remove(socket)
        if not box.sockets:
            self._close_box(box)

    def ack(self, socket: Socket, seq: int) -> None:
        """Remember that the socket's device has read up to `seq`; what was not sent is ignored."""
        box = self._boxes.get(socket.key) if socket.key else None
        if box is None or socket.session_id is None or seq > socket.sent:
            return
        key = (socket.session_id, box.stream_id)
        self._acks[key] = max(seq, self._acks.get(key, 0))

    def _open_box(self, box: Mailbox) -> Mailbox:
        topic = topic_of(*box.key)
        self._boxes[box.key] = self._by_id[box.stream_id] = self._by_topic[topic] = box
        self._listener.subscribe(topic)
        return box

    def _close_box(self, box: Mailbox) -> None:
        topic = topic_of(*box.key)
        del self._boxes[box.key], self._by_id[box.stream_id], self._by_topic[topic]
        self._listener.unsubscribe(topic)

    # --- events ---

    def _hear(self, channel: str, content: bytes) -> None:
        try:
            self._take(channel, content)
        except (ValueError, KeyError) as fault:
            log.warning("hint not understood", channel=channel, reason=str(fault))

    def _take(self, channel: str, content: bytes) -> None:
        if channel == HINT_CHANNEL:
            self._hint(content)
        elif channel == RECHECK_CHANNEL:
            self._recheck.set()
        elif box := self._by_topic.get(channel):
            frame = frame_of(content)
            for socket in box.sockets:
                socket.live(frame)

    def _hint(self, content: bytes) -> None:
        for name in json.loads(content):
            user_id, _, role = name.partition(":")
            if box := self._boxes.get((UUID(user_id), Role(role))):
                self._hinted.add(box.stream_id)
                self._wake.set()

    def _heard_again(self) -> None:
        """The subscription was away: look at everything now instead of within the second."""
        self._hinted.update(self._by_id)
        self._wake.set()

    async def _looking(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock() + LOOK_SECONDS
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            except TimeoutError:
                done = await _unless_away(self.look())
            else:
                self._wake.clear()
                hinted, self._hinted = self._hinted, set()
                done = await _unless_away(self._fetch(hinted))
            if clock() >= due or not done:
                due = clock() + (LOOK_SECONDS if done else AGAIN_SECONDS)

    async def look(self) -> None:
        """Compare all local streams with what was sent, in one statement; fetch what is new."""
        boxes = list(self._by_id.values())
        if not boxes:
            return
        ids, sent = [box.stream_id for box in boxes], [box.sent for box in boxes]
        changed = await self._store.changed(ids, sent, [box.epoch for box in boxes])
        for stream_id, epoch in changed:
            box = self._by_id.get(stream_id)
            if box is not None and box.epoch != epoch:
                self._renew(box, "epoch changed")
        await self._fetch([stream_id for stream_id, _ in changed])

    async def _fetch(self, ids: Iterable[int]) -> None:
        boxes = [self._by_id[stream_id] for stream_id in ids if stream_id in self._by_id]
        while boxes:
            known = [box.stream_id for box in boxes], [box.sent for box in boxes]
            rows = await self._store.events(*known)
            for stream_id, *event in rows:
                self._fan_out(stream_id, event)
            if len(rows) < EVENTS_AT_ONCE:
                return

    def _fan_out(self, stream_id: int, event: list[Any]) -> None:
        box = self._by_id.get(stream_id)
        if box is None or event[0] <= box.sent:
            return
        if event[0] != box.sent + 1:
            self._renew(box, "events are missing")
            return
        box.sent = event[0]
        frame = mailbox.event_frame(event)
        for socket in box.sockets:
            socket.event(box.sent, frame)

    def _renew(self, box: Mailbox, reason: str) -> None:
        """The stream is not the one that the sockets know: they must say hello again."""
        log.warning("stream renewed", reason=reason, user_id=str(box.key[0]), role=box.key[1])
        for socket in list(box.sockets):
            socket.close(Code.RESTART)
            self.leave(socket)

    # --- acks and sessions ---

    async def _acking(self) -> None:
        while True:
            await asyncio.sleep(ACK_SECONDS)
            await _unless_away(self._keep_acks())

    async def _keep_acks(self) -> None:
        acks, self._acks = self._acks, {}
        if not acks:
            return
        try:
            await self._store.keep_acks(acks)
        except psycopg.IntegrityError:
            log.info("acks of a deleted session dropped", acks=len(acks))
        except AWAY:
            self._acks = {**acks, **self._acks}
            raise

    async def _rechecking(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RECHECK_SECONDS):
                    await self._recheck.wait()
            except TimeoutError:
                pass
            self._recheck.clear()
            await _unless_away(self.recheck())

    async def recheck(self) -> None:
        """Close the sockets of sessions that are over and of people who were blocked."""
        sockets = self.sockets()
        found = await self._store.sessions({s.session_id for s in sockets if s.session_id})
        for socket in sockets:
            gone = (True, False)
            is_active, is_live = found.get(socket.session_id, gone) if socket.session_id else gone
            if not (is_active and is_live):
                socket.close(Code.NOT_SIGNED_IN if is_active else Code.NOT_ALLOWED)
                self.leave(socket)


async def _unless_away(work: Awaitable[None]) -> bool:
    """Whether the work was done; a server that is away is a delay and no fault."""
    try:
        await work
    except AWAY as fault:
        log.warning("database away", reason=str(fault).split("\n")[0])
        return False
    return True


def _end_process_on_fault(task: asyncio.Task[None]) -> None:
    """A hub without one of its tasks would hold sockets that hear nothing: better to restart."""
    if not task.cancelled():
        log.error("the hub failed; this process ends", exc_info=task.exception())
        os.kill(os.getpid(), signal.SIGTERM)

"""The base of every socket: who may in, hello, what follows, and how it ends.

A subclass says what is its own::

    class CaptainConsumer(BaseConsumer):
        role = Role.CAPTAIN
        commands = {"accept": accept, ...}      # name -> function(session, payload) -> data
        takes_positions = True

        def allowed(self, user): ...            # may this person have this socket?
        def snapshot(self, user): ...           # what the person sees now
        def on_position(self, session, payload): ...

All of these are plain functions of Django code, run in threads: they may query, and raise a
`Refusal`. Everything else (events, acks, resume, limits, closing codes) is done here. Live frames
come from `weelo.events.live.send_live`.
"""

import asyncio
import contextvars
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, ParamSpec, TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections

from weelo.accounts.authentication import general_limit
from weelo.accounts.models import Session, User
from weelo.events import door, mailbox
from weelo.events.door import Closed
from weelo.events.hub import Hub
from weelo.events.models import Role
from weelo.events.pace import Pace
from weelo.events.socket import Code, Socket
from weelo.events.store import AWAY
from weelo.lib import limits
from weelo.lib.problems import Refusal, as_refusal, problem
from weelo.lib.safe_json import read_object
from weelo.lib.wire import encode

log = structlog.get_logger(__name__)

HELLO_SECONDS = 5.0
FRAMES_PER_SECOND = 30
GONE_SECONDS = 10.0  # how long a closed socket's peer may take to leave

Payload = dict[str, Any]
Command = Callable[[Session, Payload], Any]
P = ParamSpec("P")
R = TypeVar("R")

# Positions must not stand behind a command that waits for a lock.
_verbs = ThreadPoolExecutor(settings.LIVE_THREADS, thread_name_prefix="verbs")
_positions = ThreadPoolExecutor(2, thread_name_prefix="positions")


class BaseConsumer:
    """One socket from its handshake to its end; an ASGI application per connection."""

    role: ClassVar[Role]
    commands: ClassVar[Mapping[str, Command]] = {}
    takes_positions: ClassVar[bool] = False

    # --- what a subclass says ---

    def allowed(self, user: User) -> bool:
        """Whether this person may have this socket; else it closes 4403."""
        return True

    def snapshot(self, user: User) -> Payload:
        """What the person sees now. Runs in a repeatable-read, read-only transaction."""
        raise NotImplementedError

    def on_position(self, session: Session, payload: Payload) -> Any:
        """Take a `position` frame (without its type). What it returns answers a frame with `ref`;
        a Refusal for one without is only logged."""
        raise NotImplementedError

    # --- life of a socket ---

    @classmethod
    def as_asgi(cls, hub: Callable[[], Hub]) -> Callable[..., Awaitable[None]]:
        """The ASGI application; `hub()` gives the process's hub."""

        async def application(scope: Payload, receive: Any, send: Any) -> None:
            await cls(hub(), scope, receive, send).run()

        return application

    def __init__(self, hub: Hub, scope: Payload, receive: Any, send: Any) -> None:
        self.hub = hub
        self.session: Session
        self._scope, self._receive, self._send = scope, receive, send
        self._socket = Socket(send)
        self._pace = Pace(FRAMES_PER_SECOND)
        self._is_greeted = False

    async def run(self) -> None:
        """Accept, serve until either side ends it, and clear up."""
        await self._receive()
        await self._send({"type": "websocket.accept", "subprotocol": door.subprotocol(self._scope)})
        try:
            await self._serve()
        except Closed as end:
            log.info("socket refused", code=end.code, path=self._scope["path"])
            self._socket.close(end.code)
            self.hub.leave(self._socket)
            await self._see_off()
        except OSError:
            pass  # the peer is gone
        finally:
            self.hub.leave(self._socket)
            self._socket.abandon()

    async def _serve(self) -> None:
        if self.hub.leaving:
            raise Closed(Code.RESTART)
        deadline = asyncio.get_running_loop().time() + HELLO_SECONDS
        self.session = await _unless_away(self._admit)
        while True:
            self._pace.rest()
            frame = await self._next_frame(None if self._is_greeted else deadline)
            if frame is None:
                return
            self._pace.work()
            if not self._pace.allows():
                raise Closed(Code.TOO_FAST)
            await self._take(frame)

    def _admit(self) -> Session:
        session = door.admit(self._scope)
        if not self.allowed(session.user):
            raise Closed(Code.NOT_ALLOWED)
        return session

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
                await self._socket.finished()
                while (await self._receive())["type"] != "websocket.disconnect":
                    pass
        except TimeoutError:
            pass  # the protocol cuts the connection

    # --- frames ---

    async def _take(self, frame: Payload) -> None:
        kind = frame.pop("type", None)
        if self._socket.code is not None:
            return  # closing
        if kind == "hello":
            await self._hello(frame)
        elif kind == "ping":
            self._socket.say('{"type":"pong"}')
        elif not self._is_greeted or not isinstance(kind, str):
            raise Closed(Code.BAD_FRAME)
        elif kind == "ack":
            self.hub.ack(self._socket, _whole(frame.get("seq")))
        elif kind == "position" and self.takes_positions:
            await self._position(frame)
        elif kind in self.commands:
            await self._command(kind, frame)
        else:
            raise Closed(Code.BAD_FRAME)

    async def _hello(self, frame: Payload) -> None:
        """Say where the stream stands; also again, when the client has found a gap."""
        epoch, after = _epoch(frame.get("epoch")), frame.get("after")
        after = None if after is None else _whole(after)
        socket, user = self._socket, self.session.user
        socket.session_id = self.session.pk
        socket.hold()
        try:
            await self.hub.join(socket, (user.pk, self.role))
        except AWAY as fault:
            raise Closed(Code.OVERLOAD) from fault
        opening = await _unless_away(self._open, epoch, after)
        if not self._is_greeted:
            log.debug("socket opened", role=self.role, user_id=str(user.pk))
        self._is_greeted = True
        socket.start(opening.welcome, opening.seq, opening.missed)

    def _open(self, epoch: UUID | None, after: int | None) -> mailbox.Opening:
        if not self._is_within_limit():
            raise Closed(Code.TOO_FAST)
        user, role = self.session.user, self.role
        return mailbox.opening(user, role, epoch=epoch, after=after, snapshot=self.snapshot)

    def _is_within_limit(self) -> bool:
        return limits.take(general_limit(self.session.user), self.session.user_id.hex).passed

    async def _command(self, name: str, frame: Payload) -> None:
        ref = _ref(frame)
        answer = await self._answer(_verbs, name, self._run_command, name, frame)
        self._reply(ref, answer)

    def _run_command(self, name: str, frame: Payload) -> Any:
        limit = general_limit(self.session.user)
        taken = limits.take(limit, self.session.user_id.hex)
        if not taken.passed:
            raise limits.refusal(limit.name, taken.reset_s)
        return self.commands[name](self.session, frame)

    async def _position(self, frame: Payload) -> None:
        wants_reply = "ref" in frame
        ref = _ref(frame)
        answer = await self._answer(_positions, "position", self.on_position, self.session, frame)
        if wants_reply:
            self._reply(ref, answer)

    def _reply(self, ref: str | int | None, answer: Payload) -> None:
        self._socket.say(encode({"type": "reply", "ref": ref, **answer}))

    async def _answer(
        self, pool: ThreadPoolExecutor, name: str, work: Callable[..., Any], *args: Any
    ) -> Payload:
        """`status` with `data` or `problem`, as HTTP would answer, whatever happens in `work`."""
        marks = {"request_id": uuid.uuid4().hex, "user_id": str(self.session.user_id)}
        with structlog.contextvars.bound_contextvars(**marks):
            # Gathered, since whatever goes wrong in a command is answered and ends no socket.
            running = _in_thread(pool, work, *args)
            outcome: Any = (await asyncio.gather(running, return_exceptions=True))[0]
            if not isinstance(outcome, BaseException):
                return {"status": 200, "data": outcome}
            shown = _problem(name, outcome)
            return {"status": shown["status"], "problem": shown}


def _problem(name: str, fault: BaseException) -> Payload:
    refusal = as_refusal(fault) if isinstance(fault, Exception) else None
    if refusal is not None:
        log.info("refused", command=name, code=refusal.code, detail=refusal.detail)
        return refusal.problem(name)
    log.error("command failed", command=name, exc_info=fault)
    detail = "This is our fault, and it is logged. Quote the request id when you write to us."
    return problem("OUR_FAULT", 500, detail, instance=name)


async def _in_thread(
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


async def _unless_away(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run it in a thread; with the database away the socket closes 1013, to come back later."""
    try:
        return await _in_thread(_verbs, work, *args, **kwargs)
    except (DatabaseError, InterfaceError) as fault:
        if as_refusal(fault) is None:
            raise
        raise Closed(Code.OVERLOAD) from fault


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Closed(Code.BAD_FRAME)
    return value


def _epoch(value: Any) -> UUID | None:
    """None also for an epoch that was never ours: the client then gets a snapshot."""
    if value is not None and not isinstance(value, str):
        raise Closed(Code.BAD_FRAME)
    try:
        return UUID(value) if value else None
    except ValueError:
        return None


def _ref(frame: Payload) -> str | int | None:
    """The client's own mark for the reply, at most 64 characters; taken out of the frame."""
    ref = frame.pop("ref", None)
    if isinstance(ref, bool) or not isinstance(ref, str | int | None) or len(str(ref)) > 64:
        raise Closed(Code.BAD_FRAME)
    return ref

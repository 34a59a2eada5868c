"""The base of phones' sockets: hello, a stream's events, acks, commands.

A subclass says what is its own::

    class CaptainConsumer(BaseConsumer):
        role = Role.CAPTAIN
        commands = {"accept": accept, ...}      # name -> function(session, payload) -> data
        takes_positions = True

        def allowed(self, user): ...            # may this person have this socket?
        def snapshot(self, user): ...           # what the person sees now
        def on_position(self, session, payload): ...

All of these are plain functions of Django code, run in threads: they may query, and raise a
`Refusal`. Everything else (events, acks, resume, limits) is done here and in `Connection`. Live
frames come from `weelo.events.live.send_live`.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar
from uuid import UUID

import structlog

from weelo.accounts.authentication import general_limit
from weelo.accounts.models import Session, User
from weelo.events import door, mailbox
from weelo.events.connection import Connection, Payload, in_thread, unless_away, verbs
from weelo.events.door import Closed
from weelo.events.models import Role
from weelo.events.socket import Code
from weelo.events.store import AWAY
from weelo.lib import limits
from weelo.lib.problems import as_refusal, problem
from weelo.lib.wire import encode

log = structlog.get_logger(__name__)

Command = Callable[[Session, Payload], Any]

# Positions must not stand behind a command that waits for a lock.
_positions = ThreadPoolExecutor(2, thread_name_prefix="positions")


class BaseConsumer(Connection):
    """A phone's socket: the stream of one person in one role."""

    session: Session

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

    def admit(self) -> None:
        self.session = door.admit(self.scope)
        if not self.allowed(self.session.user):
            raise Closed(Code.NOT_ALLOWED)

    # --- frames ---

    async def take(self, kind: Any, frame: Payload) -> None:
        if kind == "hello":
            await self._hello(frame)
        elif not self.is_greeted or not isinstance(kind, str):
            raise Closed(Code.BAD_FRAME)
        elif kind == "ack":
            self.hub.ack(self.socket, _whole(frame.get("seq")))
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
        socket, user = self.socket, self.session.user
        socket.session_id = self.session.pk
        socket.hold()
        try:
            await self.hub.join(socket, (user.pk, self.role))
        except AWAY as fault:
            raise Closed(Code.OVERLOAD) from fault
        opening = await unless_away(self._open, epoch, after)
        if not self.is_greeted:
            log.debug("socket opened", role=self.role, user_id=str(user.pk))
        self.is_greeted = True
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
        answer = await self._answer(verbs, name, self._run_command, name, frame)
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
        self.socket.say(encode({"type": "reply", "ref": ref, **answer}))

    async def _answer(
        self, pool: ThreadPoolExecutor, name: str, work: Callable[..., Any], *args: Any
    ) -> Payload:
        """`status` with `data` or `problem`, as HTTP would answer, whatever happens in `work`."""
        marks = {"request_id": uuid.uuid4().hex, "user_id": str(self.session.user_id)}
        with structlog.contextvars.bound_contextvars(**marks):
            # Gathered, since whatever goes wrong in a command is answered and ends no socket.
            running = in_thread(pool, work, *args)
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

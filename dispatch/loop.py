"""The dispatch loop: expires, sends waves, SMS and pushes. Two or more copies may run.

It looks every 250 ms, and at once when a hint comes; nothing hangs on the hint. Three threads:
what waits for others or takes its time delays no wave, neither FCM nor the chores (SMS,
reconciliation, refilling the index, flags, waking), and neither of these two the other.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import DatabaseError, Error, InterfaceError, connection
from redis import RedisError
from redis.client import PubSub

from dispatch import waves
from dispatch.heartbeat import beat
from dispatch.policy import Policies
from dispatch.reconcile import reconcile
from orders.verbs.expire import expire_due
from orders.verbs.flag import flag_due
from transporters import presence
from transporters.waking import wake_silent
from weelo.accounts import sms
from weelo.events import push, push_backends
from weelo.lib.away import database_is_away
from weelo.lib.redis import RedisAway, guarded

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.25
BEAT_EVERY_S = 2.0
REFILL_EVERY_S = 5.0
FLAGS_EVERY_S = 5.0
WAKE_EVERY_S = 5.0
ONCE_S = float("inf")
FAILED_AGAIN_S = 5.0
# Of overdue orders at a time, so that a stop comes through within a second.
EXPIRE_BATCH = 500
HINTS = "hint:loop"
# A subscription that hangs on a dead connection is noticed no other way.
SUBSCRIBED_FOR_S = 60.0
AWAY_MOST_S = 1.0


@dataclass
class Duty:
    """Something to do at most every `every_s`; `do` returns how much there was to do."""

    name: str
    do: Callable[[], int]
    every_s: float = 0.0
    due_at: float = 0.0

    def is_due(self) -> bool:
        return time.monotonic() >= self.due_at

    def run(self) -> int:
        """Do it, and only then be satisfied: one that failed stays due."""
        done = self.do()
        self.put_off(self.every_s)
        return done

    def put_off(self, seconds: float) -> None:
        self.due_at = time.monotonic() + seconds


class Hints:
    """Waits for the next look: until a hint comes, or 250 ms. Without Redis it just waits."""

    def __init__(self) -> None:
        self._subscription: PubSub | None = None
        self._subscribed_at = 0.0

    def wait(self, stop: threading.Event) -> None:
        """Sleep until there may be something to do."""
        if time.monotonic() - self._subscribed_at > SUBSCRIBED_FOR_S:
            self.close()
        try:
            if self._subscription is None:
                self._subscription = _subscribe()
                self._subscribed_at = time.monotonic()
            _listen(self._subscription)
        except (RedisAway, RedisError, OSError):
            self.close()
            stop.wait(LOOK_EVERY_S)

    def close(self) -> None:
        """Give the connection back; the next wait subscribes again."""
        if self._subscription is not None:
            try:
                self._subscription.close()
            except (RedisError, OSError):
                log.debug("subscription lost")
            self._subscription = None


def _subscribe() -> PubSub:
    """Subscribe and wait for the answer: one that is frozen must not be taken for a quiet one.

    Raises RedisAway.
    """
    with guarded() as redis:
        subscription: PubSub = redis.pubsub()  # type: ignore[no-untyped-call]
        subscription.subscribe(HINTS)
        if subscription.get_message(timeout=settings.REDIS_TIMEOUT) is None:
            subscription.close()
            raise TimeoutError("no answer to subscribe")
    return subscription


def _listen(subscription: PubSub) -> None:
    """The first message ends the wait; those that came with it tell the same."""
    heard = subscription.get_message(timeout=LOOK_EVERY_S)
    while heard is not None:
        heard = subscription.get_message(timeout=0)


class Worker:
    """One thread's duties, done over and over until `stop` is set."""

    def __init__(self, duties: Sequence[Duty], stop: threading.Event) -> None:
        self._duties, self._stop = duties, stop
        self._hints = Hints()
        self._away_s = 0.0

    def run(self) -> None:
        """Until `stop`: a round of all duties, then wait, unless there was something to do."""
        try:
            while not self._stop.is_set():
                try:
                    done = self.round()
                except (DatabaseError, InterfaceError) as fault:
                    self._wait_for_database(fault)
                    continue
                if not done:
                    self._hints.wait(self._stop)
        finally:
            self._hints.close()
            connection.close()

    def round(self) -> int:
        """Do what is due, in order; returns how much there was.

        A duty that the database refuses is put off and stops no other; when the database is
        away, that is raised.
        """
        done = 0
        for duty in self._duties:
            if duty.is_due() and not self._stop.is_set():
                done += self._do(duty)
        if self._away_s:
            log.info("database is back")
            self._away_s = 0.0
        return done

    def _do(self, duty: Duty) -> int:
        try:
            return duty.run()
        except DatabaseError as fault:
            if database_is_away(fault):
                raise
            log.exception("duty failed", duty=duty.name)
            duty.put_off(FAILED_AGAIN_S)
            return 0

    def _wait_for_database(self, fault: Error) -> None:
        """Told once; tried again soon, then less often, at least every second."""
        if not self._away_s:
            reason = str(fault).strip().split("\n")[0]
            log.warning("dispatch waits for the database", reason=reason)
        connection.close()
        self._away_s = min(AWAY_MOST_S, self._away_s * 2 or LOOK_EVERY_S)
        self._stop.wait(self._away_s)


class Beside(threading.Thread):
    """A thread beside the first. Whatever ends it ends the others too."""

    def __init__(self, name: str, worker: Worker, stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._worker, self._stop_all = worker, stop
        self.ended_well = False

    def run(self) -> None:
        try:
            self._worker.run()
            self.ended_well = True
        finally:
            self._stop_all.set()


def dispatch_duties(stop: threading.Event) -> list[Duty]:
    """What one copy of the loop does for orders."""
    policies = Policies()
    return [
        Duty("beat", lambda: _quietly(beat, "loop"), BEAT_EVERY_S),
        Duty("expire", lambda: expire_due(EXPIRE_BATCH)),
        Duty("waves", lambda: waves.send_due(policies, is_stopping=stop.is_set)),
    ]


def chores() -> list[Duty]:
    """What may take longer; reconciliation once, at the start."""
    return [
        Duty("reconcile", lambda: _quietly(reconcile, "start"), ONCE_S),
        Duty("sms", sms.send_due),
        Duty("refill", _refill, REFILL_EVERY_S),
        Duty("flags", flag_due, FLAGS_EVERY_S),
        Duty("wake", wake_silent, WAKE_EVERY_S),
    ]


def pushes() -> list[Duty]:
    """What waits for FCM."""
    return [Duty("fcm", push_backends.get_ready, ONCE_S), Duty("pushes", push.send_due)]


def run(stop: threading.Event) -> bool:
    """Run all threads until `stop` is set; False when one of them ended by a fault."""
    beside = [
        Beside(name, Worker(duties, stop), stop)
        for name, duties in (("chores", chores()), ("pushes", pushes()))
    ]
    for thread in beside:
        thread.start()
    log.info("dispatch started")
    try:
        Worker(dispatch_duties(stop), stop).run()
    finally:
        stop.set()
        for thread in beside:
            thread.join(timeout=1.0)
    log.info("dispatch stopped")
    return all(thread.ended_well or thread.is_alive() for thread in beside)


def _quietly(do: Callable[[str], object], name: str) -> int:
    do(name)
    return 0


def _refill() -> int:
    try:
        return presence.refill()
    except RedisAway:
        return 0

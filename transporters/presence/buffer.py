"""This process's newest points on their way to PostgreSQL, ≤ 15 s old when they arrive."""

import atexit
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from transporters.presence import index, twin
from transporters.presence.seen import Fix, Member
from transporters.presence.track import Verdict
from weelo.lib.redis import RedisAway

log = structlog.get_logger(__name__)
EVERY_S = 5.0
# Rows kept while PostgreSQL is away; beyond that the oldest history goes.
MOST_HISTORY = 100_000

_newest: dict[tuple[Member, str], Fix] = {}
_history: list[tuple[Member, Fix]] = []
_lock = threading.Lock()
_started: set[int] = set()  # process ids: a fork has its parent's memory, but not its threads


def keep(member: Member, vehicle_types: Iterable[str], verdict: Verdict) -> None:
    """Hold a verdict's newest point, for each type that the member stands in, and its history."""
    with _lock:
        if verdict.newest is not None:
            for slug in vehicle_types:
                _newest[member, slug] = verdict.newest
        _history.extend((member, fix) for fix in verdict.history)
        del _history[:-MOST_HISTORY]


def drop(transporter_id: UUID) -> None:
    """Let go of the newest points of a transporter that went off."""
    with _lock:
        for key in [key for key in _newest if key[0].transporter_id == transporter_id]:
            del _newest[key]


def write_back() -> int:
    """Write what is held to PostgreSQL and return how many current points that were.

    Raises DatabaseError. When PostgreSQL is away everything is kept for the next time; what it
    refuses is let go, since it would refuse it for ever, and the newer points behind it.
    """
    with _lock:
        newest, history = dict(_newest), list(_history)
        _newest.clear()
        _history.clear()
    try:
        twin.write(newest, history)
    except (OperationalError, InterfaceError):
        with _lock:
            _newest.update({**newest, **_newest})
            _history[:0] = history
        raise
    return len(newest)


def refill() -> int:
    """After a flush, load the index from PostgreSQL; the number of members loaded.

    Costs one EXISTS when there is nothing to do. Call it often. Raises RedisAway.
    """
    if index.is_filled():
        return 0
    loaded = 0
    for places in twin.places():
        index.refill(places)
        loaded += sum(map(len, places.values()))
    index.mark_filled()
    log.info("presence index filled", members=loaded)
    return loaded


def start_write_back() -> None:
    """Have a thread of this process call `write_back` and `refill` every 5 s, once per process.

    Only where phones report: in the http and live processes. A fork starts its own.
    """
    if os.getpid() in _started or settings.WEELO_PROCESS not in ("http", "live"):
        return
    with _lock:
        if os.getpid() in _started:
            return
        _started.add(os.getpid())
    threading.Thread(target=_run, name="write-back", daemon=True).start()
    atexit.register(_once)


def _run() -> None:
    pause = threading.Event()
    while not pause.wait(EVERY_S):
        _once()


def _once() -> None:
    try:
        write_back()
        with suppress(RedisAway):  # looked at again soon; nearest() asks PostgreSQL meanwhile
            refill()
    except (OperationalError, InterfaceError) as fault:
        log.warning("positions wait for postgres", error=str(fault).split("\n")[0])
    except DatabaseError:
        log.exception("positions refused by postgres")
    finally:
        connection.close()

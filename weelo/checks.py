"""What every service asks PostgreSQL before it starts: does it keep what it is given, and has it
room for the connections of all processes?

Asked by `prepare`, gunicorn, the dispatch loop, and Celery's worker and beat.
"""

import time
from collections.abc import Iterator

import structlog
from django.conf import settings
from django.db import Error, connection

log = structlog.get_logger(__name__)

PATIENCE_S = 10.0  # for a database that is not there yet
LOOK_EVERY_S = 0.5
# Off, a crash of the machine loses or spoils what was committed.
KEEPERS = ("fsync", "full_page_writes", "synchronous_commit")
# Of one process, beside its threads: positions are written back in a thread of their own; a live
# process has two threads for positions, and the hub's three lines.
BESIDE_HTTP, BESIDE_LIVE = 1, 6
LOOP_THREADS = 3
FOR_PEOPLE = 5  # prepare, commands, psql

_LIMITS = """
SELECT current_setting('max_connections')::int
       - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int,
       (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database())
"""


def stand_or_exit(*, in_demo: bool = False) -> None:
    """In production, end the process with every reason why it must not start with this PostgreSQL.

    `in_demo`: the demo is asked too, for the room alone. The connection that is used is closed, so
    that nobody inherits it by a fork.
    """
    if not (settings.PRODUCTION or (in_demo and settings.WEELO_ENV == "demo")):
        return
    try:
        _wait_for_database()
        faults = [*_room(), *(_forgetful() if settings.PRODUCTION else [])]
    except Error as away:
        raise SystemExit(
            f"PostgreSQL does not answer; nothing was started. It was asked for {PATIENCE_S:.0f} s:"
            f"\n  {_first_line(away)}\nDATABASE_URL says where it is."
        ) from None
    finally:
        connection.close()
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise SystemExit(f"PostgreSQL is not fit for this; nothing was started.\n{lines}")


def held() -> dict[str, int]:
    """The most connections that the processes of each service hold together."""
    copies = settings.COPIES
    http = settings.HTTP_WORKERS * (settings.HTTP_THREADS + BESIDE_HTTP)
    live = settings.LIVE_WORKERS * (settings.LIVE_THREADS + BESIDE_LIVE)
    return {
        "http": copies["http"] * http,
        "live": copies["live"] * live,
        "loop": copies["loop"] * LOOP_THREADS,
        "worker": copies["worker"] * settings.CELERY_WORKER_CONCURRENCY,
        "people": FOR_PEOPLE,
    }


def _wait_for_database() -> None:
    """Raises django.db.Error when it is still away at the end."""
    deadline = time.monotonic() + PATIENCE_S
    is_told = False
    while True:
        try:
            connection.ensure_connection()
        except Error as away:
            if time.monotonic() > deadline:
                raise
            if not is_told:
                log.warning("start waits for the database", reason=_first_line(away))
                is_told = True
            time.sleep(LOOK_EVERY_S)
        else:
            return


def _first_line(fault: Exception) -> str:
    return str(fault).strip().split("\n")[0]


def _forgetful() -> Iterator[str]:
    with connection.cursor() as cursor:
        for name in KEEPERS:
            cursor.execute("SELECT current_setting(%s)", [name])
            if cursor.fetchone()[0] == "off":
                yield (
                    f"{name} is off: a crash would lose what was acknowledged; set {name}=on in "
                    "postgresql.conf, or for the role or database that has it so"
                )


def _room() -> Iterator[str]:
    """Nothing behind PgBouncer, which holds the server's connections itself."""
    if settings.DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"]:
        return
    with connection.cursor() as cursor:
        cursor.execute(_LIMITS)
        there = min(limit for limit in cursor.fetchone() if limit is not None and limit >= 0)
    wanted = held()
    if sum(wanted.values()) > there:
        parts = " + ".join(f"{name} {number}" for name, number in wanted.items())
        yield (
            f"its processes hold up to {sum(wanted.values())} connections ({parts}), and it gives "
            f"this user {there}: raise max_connections (or the limit of the role or database), or "
            "lower HTTP_WORKERS × HTTP_THREADS, LIVE_WORKERS × LIVE_THREADS, WORKER_THREADS or "
            "the …_COPIES of a service; with PGBOUNCER=true it is PgBouncer that must have the room"
        )

"""Races with real threads on real connections, which prove that they met."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import connection, connections, transaction


def race(*runners):
    """Runs the functions at the same instant, each on a connection of its own.

    Returns for each what it returned, or the exception it raised.
    """
    gate = threading.Barrier(len(runners))

    def run(runner):
        try:
            connection.ensure_connection()
            gate.wait(10)
            return runner()
        except Exception as fault:
            return fault
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(runners)) as pool:
        return list(pool.map(run, runners))


def race_for(row, *runners, waiting=None, then=lambda: None):
    """Like `race`, but the row is held locked until every runner was seen waiting for a lock.

    `waiting`: that so many wait will do, when others are turned away before they come to wait.
    `then` is called just before the row is let go.
    """
    waiting = waiting or len(runners)
    with ThreadPoolExecutor(1) as pool:
        with holding(row):
            racing = pool.submit(race, *runners)
            seen = wait_for_waiters(waiting)
            then()
        results = racing.result(20)
    assert seen >= waiting, f"{seen} of {waiting} were seen waiting: {results}"
    return results


def line_up_for(row, *runners):
    """Like `race_for`, but one behind the other: each was seen waiting before the next began."""
    with ThreadPoolExecutor(len(runners)) as pool:
        with holding(row):
            line = []
            for place, runner in enumerate(runners, 1):
                line.append(pool.submit(race, runner))
                seen = wait_for_waiters(place)
                assert seen == place, f"only {seen} of {place} were seen waiting for a lock"
        return [runner.result(20)[0] for runner in line]


@contextmanager
def holding(row, *, with_key=False):
    """Keep the row locked; `with_key` also stops those who insert what refers to it."""
    with transaction.atomic(durable=True):
        type(row).objects.select_for_update(no_key=not with_key).get(pk=row.pk)
        yield


def end_waiting():
    """End every connection that waits for a lock, as if its process had died."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )


def wait_for_waiters(wanted, seconds=0.8, first_within=8.0):
    """How many connections were seen waiting for a lock at once, at most `wanted`.

    Who waits gives up after a second (lock_timeout), so this looks for less than that from the
    first one on; the first may take longer to come, on a busy machine.
    """
    deadline, most = time.monotonic() + first_within, 0
    while most < wanted and time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees it once
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            (now,) = cursor.fetchone()
        if now and not most:
            deadline = time.monotonic() + seconds
        most = max(most, now)
        time.sleep(0.005)
    return most

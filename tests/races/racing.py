"""Races with real threads on real connections, which prove that they met."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

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


def race_for(row, *runners):
    """Like `race`, but the row is held locked until every runner was seen waiting for a lock."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(durable=True):
            type(row).objects.select_for_update(no_key=True).get(id=row.id)
            racing = pool.submit(race, *runners)
            seen = wait_for_waiters(len(runners))
        results = racing.result(20)
    assert seen == len(runners), f"only {seen} of {len(runners)} were seen waiting for a lock"
    return results


def wait_for_waiters(wanted, seconds=0.8):
    """How many connections were seen waiting for a lock at once, at most `wanted`.

    The runners give up after a second (lock_timeout), so this looks for less.
    """
    deadline, most = time.monotonic() + seconds, 0
    while most < wanted and time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees it once
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            most = max(most, cursor.fetchone()[0])
        time.sleep(0.005)
    return most

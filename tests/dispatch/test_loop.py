"""The loop: what it does in a round, how it wakes, and what it survives."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import DatabaseError, OperationalError, connections
from django_redis import get_redis_connection

from dispatch import loop
from dispatch.loop import Duty, Hints, Worker
from dispatch.models import Heartbeat, Reconciliation
from orders.models import Wave
from orders.states import OrderStatus
from tests.dispatch.drive import shift, stand, told
from tests.people import CHITRA, make_captain, make_city, make_customer, make_order
from weelo.lib import redis as redis_lib
from weelo.lib.clock import database_now
from weelo.lib.redis import RedisAway

pytestmark = pytest.mark.usefixtures("presence_empty")


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def own_channel(monkeypatch):
    """Channels know no database number: other workers' hints must not be heard."""
    monkeypatch.setattr("dispatch.loop.HINTS", f"hint:loop:{uuid4()}")


@pytest.mark.django_db
def test_one_round_expires_sends_waves_and_leaves_a_sign_of_life(stop):
    make_city()
    balu = stand(make_captain(), 1000)
    overdue = make_order(make_customer())
    shift(overdue, 61)
    new = make_order(make_customer("+919000000008", "Anil"))
    Worker(loop.dispatch_duties(stop), stop).round()
    overdue.refresh_from_db()
    assert overdue.status == OrderStatus.EXPIRED
    assert told(new) == [balu.owner.name]
    beat = Heartbeat.objects.get(name="loop")
    assert database_now() - beat.at < timedelta(seconds=2)


@pytest.mark.django_db
def test_reconciliation_runs_once_at_the_start(stop):
    worker = Worker(loop.chores(), stop)
    worker.round()
    worker.round()
    assert [run.trigger for run in Reconciliation.objects.all()] == ["start"]


@pytest.mark.django_db
def test_the_sign_of_life_is_written_at_most_every_two_seconds(stop, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("dispatch.loop.time.monotonic", lambda: clock[0])
    written = []
    monkeypatch.setattr("dispatch.loop.beat", written.append)
    worker = Worker(loop.dispatch_duties(stop), stop)
    for _ in range(9):
        worker.round()
        clock[0] += 0.5
    assert len(written) == 3


def test_a_hint_ends_the_wait_and_without_one_it_lasts_a_quarter_second(stop, own_channel):
    hints = Hints()
    hints.wait(stop)
    assert wait_of(hints, stop) == pytest.approx(0.25, abs=0.2)
    speaker = threading.Timer(
        0.05, lambda: get_redis_connection("default").publish(loop.HINTS, "orders")
    )
    speaker.start()
    assert wait_of(hints, stop) < 0.2
    speaker.join()
    hints.close()


def test_hints_that_came_together_are_one(stop, own_channel):
    hints = Hints()
    hints.wait(stop)
    for _ in range(5):
        get_redis_connection("default").publish(loop.HINTS, "orders")
    assert wait_of(hints, stop) < 0.2
    assert wait_of(hints, stop) > 0.15
    hints.close()


def test_without_redis_the_loop_looks_every_quarter_second(stop, monkeypatch):
    def away():
        raise RedisAway("gone")

    monkeypatch.setattr("dispatch.loop.guarded", away)
    assert wait_of(Hints(), stop) == pytest.approx(0.25, abs=0.2)


def test_a_frozen_redis_is_not_taken_for_a_quiet_one(stop, monkeypatch):
    monkeypatch.setattr("dispatch.loop.PubSub.get_message", lambda self, timeout: None)
    hints = Hints()
    for _ in range(3):
        hints.wait(stop)
    try:
        assert redis_lib.breaker.is_open
    finally:
        redis_lib.breaker.succeeded()


def wait_of(hints, stop):
    started = time.monotonic()
    hints.wait(stop)
    return time.monotonic() - started


def test_a_duty_that_the_database_refuses_stops_no_other_and_is_put_off(stop, caplog):
    tries, done = [], []

    def refused():
        tries.append(1)
        raise DatabaseError("planted") from RefusedBySql()

    worker = Worker([Duty("bad", refused), Duty("good", lambda: done.append(1) or 0)], stop)
    worker.round()
    worker.round()
    assert (len(tries), len(done)) == (1, 2)
    assert "duty failed" in caplog.text


class RefusedBySql(Exception):
    sqlstate = "57014"


@pytest.mark.django_db
def test_a_database_that_is_away_is_told_once_and_waited_for(stop, caplog):
    caplog.set_level("INFO")
    rounds = []

    def away_three_times():
        rounds.append(time.monotonic())
        if len(rounds) <= 3:
            raise OperationalError("connection refused")
        stop.set()
        return 0

    Worker([Duty("look", away_three_times)], stop).run()
    assert len(rounds) == 4
    assert rounds[-1] - rounds[0] < 3
    assert caplog.text.count("dispatch waits for the database") == 1
    assert caplog.text.count("database is back") == 1


def test_a_fault_of_ours_in_one_thread_ends_the_other_and_the_process(stop, monkeypatch):
    def bug():
        raise RuntimeError("planted")

    monkeypatch.setattr("dispatch.loop.chores", lambda: [Duty("bug", bug)])
    monkeypatch.setattr("dispatch.loop.dispatch_duties", lambda stop: [])
    monkeypatch.setattr("threading.excepthook", lambda args: None)
    assert loop.run(stop) is False
    assert stop.is_set()


@pytest.mark.django_db(transaction=True)
def test_two_loops_send_each_wave_once(presence_empty, stop):
    make_city()
    stand(make_captain(), 1000)
    stand(make_captain(CHITRA, "Chitra"), 2000)
    orders = [make_order(make_customer(f"+91900000010{i}", "Asha")) for i in range(3)]
    rounds = threading.Barrier(2)

    def run():
        worker = Worker(loop.dispatch_duties(stop), stop)
        for _ in range(5):
            rounds.wait()
            worker.round()
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Wave.objects.count() == 3
    assert [len(told(order)) for order in orders] == [2, 2, 2]


@pytest.mark.django_db(transaction=True)
def test_the_command_sends_a_wave_and_ends_well_at_sigterm(presence_empty):
    make_city()
    stand(make_captain(), 1000)
    order = make_order(make_customer())
    name = connections["default"].settings_dict["NAME"]
    from_parts = os.environ["DATABASE_URL"].split("?")
    head, _, _ = from_parts[0].rpartition("/")
    address = "?".join([f"{head}/{name}", *from_parts[1:]])
    process = subprocess.Popen(
        [sys.executable, "manage.py", "dispatch"],
        env={**os.environ, "DATABASE_URL": address, "WEELO_PROCESS": "loop"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until and not told(order):
            time.sleep(0.05)
        assert told(order) == ["Balu"]
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, log
    assert "wave sent" in log
    assert "reconciliation done" in log
    assert "dispatch stopped" in log

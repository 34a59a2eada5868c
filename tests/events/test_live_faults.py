"""Sockets while Valkey or PostgreSQL dies, and when the service itself has to go."""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from django.db import connection

from tests.events.conftest import message, tell
from tests.events.live import Live
from tests.valkey import Valkey
from weelo.lib.redis import breaker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def own_valkey(tmp_path_factory):
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.end()


@pytest.fixture(scope="module")
def running(own_valkey, django_db_setup, django_db_blocker, tmp_path_factory):
    with django_db_blocker.unblock():
        live = Live(tmp_path_factory.mktemp("live"), REDIS_URL=own_valkey.url)
    yield live
    live.stop()
    assert live.errors() == []


@pytest.fixture
def valkey(own_valkey, settings):
    """Where hints of the test itself go too; well again after each test."""
    caches = settings.CACHES
    settings.CACHES = {"default": {**caches["default"], "LOCATION": own_valkey.url}}
    yield own_valkey
    own_valkey.be_well()
    breaker.succeeded()


@pytest.fixture
def service(running, valkey, transactional_db):
    return running


@pytest.fixture
def asha(person):
    return person()


@pytest.fixture
def asha_phone(service, session_of, asha):
    phone = service.phone(session_of(asha))
    yield phone
    phone.close()


def seconds_until(phone, user, seq, **data):
    tell(message(user, seq, **data))
    committed = time.monotonic()
    phone.until(seq)
    return time.monotonic() - committed


def test_an_event_arrives_within_1200_ms_while_valkey_is_dead_and_at_once_after(
    asha_phone, asha, valkey
):
    assert seconds_until(asha_phone, asha, 1) < 0.15
    valkey.signal(signal.SIGKILL)
    waits = [seconds_until(asha_phone, asha, n) for n in range(2, 6)]
    assert max(waits) < 1.2, waits
    assert max(waits) > 0.15, "the hints were never missed"
    valkey.start()
    breaker.succeeded()  # the test's own, which publishes
    time.sleep(1)
    assert seconds_until(asha_phone, asha, 6) < 0.15


def test_a_frozen_valkey_only_delays(asha_phone, asha, valkey):
    valkey.signal(signal.SIGSTOP)
    waits = [seconds_until(asha_phone, asha, n) for n in range(1, 5)]
    assert max(waits) < 1.2, waits
    valkey.signal(signal.SIGCONT)
    breaker.succeeded()
    time.sleep(1)
    assert seconds_until(asha_phone, asha, 5) < 0.15


def test_a_flushed_valkey_changes_nothing(asha_phone, asha, valkey):
    with valkey.client() as client:
        client.flushall()
    assert seconds_until(asha_phone, asha, 1) < 0.15


def test_a_socket_opens_while_valkey_is_dead(service, session_of, asha, valkey):
    valkey.signal(signal.SIGKILL)
    phone = service.phone(session_of(asha))
    assert seconds_until(phone, asha, 1) < 1.2
    phone.close()


def test_a_frozen_valkey_holds_up_no_hello(service, session_of, asha, valkey):
    valkey.signal(signal.SIGSTOP)
    started = time.monotonic()
    phone = service.phone(session_of(asha))
    assert time.monotonic() - started < 1.0
    phone.close()


def test_sigterm_says_when_to_come_back_and_closes_1012(
    tmp_path, transactional_db, session_of, asha
):
    live = Live(tmp_path)
    phones = [live.phone(session_of(asha)) for _ in range(3)]
    started = time.monotonic()
    live.process.send_signal(signal.SIGTERM)
    for phone in phones:
        assert phone.code() == 1012
        assert phone.others[-1]["type"] == "restart"
        assert 0 < phone.others[-1]["retry_in"] < 5
        phone.close()
    assert time.monotonic() - started < 2
    assert live.process.wait(timeout=8) == 0
    live.stop()
    assert live.errors() == []


def test_a_killed_worker_loses_no_event(service, session_of, asha, asha_phone):
    tell(message(asha, 1))
    asha_phone.until(1)
    (worker,) = service.workers()
    os.kill(worker, signal.SIGKILL)
    assert asha_phone.code() is None
    tell(message(asha, 2))
    service.wait()
    again = service.phone(session_of(asha), epoch=asha_phone.epoch, after=1)
    again.until(2)
    again.close()


def test_cut_database_connections_drop_no_socket_and_lose_no_event(
    service, session_of, asha_phone, asha
):
    stop, cuts = threading.Event(), []

    def cut():
        while not stop.wait(0.3):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'weelo-live%%' AND datname = current_database()"
                )
                cuts.append(cursor.fetchone()[0])
        connection.close()

    cutter = threading.Thread(target=cut)
    cutter.start()
    waits = []
    try:
        for n in range(1, 20):
            waits.append(seconds_until(asha_phone, asha, n))
            time.sleep(0.1)
    finally:
        stop.set()
        cutter.join()
    assert sum(cuts) > 3
    assert max(waits) < 1.2, waits
    for _ in range(9):  # every thread finds its connection broken once
        assert asha_phone.ask("echo")["status"] == 200
        service.phone(session_of(asha)).close()


def test_a_database_that_is_away_for_a_while_drops_no_socket(
    valkey, tmp_path, transactional_db, session_of, asha
):
    line = Line(tmp_path)
    live = Live(tmp_path, REDIS_URL=valkey.url, database_host=str(tmp_path))
    phone = live.phone(session_of(asha))
    assert seconds_until(phone, asha, 1) < 0.15
    line.cut()
    tell(message(asha, 2))
    time.sleep(5)
    assert live.phone(session_of(asha), hello=False).code() == 1013
    line.mend()
    mended = time.monotonic()
    phone.until(2)
    assert time.monotonic() - mended < 3
    assert phone.ask("echo")["status"] == 200
    phone.close()
    live.stop()
    line.cut()
    assert live.errors() == []


def test_a_reader_that_stalls_is_closed_1013_and_holds_up_nobody(
    service, session_of, asha, asha_phone
):
    stalled = service.phone(session_of(asha))
    waits = []
    while "slow reader closed" not in service.log.read_text():
        waits.append(seconds_until(asha_phone, asha, len(waits) + 1, text="x" * 8000))
        assert len(waits) < 500
    assert max(waits) < 0.5
    assert stalled.code() == 1013
    assert len(stalled.others) < len(waits)
    stalled.close()


def test_a_reader_that_never_reads_again_is_cut(service, session_of, asha):
    stalled = service.phone(session_of(asha))
    (worker,) = service.workers()
    before = sockets_of(worker, service.port)
    for n in range(1, 401):
        tell(message(asha, n, text="x" * 8000))
    deadline = time.monotonic() + 10
    while sockets_of(worker, service.port) == before:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    stalled.close()


def sockets_of(process_id, port):
    """How many connections to `port` a process holds, besides the listening socket."""
    inodes = set()
    for handle in Path(f"/proc/{process_id}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if (found := re.match(r"socket:\[(\d+)\]", os.readlink(handle))) is not None:
                inodes.add(found[1])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        row[9] in inodes and row[1].endswith(f":{port:04X}") and row[3] != "0A" for row in rows
    )


class Line:
    """A cable to PostgreSQL that can be cut: a Unix socket in `folder` forwards to the server."""

    def __init__(self, folder):
        self.path = folder / ".s.PGSQL.5432"
        self.server = f"{connection.settings_dict['HOST']}/.s.PGSQL.5432"
        self.mend()

    def mend(self):
        self.ends = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def cut(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.path.unlink()
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.server)
            self.ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.forward, args=(one, other), daemon=True).start()

    @staticmethod
    def forward(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

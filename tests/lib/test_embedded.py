"""The embedded PostgreSQL and Valkey: joined, shared, healed, and gone with their last user."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from weelo.lib import embedded
from weelo.lib.embedded import plan

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 20
USER = (
    "import sys, time; from pathlib import Path; from weelo.lib import embedded;"
    "servers = embedded.start(Path(sys.argv[1]), durable=False);"
    "print('in', flush=True); sys.stdin.read(); servers.leave()"
)


@pytest.fixture
def data(tmp_path):
    yield tmp_path / "a folder" / ".data"
    eventually(lambda: not processes_of(tmp_path))


@contextmanager
def user(data):
    """Another process that holds the servers of `data` until it is told to go, or killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(data)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"in\n"
        yield process
    finally:
        process.stdin.close()
        process.wait(PATIENCE_S)
        process.stdout.close()


def eventually(is_true):
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes_of(folder):
    """Pids of live processes that work in the folder, or are told of it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            home = os.readlink(entry / "cwd")
        except OSError:
            continue
        mine = os.fsencode(folder) in words and b"embedded.keeper" in words
        if int(entry.name) != os.getpid() and (mine or home.startswith(str(folder))):
            found.append(int(entry.name))
    return found


def count(servers):
    with psycopg.connect(servers.addresses.database_url) as connection:
        connection.execute("create table if not exists note (id int)")
        connection.execute("insert into note values (1)")
        return connection.execute("select count(*) from note").fetchone()[0]


def postmaster(data):
    return int((data / "postgres" / "postmaster.pid").read_text().split()[0])


def test_the_first_one_in_starts_both_servers_and_the_data_stays(data):
    with embedded.start(data, durable=False) as servers:
        assert count(servers) == 1
        client = redis.Redis.from_url(servers.addresses.redis_url)
        assert client.set("a", 1)
        client.close()
        assert embedded.running(data) == servers.addresses
    assert embedded.running(data) is None
    with embedded.start(data, durable=False) as servers:
        assert count(servers) == 2


def test_a_second_user_joins_and_the_last_one_out_stops_the_servers(data):
    with user(data):
        servers = embedded.start(data, durable=False)
        pid = postmaster(data)
    assert postmaster(data) == pid
    assert count(servers) == 1
    servers.leave()
    assert not processes_of(data)


def test_many_who_start_at_once_share_one_pair_of_servers(data):
    embedded.start(data, durable=False).leave()
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", USER, str(data)], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(6)
    ]  # fmt: skip
    assert [one.stdout.readline() for one in crowd] == [b"in\n"] * 6
    keepers = [
        pid
        for pid in processes_of(data)
        if b"embedded.keeper" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(keepers) == 1
    for one in crowd:
        one.communicate(timeout=PATIENCE_S)
    assert embedded.running(data) is None


def test_a_user_that_is_killed_leaves_no_process_behind(data):
    with user(data) as process:
        assert processes_of(data)
        process.kill()
        eventually(lambda: not processes_of(data))


def test_killed_servers_are_started_again(data):
    with embedded.start(data, durable=False) as servers:
        count(servers)
        os.kill(postmaster(data), signal.SIGKILL)

        def answers():
            try:
                return count(servers) >= 1
            except psycopg.OperationalError:
                return False

        eventually(answers)


def test_a_killed_keeper_takes_the_servers_along_and_a_revival_keeps_the_addresses(data):
    with embedded.start(data, durable=False) as servers:
        os.kill(embedded._state(data)["keeper"], signal.SIGKILL)
        eventually(lambda: not processes_of(data))
        assert embedded.running(data) is None
        assert servers.revive() == servers.addresses
        assert count(servers) == 1


def test_everything_killed_at_once_is_healed_by_the_next_start(data):
    with user(data) as process:
        for pid in [embedded._state(data)["keeper"], process.pid, *processes_of(data)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    eventually(lambda: not processes_of(data))
    assert (data / "postgres" / "postmaster.pid").exists()
    with embedded.start(data, durable=False) as servers:
        assert count(servers) == 1


def test_a_pid_file_that_names_a_stranger_does_not_stand_in_the_way(data):
    embedded.start(data, durable=False).leave()
    cluster = data / "postgres"
    launcher = plan.launcher(plan.service_user(cluster), [])
    stranger = subprocess.Popen([*launcher, "sleep", str(PATIENCE_S)])
    try:
        lines = [str(stranger.pid), str(cluster), "1", "5432", "/tmp", "", "0 0", "ready"]
        (cluster / "postmaster.pid").write_text("\n".join(lines) + "\n")
        with embedded.start(data, durable=False) as servers:
            assert count(servers) == 1
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_two_data_folders_live_side_by_side(data):
    other = data.with_name("other")
    with embedded.start(data, durable=False) as one, embedded.start(other, durable=False) as two:
        assert one.addresses != two.addresses
        assert count(one) == 1
        assert count(two) == 1


def test_a_server_that_cannot_start_says_which_and_shows_its_log(data):
    (data / "postgres").mkdir(parents=True)
    with pytest.raises(embedded.ServersFailed, match=r"PostgreSQL.*(?s:.*)postgres\.log"):
        embedded.start(data, durable=False)


def test_the_demo_syncs_its_data_to_the_disk(data):
    names = ("fsync", "full_page_writes", "synchronous_commit")
    with (
        embedded.start(data, durable=True) as servers,
        psycopg.connect(servers.addresses.database_url) as connection,
    ):
        shown = [connection.execute(f"show {name}").fetchone()[0] for name in names]
    assert shown == ["on", "on", "on"]


def test_the_secret_is_made_once_and_only_its_owner_reads_it(data):
    first = embedded.secret(data)
    assert len(first) >= 50
    assert embedded.secret(data) == first
    assert (data / "secret").stat().st_mode & 0o777 == 0o600


def test_the_word_of_a_killed_keeper_does_not_count_for_its_successor(data):
    with embedded.start(data, durable=False) as servers:
        told = embedded._state(data)
        assert embedded.running(data) == servers.addresses
    gone = subprocess.Popen(["true"])
    gone.wait()
    (data / "servers" / "state.json").write_text(json.dumps({**told, "keeper": gone.pid}))
    with (data / "servers" / "keeper.lock").open("w") as successor:
        fcntl.flock(successor, fcntl.LOCK_EX)
        assert embedded.running(data) is None


def test_finding_out_that_nothing_runs_leaves_no_trace(data):
    assert embedded.running(data) is None
    assert not data.exists()

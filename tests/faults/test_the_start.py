"""`make run`'s command with real processes: what it starts, heals, says, and leaves behind."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import production
from tests.ports import two_free_ports
from weelo.lib import embedded

ROOT = Path(__file__).resolve().parents[2]
READY_S = 90
STOPPED_S = 20
# The test run's own servers and settings are not the demo's.
OF_THE_RUN = ("DATABASE_URL", "REDIS_URL", "WEELO_ENV", "WEELO_TEST_DATA", "DJANGO_SETTINGS_MODULE")


class Start:
    """One `manage.py up` and everything it printed."""

    def __init__(self, data, port, stdout=subprocess.PIPE, **settings):
        self.data, self.port = data, port
        kept = {name: value for name, value in os.environ.items() if name not in OF_THE_RUN}
        own = {"DATA": str(data), "PORT": str(port), "SIMULATE": "0", "PYTHONUNBUFFERED": "1"}
        self.environment = kept | own | settings
        self.output = ""
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT if stdout == subprocess.PIPE else stdout,
            start_new_session=True,
        )
        if self.process.stdout:
            self.reader = threading.Thread(target=self.read)
            self.reader.start()

    def read(self):
        with self.process.stdout as lines:
            for line in lines:
                self.output += line.decode()

    def wait_ready(self):
        eventually(lambda: "stop " in self.output or self.process.poll() is not None, READY_S)
        assert self.process.poll() is None, self.output
        return self

    def ends(self):
        """The exit code, once all output is read."""
        code = self.process.wait(READY_S)
        self.reader.join(STOPPED_S)
        return code

    def get(self, path, offset=0):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port + offset}{path}") as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError:
            return 0

    def family(self):
        """Every process of this start, the servers and their keeper included."""
        tops = (self.process.pid, self.keeper())
        return {*tops, *descendants(tops[0]), *descendants(tops[1])}

    def keeper(self):
        return json.loads((self.data / "servers" / "state.json").read_text())["keeper"]

    def clean_up(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(STOPPED_S)


def eventually(is_true, within_s=STOPPED_S):
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stat(pid):
    """Parent and state of a process, or nothing when it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, "gone"
    return int(words[1]), words[0]


def descendants(pid):
    parents = {int(p.name): stat(p.name)[0] for p in Path("/proc").glob("[0-9]*")}
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found |= new
    return found


def are_gone(pids):
    return all(stat(pid)[1] in ("gone", "Z") for pid in pids)


def program(start, kind, word):
    """The direct child of the start of that kind with the word in its command, or None."""
    for pid in descendants(start.process.pid):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            environment = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        is_that = word in command and f"WEELO_PROCESS={kind}" in environment
        if is_that and stat(pid)[0] == start.process.pid:
            return pid
    return None


@contextmanager
def started(data, **options):
    start = Start(data, two_free_ports(), **options)
    try:
        yield start
    finally:
        start.clean_up()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("a folder") / ".data"


@pytest.fixture(scope="module")
def running(data):
    with started(data) as start:
        yield start.wait_ready()


def test_one_command_starts_everything_and_says_where_it_is(running):
    assert running.get("/readyz") == 200
    assert running.get("/livez", offset=1) == 200
    steps = [line.split()[1] for line in running.output.splitlines() if line.startswith("✓")]
    assert steps == ["servers", "migrate", "catalogue", "demo", "services"]
    assert running.output.index("✓ services") < running.output.index(" | ")
    for said in (
        f"http://127.0.0.1:{running.port}/api/docs/",
        "+919000000001",
        "devi",
        "sms.jsonl",
    ):
        assert said in running.output


def test_the_lines_of_every_program_follow_the_box_behind_its_name(running):
    after = running.output.split("└", 1)[1]
    eventually(lambda: all(f"\n{name:<8} | " in after for name in ("http", "live", "loop")))


def test_a_command_in_the_same_folder_finds_the_running_servers(running):
    look = (
        "from django.db import connection; c = connection.cursor();"
        "c.execute('select count(*) from django_migrations'); print(c.fetchone()[0] > 0)"
    )
    asked = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", look],
        cwd=ROOT,
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=READY_S,
    )
    assert asked.stdout.splitlines()[-1:] == ["True"], asked.stderr


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("http", "gunicorn"),
        ("live", "gunicorn"),
        ("loop", "dispatch"),
        ("worker", "worker"),
        ("worker", "beat"),
    ],
)
def test_a_killed_program_is_started_again(running, kind, word):
    killed = program(running, kind, word)
    family = {killed, *descendants(killed)}
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: are_gone(family))
    eventually(lambda: program(running, kind, word))
    eventually(lambda: running.get("/readyz") == 200)
    eventually(lambda: running.get("/livez", offset=1) == 200)


def test_the_services_come_back_after_the_keeper_of_the_servers_was_killed(running):
    killed = running.keeper()
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: embedded.running(running.data) and running.keeper() != killed)
    eventually(lambda: running.get("/readyz") == 200)


def test_a_second_clone_runs_beside_the_first_on_another_port(running, tmp_path):
    with started(tmp_path / "other data") as other:
        other.wait_ready()
        assert other.get("/readyz") == running.get("/readyz") == 200


def test_a_port_in_use_is_named_with_the_way_out(running, tmp_path):
    start = Start(tmp_path / ".data", running.port)
    assert start.ends() == 1
    assert f"Port {running.port} is in use" in start.output
    assert "PORT=" in start.output
    assert not (tmp_path / ".data" / "postgres").exists()


def test_ctrl_c_stops_everything_and_the_data_stays(running):
    family = running.family()
    running.process.send_signal(signal.SIGINT)
    assert running.ends() == 130
    eventually(lambda: are_gone(family))
    assert (running.data / "postgres" / "PG_VERSION").exists()


def test_a_killed_supervisor_leaves_no_process_behind_and_the_next_start_works(data):
    with started(data) as start:
        family = start.wait_ready().family()
        start.process.kill()
        eventually(lambda: are_gone(family))
    with started(data) as again:
        again.wait_ready()
        assert "up to date" in again.output


def test_a_closed_terminal_stops_everything(data):
    terminal, inside = pty.openpty()
    start = Start(data, two_free_ports(), stdout=inside)
    os.close(inside)
    try:
        while b"stop " not in os.read(terminal, 65536):
            pass
        family = start.family()
        os.close(terminal)
        assert start.process.wait(STOPPED_S) == 0
        assert are_gone(family)
    finally:
        start.clean_up()


def test_a_signal_during_the_start_ends_it(tmp_path):
    start = Start(tmp_path / ".data", two_free_ports())
    eventually(lambda: "✓ servers" in start.output, READY_S)
    family = start.family()
    start.process.terminate()
    assert start.ends() == 0
    eventually(lambda: are_gone(family))


def test_a_step_that_fails_shows_the_end_of_its_log_and_what_to_do(tmp_path):
    nowhere = {
        "DATABASE_URL": "postgresql://weelo@127.0.0.1:1/weelo",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    start = Start(tmp_path / ".data", two_free_ports(), **nowhere)
    assert start.ends() == 1
    assert "The database could not be prepared (exit code 1). The end of its log:" in start.output
    assert "port 1 failed" in start.output
    assert "run the same command again" in start.output
    assert embedded.running(tmp_path / ".data") is None


def test_production_is_refused(tmp_path):
    start = Start(tmp_path / ".data", two_free_ports(), **production.SETTINGS)
    assert start.ends() == 1
    assert "in production every service runs by itself" in start.output

"""The supervisor: starts again what dies, stops in order, and leaves nobody behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from weelo.lib.supervisor import CRASH_LOOP, Program, Supervisor

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 15
# Says its pid and that of a helper it started; neither ends when asked to.
STUBBORN = (
    "import os, signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "helper = subprocess.Popen(['sleep', '60']);"
    "print(os.getpid(), helper.pid, flush=True); time.sleep(60)"
)
SUPERVISED = (
    "import sys, time; from weelo.lib.supervisor import Program, Supervisor;"
    "supervisor = Supervisor(lambda name, line: print(line, flush=True));"
    "supervisor.start(Program('one', [sys.executable, '-c', sys.argv[1]]));"
    "time.sleep(60)"
)


@pytest.fixture
def lines():
    return []


@pytest.fixture
def supervisor(lines):
    one = Supervisor(lambda name, line: lines.append((name, line)))
    yield one
    one.close()


def program(name, code):
    return Program(name, [sys.executable, "-u", "-c", code])


def eventually(is_true):
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(pid):
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True


def test_every_line_comes_with_the_name_of_its_program(supervisor, lines):
    supervisor.start(program("one", "print('a'); print('b')"))
    eventually(lambda: lines == [("one", "a"), ("one", "b")])


def test_a_program_that_runs_once_is_not_started_again(supervisor):
    child = supervisor.start(
        Program("one", [sys.executable, "-c", "raise SystemExit(3)"], once=True)
    )
    eventually(lambda: child.exit_code() == 3)
    assert supervisor.look() == []
    assert child.exit_code() == 3


def test_a_killed_program_is_started_again_with_its_helpers_gone(supervisor, lines):
    child = supervisor.start(program("one", STUBBORN))
    eventually(lambda: lines)
    first, helper = map(int, lines[0][1].split())
    os.kill(first, signal.SIGKILL)
    eventually(lambda: supervisor.look() == [] and child.pid not in (0, first))
    assert is_gone(helper)
    assert ("one", "ended with SIGKILL; starting it again") in lines


def test_a_program_that_keeps_dying_is_reported_once_with_the_end_of_its_log(supervisor):
    supervisor.start(program("one", "import sys; print('no luck'); sys.exit(3)"))
    failing = []
    eventually(lambda: failing.extend(supervisor.look()) or failing)
    assert [child.failures for child in failing] == [CRASH_LOOP]
    assert failing[0].last_exit_code == 3
    eventually(lambda: failing[0].tail[-1] == "no luck")
    assert supervisor.look() == []


def test_a_program_that_does_not_end_when_asked_is_killed_with_its_helpers(supervisor, lines):
    supervisor.start(program("one", STUBBORN))
    eventually(lambda: lines)
    supervisor.stop(["one"], patience_seconds=0.2)
    for pid in map(int, lines[0][1].split()):
        eventually(lambda pid=pid: is_gone(pid))


def test_a_killed_supervisor_leaves_no_process_behind():
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISED, STUBBORN], cwd=ROOT, stdout=subprocess.PIPE
    )
    with process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert not any(map(is_gone, pids))
        process.kill()
    for pid in pids:
        eventually(lambda pid=pid: is_gone(pid))

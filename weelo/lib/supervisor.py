"""Keeps programs running: starts again what dies, tells their output apart, stops them in order.

Each program gets a session of its own, so that Ctrl-C reaches the supervisor alone and a whole
program with its workers can be ended. `weelo.lib.orphans` ends them if the supervisor is killed.
"""

import contextlib
import os
import signal
import subprocess  # nosec B404  # only our own programs are started
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from weelo.lib import orphans

TAIL_LINES = 25
SETTLED_SECONDS = 20  # a program that lived so long has not failed at its start
CRASH_LOOP = 4  # deaths in a row
LONGEST_PAUSE_SECONDS = 10.0

Show = Callable[[str, str], None]


@dataclass(frozen=True)
class Program:
    """What to run: a name for its lines, the command, and what its environment has besides.

    A program that runs `once` is not started again when it ends.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    once: bool = False


class Child:
    """One program and its present process; `show(name, line)` gets every line it writes."""

    def __init__(self, program: Program, show: Show) -> None:
        self.program = program
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.failures = 0  # deaths in a row, without having settled in between
        self.last_exit_code: int | None = None
        self.start_at = 0.0
        self._show = show
        self._started = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int:
        """Of the present process, which leads the group of the same number; 0 when none runs."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # nosec B603  # our own program, no shell, no caller's words
            self.program.command,
            env=os.environ | self.program.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def exit_code(self) -> int | None:
        """None while it runs (and before its first start)."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self.last_exit_code = code
            return code
        return None

    def count_death(self) -> None:
        """Notes the death and when to start again: at once the first time, later and later after
        that. What the program left in its group ends here."""
        self.signal(signal.SIGKILL)
        lived = time.monotonic() - self._started
        self.failures = 1 if lived > SETTLED_SECONDS else self.failures + 1
        pause = min(0.1 * 4 ** (self.failures - 1), LONGEST_PAUSE_SECONDS)
        self.start_at = time.monotonic() + pause
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """To the program and everything it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def finish(self) -> None:
        """Takes the exit code of a program that ended, and what it has still written."""
        if self._process is not None:
            self.last_exit_code = self._process.wait()
        if self._reader is not None:
            self._reader.join(1)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                text = line.decode(errors="replace").rstrip()
                self.tail.append(text)
                self._show(self.name, text)


class Supervisor:
    """Runs programs until told to stop. Call `look()` several times a second."""

    def __init__(self, show: Show) -> None:
        self.children: dict[str, Child] = {}
        self._show = show
        self._orphans = subprocess.Popen(  # nosec B603  # our own program, no shell, no caller's words
            [sys.executable, "-I", "-S", str(Path(orphans.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def start(self, program: Program) -> Child:
        child = self.children[program.name] = Child(program, self._show)
        self._begin(child)
        return child

    def look(self) -> list[Child]:
        """Starts again what died and is due; returns those that keep dying, once per loop."""
        failing = []
        for child in self.children.values():
            if child.program.once:
                continue
            if (code := child.exit_code()) is not None:
                self._note(f"-{child.pid}")
                child.count_death()
                self._show(child.name, f"ended with {exit_words(code)}; starting it again")
                if child.failures == CRASH_LOOP:
                    failing.append(child)
            elif not child.pid and time.monotonic() > child.start_at:
                self._begin(child)
        return failing

    def stop(
        self,
        names: Iterable[str],
        patience_seconds: float,
        hurry: Callable[[], bool] = lambda: False,
    ) -> None:
        """Asks the named programs to end, all at once, and kills those that take too long."""
        ending = [self.children.pop(name) for name in names if name in self.children]
        for child in ending:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + patience_seconds
        while any(self._runs(child) for child in ending) and time.monotonic() < deadline:
            if hurry():
                break
            time.sleep(0.02)
        for child in ending:
            child.signal(signal.SIGKILL)
            child.finish()
            self._note(f"-{child.pid}")

    def close(self) -> None:
        """Stops what is left at once."""
        self.stop(list(self.children), patience_seconds=0)
        if self._orphans.stdin is not None:
            self._orphans.stdin.close()
        self._orphans.wait()

    @staticmethod
    def _runs(child: Child) -> bool:
        return child.pid != 0 and child.exit_code() is None

    def _begin(self, child: Child) -> None:
        child.start()
        self._note(f"+{child.pid}")

    def _note(self, line: str) -> None:
        assert self._orphans.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # somebody killed it; the rest still works
            self._orphans.stdin.write(f"{line}\n".encode())
            self._orphans.stdin.flush()


def exit_words(code: int) -> str:
    """An exit code in words: `SIGKILL` or `exit code 1`."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"

"""`manage.py up`, which `make run` calls: the whole of Weelo on this machine, in one terminal."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from dispatch import programs
from weelo.lib import embedded
from weelo.lib.supervisor import Child, Supervisor, exit_words
from weelo.lib.terminal import TICK, Terminal

READY_SECONDS = 60.0
LOOK_SECONDS = 0.05
# Who is stopped together, in this order, and how many seconds they may take.
STOPS = ((("captains",), 2.0), (("http", "live"), 5.0), (("loop", "worker", "beat"), 2.5))


class Command(BaseCommand):
    """Starts the servers, prepares the database, runs every service, and stops all in order."""

    help = "Run everything on this machine until Ctrl-C (what `make run` does)."
    requires_system_checks: list[str] = []  # noqa: RUF012

    def handle(self, *args: Any, **options: Any) -> None:
        """Exits 0 after SIGTERM or SIGHUP, 130 after Ctrl-C, 1 when something failed."""
        os.chdir(settings.BASE_DIR)
        sys.exit(Up(Terminal(self.stdout)).run())


class StartFailed(Exception):
    """The start failed; the text says what, shows the end of its log, and what to do."""


class Stopped(Exception):
    """The start was told to end before everything was up."""


class Up:
    """One run of everything, from the first step to the last process stopped."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.servers: embedded.Servers | None = None
        self.supervisor: Supervisor | None = None
        self.is_migrated = False
        self.accounts: dict[str, Any] = {}
        self.signals: list[int] = []

    def run(self) -> int:
        """Returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._note_signal)
        try:
            self._start()
            self._stay_up()
        except Stopped:
            pass
        except (StartFailed, embedded.ServersFailed) as failed:
            self.terminal.release_lines()
            self.terminal.say(f"\n✗ {failed}\n\nOnce that is mended, run the same command again.")
            return 1
        finally:
            self._stop()
        return 130 if signal.SIGINT in self.signals else 0

    def _start(self) -> None:
        if settings.PRODUCTION:
            raise StartFailed(
                "`up` is the demo: in production every service runs by itself (compose.yaml)."
            )
        if taken := programs.port_taken():
            raise StartFailed(taken)
        self._start_servers()
        self.supervisor = Supervisor(self._show)
        prepare = self._start_preparing(self.supervisor)
        self.terminal.hold_lines()
        with self.terminal.step("services", "http, live, loop; worker and beat follow"):
            for program in programs.services() if self.is_migrated else []:
                self.supervisor.start(program)
            self._finish_preparing(prepare)
            self._wait_ready()
        for program in programs.companions():
            self.supervisor.start(program)
        title = f"Weelo is ready after {seconds_of_life():.1f} s"
        self.terminal.box(title, programs.signposts(self.accounts))
        self.terminal.release_lines()

    def _start_servers(self) -> None:
        """Starts the embedded ones unless both are given, and tells the programs where they are."""
        os.environ["DATA"] = str(settings.DATA)
        given = {name for name in ("DATABASE_URL", "REDIS_URL") if os.environ.get(name)}
        if len(given) == 2:
            return
        with self.terminal.step("servers", f"PostgreSQL and Valkey in {settings.DATA}"):
            self.servers = embedded.start(settings.DATA, durable=True)
        found = self.servers.addresses
        embedded_ones = {"DATABASE_URL": found.database_url, "REDIS_URL": found.redis_url}
        os.environ.update({n: url for n, url in embedded_ones.items() if n not in given})

    def _start_preparing(self, supervisor: Supervisor) -> Child:
        """Waits for the migrations alone: the services can start while the rest is loaded."""
        prepare = supervisor.start(programs.PREPARE)
        self._wait(lambda: self.is_migrated or prepare.exit_code() is not None)
        return prepare

    def _finish_preparing(self, prepare: Child) -> None:
        self._wait(lambda: prepare.exit_code() is not None)
        prepare.finish()
        if prepare.exit_code() != 0:
            raise StartFailed(self._fault(prepare, "The database could not be prepared"))

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS

        def is_ready() -> bool:
            waiting_for = programs.not_ready()
            if waiting_for and time.monotonic() > deadline:
                raise StartFailed(f"Not ready after {READY_SECONDS:.0f} s: {waiting_for}")
            return not waiting_for

        self._wait(is_ready)

    def _wait(self, until: Callable[[], bool]) -> None:
        assert self.supervisor is not None
        while not until():
            for child in self.supervisor.look():
                raise StartFailed(self._fault(child, f"{child.name} keeps failing"))
            if self._is_over():
                raise Stopped
            time.sleep(LOOK_SECONDS)

    def _stay_up(self) -> None:
        """Starts again what dies, until it is over."""
        assert self.supervisor is not None
        while not self._is_over():
            for child in self.supervisor.look():
                self.terminal.say(f"\n✗ {self._fault(child, f'{child.name} keeps failing')}\n")
            if self.servers is not None and self.servers.revive() != self.servers.addresses:
                raise StartFailed("The embedded servers came back at another address.")
            time.sleep(LOOK_SECONDS)

    def _stop(self) -> None:
        """Ends everything in order; a further Ctrl-C ends the rest at once."""
        self.terminal.release_lines()
        started, so_far = time.monotonic(), len(self.signals)
        if self.supervisor is not None:
            for names, patience in STOPS:
                self.supervisor.stop(
                    names, patience, hurry=lambda: signal.SIGINT in self.signals[so_far:]
                )
            self.supervisor.close()
        if self.servers is not None:
            self.servers.leave()
            seconds = time.monotonic() - started
            self.terminal.say(f"Stopped in {seconds:.1f} s. The data stays in {settings.DATA}")

    def _show(self, name: str, line: str) -> None:
        if name != programs.PREPARE.name:
            self.terminal.line(name, line)
        elif line.startswith("{") and '"dispatcher"' in line:
            self.accounts = json.loads(line)
        else:
            self.is_migrated |= line.startswith(f"{TICK} migrate ")
            self.terminal.say(line)

    def _fault(self, child: Child, what: str) -> str:
        ended = exit_words(code) if (code := child.last_exit_code) is not None else "no exit code"
        tail = "\n".join(f"    {line}" for line in child.tail)
        return f"{what} ({ended}). The end of its log:\n{tail}\n{programs.ADVICE}"

    def _is_over(self) -> bool:
        """A signal came, or the terminal is gone: only its session's leader is signalled then."""
        return bool(self.signals) or self.terminal.is_closed()

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signals.append(number)


def seconds_of_life() -> float:
    """Since this process was started, its imports included."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")

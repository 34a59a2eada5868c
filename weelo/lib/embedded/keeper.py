"""The process that owns the servers of one data folder.

`weelo.lib.embedded` starts it; it leaves its parent at once and waits on the lock that users of
the servers share. When the last user is gone, however it went, the keeper stops the servers and
ends. The kernel stops the servers if the keeper itself is killed. `servers/state.json` says where
they listen, the keeper's output what went wrong. Only the standard library, to be quick.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

from weelo.lib.embedded.plan import ANOTHER_WAS_QUICKER, Plan, ServersFailed
from weelo.lib.embedded.servers import (
    STOP_SECONDS,
    Server,
    create_cluster,
    end_of,
    postgres,
    valkey,
)

LOOK_SECONDS = 0.2
DEATHS_PER_MINUTE = 20


def take(lock: Path) -> bool:
    """Locks for life; others look at the lock for an instant, hence the few tries."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(10):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def watch_users(lock: Path, over: threading.Event) -> None:
    """Sets `over` when nobody holds the users' lock; newcomers wait until the keeper is gone."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    over.set()


def end_leftovers(plan: Plan) -> None:
    """Servers that outlived their keeper end now; a pid file that names a stranger goes.

    A pid file of a process that is gone stays: PostgreSQL clears it itself, after it has made
    sure that none of the old backends is left.
    """
    for pid_file, home in (
        (plan.cluster / "postmaster.pid", plan.cluster),
        (plan.sockets / "valkey.pid", plan.sockets),
    ):
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(pid_file.read_text().split()[0])
            if Path(f"/proc/{pid}").exists() and not end_process(pid, home):
                pid_file.unlink()


def end_process(pid: int, home: Path) -> bool:
    """Ends the process if it works in `home`; False when it is somebody else's."""

    def is_there() -> bool:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cwd").samefile(home)
        return False

    if not is_there():
        return False
    for stop_signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, stop_signal)
        deadline = time.monotonic() + STOP_SECONDS
        while is_there() and time.monotonic() < deadline:
            time.sleep(0.02)
    return True


def write_state(plan: Plan, *, ready: bool) -> None:
    """Tells `weelo.lib.embedded` where the servers are."""
    host = quote(str(plan.sockets))
    state = {
        "ready": ready,
        "keeper": os.getpid(),
        "sockets": str(plan.sockets),
        "database_url": f"postgresql://weelo@/weelo?host={host}&port={plan.database_port or 5432}",
        "redis_url": f"unix://{host}/valkey.sock?db=0",
    }
    publish(plan.state, state)


def take_back(path: Path) -> None:
    """Revokes what a killed keeper said; the folder of its sockets is still known."""
    with contextlib.suppress(OSError, ValueError):
        publish(path, {**json.loads(path.read_text()), "ready": False})


def publish(path: Path, state: dict[str, object]) -> None:
    """Nobody reads half of it."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(state, indent=1) + "\n")
    draft.replace(path)


def serve(plan: Plan, over: threading.Event) -> None:
    """Starts both servers, says where they are, and starts again what dies, until `over`."""
    end_leftovers(plan)
    if not plan.cluster.exists():
        create_cluster(plan)
    servers = [postgres(plan), valkey(plan)]
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        write_state(plan, ready=True)
        start_again_until(over, servers)
    finally:
        for server in reversed(servers):
            server.stop()


def start_again_until(over: threading.Event, servers: list[Server]) -> None:
    deaths: list[float] = []
    while not over.wait(LOOK_SECONDS):
        for server in filter(Server.has_died, servers):
            deaths = [*(at for at in deaths if at > time.monotonic() - 60), time.monotonic()]
            if len(deaths) > DEATHS_PER_MINUTE:
                raise ServersFailed(f"{server.name} keeps dying.\n{end_of(server.log)}")
            server.start()


def keep(plan: Plan) -> None:
    """Runs the servers until their users are gone, or a signal comes."""
    write_state(plan, ready=False)
    over = threading.Event()
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop_signal, lambda *_: over.set())
    users = plan.folder / "users.lock"
    threading.Thread(target=watch_users, args=(users, over), daemon=True).start()
    try:
        serve(plan, over)
    finally:
        write_state(plan, ready=False)
        shutil.rmtree(plan.sockets, ignore_errors=True)


def main(argv: list[str]) -> int:
    """Returns at once to the caller; the child that holds the lock is the keeper."""
    folder = Path(argv[argv.index("--data") + 1]) / "servers"
    if not take(folder / "keeper.lock"):
        return ANOTHER_WAS_QUICKER
    take_back(folder / "state.json")
    if os.fork():
        return 0
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    os.ftruncate(sys.stderr.fileno(), 0)
    try:
        keep(Plan(argv))
    except ServersFailed as failed:
        sys.stderr.write(f"{failed}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

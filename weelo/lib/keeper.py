"""The process that owns the embedded PostgreSQL and Valkey of one data folder.

`weelo.lib.embedded` starts it in a session of its own. It waits on the lock that users of the
servers share; when the last user is gone, however it went, the keeper stops the servers and ends.
The kernel stops the servers if the keeper itself is killed. It runs by path, without Django or
site-packages, and leaves its parent at once; `servers/state.json` says where the servers are, its
output what went wrong.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

SOCKET_PATH_BYTES = 107  # sun_path holds 108 with the closing zero
START_SECONDS = 30
STOP_SECONDS = 6
LOOK_SECONDS = 0.2
RESTARTS_PER_MINUTE = 20
ANOTHER_WAS_QUICKER = 3
# One connection for each thread, pool slot and test worker that may exist at once, and room for
# psql: the sum of the sizes in .env.example is checked against it at start.
MAX_CONNECTIONS = 120
COMMON = {
    "max_connections": MAX_CONNECTIONS,
    "shared_buffers": "128MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
}
# Nothing of a test outlives it, so nothing has to reach the disk.
THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": 0,
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
}


class Failed(Exception):
    """A server did not come up; the text says which, the end of its log, and what to do."""


class Plan:
    """What to run and where: the arguments, and the paths that follow from them."""

    def __init__(self, argv: list[str]) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--data", type=Path, required=True)
        parser.add_argument("--postgres-bin", type=Path, required=True)
        parser.add_argument("--valkey", type=Path, required=True)
        parser.add_argument("--durable", action="store_true")
        parser.add_argument("--database-port", type=int, default=0)
        parser.add_argument("--redis-port", type=int, default=0)
        asked = parser.parse_args(argv)
        self.cluster: Path = asked.data / "postgres"
        self.folder: Path = asked.data / "servers"
        self.state: Path = self.folder / "state.json"
        self.postgres_bin: Path = asked.postgres_bin
        self.valkey: Path = asked.valkey
        self.durable: bool = asked.durable
        self.database_port: int = asked.database_port
        self.redis_port: int = asked.redis_port
        self.user = service_user(self.cluster)
        self.sockets = socket_folder(self.state, self.user)
        self.launcher = launcher(self.user, [asked.data, self.postgres_bin / "postgres"])


def service_user(cluster: Path) -> pwd.struct_passwd | None:
    """PostgreSQL refuses root: the user it runs as instead, or None for the present one."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and cluster.stat().st_uid != 0:
        return pwd.getpwuid(cluster.stat().st_uid)
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def socket_folder(state: Path, user: pwd.struct_passwd | None) -> Path:
    """A short private folder for the sockets: the last one while it stands, so that processes
    which hold its address find the servers again after the keeper was killed."""
    owner = user.pw_uid if user else os.geteuid()
    with contextlib.suppress(OSError, ValueError, KeyError):
        before = Path(json.loads(state.read_text())["sockets"])
        found = before.lstat()
        if before.is_dir() and not before.is_symlink() and found.st_uid == owner:
            return before
    longest = len("/weelo-12345678/.s.PGSQL.65535.lock")
    short = [
        root
        for root in ([] if user else [tempfile.gettempdir()]) + ["/tmp"]
        if len(os.fsencode(root)) + longest <= SOCKET_PATH_BYTES
    ]
    folder = Path(tempfile.mkdtemp(prefix="weelo-", dir=short[0]))
    os.chown(folder, owner, -1)
    return folder


def launcher(user: pwd.struct_passwd | None, needed: list[Path]) -> list[str]:
    """The words before a server's command: it dies with the keeper, and never runs as root.

    A folder below /root is closed to everybody else. Rather than opening parent folders, the
    server keeps one capability of root's: to pass through folders that it does not own.
    """
    dies_with_keeper = ["setpriv", "--pdeathsig", "INT"]
    if user is None:
        return [*dies_with_keeper, "--"]
    drop = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    for keep in ([], pass_through("dac_read_search"), pass_through("dac_override")):
        words = [*dies_with_keeper, *keep, *drop, "--"]
        if all(quietly([*words, "test", "-x", str(path)]) for path in needed):
            return words
    raise Failed(
        f"PostgreSQL does not run as root, and user {user.pw_name} cannot reach {needed[0]}.\n"
        "Run as a plain user, or give a folder that everybody may pass through: "
        "make run DATA=/var/tmp/weelo"
    )


def pass_through(capability: str) -> list[str]:
    """The words that keep one capability over the change of user, for access(2) as well."""
    only = f"-all,+{capability}"
    return ["--securebits", "+no_setuid_fixup", "--inh-caps", only, "--ambient-caps", only]


def quietly(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0


class Server:
    """One server: its command, how to see that it is ready, and the signals that stop it."""

    def __init__(
        self,
        name: str,
        command: list[str],
        log: Path,
        is_ready: Callable[[], bool],
        stop_signals: tuple[signal.Signals, ...],
    ) -> None:
        self.name = name
        self.command = command
        self.log = log
        self.is_ready = is_ready
        self.stop_signals = stop_signals
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )

    def has_died(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def wait_ready(self) -> None:
        """Starts it as often as needed: backends of a killed PostgreSQL need a moment to go."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} did not come up.\n{end_of(self.log)}")
            if self.has_died():
                time.sleep(LOOK_SECONDS)
                if time.monotonic() > deadline - START_SECONDS + 5:
                    raise Failed(f"{self.name} does not start.\n{end_of(self.log)}")
                self.start()
            time.sleep(0.02)

    def stop(self) -> None:
        for stop_signal in (*self.stop_signals, signal.SIGKILL):
            if self.process is None or self.process.poll() is not None:
                return
            self.process.send_signal(stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)


def end_of(log: Path, lines: int = 15) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    return f"The end of {log}:\n" + "\n".join(text.splitlines()[-lines:])


def postgres(plan: Plan) -> Server:
    settings = COMMON if plan.durable else COMMON | THROWAWAY
    port = plan.database_port or 5432
    settings = settings | {
        "port": port,
        "unix_socket_directories": plan.sockets,
        "listen_addresses": "127.0.0.1" if plan.database_port else "",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    isready = [str(plan.postgres_bin / "pg_isready"), "-q", "-h", str(plan.sockets)]
    isready += ["-p", str(port), "-U", "weelo", "-d", "weelo"]
    return Server(
        "PostgreSQL",
        [*plan.launcher, str(plan.postgres_bin / "postgres"), "-D", str(plan.cluster), *options],
        plan.folder / "postgres.log",
        lambda: quietly(isready),
        (signal.SIGINT, signal.SIGQUIT),  # fast shutdown, then the immediate one
    )


def valkey(plan: Plan) -> Server:
    path = plan.sockets / "valkey.sock"
    command = [str(plan.valkey), "--port", str(plan.redis_port), "--bind", "127.0.0.1"]
    command += ["--unixsocket", str(path), "--dir", str(plan.sockets)]
    command += ["--pidfile", str(plan.sockets / "valkey.pid"), "--databases", "32"]
    command += ["--save", "", "--appendonly", "no"]  # a mirror: PostgreSQL holds the truth
    return Server(
        "Valkey",
        [*plan.launcher, *command],
        plan.folder / "valkey.log",
        lambda: answers_ping(path),
        (signal.SIGTERM,),
    )


def answers_ping(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        client.connect(str(path))
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")
    return False


def create_cluster(plan: Plan) -> None:
    """Makes the cluster and its database aside, and puts them in place in one rename."""
    unfinished = plan.cluster.with_name("postgres.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if plan.user:
        os.chown(unfinished, plan.user.pw_uid, plan.user.pw_gid)
    binary, log = plan.postgres_bin, plan.folder / "initdb.log"
    sync = [] if plan.durable else ["--no-sync"]
    initdb = [*plan.launcher, str(binary / "initdb"), "-D", str(unfinished), "-U", "weelo"]
    initdb += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
    initdb += ["--builtin-locale=C.UTF-8", "--no-instructions", *sync]
    single = [*plan.launcher, str(binary / "postgres"), "--single", "-D", str(unfinished)]
    for command, typed in ((initdb, b""), ([*single, "postgres"], b"CREATE DATABASE weelo\n")):
        done = subprocess.run(
            command,
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            check=False,
        )
        with log.open("ab") as file:
            file.write(done.stdout)
        if done.returncode:
            raise Failed(f"The new database could not be made.\n{end_of(log)}")
    unfinished.rename(plan.cluster)


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
    draft = plan.state.with_suffix(".new")
    draft.write_text(json.dumps(state, indent=1) + "\n")
    draft.replace(plan.state)


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
        restarts: list[float] = []
        while not over.wait(LOOK_SECONDS):
            for server in servers:
                if server.has_died():
                    restarts = [at for at in restarts if at > time.monotonic() - 60]
                    restarts.append(time.monotonic())
                    if len(restarts) > RESTARTS_PER_MINUTE:
                        raise Failed(f"{server.name} keeps dying.\n{end_of(server.log)}")
                    server.start()
    finally:
        for server in reversed(servers):
            server.stop()


def main(argv: list[str]) -> int:
    os.umask(0o077)
    try:
        plan_folder = Path(argv[argv.index("--data") + 1]) / "servers"
        if not take(plan_folder / "keeper.lock"):
            return ANOTHER_WAS_QUICKER
        if os.fork():
            return 0
        os.setsid()
        os.ftruncate(sys.stderr.fileno(), 0)
        plan = Plan(argv)
        write_state(plan, ready=False)
        over = threading.Event()
        for stop_signal in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop_signal, lambda *_: over.set())
        threading.Thread(
            target=watch_users, args=(plan.folder / "users.lock", over), daemon=True
        ).start()
        try:
            serve(plan, over)
        finally:
            write_state(plan, ready=False)
            shutil.rmtree(plan.sockets, ignore_errors=True)
    except Failed as failed:
        sys.stderr.write(f"{failed}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

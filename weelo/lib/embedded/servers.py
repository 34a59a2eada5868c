"""The two servers: how each is started and stopped, and when it is ready."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess  # nosec B404  # only our own programs are started
import time
from collections.abc import Callable
from pathlib import Path

from weelo.lib.embedded.plan import Plan, ServersFailed, quietly

START_SECONDS = 30
STOP_SECONDS = 6
AGAIN_SECONDS = 0.2
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
    # A refused statement and the values of a broken constraint would show phones; the client
    # gets both, and logs them masked.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
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
            self.process = subprocess.Popen(  # nosec B603  # our own program, no shell, no caller's words
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )

    def has_died(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def wait_ready(self) -> None:
        """Starts it as often as needed: backends of a killed PostgreSQL need a moment to go."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise ServersFailed(f"{self.name} did not come up.\n{end_of(self.log)}")
            if self.has_died():
                time.sleep(AGAIN_SECONDS)
                if time.monotonic() > deadline - START_SECONDS + 5:
                    raise ServersFailed(f"{self.name} does not start.\n{end_of(self.log)}")
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
        done = subprocess.run(  # nosec B603  # our own program, no shell, no caller's words
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
            raise ServersFailed(f"The new database could not be made.\n{end_of(log)}")
    unfinished.rename(plan.cluster)

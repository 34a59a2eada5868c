"""What a keeper runs and where: folders, sockets, and the user the servers run as."""

import argparse
import contextlib
import json
import os
import pwd
import subprocess  # nosec B404  # only our own programs are started
import tempfile
from pathlib import Path

SOCKET_PATH_BYTES = 107  # sun_path holds 108 with the closing zero
ANOTHER_WAS_QUICKER = 3  # a keeper's exit code


class ServersFailed(Exception):
    """The servers could not be started; the text says which, the end of its log, what to do."""


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
        self.launcher = launcher(self.user, [asked.data, self.postgres_bin / "postgres"])
        self.sockets = socket_folder(self.state, self.user)


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
    root = tempfile.gettempdir()
    if user is not None or len(os.fsencode(root)) + longest > SOCKET_PATH_BYTES:
        root = "/tmp"  # noqa: S108  # every user passes through it  # nosec B108  # a private folder is made in it
    folder = Path(tempfile.mkdtemp(prefix="weelo-", dir=root))
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
    raise ServersFailed(
        f"PostgreSQL does not run as root, and user {user.pw_name} cannot reach {needed[0]}.\n"
        "Run as a plain user, or give a folder that everybody may pass through: "
        "make run DATA=/var/tmp/weelo"
    )


def pass_through(capability: str) -> list[str]:
    """The words that keep one capability over the change of user, for access(2) as well."""
    only = f"-all,+{capability}"
    return ["--securebits", "+no_setuid_fixup", "--inh-caps", only, "--ambient-caps", only]


def quietly(command: list[str]) -> bool:
    """Whether a command succeeds; what it says does not matter."""
    return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0  # nosec B603  # our own program, no shell, no caller's words

"""Settings as in production, and servers of the test's own that pass for ones of production."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from dispatch import programs

ROOT = Path(__file__).resolve().parents[1]
ENDS_WITHIN_S = 60

SETTINGS = {
    "WEELO_ENV": "production",
    "SECRET_KEY": secrets.token_urlsafe(50),
    "DATABASE_URL": "postgresql://weelo@127.0.0.1:1/weelo",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "PUBLIC_URL": "https://weelo.example",
    "SOCKET_URL": "wss://weelo.example",
    "ALLOWED_HOSTS": "weelo.example,127.0.0.1",
    "SSL_REDIRECT": "false",
    "SMS_BACKEND": "http",
    "SMS_HTTP_URL": "https://sms.example/send",
}
# Every way in which a service of ours is started.
STARTS = {
    **{program.name: program for program in (*programs.services(), *programs.companions())},
    "prepare": programs.PREPARE,
}
STARTS.pop("captains", None)  # the demo's


def start(name, settings):
    """Start a service with these variables and no others, and wait until it has ended."""
    program = STARTS[name]
    return subprocess.run(
        program.command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **program.environment, **settings},
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )


def manage(settings, *words):
    """`manage.py words…` with these variables and no others."""
    return subprocess.run(
        [sys.executable, "manage.py", *map(str, words)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )


@contextmanager
def disguised(database_url, redis_url):
    """Both addresses through another folder: by their own one the start knows embedded servers."""
    database = conninfo_to_dict(database_url)
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    sockets = folder / "s"
    sockets.symlink_to(database["host"])
    try:
        words = {**database, "host": str(sockets)}
        yield {
            "DATABASE_URL": " ".join(f"{name}={value}" for name, value in words.items() if value),
            "REDIS_URL": redis_url.replace(str(database["host"]), str(sockets)),
        }
    finally:
        shutil.rmtree(folder)

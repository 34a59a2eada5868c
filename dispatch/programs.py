"""The programs that make up a running Weelo: how each is started, and when it is ready."""

import errno
import http.client
import json
import os
import socket
import sys
from typing import Any

from django.conf import settings

from weelo.lib.supervisor import Program

ADVICE = (
    "What to do: the last lines above name the fault. `make check` finds faults in code and "
    "settings; ports and servers of your own are set by PORT, DATABASE_URL and REDIS_URL, which "
    ".env.example explains."
)
# The demo may run as root, as in a container; Celery's long warning would hide what matters.
AS_ROOT = {"PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges"}
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # nosec B104  # compared with, not listened on


def _manage(command: str, *words: str) -> list[str]:
    return [sys.executable, "manage.py", command, *words]


def _celery(*words: str) -> list[str]:
    return [sys.executable, "-m", "celery", "--quiet", "-A", "weelo", *words]


PREPARE = Program("prepare", _manage("prepare"), once=True)


def services() -> list[Program]:
    """http, live and the loop: what a person waits for."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"]
    return [
        _told("http", "http", gunicorn),
        _told("live", "live", gunicorn),
        _told("loop", "loop", _manage("dispatch")),
    ]


def companions() -> list[Program]:
    """Worker and beat, the net below the loop, and simulated captains: they may come later."""
    # Threads, since the tasks wait for PostgreSQL; the rest is talk among many workers.
    worker = ["--pool", "threads", "--without-gossip", "--without-mingle"]
    timetable = str(settings.DATA / f"beat-{settings.PORT}")
    started = [
        _told("worker", "worker", _celery("worker", *worker, "--loglevel", settings.LOG_LEVEL)),
        _told("beat", "worker", _celery("beat", "--schedule", timetable, "--pidfile=")),
    ]
    if settings.SIMULATE:
        started.append(_told("captains", "command", _manage("simulate", "--demo")))
    return started


def _told(name: str, kind: str, command: list[str]) -> Program:
    """A program that knows which kind of process it is."""
    return Program(name, command, {"WEELO_PROCESS": kind, "PYTHONUNBUFFERED": "1", **AS_ROOT})


def port_taken() -> str:
    """Why a port cannot be listened on, or nothing."""
    for port in (settings.PORT, settings.PORT + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.LISTEN, port))
            except OSError as fault:
                used = fault.errno == errno.EADDRINUSE
                why = (
                    "is in use by another program" if used else f"cannot be used: {fault.strerror}"
                )
                return (
                    f"Port {port} {why}. Weelo needs two, PORT and the one after it; "
                    f"choose others, for instance: make run PORT={settings.PORT + 1000}"
                )
    return ""


def not_ready() -> str:
    """Which service does not answer as it should, and how; nothing when all do."""
    status, body = _get(settings.PORT, "/readyz")
    if status != 200:
        return f"port {settings.PORT} answers /readyz with {status or 'nothing'} {body}".strip()
    if (loop := json.loads(body)["checks"]["loop"]) != "ok":
        return f"the dispatch loop: {loop}"
    status, body = _get(settings.PORT + 1, "/livez")
    if status != 200:
        return f"port {settings.PORT + 1} answers /livez with {status or 'nothing'} {body}".strip()
    return ""


def _get(port: int, path: str) -> tuple[int, str]:
    host = "127.0.0.1" if settings.LISTEN == EVERY_ADDRESS else settings.LISTEN
    connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def signposts(accounts: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows of the box: every address, the demo's accounts, and how to stop."""
    url, sockets = settings.PUBLIC_URL, settings.SOCKET_URL
    return [
        ("API", f"{url}/api/v1/"),
        ("docs", f"{url}/api/docs/"),
        ("admin", f"{url}/admin/"),
        ("sockets", f"{sockets}/ws/customer/  {sockets}/ws/captain/"),
        ("health", f"{url}/readyz  {url}/metrics"),
        ("", ""),
        *_people(accounts),
        ("codes", f"tail -f {os.path.relpath(settings.DATA / 'sms.jsonl')}"),
        ("", ""),
        ("stop", "Ctrl-C; the data stays in " + os.path.relpath(settings.DATA)),
    ]


def _people(accounts: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("customer", accounts.get("customer"))]
    rows += [("captain", captain) for captain in accounts.get("captains", [])]
    people = [
        (role, f"{person['name']} {person['phone']}" if isinstance(person, dict) else str(person))
        for role, person in rows
        if person
    ]
    if dispatcher := accounts.get("dispatcher"):
        people.append(("dispatcher", f"{dispatcher['username']}  {dispatcher['password']}"))
    return people

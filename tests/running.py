"""The real processes over the test's own servers: `with running({"ORDER_TTL": "5"}) as site:`.

Each site has a database of its own (copied from one that was migrated and filled once a run), a
Redis database number, two ports and a data folder. Nothing of it is left afterwards. One that is
`durable=True` has whole servers of its own, which may be crashed.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
import redis
from django.db import connection, connections
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dispatch import programs
from tests.ports import two_free_ports
from weelo.lib import embedded
from weelo.lib.supervisor import Program, Supervisor

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = "weelo_running"
ONLY_ONE_MAKES_IT = 732_001  # advisory lock
REDIS_NUMBERS = range(8, 16)
READY_S = 60.0


class Site:
    """A running Weelo. `api` such as http://127.0.0.1:41000, `socket` such as ws://…:41001."""

    def __init__(self, environment, supervisor, lines):
        self.port = int(environment["PORT"])
        self.api = f"http://127.0.0.1:{self.port}"
        self.socket = f"ws://127.0.0.1:{self.port + 1}"
        self.data = Path(environment["DATA"])
        self.environment = environment
        self.lines = lines  # everything that the processes wrote: (name, line)
        self._supervisor = supervisor

    def manage(self, *words, check=True, timeout=300):
        """Run `manage.py words…` for this site; returns the CompletedProcess with its output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *map(str, words)],
            cwd=ROOT,
            env={**os.environ, **self.environment, "WEELO_PROCESS": "command"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def start(self, *names, **more):
        """Start services by name; `wait` says when they answer. `loop-2` is another loop, `more`
        is what only these have in their environment."""
        known = {p.name: p for p in (*programs.services(), *programs.companions())}
        for name in names:
            program = known[name.partition("-")[0]]
            settings = {**program.environment, **self.environment, **more}
            command = [*program.command, *self._apart(name, program.name)]
            self._supervisor.start(Program(name, command, settings))

    def beside(self, name, *words):
        """Run `manage.py words…` next to the services, under this name, until stopped."""
        command = [sys.executable, "manage.py", *map(str, words)]
        self._supervisor.start(
            Program(name, command, {**self.environment, "PYTHONUNBUFFERED": "1"})
        )

    def stop(self, *names, patience_s=10.0):
        """Stop services with SIGTERM, as a deployment does."""
        self._supervisor.stop(names, patience_s)

    def kill(self, name, number=signal.SIGKILL):
        """Send a signal to a service and all its workers."""
        os.killpg(self._supervisor.children[name].pid, number)

    def runs(self, name):
        """Whether a service was started and lives."""
        child = self._supervisor.children.get(name)
        return child is not None and child.exit_code() is None

    def pid(self, name):
        """The process id of a service, whose workers are its children."""
        return self._supervisor.children[name].pid

    def postmaster(self):
        """The process id of a durable site's PostgreSQL; its keeper starts it again by itself."""
        return int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])

    def wait(self):
        """Until every service that was started is ready."""
        deadline = time.monotonic() + READY_S
        while (fault := self._not_ready()) is not None:
            if time.monotonic() > deadline:
                raise AssertionError(f"{fault}\n{self.log()}")
            time.sleep(0.1)

    def log(self, *names):
        """What the services (all, or the named ones) wrote."""
        return "\n".join(f"{n} | {line}" for n, line in self.lines if not names or n in names)

    def codes_by_sms(self, phone):
        """The codes sent to a phone so far, the newest last."""
        sent = self.data / "sms.jsonl"
        rows = map(json.loads, sent.read_text().splitlines()) if sent.exists() else ()
        return [row["code"] for row in rows if row["to"] == phone]

    @contextmanager
    def database(self):
        """A connection to the site's database."""
        with psycopg.connect(self.environment["DATABASE_URL"], autocommit=True) as connection:
            yield connection

    @contextmanager
    def django(self):
        """The test's own Django over the site's database: its models, its verbs, the audit."""
        known, address = (
            connection.settings_dict,
            conninfo_to_dict(self.environment["DATABASE_URL"]),
        )
        before = dict(known)
        connections.close_all()
        known |= {name.upper(): address.get(name, "") for name in ("user", "host", "port")}
        known["NAME"] = address["dbname"]
        try:
            yield
        finally:
            connections.close_all()
            known |= before

    def workers(self, name):
        """The process ids of the workers of a gunicorn service."""
        pid = self._supervisor.children[name].pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def _apart(self, name, kind):
        """What keeps copies of Celery's programs apart; the last word of a kind counts."""
        return {
            "worker": ["--hostname", f"{name}@%h"],
            "beat": ["--schedule", str(self.data / name)],
        }.get(kind, [])

    def _not_ready(self):
        children = self._supervisor.children
        for child in children.values():
            if child.exit_code() is not None:
                return f"{child.name} ended with {child.exit_code()}"
        try:
            if "live" in children:
                httpx.get(f"http://127.0.0.1:{self.port + 1}/livez", timeout=3).raise_for_status()
            if "http" in children:
                answer = httpx.get(f"{self.api}/readyz", timeout=3).raise_for_status()
                if "loop" in children and answer.json()["checks"]["loop"] != "ok":
                    return "the loop has no heartbeat"
        except httpx.HTTPError as fault:
            return str(fault)
        return None


@contextmanager
def running(settings=None, services=("http", "live", "loop"), *, durable=False):
    """Start the services with these settings, wait until they are ready, stop them at the end.

    `services` may also name worker and beat, and copies of each, such as loop-2. `durable`: over
    servers of the site's own, whose PostgreSQL keeps through a crash what it committed.
    """
    with ExitStack() as stack:
        data = Path(tempfile.mkdtemp(prefix="weelo-site-"))
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        if durable:
            database, redis_url = stack.enter_context(own_servers(data))
        else:
            database = stack.enter_context(own_database())
            redis_url = stack.enter_context(own_redis())
        environment = {
            "WEELO_ENV": "test",
            "DATA": str(data),
            "DATABASE_URL": database,
            "REDIS_URL": redis_url,
            "PORT": str(two_free_ports()),
            "HTTP_WORKERS": "1",
            **(settings or {}),
        }
        lines = []
        supervisor = Supervisor(lambda name, line: lines.append((name, line)))
        stack.callback(supervisor.close)
        site = Site(environment, supervisor, lines)
        stack.callback(lambda: site.stop(*services))
        site.start(*services)
        site.wait()
        yield site


@contextmanager
def own_servers(data):
    """PostgreSQL with fsync and Valkey in this folder, prepared; their two addresses."""
    with embedded.start(data, durable=True) as servers:
        prepare(servers.addresses.database_url)
        yield servers.addresses.database_url, servers.addresses.redis_url


@contextmanager
def own_database():
    """A copy of the template; its address."""
    name = f"{TEMPLATE}_{uuid.uuid4().hex[:12]}"
    address = os.environ["DATABASE_URL"]
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [ONLY_ONE_MAKES_IT])
        make_template(connection, address)
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
    try:
        yield make_conninfo(address, dbname=name)
    finally:
        with psycopg.connect(address, autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


def make_template(connection, address):
    """Migrated, with the catalogue; made by whoever comes first."""
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE])
    if found.fetchone():
        return
    draft = f"{TEMPLATE}_draft"
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(draft)))
    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(draft)))
    prepare(make_conninfo(address, dbname=draft))
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    connection.execute(rename.format(sql.Identifier(draft), sql.Identifier(TEMPLATE)))


def prepare(address):
    """Migrate a database and fill the catalogue."""
    done = subprocess.run(
        [sys.executable, "manage.py", "prepare", "--no-demo"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def own_redis():
    """The address of a Redis database that no other site uses, empty."""
    address = os.environ["REDIS_URL"]
    for number in REDIS_NUMBERS:
        mine = re.sub(r"db=\d+", f"db={number}", address)
        with redis.Redis.from_url(mine) as client:
            if client.set("site", os.getpid(), nx=True):
                try:
                    yield mine
                finally:
                    client.flushdb()
                return
    raise AssertionError("More sites at once than Redis databases.")

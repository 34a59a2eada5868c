"""The real live process (gunicorn, uvicorn worker) on a free port, and clients for it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from django.db import connection
from psycopg.conninfo import make_conninfo
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.contract.frames import validate_frame
from tests.ports import two_free_ports
from weelo.accounts import tokens

ROOT = Path(__file__).resolve().parents[2]


class Live:
    """One live service over the test's own database."""

    def __init__(self, folder, *, database_host=None, **environment):
        self.port = two_free_ports()
        self.url = f"ws://127.0.0.1:{self.port}"
        self.log = folder / f"live-{self.port}.log"
        known = connection.settings_dict
        database = make_conninfo(
            dbname=known["NAME"],
            user=known["USER"],
            host=database_host or known["HOST"],
            port=known["PORT"] or None,
        )
        self._log = self.log.open("wb")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py")),
                *("--bind", f"127.0.0.1:{self.port}", "tests.events.live_app:application"),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "WEELO_PROCESS": "live",
                "DATABASE_URL": database,
                "PUBLIC_URL": "http://api.test",
                "ALLOWED_ORIGINS": "http://api.test",
                **environment,
            },
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        self.wait()

    def wait(self):
        for _ in range(200):
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/livez").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def workers(self):
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=15)
        self._log.close()

    def errors(self):
        """What the log says at level error, which a person would have to look at."""
        return re.findall(r"\[(?:error|critical) *\] (.*?)  ", self.log.read_text())

    def phone(self, session=None, role="customer", *, hello=True, **options):
        return Phone(self.url, session, role, hello=hello, document=False, **options)


class Phone:
    """A client that keeps the contract's rules and notices when the server does not.

    Every frame must be one of docs/asyncapi.yaml; without `document`, where the tests' own
    messages and commands go over the line, only the numbers are looked at.
    """

    def __init__(
        self, url, session, role, *, hello=True, epoch=None, after=None, document=True, **options
    ):
        self._document = role if document else None
        headers = options.pop("additional_headers", {})
        if session is not None:
            headers = {"Authorization": f"Bearer {tokens.access(session)}", **headers}
        path = options.pop("path", f"/ws/{role}/")
        self._connection = contextlib.ExitStack()
        self.line = self._connection.enter_context(
            connect(url + path, additional_headers=headers, compression=None, proxy=None, **options)
        )
        self.epoch, self.after, self.events, self.others = epoch, after, [], []
        if hello:
            self.hello()

    def hello(self):
        self.send(type="hello", epoch=self.epoch, after=self.after)
        self.welcome = self.next("welcome")
        self.epoch, self.after = self.welcome["epoch"], self.welcome["seq"]

    def send(self, **frame):
        if self._document:
            validate_frame(self._document, "receive", frame)
        self.line.send(json.dumps(frame))

    def receive(self, timeout=10.0):
        frame = json.loads(self.line.recv(timeout=timeout))
        if self._document:
            validate_frame(self._document, "send", frame)
        if frame["type"] == "event":
            assert frame["seq"] == self.after + 1, f"gap: {self.after} -> {frame['seq']}"
            self.after = frame["seq"]
            self.events.append(frame)
        return frame

    def next(self, kind, timeout=10.0):
        while (frame := self.receive(timeout))["type"] != kind:
            self.others.append(frame)
        return frame

    def until(self, seq, timeout=5.0):
        """Receive events up to `seq`."""
        while self.after < seq:
            self.next("event", timeout)

    def ask(self, kind, timeout=5.0, **fields):
        self.send(type=kind, ref="r1", **fields)
        return self.next("reply", timeout)

    def code(self, timeout=6.0):
        """The code that the server closes with."""
        try:
            while True:
                self.others.append(json.loads(self.line.recv(timeout=timeout)))
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else None

    def close(self):
        self._connection.close()

"""The product as `make run` starts it, on free ports with its own data, and phones that use it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import httpx
from websockets.sync.client import connect

from tests.contract.frames import validate_frame
from tests.ports import two_free_ports

ROOT = Path(__file__).resolve().parents[2]


class Site:
    """`manage.py up` in a folder of its own; stop it with `stop()`."""

    def __init__(self, data, **settings):
        self.data = Path(data)
        self.port = two_free_ports()
        self.lines = []
        dropped = ("DATABASE_URL", "REDIS_URL", "WEELO_ENV", "DATA", "WEELO_TEST_DATA")
        inherited = {name: v for name, v in os.environ.items() if name not in dropped}
        self.environment = {
            **inherited,
            "DATA": str(self.data),
            "PORT": str(self.port),
            "SIMULATE": "0",
            "WEELO_ENV": "demo",
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.phones = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for("Weelo is ready", seconds=180)

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, text, seconds, times=1):
        deadline = time.monotonic() + seconds
        while sum(text in line for line in self.lines) < times:
            assert time.monotonic() < deadline and self.process.poll() is None, "\n".join(
                [f"not seen within {seconds} s: {text}", *self.lines[-60:]]
            )
            time.sleep(0.05)

    def manage(self, *words):
        """Run a manage.py command in the same folder; it finds the running servers by itself."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stop(self):
        for phone in self.phones:
            phone.http.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self._reader.join(10)
        self.process.stdout.close()

    def phone(self, number):
        self.phones.append(Phone(self, number))
        return self.phones[-1]


class Phone:
    """Somebody's phone, signed in by the code that came by SMS."""

    def __init__(self, site, number):
        self.site, self.number = site, number
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{site.port}/api/v1/", timeout=10)
        assert self.post("auth/otp", phone=number).status_code == 202
        answer = self.post("auth/token", phone=number, code=self.code())
        assert answer.status_code == 200, answer.text
        self.session = answer.json()
        self.http.headers["Authorization"] = f"Bearer {self.session['access']}"

    def code(self, seconds=10):
        """The newest code that an SMS brought."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in reversed(self.sms()):
                if line["to"] == self.number and line["code"]:
                    return line["code"]
            time.sleep(0.05)
        raise AssertionError(f"no SMS for {self.number}")

    def sms(self):
        path = self.site.data / "sms.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def get(self, path, **query):
        return self.http.get(path, params=query)

    def post(self, path, **body):
        return self.http.post(path, json=body)

    def put(self, path, **body):
        return self.http.put(path, json=body)

    def confirm(self, key=None, **changes):
        body = {
            "pickup": place(12.9716, 77.5946, "Asha", "+919000000001"),
            "drop": place(13.05, 77.70, "Ravi", "+919000000009"),
            "trucks": [{"vehicle_type": "open-17-ft", "quantity": 1}],
            "goods": {"category": "furniture", "description": "a sofa"},
            "payment": {"mode": "cash", "paid_by": "sender"},
            **changes,
        }
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self.http.post("orders", json=body, headers=headers)

    def socket(self, role, epoch=None, after=None):
        return Ear(self, role, epoch, after)


class Ear:
    """A socket that was welcomed; keeps every frame it hears."""

    def __init__(self, phone, role, epoch, after):
        token, self.role = phone.session["access"], role
        self.ws = connect(
            f"{phone.session['socket_url']}/ws/{role}/",
            additional_headers={"Authorization": f"Bearer {token}"},
            proxy=None,
            legacy=True,
        )
        self.say(type="hello", epoch=epoch, after=after)
        self.welcome = self.next()
        assert self.welcome["type"] == "welcome", self.welcome
        self.epoch, self.seq = self.welcome["epoch"], self.welcome["seq"]
        self.events = []

    def say(self, **frame):
        validate_frame(self.role, "receive", frame)
        self.ws.send(json.dumps(frame))

    def next(self, seconds=10):
        frame = json.loads(self.ws.recv(timeout=seconds))
        validate_frame(self.role, "send", frame)
        return frame

    def hear(self, name, seconds=10):
        """The data of the next event of this name; others on the way are kept too."""
        deadline = time.monotonic() + seconds
        while True:
            frame = self.next(max(0.01, deadline - time.monotonic()))
            if frame["type"] == "event":
                self.events.append(frame["name"])
                self.seq = frame["seq"]
                if frame["name"] == name:
                    return frame["data"]

    def live(self, name, seconds=5):
        """The data of the next live frame of this name."""
        deadline = time.monotonic() + seconds
        while True:
            frame = self.next(max(0.01, deadline - time.monotonic()))
            if frame["type"] == "live" and frame["name"] == name:
                return frame["data"]

    def ask(self, kind, **fields):
        """Send a command and wait for its reply."""
        ref = str(uuid.uuid4())
        self.say(type=kind, ref=ref, **fields)
        while True:
            frame = self.next()
            if frame["type"] == "reply" and frame["ref"] == ref:
                return frame
            if frame["type"] == "event":
                self.events.append(frame["name"])
                self.seq = frame["seq"]

    def close(self):
        self.ws.close()


def place(lat, lng, name, phone):
    return {
        "lat": lat,
        "lng": lng,
        "address": "12 MG Road",
        "contact": {"name": name, "phone": phone},
    }

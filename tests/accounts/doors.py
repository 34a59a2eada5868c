"""How a phone calls the doors of accounts in these tests."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from django.db import connection
from django.test import Client

from weelo.accounts import otp, sessions
from weelo.accounts.models import SmsMessage

# Shared, since each loads all middleware anew, which looks for every static file.
HANDLER = Client().handler


class Phone:
    """A client that sends and reads JSON; `access` signs its calls."""

    def __init__(self, access=""):
        self.access = access

    def call(self, method, path, body=None, **headers):
        return self.raw(method, f"/api/v1/{path}", body, **headers)

    def raw(self, method, path, body=None, **headers):
        """A call of any path of the site; the answer's `body` is its JSON, if it is any."""
        if self.access:
            headers.setdefault("Authorization", f"Bearer {self.access}")
        client = Client()
        client.handler = HANDLER
        content = body if isinstance(body, bytes | str) else json.dumps(body)
        answer = client.generic(
            method,
            path,
            b"" if body is None else content,
            content_type="application/json",
            headers=headers,
        )
        is_json = "json" in answer.headers.get("Content-Type", "") and answer.content
        answer.body = json.loads(answer.content) if is_json else None
        return answer

    def get(self, path, **headers):
        return self.call("GET", path, **headers)

    def post(self, path, body=None, **headers):
        return self.call("POST", path, body, **headers)

    def patch(self, path, body):
        return self.call("PATCH", path, body)

    def put(self, path, body):
        return self.call("PUT", path, body)

    def delete(self, path):
        return self.call("DELETE", path)


def ask_code(phone):
    """Ask for a code through the verb; returns the digits, which only the SMS knows."""
    otp.send_code(phone)
    return SmsMessage.objects.filter(to=phone).latest("id").code


def sign_in(phone, device_name="Moto"):
    """A signed-in Phone and its session."""
    signed_in = sessions.sign_in_by_phone(phone, device_name)
    return Phone(signed_in.access), signed_in


def other_than(code):
    return f"{(int(code) + 1) % 10**6:06}"


def at_once(work, items, threads):
    """The results of `work(item)` in real threads, each with a database connection of its own."""

    def run(item):
        try:
            return work(item)
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, items))


class LockWatch:
    """Notes whether any connection was seen waiting for a lock while the block ran."""

    def __enter__(self):
        self.seen, self._over = False, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _look(self):
        query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')"
        try:
            while not self._over.is_set():
                with connection.cursor() as cursor:
                    cursor.execute(query)
                    self.seen |= cursor.fetchone()[0]
                time.sleep(0.002)
        finally:
            connection.close()

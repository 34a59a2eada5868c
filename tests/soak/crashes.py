"""Kills what a site is made of, at random, and sees to it that it really died and came back."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import httpx

GONE_WITHIN_S, BACK_WITHIN_S = 10.0, 60.0
LOOK_S = 0.02


class Crashes:
    """Crashes of one durable site. `done` counts those after which the victim was gone."""

    KINDS = ("http worker", "http", "loop", "celery worker", "postgres stop", "postgres kill")

    def __init__(self, site, rng):
        self.site, self.rng = site, rng
        self.done = Counter()
        self.away_s = []  # from each crash until /readyz answered 200 again

    def crash(self, kind):
        """One crash of a kind; returns once the site is ready again."""
        began = time.monotonic()
        {
            "http worker": self._http_worker,
            "http": lambda: self._service("http"),
            "loop": lambda: self._service("loop"),
            "celery worker": lambda: self._service("worker"),
            "postgres stop": lambda: self._postmaster(signal.SIGQUIT),
            "postgres kill": lambda: self._postmaster(signal.SIGKILL),
        }[kind]()
        self.done[kind] += 1
        eventually(self._is_ready, BACK_WITHIN_S)
        self.away_s.append(time.monotonic() - began)

    def missing(self):
        """The kinds that never happened."""
        return [kind for kind in self.KINDS if not self.done[kind]]

    def any(self):
        """A kind by chance; those that never happened yet come first."""
        kind = self.rng.choice(self.missing() or self.KINDS)
        self.crash(kind)
        return kind

    def _http_worker(self):
        """gunicorn's master starts another."""
        workers = children_of(self.site.pid("http"))
        victim = self.rng.choice(workers)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: is_gone(victim), GONE_WITHIN_S)

    def _service(self, name):
        """The whole service with its workers; started again as a supervisor would."""
        family = [self.site.pid(name), *children_of(self.site.pid(name))]
        self.site.kill(name)
        self.site.stop(name, patience_s=0)
        eventually(lambda: all(map(is_gone, family)), GONE_WITHIN_S)
        self.site.start(name)

    def _postmaster(self, number):
        """PostgreSQL without a shutdown: the keeper starts it again."""
        victim = self.site.postmaster()
        os.kill(victim, number)
        eventually(lambda: is_gone(victim), GONE_WITHIN_S)

    def _is_ready(self):
        try:
            return httpx.get(f"{self.site.api}/readyz", timeout=3).status_code == 200
        except httpx.HTTPError:
            return False


def eventually(is_true, within_s):
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(LOOK_S)


def children_of(pid):
    """The processes that a process has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid):
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True

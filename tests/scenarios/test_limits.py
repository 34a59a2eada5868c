"""Limits on real processes, which are killed and cut off from Redis in the middle of counting."""

import os
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.events.live import Phone
from tests.people import make_captains
from tests.running import running
from tests.scenarios.story import new_customer, until
from weelo.accounts import sessions
from weelo.lib import redis as mirror
from weelo.lib.breaker import Breaker
from weelo.lib.limits import Limit, take
from weelo.lib.redis import guarded

LIMIT = 20
PROCESSES = {
    "HTTP_WORKERS": "2",
    "HTTP_THREADS": "16",
    "LIMIT_CUSTOMER": str(LIMIT),
    "LIMIT_CAPTAIN": str(LIMIT),
}


@pytest.fixture(scope="module")
def site():
    with running({**PROCESSES, "SECRET_KEY": settings.SECRET_KEY}, ("http", "live")) as site:
        yield site


def counts_of(site):
    """The milliseconds that each count of a limit still has to live in Redis."""
    with Redis.from_url(site.environment["REDIS_URL"]) as redis:
        return {key: redis.pttl(key) for key in redis.scan_iter("limit:*")}


def storm(line, calls):
    """So many calls of one phone, 40 at a time; how each was answered."""

    def call(_):
        try:
            return line.get("me").status_code
        except httpx.TransportError:
            return "cut off"

    with ThreadPoolExecutor(40) as pool:
        return Counter(pool.map(call, range(calls)))


def test_37_of_200_calls_at_once_on_two_processes_exactly_the_limit_passes(dial):
    first = dial(new_customer())  # `process()` is a call too, so this is another person's phone
    assert first.process() != dial(new_customer(), apart_from=first).process()
    line = dial(new_customer())
    assert storm(line, 200) == {200: LIMIT, 429: 200 - LIMIT}
    refused = line.get("me")
    assert refused.json()["code"] == "RATE_LIMITED"
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit-Policy"] == f'"customer";q={LIMIT};w=60'
    assert refused.headers["RateLimit"].startswith('"customer";r=0;t=')


def test_37_frames_count_like_calls(dial, site):
    (balu,) = make_captains(1)
    session = sessions.sign_in_by_phone(balu.owner.phone).session
    phone = Phone(site.socket, session, "captain")  # whose hello is the first call
    answers = [phone.ask("availability", online=True) for _ in range(LIMIT)]
    phone.close()
    assert [answer["status"] for answer in answers] == [200] * (LIMIT - 1) + [429]
    assert answers[-1]["problem"]["code"] == "RATE_LIMITED"
    assert dial(balu).get("me").status_code == 429
    late = Phone(site.socket, session, "captain", hello=False)
    late.send(type="hello", epoch=None, after=None)
    assert late.code() == 4429


def test_37a_health_checks_are_counted_against_nothing(dial, site):
    line = dial(new_customer())
    storm(line, 2 * LIMIT)
    assert line.get("me").status_code == 429
    counted = counts_of(site).keys()
    token = line.http.headers["Authorization"]
    for path in ("livez", "readyz", "metrics"):
        with httpx.Client(headers={"Authorization": token}, timeout=10) as probe:
            answers = [probe.get(f"{site.api}/{path}") for _ in range(3 * LIMIT)]
        assert {answer.status_code for answer in answers} == {200}
        assert not any("RateLimit" in answer.headers for answer in answers)
    assert counts_of(site).keys() == counted


def test_37b_a_process_killed_while_it_counts_leaves_no_count_without_an_end(dial, site):
    lines = [dial(new_customer()) for _ in range(6)]
    with ThreadPoolExecutor(len(lines) + 1) as pool:
        storms = [pool.submit(storm, line, 120) for line in lines]
        for _ in range(3):
            time.sleep(0.15)
            for pid in site.workers("http"):
                os.kill(pid, signal.SIGKILL)
        answers = [storm.result() for storm in storms]
    assert sum(answer["cut off"] for answer in answers) > 0, "somebody was cut off"
    assert max(answer[200] for answer in answers) <= LIMIT
    left = counts_of(site)
    assert left and all(0 < left_ms <= 60_000 for left_ms in left.values()), left
    site.wait()
    assert dial(new_customer()).get("me").status_code == 200


@contextmanager
def cut_after_the_first_count(folder):
    """The address of a Redis that does what it is told about a limit, and then cuts the line."""
    upstream = urlsplit(os.environ["REDIS_URL"])
    path, cuts = f"{folder}/cut.sock", []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve():
        while True:
            try:
                phone, _ = listener.accept()
            except OSError:
                return
            with phone, socket.socket(socket.AF_UNIX) as redis:
                redis.connect(upstream.path)
                while asked := phone.recv(65536):
                    redis.sendall(asked)
                    answer = redis.recv(65536)
                    if b"limit:" in asked:
                        cuts.append(answer)
                        break
                    phone.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"unix://{path}?{upstream.query}", cuts
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_37c_a_line_cut_between_increment_and_expiry_locks_nobody_out(
    db, tmp_path_factory, monkeypatch
):
    limit, who = Limit("cut", 2, window_s=1), "asha"
    take(Limit("other", 1), who)  # the script is known to Redis
    folder = tmp_path_factory.mktemp("r")
    with cut_after_the_first_count(folder) as (address, cuts):
        client = Redis.from_url(address, retry=Retry(NoBackoff(), 0), socket_timeout=2)
        with monkeypatch.context() as cut, client:
            cut.setattr(mirror, "get_redis_connection", lambda _: client)
            cut.setattr(mirror, "breaker", Breaker("redis", failures=9, window_s=30, open_s=5))
            assert take(limit, who).passed, "counted in this process instead"
    assert len(cuts) == 1
    with guarded() as redis:
        assert 0 < redis.pttl(f"limit:cut:{who}") <= 1000
        until(lambda: not redis.exists(f"limit:cut:{who}"), within_s=3)
    assert take(limit, who).left == 1, "the count of before the cut has not ended"

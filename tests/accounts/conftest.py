import pytest
import redis as redis_client
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from weelo.lib import limits
from weelo.lib import redis as mirror
from weelo.lib.breaker import Breaker
from weelo.lib.redis import guarded


@pytest.fixture(autouse=True)
def _fresh_limits():
    """Each test starts with unused limits."""
    with guarded() as redis:
        for key in redis.scan_iter("limit:*"):
            redis.delete(key)


@pytest.fixture
def redis_away(monkeypatch):
    """A Redis that refuses connections, and a process that has counted nothing yet."""
    dead = redis_client.Redis(host="127.0.0.1", port=9, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(mirror, "get_redis_connection", lambda _: dead)
    monkeypatch.setattr(mirror, "breaker", Breaker("redis", failures=3, window_s=30, open_s=5))
    monkeypatch.setattr(limits, "_local", MovingWindowRateLimiter(MemoryStorage()))
    yield
    dead.close()

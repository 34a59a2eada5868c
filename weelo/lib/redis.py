"""The one way to Redis: django-redis' pool, short timeouts, no retries, a breaker.

Redis is a mirror that may vanish. Every use goes through `guarded()` and says what happens
without it by catching `RedisAway`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio
import structlog
from django.conf import settings
from django_redis import get_redis_connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from weelo.lib.breaker import Breaker

log = structlog.get_logger(__name__)


class RedisAway(Exception):
    """Redis did not answer, or the breaker is open."""


class Pool(redis.ConnectionPool):
    """A pool whose connections never retry: with retries a frozen Redis blocks for seconds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("retry", Retry(NoBackoff(), 0))
        super().__init__(*args, **kwargs)


breaker = Breaker("redis", failures=3, window_s=30, open_s=5)


@contextmanager
def guarded() -> Iterator[redis.Redis]:
    """The client, behind the breaker. Raises RedisAway instead of any connection fault."""
    if not breaker.allows():
        raise RedisAway("breaker open")
    try:
        yield get_redis_connection("default")
    except (redis.ConnectionError, redis.TimeoutError, OSError) as fault:
        if isinstance(fault, redis.TimeoutError):
            log.debug("redis did not answer")
        breaker.failed()
        raise RedisAway(str(fault)) from fault
    except redis.ResponseError as fault:
        # LOADING, READONLY, OOM: it answers, but it cannot serve.
        breaker.failed()
        raise RedisAway(str(fault)) from fault
    else:
        breaker.succeeded()


def async_client(*, socket_timeout: float | None) -> redis.asyncio.Redis:
    """A client for the live process's event loop; `None` waits for ever (subscriptions)."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=socket_timeout,
        socket_connect_timeout=settings.REDIS_TIMEOUT,
        retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
    )

"""A courtesy lock in Redis: `SET NX` with an owner token, released by script.

It only spares the database a race; the constraint is the guard. Without Redis it fails open.
"""

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis

from weelo.lib import clock
from weelo.lib.redis import RedisAway, guarded

MOST_AHEAD_S = 1  # as much may the database's clock, which all go by, differ from that of Redis
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end"


@contextmanager
def courtesy_lock(name: str, *, ttl_s: int, pass_for: str = "") -> Iterator[bool]:
    """Hold `lock:<name>` for at most `ttl_s`; yields whether the caller may go on.

    A holder with the same `pass_for` (an idempotency key, hashed here) lets the caller pass, to
    wait on the database instead. True also when Redis is away.
    """
    key = f"lock:{name}"
    mark = hashlib.sha256(pass_for.encode()).hexdigest() if pass_for else ""
    token = f"{uuid.uuid4().hex}:{mark}"
    try:
        with guarded() as redis:
            # To a point in time, and not for a while: a Redis that was frozen carries out later
            # what nobody waits for any more.
            until_ms = int((clock.now().timestamp() + ttl_s) * 1000)
            taken = bool(redis.set(key, token, nx=True, pxat=until_ms))
            holder: Any = b"" if taken or _is_stale(redis, key, ttl_s) else redis.get(key) or b""
    except RedisAway:
        yield True
        return
    # An empty holder: the lock is stale, or ran out between the calls.
    may_pass = taken or not holder or bool(mark and holder.decode().endswith(f":{mark}"))
    try:
        yield may_pass
    finally:
        if taken:
            _release(key, token)


def _is_stale(redis: Redis, key: str, ttl_s: int) -> bool:
    """Whether the lock cannot be one of ours: without an end (-1), or a later one than we set.

    As a restored dump or a clock that was set back leaves them; it would block for ever.
    """
    left_ms: Any = redis.pttl(key)
    return bool(left_ms == -1 or left_ms > (ttl_s + MOST_AHEAD_S) * 1000)


def _release(key: str, token: str) -> None:
    try:
        with guarded() as redis:
            redis.eval(_RELEASE, 1, key, token)
    except RedisAway:
        pass  # it runs out by itself within its TTL

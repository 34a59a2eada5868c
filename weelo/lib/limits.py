"""Sliding limits, per user and per address: counted in Redis, or in this process without it.

A limit is exact: of any number of concurrent calls, `limit` pass within any `window_s`.
"""

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from weelo.lib.problems import Refusal
from weelo.lib.redis import RedisAway, guarded

# A list of the calls' times, newest first. By Redis' clock, because the web processes' clocks may
# differ. Own words instead of the library's script, which needs a second round trip to tell how
# many calls are left and takes the time from the caller. Each time is pushed and popped once.
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = tonumber(redis.call('LINDEX', KEYS[1], -1) or now)
while now - oldest >= window do
  redis.call('RPOP', KEYS[1])
  oldest = tonumber(redis.call('LINDEX', KEYS[1], -1) or now)
end
local taken = redis.call('LLEN', KEYS[1])
if taken >= limit then return {0, 0, oldest + window - now} end
redis.call('LPUSH', KEYS[1], now)
redis.call('PEXPIRE', KEYS[1], window)
return {1, limit - taken - 1, oldest + window - now}
"""
_local = MovingWindowRateLimiter(MemoryStorage())


class RateLimited(Refusal):
    """More calls than the limit allows; `Retry-After` says when the next one passes.

    Wait as many seconds as `Retry-After` says, then send it again.
    """

    code = "RATE_LIMITED"
    status = 429
    title = "Too many calls"


@dataclass(frozen=True)
class Limit:
    """`calls` in any `window_s` seconds, under a name that the caller sees."""

    name: str
    calls: int
    window_s: int = 60


@dataclass(frozen=True)
class Taken:
    """What became of one call: whether it passed, how many are left, when the oldest lapses."""

    limit: Limit
    passed: bool
    left: int
    reset_s: int


def take(limit: Limit, who: str) -> Taken:
    """Count one call of `who`, in one Redis round trip; never raises for a Redis that is away."""
    key = f"limit:{limit.name}:{who}"
    try:
        with guarded() as redis:
            script = redis.register_script(_TAKE)
            passed, left, reset_ms = script([key], [limit.calls, limit.window_s * 1000])
    except RedisAway:
        return _take_locally(limit, who)
    return Taken(limit, bool(passed), left, math.ceil(reset_ms / 1000))


def charge(request: HttpRequest, limit: Limit, who: str) -> None:
    """Count the request against the limit, and note it for the fields of the answer.

    Raises RateLimited (429).
    """
    taken = take(limit, who)
    request.META.setdefault(_NOTED, []).append(taken)
    if not taken.passed:
        raise refusal(limit.name, taken.reset_s)


def charge_address(request: HttpRequest, limit: Limit) -> None:
    """Count the request against the limit of the address it comes from. Raises RateLimited."""
    charge(request, limit, address(request))


def refusal(name: str, retry_s: int) -> RateLimited:
    """The refusal of a limit called `name`; `retry_s` is when the next call may pass."""
    seconds = max(retry_s, 1)
    detail = f"The limit '{name}' is used up. Try again in {seconds} s."
    return RateLimited(detail, headers={"Retry-After": str(seconds)}, limit=name)


def address(request: HttpRequest) -> str:
    """Who the request comes from, as far as our own proxies vouch for it."""
    meta = request.META
    return address_of(meta.get("REMOTE_ADDR", ""), meta.get("HTTP_X_FORWARDED_FOR", ""))


def address_of(peer: str, forwarded: str) -> str:
    """The client's address, an IPv6 one as its /64, which is what one subscriber gets.

    `peer` is the other end of the connection, `forwarded` the header X-Forwarded-For. Each of
    `settings.PROXIES` proxies appended one entry; what stands before those was sent by the
    client and says nothing.
    """
    entries = [entry.strip() for entry in forwarded.split(",")]
    if 0 < settings.PROXIES <= len(entries):
        peer = entries[-settings.PROXIES]
    try:
        found = ipaddress.ip_address(peer)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))


class LimitFieldsMiddleware:
    """Tells in `RateLimit-Policy` and `RateLimit` what the request was counted against."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        noted: list[Taken] = request.META.get(_NOTED, [])
        if noted:
            response["RateLimit-Policy"] = ", ".join(
                f'"{t.limit.name}";q={t.limit.calls};w={t.limit.window_s}' for t in noted
            )
            response["RateLimit"] = ", ".join(
                f'"{t.limit.name}";r={t.left};t={t.reset_s}' for t in noted
            )
        return response


# Where a request keeps its Taken; a dotted name, as WSGI asks of keys that are no header.
_NOTED = "weelo.limits"


def _take_locally(limit: Limit, who: str) -> Taken:
    item = RateLimitItemPerSecond(limit.calls, limit.window_s, namespace=limit.name)
    passed = _local.hit(item, who)
    stats = _local.get_window_stats(item, who)
    return Taken(limit, passed, stats.remaining, math.ceil(stats.reset_time - time.time()))

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import redis as redis_client
from django.http import HttpResponse
from django.test import RequestFactory
from redis.backoff import NoBackoff
from redis.retry import Retry

from weelo.lib import redis as mirror
from weelo.lib.breaker import Breaker
from weelo.lib.limits import (
    Limit,
    LimitFieldsMiddleware,
    RateLimited,
    address_of,
    charge,
    charge_address,
    take,
)


@pytest.fixture
def who():
    return uuid4().hex


@pytest.fixture
def redis_away(monkeypatch):
    """A Redis that refuses connections, and a breaker that has not noticed yet."""
    dead = redis_client.Redis(host="127.0.0.1", port=9, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(mirror, "get_redis_connection", lambda _: dead)
    fresh = Breaker("redis", failures=3, window_s=30, open_s=5)
    monkeypatch.setattr(mirror, "breaker", fresh)
    yield fresh
    dead.close()


def passed_of(calls, limit, who):
    with ThreadPoolExecutor(32) as pool:
        return sum(pool.map(lambda _: take(limit, who).passed, range(calls)))


def test_of_200_concurrent_calls_under_a_limit_of_20_exactly_20_pass(who):
    assert passed_of(200, Limit("test", 20), who) == 20


def test_without_redis_this_process_counts_as_exactly(who, redis_away):
    assert passed_of(200, Limit("test", 20), who) == 20
    assert redis_away.is_open


def test_a_call_says_how_many_are_left_and_when_the_next_one_passes(who):
    limit = Limit("test", 3, window_s=60)
    taken = [take(limit, who) for _ in range(4)]
    assert [(t.passed, t.left) for t in taken] == [(True, 2), (True, 1), (True, 0), (False, 0)]
    assert all(59 <= t.reset_s <= 60 for t in taken)


def test_without_redis_a_call_says_the_same(who, redis_away):
    limit = Limit("test", 2, window_s=60)
    taken = [take(limit, who) for _ in range(3)]
    assert [(t.passed, t.left) for t in taken] == [(True, 1), (True, 0), (False, 0)]
    assert all(59 <= t.reset_s <= 60 for t in taken)


def put_calls_before(who, limit, *seconds_ago):
    with mirror.guarded() as redis:
        seconds, micros = redis.time()
        now = seconds * 1000 + micros // 1000
        times = [int(now - ago * 1000) for ago in seconds_ago]
        redis.lpush(f"limit:{limit.name}:{who}", *sorted(times))


def test_the_window_slides_call_by_call(who):
    limit = Limit("test", 3, window_s=60)
    put_calls_before(who, limit, 61, 59.5, 30)
    first, second = take(limit, who), take(limit, who)
    assert (first.passed, first.left) == (True, 0)
    assert (second.passed, second.reset_s) == (False, 1)


def test_a_full_window_that_lapsed_holds_nobody_back(who):
    limit = Limit("test", 3, window_s=60)
    put_calls_before(who, limit, 60.5, 61, 62)
    assert (take(limit, who).left, take(limit, who).left) == (2, 1)


def test_the_count_leaves_redis_with_the_window(who):
    take(Limit("test", 3, window_s=60), who)
    with mirror.guarded() as redis:
        assert 59_000 < redis.pttl(f"limit:test:{who}") <= 60_000


def test_refused_calls_use_up_nothing(who):
    limit = Limit("test", 1)
    for _ in range(5):
        take(limit, who)
    with mirror.guarded() as redis:
        assert redis.llen(f"limit:test:{who}") == 1


def test_a_call_costs_one_round_trip(who, monkeypatch):
    limit = Limit("test", 3)
    take(limit, who)
    sent = []
    send = redis_client.connection.AbstractConnection.send_packed_command

    def counted(connection, command, check_health=True):
        sent.append(command)
        return send(connection, command, check_health)

    monkeypatch.setattr(redis_client.connection.AbstractConnection, "send_packed_command", counted)
    take(limit, who)
    assert len(sent) == 1


def test_limits_and_callers_are_counted_apart(who):
    one = Limit("one", 1)
    assert take(one, who).passed
    assert take(Limit("two", 1), who).passed
    assert take(one, who + "x").passed
    assert not take(one, who).passed


def test_the_answer_tells_the_policy_and_what_is_left(who):
    def view(request):
        charge(request, Limit("customer", 300), who)
        charge(request, Limit("orders", 5, 10), who)
        return HttpResponse()

    answer = LimitFieldsMiddleware(view)(RequestFactory().get("/"))

    assert answer["RateLimit-Policy"] == '"customer";q=300;w=60, "orders";q=5;w=10'
    assert answer["RateLimit"] == '"customer";r=299;t=60, "orders";r=4;t=10'


def test_an_answer_without_a_limit_has_no_such_fields():
    answer = LimitFieldsMiddleware(lambda request: HttpResponse())(RequestFactory().get("/livez"))
    assert "RateLimit" not in answer and "RateLimit-Policy" not in answer


def test_the_refusal_says_when_to_come_back():
    request = RequestFactory().get("/", REMOTE_ADDR=f"2001:db8:{uuid4().hex[:4]}::1")
    limit = Limit("search", 1, 30)
    charge_address(request, limit)
    with pytest.raises(RateLimited) as refusal:
        charge_address(request, limit)
    assert (refusal.value.status, refusal.value.code) == (429, "RATE_LIMITED")
    assert refusal.value.headers == {"Retry-After": "30"}
    assert refusal.value.extras == {"limit": "search"}


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        (0, "203.0.113.7", "", "203.0.113.7"),
        (0, "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (1, "10.0.0.2", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.2", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "10.0.0.2", "6.6.6.6, 198.51.100.1, 10.0.0.9", "198.51.100.1"),
        (2, "10.0.0.2", "198.51.100.1", "10.0.0.2"),
        (1, "10.0.0.2", "", "unknown"),
        (1, "10.0.0.2", "nonsense", "unknown"),
        (0, "", "", "unknown"),
        (0, "2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        (1, "10.0.0.2", "2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        (0, "::ffff:203.0.113.7", "", "203.0.113.7"),
    ],
)
def test_an_address_counts_as_far_as_our_proxies_vouch_for_it(
    settings, proxies, peer, forwarded, address
):
    settings.PROXIES = proxies
    assert address_of(peer, forwarded) == address

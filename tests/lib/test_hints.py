from contextlib import contextmanager

import pytest
from django.db import transaction

from weelo.lib import hints
from weelo.lib.redis import RedisAway, guarded

# Redis' channels are of no database: the sites of other tests hear and say those of the product.
LOOP, STREAMS = "hint:loop of this test", "hint:streams of this test"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heard():
    """A subscriber to two channels: `heard()` gives what came since."""
    with guarded() as redis:
        pubsub = redis.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(STREAMS, LOOP)

    def listen():
        found = []
        while (message := pubsub.get_message(timeout=0.1)) is not None or pubsub.get_message(
            timeout=0
        ):
            if message:
                found.append((message["channel"].decode(), message["data"].decode()))
        return found

    listen()
    yield listen
    pubsub.close()


@pytest.fixture
def trips(monkeypatch):
    """Counts the round trips to Redis."""
    taken = []

    @contextmanager
    def counted():
        taken.append(1)
        with guarded() as redis:
            yield redis

    monkeypatch.setattr(hints, "guarded", counted)
    return taken


def test_a_hint_leaves_after_the_commit_and_not_before(heard):
    with transaction.atomic(durable=True):
        hints.hint(LOOP, "orders")
        assert heard() == []
    assert heard() == [(LOOP, "orders")]


def test_a_rollback_leaves_no_hint(heard):
    with pytest.raises(ZeroDivisionError), transaction.atomic(durable=True):
        hints.hint(LOOP, "orders")
        raise ZeroDivisionError
    assert heard() == []


def test_the_hints_of_a_transaction_leave_in_one_round_trip_and_equal_ones_once(heard, trips):
    with transaction.atomic(durable=True):
        hints.hint(STREAMS, "[]")
        with transaction.atomic(savepoint=True):
            hints.hint(LOOP, "orders")
        hints.hint(LOOP, "orders")
    assert len(trips) == 1
    assert heard() == [(STREAMS, "[]"), (LOOP, "orders")]


def test_a_hint_survives_the_rollback_of_a_savepoint_before_it(heard):
    with transaction.atomic(durable=True):
        with pytest.raises(ZeroDivisionError), transaction.atomic(savepoint=True):
            hints.hint(LOOP, "sms")
            raise ZeroDivisionError
        hints.hint(LOOP, "orders")
    assert heard() == [(LOOP, "orders")]


def test_a_hint_after_an_inner_one_survives_the_rollback_of_the_outer_savepoint(heard):
    with transaction.atomic(durable=True):
        with pytest.raises(ZeroDivisionError), transaction.atomic(savepoint=True):
            hints.hint(LOOP, "inner")
            raise ZeroDivisionError
        with transaction.atomic(savepoint=True):
            hints.hint(LOOP, "orders")
        hints.hint(LOOP, "sms")
    assert sorted(heard()) == [(LOOP, "orders"), (LOOP, "sms")]


def test_without_redis_the_change_is_kept_and_nobody_is_troubled(monkeypatch):
    @contextmanager
    def away():
        raise RedisAway("down")
        yield

    monkeypatch.setattr(hints, "guarded", away)
    with transaction.atomic(durable=True):
        hints.hint(LOOP, "orders")

"""The courtesy lock of a Redis that froze."""

import time

import pytest

from tests.valkey import Valkey
from weelo.lib.locks import courtesy_lock
from weelo.lib.redis import breaker

pytestmark = pytest.mark.django_db
TTL_S = 1


@pytest.fixture
def valkey(tmp_path, settings):
    server = Valkey(tmp_path)
    cache = {**settings.CACHES["default"], "LOCATION": server.url}
    settings.CACHES = {"default": cache}
    yield server
    server.end()
    breaker.succeeded()


def test_a_lock_asked_of_a_frozen_redis_blocks_nobody_when_it_answers_again(valkey):
    with courtesy_lock("somebody", ttl_s=TTL_S):
        pass  # now there is a connection, which takes what is sent to a frozen one too
    with valkey.frozen():
        with courtesy_lock("somebody", ttl_s=TTL_S) as may_pass:
            assert may_pass
        time.sleep(TTL_S)
    with valkey.client() as client:
        assert client.info("commandstats")["cmdstat_set"]["calls"] == 2, "it was carried out late"
        assert not client.exists("lock:somebody")
    with courtesy_lock("somebody", ttl_s=TTL_S) as may_pass:
        assert may_pass


def test_a_lock_ends_by_itself_at_its_time(valkey):
    with courtesy_lock("somebody", ttl_s=TTL_S), valkey.client() as client:
        assert 0 < client.pttl("lock:somebody") <= TTL_S * 1000
        with courtesy_lock("somebody", ttl_s=TTL_S) as may_pass:
            assert not may_pass
        time.sleep(TTL_S)
        with courtesy_lock("somebody", ttl_s=TTL_S) as may_pass:
            assert may_pass

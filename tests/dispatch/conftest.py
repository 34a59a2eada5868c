"""Each test starts with an empty Redis of its worker's own, and a breaker that trusts it."""

import pytest
from django_redis import get_redis_connection
from hypothesis import settings as hypothesis_settings

from transporters.presence import index
from weelo.lib import redis as redis_lib

# Two shared cores: how long one example takes says nothing.
hypothesis_settings.register_profile("shared", deadline=None)
hypothesis_settings.load_profile("shared")


@pytest.fixture
def presence_empty():
    """No position known to Redis, which is trusted."""
    get_redis_connection("default").flushdb()
    redis_lib.breaker.succeeded()
    index.mark_filled()
    return get_redis_connection("default")

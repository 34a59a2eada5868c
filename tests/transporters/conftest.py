import pytest

from tests.people import make_city
from transporters import fleet as fleets
from transporters.presence import buffer, reports
from weelo.lib.redis import breaker, guarded


@pytest.fixture(autouse=True)
def fresh_presence():
    """A Redis that knows nobody and is known to be whole, and a process without memories."""
    forget_process()
    with guarded() as redis:
        redis.flushdb()
        redis.set("presence:filled", "1")


@pytest.fixture
def town(db):
    return make_city()


@pytest.fixture
def redis_away():
    """Every call finds the breaker open."""
    breaker._open_until = float("inf")
    yield
    breaker.succeeded()


def forget_process():
    reports._tracks.clear()
    buffer._newest.clear()
    buffer._history.clear()
    fleets._remembered.clear()
    breaker.succeeded()

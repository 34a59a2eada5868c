import pytest

from weelo.cities.management.commands.catalogue import load
from weelo.lib import redis


@pytest.fixture
def catalogue(db):
    """Everything that ships, loaded."""
    return load()


@pytest.fixture
def closed_breaker():
    """Redis' breaker as at the start, before and after."""
    redis.breaker.succeeded()
    yield redis.breaker
    redis.breaker.succeeded()

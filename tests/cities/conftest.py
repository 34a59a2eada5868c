import pytest

from weelo.cities.areas import SHIPPED
from weelo.cities.management.commands import catalogue as catalogue_command
from weelo.cities.management.commands.catalogue import load
from weelo.lib import redis


@pytest.fixture
def catalogue(db):
    """Everything that ships, loaded."""
    return load()


@pytest.fixture
def two_cities(db, monkeypatch):
    """What ships, with the areas of Bengaluru and Kochi alone, which is faster."""
    two = [shipped for shipped in SHIPPED if shipped.slug in ("bengaluru", "kochi")]
    monkeypatch.setattr(catalogue_command, "SHIPPED", two)
    return load()


@pytest.fixture
def closed_breaker():
    """Redis' breaker as at the start, before and after."""
    redis.breaker.succeeded()
    yield redis.breaker
    redis.breaker.succeeded()

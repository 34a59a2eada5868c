import pytest

from weelo.lib.redis import guarded


@pytest.fixture(autouse=True)
def _fresh_limits():
    """Each test starts with unused limits."""
    with guarded() as redis:
        for key in redis.scan_iter("limit:*"):
            redis.delete(key)

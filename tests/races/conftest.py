"""Whoever comes at the same instant, what is left is sound."""

import pytest
from django.db import connections

from dispatch.audit import audit


@pytest.fixture(autouse=True)
def what_is_left_is_sound(transactional_db):
    yield
    connections.close_all()
    assert {found.invariant.name: found.rows for found in audit() if found.rows} == {}

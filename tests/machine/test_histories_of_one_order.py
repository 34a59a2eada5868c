"""Histories that begin with one order at any stage."""

import pytest

from tests.machine.running import run_histories


@pytest.mark.django_db(transaction=True)
def test_every_history_of_one_order_goes_as_the_domain_says(monkeypatch):
    run_histories("one order", openings=1, monkeypatch=monkeypatch)

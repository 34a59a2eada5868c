"""Histories that begin with two customers' orders, which compete for the same vehicles."""

import pytest

from tests.machine.running import run_histories


@pytest.mark.django_db(transaction=True)
def test_every_history_of_competing_orders_goes_as_the_domain_says(monkeypatch):
    run_histories("many orders", openings=2, monkeypatch=monkeypatch)

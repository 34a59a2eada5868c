"""Past their deadline orders expire together, whoever notices."""

import time
from itertools import count

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from orders.models import Order
from orders.verbs.expire import expire_due
from tests.orders.clock import overdue
from tests.people import make_captains, make_city, make_customer, make_order, tell_them
from tests.races.racing import race
from weelo.events.models import Event

_phones = count()


def overdue_orders(number):
    fleets = make_captains(2)
    orders = [make_order(make_customer(f"+9170{next(_phones):08}")) for i in range(number)]
    for order in orders:
        tell_them(order, fleets)
        overdue(order)
    return orders


@pytest.mark.django_db
def test_many_orders_expire_in_as_many_statements_as_one():
    make_city()
    counts = []
    for number in (1, 12):
        overdue_orders(number)
        Event.objects.all().delete()
        with CaptureQueriesContext(connection) as queries:
            assert expire_due() == number
        counts.append(
            sum(not q["sql"].startswith(("SAVEPOINT", "RELEASE")) for q in queries.captured_queries)
        )
        expired = Event.objects.filter(name="order_expired")
        assert expired.count() == number
        assert Event.objects.filter(name="broadcast_dismissed").count() == 2 * number
        assert expire_due() == 0
    assert counts == [6, 6]  # due, lock, trucks, offers, rows and facts, messages


@pytest.mark.django_db(transaction=True)
def test_an_order_locked_by_somebody_else_keeps_no_other_one_waiting():
    make_city()
    held, *others = overdue_orders(3)
    with transaction.atomic(durable=True):
        Order.objects.select_for_update(no_key=True).get(id=held.id)
        ((expired, seconds),) = race(timed(expire_due))
    assert expired == len(others)
    assert seconds < 0.9  # a wait for the held one would end after 1 s, by lock_timeout
    assert expire_due() == 1


def timed(runner):
    def run():
        started = time.monotonic()
        return runner(), time.monotonic() - started

    return run

"""PostgreSQL stops at once, in the middle of many confirms, and comes back."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor, as_completed
from uuid import UUID

import httpx
import pytest
from django.conf import settings
from django.db import connection

from orders.models import Order
from tests.faults.town import is_sound, until
from tests.people import make_customer, wish
from tests.running import running
from weelo.accounts import sessions

CUSTOMERS = 200
ANSWERED_BEFORE = 60
IN_FLIGHT = 16


@pytest.fixture
def site(django_db_blocker):
    with running(
        {"SECRET_KEY": settings.SECRET_KEY}, services=("http", "loop"), durable=True
    ) as site:
        with django_db_blocker.unblock(), site.django():
            yield site


class Customer:
    """Somebody with one order to make and one key for it."""

    def __init__(self, number):
        self.user = make_customer(f"+9171{number:08}")
        token = sessions.sign_in_by_phone(self.user.phone).access
        self.headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"key {number}"}
        self.order_id = None
        self.unknown = 0  # how often she could not know whether her order was made

    def confirm(self, client):
        """Tried with the same key until it is answered."""
        until(lambda: self.try_once(client))

    def try_once(self, client):
        try:
            answer = client.post("orders", json=wish(), headers=self.headers)
        except httpx.TransportError:
            self.unknown += 1
            return False
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
            self.unknown += 1
            return False
        assert answer.status_code == 201, answer.text
        self.order_id = answer.json()["id"]
        return True


def test_no_answered_order_is_lost_and_every_key_has_one_when_postgresql_stops_at_once(site):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
        assert cursor.fetchone() == ("on", "on")
    customers = [Customer(number) for number in range(CUSTOMERS)]
    connection.close()
    storm(site, customers)
    assert "automatic recovery in progress" in (site.data / "servers/postgres.log").read_text()
    assert any(customer.unknown for customer in customers)
    made = sorted(Order.objects.values_list("customer_id", "id"))
    assert made == sorted((customer.user.id, UUID(customer.order_id)) for customer in customers)
    assert is_sound()


def storm(site, customers):
    """All confirm; after so many answers PostgreSQL is told to stop immediately."""
    with (
        httpx.Client(base_url=f"{site.api}/api/v1/", timeout=20) as client,
        ThreadPoolExecutor(IN_FLIGHT) as pool,
    ):
        confirms = [pool.submit(customer.confirm, client) for customer in customers]
        for number, done in enumerate(as_completed(confirms), 1):
            done.result()
            if number == ANSWERED_BEFORE:
                os.kill(site.postmaster(), signal.SIGQUIT)

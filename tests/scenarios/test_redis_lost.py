"""Redis is lost between any two calls that bookings make of it."""

import socket
import threading
from contextlib import contextmanager, suppress
from itertools import count
from urllib.parse import urlsplit

import pytest

from orders.models import Order, Wave
from orders.verbs.expire import expire_due
from tests.dispatch.drive import look, north, told
from tests.orders.clock import overdue
from tests.people import make_captains, vehicle_ids
from tests.scenarios.story import body, heard, names, new_customer
from tests.transporters.conftest import forget_process
from transporters.models import Transporter
from transporters.presence import buffer
from weelo.lib.redis import breaker, guarded

pytestmark = pytest.mark.django_db(transaction=True)  # hints leave after a commit


class Cable:
    """A way to Redis that breaks when it has carried so many calls: nothing answers any more."""

    def __init__(self, path, server, lasts):
        self.calls, self._lasts = 0, lasts
        self._server, self._ends = server, []
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def end(self):
        """Nothing answers here any more."""
        for one in (self._listener, *self._ends):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._server)
                self._ends += [near, far]
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()
                threading.Thread(target=_pass_on, args=(far, near), daemon=True).start()

    def _carry(self, near, far):
        with suppress(OSError):
            while data := near.recv(65536):
                with self._lock:
                    self.calls += 1
                    is_lost = self.calls > self._lasts
                if is_lost:
                    self.end()
                far.sendall(data)


def _pass_on(one, other):
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)


@pytest.fixture
def over_cable(settings, tmp_path):
    """`with over_cable(3) as cable:` this process reaches Redis over a cable that lasts 3 calls."""
    whole, numbers = settings.CACHES["default"], count(1)
    server = urlsplit(whole["LOCATION"])

    @contextmanager
    def over_cable(lasts):
        path = str(tmp_path / f"{next(numbers)}.sock")
        cable = Cable(path, server.path, lasts)
        settings.CACHES = {"default": {**whole, "LOCATION": f"unix://{path}?{server.query}"}}
        try:
            yield cable
        finally:
            settings.CACHES = {"default": whole}
            breaker.succeeded()
            cable.end()

    return over_cable


def forget_everything():
    """A process and a Redis without memories, and nobody near but those who come now."""
    Transporter.objects.update(is_online=False)
    forget_process()
    with guarded() as redis:
        redis.flushdb()
        redis.set("presence:filled", "1")


def bookings(phone):
    """Three customers confirm, one twice with the same key; one of two captains wins the first
    order, the second is cancelled, the third runs out. What came of it, in words."""
    customers = [new_customer() for _ in range(3)]
    near, far = make_captains(2, vehicles=3)
    for metres, fleet in ((1000, near), (2000, far)):
        lat, lng = north(metres)
        answer = phone(fleet).post("positions", {"lat": lat, "lng": lng})
        assert answer.body["accepted"] == 1
    buffer.write_back()  # as its process does every 5 s
    lines = [phone(customer) for customer in customers]
    key = {"Idempotency-Key": "key-1"}
    answers = [line.post("orders", body(), **key) for line in (*lines, lines[0])]
    assert answers[0].body["id"] == answers[-1].body["id"]
    orders = [Order.objects.get(customer=customer) for customer in customers]
    while look():
        pass
    captain, truck = phone(near), {"vehicle_ids": [str(vehicle_ids(near)[0])]}
    offer = orders[0].offers.get(transporter=near)
    answers.append(captain.post(f"offers/{offer.id}/accept", truck))
    answers.append(lines[1].post(f"orders/{orders[1].id}/cancel"))
    overdue(orders[2])
    expire_due()
    return {
        "answers": [(answer.status_code, answer.body.get("status")) for answer in answers],
        "told": [told(order) == [near.owner.name, far.owner.name] for order in orders],
        "waves": [Wave.objects.filter(order=order).count() for order in orders],
        "orders": [Order.objects.get(id=order.id).status for order in orders],
        "heard": [names(heard(who)) for who in (*customers, near, far)],
    }


def test_27_redis_lost_between_any_two_calls_changes_nothing_that_is_decided(
    asha, phone, over_cable
):
    forget_everything()
    with over_cable(10_000):
        rightly = bookings(phone)
    assert rightly["orders"] == ["filled", "cancelled", "expired"]
    assert rightly["told"] == [True] * 3
    sources, lasts, has_broken = set(), 0, True
    while has_broken:
        forget_everything()
        before = set(Wave.objects.values_list("id", flat=True))
        with over_cable(lasts) as cable:
            assert bookings(phone) == rightly, f"lost after {lasts} calls"
        sources |= set(Wave.objects.exclude(id__in=before).values_list("source", flat=True))
        has_broken = cable.calls > lasts
        lasts += 1
    assert sources == {"redis", "postgres"}
    assert lasts > 20

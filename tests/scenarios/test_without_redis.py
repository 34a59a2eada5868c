"""Two http processes and PostgreSQL: no Redis, no worker, no beat, and mostly no loop."""

from datetime import timedelta

import pytest
from django.conf import settings

from orders.models import Order, Wave
from orders.states import OrderStatus
from tests.dispatch.drive import stand
from tests.orders.clock import overdue
from tests.people import make_captains, tell_them, vehicle_ids
from tests.races.racing import race_for
from tests.running import running
from tests.scenarios.site import one_of_twenty
from tests.scenarios.story import heard, names, new_customer, until
from transporters.presence import buffer
from weelo.events.models import Role, Stream

ALONE = {
    "HTTP_WORKERS": "2",
    "HTTP_THREADS": "16",
    "REDIS_URL": "unix:///nowhere/redis.sock?db=0",
    "SECRET_KEY": settings.SECRET_KEY,
}


@pytest.fixture(scope="module")
def site():
    with running(ALONE, ("http",)) as site:
        yield site


def test_07_without_redis_the_constraint_alone_lets_one_of_twenty_confirms_through(dial):
    ravi = new_customer()
    first = dial(ravi)
    lines = [first, dial(ravi, apart_from=first), *(dial(ravi) for _ in range(18))]
    # The messages are the last statement: the first to insert waits there, the others for it.
    stream = Stream.objects.create(user=ravi, role=Role.CUSTOMER)
    taps = [line.confirming(f"key-{n}") for n, line in enumerate(lines)]
    answers = race_for(stream, *taps, waiting=3)
    assert one_of_twenty(ravi, answers) == {"ACTIVE_ORDER_EXISTS"}


def test_09_past_its_ttl_an_order_reads_as_expired_at_once_and_the_next_confirm_succeeds(dial):
    ravi, (balu,) = new_customer(), make_captains(1)
    line, captain = dial(ravi), dial(balu)
    old = line.confirming("key-1")().json()
    order = Order.objects.get(id=old["id"])
    (offer,) = tell_them(order, [balu])
    assert line.get("orders/active").json()["order"]["id"] == old["id"]
    overdue(order, seconds=0)
    seen = line.get(f"orders/{old['id']}").json()
    assert (seen["status"], seen["seeking"]) == ("expired", False)
    assert seen["reason"] == "NO_CAPTAIN_ACCEPTED"
    assert [truck["status"] for truck in seen["trucks"]] == ["expired"]
    assert line.get("orders").json()["results"][0]["status"] == "expired"
    assert line.get("orders/active").json()["order"] is None
    assert captain.get("offers").json()["results"] == []
    ids = {"vehicle_ids": [str(id_) for id_ in vehicle_ids(balu)]}
    late = captain.post(f"offers/{offer.id}/accept", ids)
    assert (late.status_code, late.json()["code"]) == (410, "ORDER_EXPIRED")
    new = line.confirming("key-2")()
    assert new.status_code == 201, new.text
    order.refresh_from_db()
    assert order.status == OrderStatus.EXPIRED
    assert names(heard(ravi, order)).count("order_expired") == 1
    assert names(heard(balu, order)) == ["new_broadcast", "broadcast_dismissed"]
    assert line.get("orders/active").json()["order"]["id"] == new.json()["id"]


@pytest.fixture
def loop(at_site):
    at_site.start("loop")
    at_site.wait()
    yield
    at_site.stop("loop")


def test_28_an_order_whose_broadcast_nobody_called_for_goes_out_within_2_s_once(dial, loop):
    (balu,) = make_captains(1)
    stand(balu, 1000)
    buffer.write_back()  # as the process that takes positions does
    answer = dial(new_customer()).confirming("key-1")()  # without Redis no hint leaves it
    order = Order.objects.get(id=answer.json()["id"])
    until(lambda: order.offers.exists())
    (wave,) = order.waves.all()
    assert wave.at - order.created_at < timedelta(seconds=2)
    assert wave.source == "postgres"
    # The loop looks again, for newcomers, and does not send it again.
    order.refresh_from_db()
    next_look = order.next_wave_at
    until(lambda: Order.objects.get(id=order.id).next_wave_at > next_look)
    assert Wave.objects.filter(order=order).count() == 1
    assert names(heard(balu, order)) == ["new_broadcast"]

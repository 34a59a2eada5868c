"""Past their deadline orders expire together, whoever notices."""

import json
import re
import time
import uuid
from itertools import count, groupby
from operator import itemgetter

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from orders.change import SYSTEM, By
from orders.models import Actor, Order, Trip
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.decline import decline
from orders.verbs.expire import due, expire, expire_due
from orders.verbs.give_back import give_back
from orders.verbs.withdraw import withdraw_all
from tests.accounts.doors import sign_in
from tests.orders.clock import overdue
from tests.people import (
    make_captains,
    make_city,
    make_customer,
    make_order,
    tell_them,
    vehicle_ids,
)
from tests.races.racing import race
from weelo.accounts.models import User
from weelo.events.models import Event
from weelo.lib.problems import NotFound
from weelo.lib.wire import encode

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
        counts.append(statements_of(expire_due, number))
        expired = Event.objects.filter(name="order_expired")
        assert expired.count() == number
        assert Event.objects.filter(name="broadcast_dismissed").count() == 2 * number
        assert expire_due() == 0
    assert counts == [4, 4]  # due, lock, rows and facts, messages


@pytest.mark.django_db
def test_partly_filled_orders_expire_in_as_many_statements_as_one():
    make_city()
    counts = []
    for number in (1, 5):
        for _ in range(number):
            order = make_order(make_customer(f"+9170{next(_phones):08}"), trucks=2)
            (fleet,) = make_captains(1)
            (offer,) = tell_them(order, [fleet])
            accept(fleet.owner_id, offer.id, vehicle_ids(fleet))
            overdue(order)
        counts.append(statements_of(expire_due, number))
    assert counts == [7, 7]  # due, lock, orders, trucks, offers, rows and facts, messages


@pytest.mark.django_db
def test_the_longest_overdue_expire_first():
    make_city()
    orders = overdue_orders(3)
    for order, seconds in zip(orders, (10, 30, 20), strict=True):
        overdue(order, seconds)
    seeking = make_order(make_customer(f"+9170{next(_phones):08}"))
    assert due(9) == [orders[1].id, orders[2].id, orders[0].id]
    assert expire_due(2) == 2
    assert due(9) == [orders[0].id]
    assert expire_due() == 1
    assert not expire(seeking.id)


@pytest.mark.django_db
def test_one_expiry_says_whether_there_was_any_and_that_time_did_it():
    make_city()
    (order,) = overdue_orders(1)
    with pytest.raises(NotFound):
        expire(uuid.uuid4())
    assert expire(order.id) is True
    assert expire(order.id) is False
    fact = order.facts.get(kind="order_expired")
    assert (fact.by, fact.by_user_id) == ("system", None)


@pytest.mark.django_db
def test_an_order_that_cannot_expire_keeps_no_other_one_from_it():
    make_city()
    orders = overdue_orders(3)
    refuse_facts_of(orders[1])
    assert expire_due() == 2
    left = dict(Order.objects.values_list("id", "status"))
    assert [left[order.id] for order in orders] == ["expired", "broadcasting", "expired"]


def refuse_facts_of(order):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON orders_fact FOR EACH ROW"
            f" WHEN (NEW.order_id = '{order.id}') EXECUTE FUNCTION pg_temp.refuse()"
        )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("refused_before", [0, 1], ids=["together", "one by one"])
def test_a_database_that_goes_away_is_not_taken_for_a_broken_order(refused_before):
    make_city()
    (order,) = overdue_orders(1)
    go_away_at_a_fact(refused_before)
    with pytest.raises(OperationalError):
        expire_due()
    connection.close()
    order.refresh_from_db()
    assert order.status == "broadcasting"


def go_away_at_a_fact(refused_before):
    """The connection ends, and with it all that is temporary; before, so many refusals."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP SEQUENCE tries")
        cursor.execute(
            "CREATE FUNCTION pg_temp.away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF nextval('pg_temp.tries') > {refused_before} THEN"
            " PERFORM pg_terminate_backend(pg_backend_pid());"
            " ELSE RAISE EXCEPTION 'broken'; END IF; RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER away BEFORE INSERT ON orders_fact"
            " FOR EACH ROW EXECUTE FUNCTION pg_temp.away()"
        )


def statements_of(runner, result):
    with CaptureQueriesContext(connection) as queries:
        assert runner() == result
    return sum(not q["sql"].startswith(("SAVEPOINT", "RELEASE")) for q in queries.captured_queries)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["orders/active", "orders/{}"])
def test_a_reader_stores_the_expiry_that_he_sees_and_no_other(path):
    make_city()
    phone, _ = sign_in("+919000000001")
    asha = User.objects.get(phone="+919000000001")
    mine, (other,) = make_order(asha), overdue_orders(1)
    overdue(mine)
    answer = phone.get(path.format(mine.id))
    assert answer.status_code == 200
    assert answer.body.get("status", "expired") == "expired"
    assert set(Order.objects.filter(status="expired")) == {mine}
    assert mine.facts.filter(kind="order_expired").count() == 1
    assert phone.get(path.format(mine.id)).body.get("order") is None
    assert Order.objects.get(id=other.id).status == "broadcasting"


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


# --- the statement for many, held equal to the verb for one -------------------------------------


def untold(asha):
    return make_order(asha)


def told(asha):
    order = make_order(asha, trucks=MIXED)
    tell_them(order, make_captains(2))
    return order


def answered(asha):
    """One declined, one withdrawn, one accepted and cancelled by the customer, with a fee."""
    order = make_order(asha, trucks=MIXED)
    fleets = make_captains(4)
    offers = tell_them(order, fleets)
    decline(fleets[0].owner_id, offers[0].id)
    withdraw_all(SYSTEM, fleets[1].id)
    accept(fleets[2].owner_id, offers[2].id, vehicle_ids(fleets[2]))
    cancel(By(Actor.CUSTOMER, asha.id), order.id, truck_id=Trip.objects.get(order=order).truck_id)
    return order


def given_back(asha):
    order = make_order(asha, trucks=2)
    fleets = make_captains(2)
    offers = tell_them(order, fleets)
    accept(fleets[0].owner_id, offers[0].id, vehicle_ids(fleets[0]))
    give_back(fleets[0].owner_id, Trip.objects.get(order=order).id)
    return order


MIXED = [
    {"vehicle_type": "open-17-ft", "quantity": 2, "load_kg": 4000},
    {"vehicle_type": "mini-tata-ace", "quantity": 1},
]


@pytest.mark.django_db
@pytest.mark.parametrize("story", [untold, told, answered, given_back])
def test_many_together_expire_exactly_as_one_alone(story):
    make_city()
    alone, together = (story(make_customer(f"+9170{next(_phones):08}")) for _ in range(2))
    overdue(alone)
    assert expire(alone.id)
    overdue(together)
    assert expire_due() == 1
    assert what_is_left(together) == what_is_left(alone)


def what_is_left(order):
    """The order's rows, facts and messages, with names for ids and without times."""
    trucks = dict(enumerate(order.trucks.order_by("position")))
    offers = dict(enumerate(order.offers.order_by("distance_m")))
    names = {order.id: "order", order.customer_id: "customer"}
    names |= {truck.id: f"truck {i}" for i, truck in trucks.items()}
    for i, offer in offers.items():
        names |= {offer.id: f"offer {i}", offer.transporter_id: f"fleet {i}"}
        names |= {offer.transporter.owner_id: f"captain {i}"}
        names |= {vehicle.id: f"vehicle {i}" for vehicle in offer.transporter.vehicles.all()}
    names |= {trip.id: "trip" for trip in order.trips.all()}
    messages = Event.objects.filter(order_id=order.id).order_by("stream_id", "seq")
    told = messages.values("stream__user", "stream__role", "name", "order_version", "data")
    left = {
        "order": Order.objects.filter(id=order.id).values().get(),
        "trucks": list(order.trucks.order_by("position").values()),
        "offers": list(order.offers.order_by("distance_m").values()),
        "facts": list(order.facts.order_by("id").values()),
        "messages": sorted(told, key=lambda message: names[message["stream__user"]]),
    }
    text = TIMES.sub("a time", encode(left))
    for id_, name in names.items():
        text = text.replace(str(id_), name)
    named = json.loads(text, object_hook=without_own)
    named["facts"] = [
        fact
        for _, alike in groupby(named["facts"], key=itemgetter("order_version", "kind"))
        for fact in sorted(alike, key=offer_by_name)
    ]
    return named


def offer_by_name(fact):
    """Offers are closed in the order of their ids, which are random; all else keeps its place."""
    return fact["subject_id"] if fact["subject"] == "offer" else ""


TIMES = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
OWN = {"registration", "phone", "name", "start_code", "drop_code"}


def without_own(row):
    """A payload without what is each person's or truck's own, and a fact without its number."""
    is_fact = "kind" in row
    own = {"id"} if is_fact else set() if "stream__user" in row else OWN
    return {name: value for name, value in row.items() if name not in own}

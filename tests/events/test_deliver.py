import random
import threading
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.events.conftest import message, tell
from weelo.events.deliver import Message, deliver
from weelo.events.models import Event, Role, Stream

pytestmark = pytest.mark.django_db(transaction=True)


def stream_of(user, role=Role.CUSTOMER):
    return [
        (event.seq, event.data["n"])
        for event in Event.objects.filter(stream__user=user, stream__role=role).order_by("seq")
    ]


def test_messages_are_numbered_from_one_in_the_order_given(person):
    asha, balu = person(), person()
    tell(message(asha, 1), message(balu, 1), message(asha, 2))
    tell(message(asha, 3))
    assert stream_of(asha) == [(1, 1), (2, 2), (3, 3)]
    assert stream_of(balu) == [(1, 1)]
    assert Stream.objects.get(user=asha).head == 3


def test_each_role_of_a_person_has_a_stream_of_its_own(person):
    asha = person()
    tell(message(asha, 1), message(asha, 7, Role.CAPTAIN))
    assert stream_of(asha) == [(1, 1)]
    assert stream_of(asha, Role.CAPTAIN) == [(1, 7)]


def test_a_delivery_is_one_statement_however_many_it_tells(person):
    people = [person() for _ in range(20)]
    with (
        transaction.atomic(durable=True),
        CaptureQueriesContext(
            connection,
        ) as queries,
    ):
        deliver([message(user, n) for n in range(5) for user in people])
    assert len(queries) == 1
    assert Event.objects.count() == 100


def test_nothing_to_tell_asks_the_database_nothing():
    with transaction.atomic(durable=True), CaptureQueriesContext(connection) as queries:
        deliver([])
    assert len(queries) == 0


def test_a_message_without_a_transaction_is_refused(person):
    with pytest.raises(transaction.TransactionManagementError):
        deliver([message(person(), 1)])


def test_a_rollback_takes_the_messages_back_and_leaves_no_gap(person):
    asha = person()
    tell(message(asha, 1))
    with pytest.raises(ZeroDivisionError), transaction.atomic(durable=True):
        deliver([message(asha, 2)])
        raise ZeroDivisionError
    tell(message(asha, 3))
    assert stream_of(asha) == [(1, 1), (2, 3)]


def test_ids_times_and_decimals_arrive_as_phones_read_them(person):
    asha, order_id = person(), uuid.uuid4()
    data = {"order_id": order_id, "at": datetime(2026, 1, 2, tzinfo=UTC), "km": Decimal("1.50")}
    tell(Message(asha.id, Role.CUSTOMER, "order_expired", data, order_id, 4))
    event = Event.objects.get()
    assert event.data == {
        "order_id": str(order_id),
        "at": "2026-01-02T00:00:00.000000Z",
        "km": 1.5,
    }
    assert (event.order_id, event.order_version) == (order_id, 4)


def test_eight_writers_to_the_same_people_leave_no_gap_and_no_deadlock(person):
    people = [person() for _ in range(6)]
    faults, waits = [], []

    def write(writer):
        chance = random.Random(writer)
        try:
            for n in range(60):
                told = chance.choices(people, k=4)
                tell(*(message(user, n, writer=writer) for user in told))
        except DatabaseError as fault:
            faults.append(fault)
        finally:
            connection.close()

    def watch():
        with connection.cursor() as cursor:
            while any(thread.is_alive() for thread in threads):
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                waits.append(cursor.fetchone()[0])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    watch()
    for thread in threads:
        thread.join()

    assert faults == []
    assert max(waits) > 0, "the writers never met"
    assert Event.objects.count() == 8 * 60 * 4
    for user in people:
        events = list(Event.objects.filter(stream__user=user).order_by("seq"))
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert Stream.objects.get(user=user).head == len(events)
        assert [event.at for event in events] == sorted(event.at for event in events)
        for writer in range(8):
            own = [event.data["n"] for event in events if event.data["writer"] == writer]
            assert own == sorted(own)

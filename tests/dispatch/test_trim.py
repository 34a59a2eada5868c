import uuid
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session as AdminSession
from django.db import connection
from django.utils import timezone

from dispatch import trim
from orders.models import Wave
from tests.events.conftest import tell
from tests.people import (
    ASHA,
    BALU,
    make_captains,
    make_city,
    make_customer,
    make_order,
    tell_them,
)
from weelo.accounts import otp
from weelo.accounts.models import Device, OneTimeCode, Session, SmsMessage
from weelo.events import mailbox
from weelo.events.deliver import Message
from weelo.events.models import Event, Push, Role

pytestmark = pytest.mark.django_db(transaction=True)


def age(table, column, by):
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = {column} - %s::interval", [by])


def note(user, n, until=None):
    order_id = uuid.uuid4()
    return Message(user.id, Role.CUSTOMER, "order_expired", {"n": n}, order_id, 1, until)


def test_messages_are_kept_for_a_day_and_who_was_away_longer_gets_a_snapshot():
    asha = make_customer()
    tell(note(asha, 1), note(asha, 2))
    age("events_event", "at", "24 hours 1 second")
    tell(note(asha, 3))
    assert trim.trim()["events_event"] == 2
    assert list(Event.objects.values_list("seq", flat=True)) == [3]
    role = Role.CUSTOMER
    assert mailbox.read(asha.id, role, after=2, limit=10).continues(None, 2)
    assert not mailbox.read(asha.id, role, after=1, limit=10).continues(None, 1)
    assert trim.trim()["events_event"] == 0


def test_pushes_are_kept_for_a_day():
    asha = make_customer()
    session = Session.objects.create(user=asha, expires_at=timezone.now() + timedelta(days=1))
    Device.objects.create(session=session, push_token="asha", platform="ios")
    tell(note(asha, 1, timezone.now() + timedelta(hours=1)))
    age("events_push", "made_at", "24 hours 1 second")
    tell(note(asha, 2, timezone.now() + timedelta(hours=1)))
    assert trim.trim()["events_push"] == 1
    assert [push.seq for push in Push.objects.all()] == [2]


def test_codes_are_kept_for_the_day_in_which_they_are_counted():
    """A phone that has had all its codes of a day gets none more for the row having gone."""
    for _ in range(2):
        otp.send_code(ASHA)
        age("accounts_onetimecode", "created_at", "23 hours 59 minutes")
    assert trim.trim()["accounts_onetimecode"] == 1
    assert OneTimeCode.objects.get().phone == ASHA


def test_text_messages_are_kept_for_a_day_past_the_time_to_send_them():
    otp.send_code(ASHA)
    otp.send_code(BALU)
    SmsMessage.objects.filter(to=ASHA).update(sent_at=timezone.now())
    age("accounts_smsmessage", "expires_at", "24 hours 4 minutes")
    assert trim.trim()["accounts_smsmessage"] == 0
    age("accounts_smsmessage", "expires_at", "1 minute 1 second")
    assert trim.trim()["accounts_smsmessage"] == 2


def test_sessions_of_the_admin_go_when_they_are_over():
    for key, left in (("over", -1), ("runs", 60)):
        until = timezone.now() + timedelta(seconds=left)
        AdminSession.objects.create(session_key=key, session_data="", expire_date=until)
    assert trim.trim()["django_session"] == 1
    assert AdminSession.objects.get().session_key == "runs"


def test_decisions_are_kept_for_thirty_days():
    make_city()
    order = make_order(make_customer())
    tell_them(order, make_captains(2))
    assert trim.trim()["orders_wave"] == 0
    age("orders_wave", "at", "30 days 1 second")
    assert trim.trim()["orders_wave"] == 1
    assert not Wave.objects.exists()


def test_much_is_deleted_in_small_transactions(monkeypatch):
    monkeypatch.setattr(trim, "BATCH", 10)
    asha = make_customer()
    tell(*(note(asha, n) for n in range(35)))
    age("events_event", "at", "2 days")
    assert trim.trim()["events_event"] == 35

"""Kept SQL gives what its queryset would give, and to each caller his own."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.db.models import F, Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.people import make_customer
from weelo.accounts.models import Session, User
from weelo.lib.compiled import IsAnyOf, compiled

pytestmark = pytest.mark.django_db


def sessions_of(user_id, session_ids):
    """Joined, annotated, ordered, with constants of its own before and behind the arguments."""
    rows = Session.objects.select_related("user").annotate(phone=F("user__phone"))
    rows = rows.filter(Q(generation=1), Q(user_id=user_id)).filter(IsAnyOf("id", session_ids))
    return rows.exclude(device_name="stolen").order_by("-id")


@pytest.fixture
def people(db):
    people = [make_customer(f"+91900000060{n}", f"Asha {n}") for n in range(3)]
    for user in people:
        for device in ("phone", "tablet", "stolen"):
            Session.objects.create(user=user, device_name=device, expires_at=timezone.now())
    return people


def plain(rows):
    return [(one.id, one.device_name, one.expires_at, one.user.name, one.phone) for one in rows]


def test_the_rows_are_those_of_the_queryset(people):
    run = compiled(sessions_of)
    ids = list(Session.objects.values_list("id", flat=True))
    for user in people:
        for some in (ids, ids[:4], []):
            assert plain(run(user.id, some)) == plain(sessions_of(user.id, some))
        assert len(run(user.id, ids)) == 2


def test_its_sql_is_made_once_and_related_rows_come_with_it(people):
    made = []

    def counted(user_id):
        made.append(user_id)
        return Session.objects.select_related("user").filter(user_id=user_id)

    run = compiled(counted)
    with CaptureQueriesContext(connection) as queries:
        for user in people:
            assert {session.user for session in run(user.id)} == {user}
    assert (len(made), len(queries)) == (1, 3)


@pytest.mark.django_db(transaction=True)
def test_callers_at_once_do_not_mix():
    ids = [make_customer(f"+91900000070{n}", f"Asha {n}").id for n in range(3)]
    run = compiled(lambda user_id: User.objects.filter(id=user_id))

    def ask(n):
        try:
            return [[user.id for user in run(ids[(n + i) % 3])] for i in range(100)]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    assert answers == [[[ids[(n + i) % 3]] for i in range(100)] for n in range(6)]

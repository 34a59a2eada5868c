import itertools
import uuid
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from tests.events.live import Live
from weelo.accounts.models import Session, User
from weelo.events.deliver import Message, deliver
from weelo.events.models import Role

_numbers = itertools.count(1)


@pytest.fixture
def person():
    """Makes users, each with a phone of their own."""

    def make(**fields):
        number = next(_numbers)
        return User.objects.create(phone=f"+9188{number:08d}", name=f"Person {number}", **fields)

    return make


@pytest.fixture
def session_of():
    """Makes sessions: one signed-in device."""

    def make(user, **fields):
        fields = {"expires_at": timezone.now() + timedelta(days=1), **fields}
        return Session.objects.create(user=user, device_name="test", **fields)

    return make


def tell(*messages):
    """Delivers messages in a transaction of their own."""
    with transaction.atomic(durable=True):
        deliver(messages)


def message(user, number, role=Role.CUSTOMER, **data):
    return Message(user.id, role, "captains_told", {"n": number, **data}, uuid.uuid4(), number)


@pytest.fixture(scope="module")
def live(django_db_setup, django_db_blocker, tmp_path_factory):
    """The live service, one for all tests of a module."""
    with django_db_blocker.unblock():
        service = Live(tmp_path_factory.mktemp("live"))
    yield service
    service.stop()

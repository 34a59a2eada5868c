"""A town with Asha, Balu and Chitra in it, and ears to hear what each of them was told."""

import pytest

from tests import people
from weelo.events.models import Event


@pytest.fixture
def asha(db):
    people.make_city()
    return people.make_customer()


@pytest.fixture
def balu(asha):
    return people.make_captain()


@pytest.fixture
def chitra(asha):
    return people.make_captain(people.CHITRA, "Chitra")


@pytest.fixture
def heard():
    """The names of the events in a person's mailbox, oldest first."""

    def names(user_or_fleet):
        owner = getattr(user_or_fleet, "owner", None)
        role = "captain" if owner else "customer"
        events = Event.objects.filter(stream__user=owner or user_or_fleet, stream__role=role)
        return list(events.order_by("stream__role", "seq").values_list("name", flat=True))

    return names

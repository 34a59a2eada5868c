from datetime import timedelta

import pytest
from django.utils import timezone

from tests.people import make_captain, make_city
from transporters.models import CurrentPosition, Transporter
from transporters.waking import wake_silent
from weelo.accounts.models import Device, Session
from weelo.events.models import Push

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def balu():
    """A captain who is online, with a phone, and whose last position is as old as said."""
    make_city()
    fleet = make_captain()
    session = Session.objects.create(
        user=fleet.owner, expires_at=timezone.now() + timedelta(days=1)
    )
    Device.objects.create(session=session, push_token="balu", platform="android")
    return fleet


def silent_for(fleet, seconds):
    at = timezone.now() - timedelta(seconds=seconds)
    Transporter.objects.filter(id=fleet.id).update(
        is_online=True, online_changed_at=at - timedelta(hours=1)
    )
    CurrentPosition.objects.filter(transporter=fleet).delete()
    CurrentPosition.objects.create(
        transporter=fleet, vehicle_type_id="open-17-ft", lat=12.97, lng=77.59, at=at
    )


def test_a_captain_silent_for_240_s_is_asked_once_for_a_position(balu):
    silent_for(balu, 241)
    assert wake_silent() == 1
    assert wake_silent() == 0
    push = Push.objects.get()
    assert push.data["type"] == "position_wanted"
    assert push.data["role"] == "captain"
    assert timedelta(seconds=59) < push.expires_at - push.made_at <= timedelta(seconds=60)
    balu.refresh_from_db()
    assert balu.woken_at is not None


def test_one_who_spoke_a_little_less_long_ago_is_left_in_peace(balu):
    silent_for(balu, 235)
    assert wake_silent() == 0


def test_who_answered_and_falls_silent_again_is_woken_again(balu):
    silent_for(balu, 700)
    assert wake_silent() == 1
    Transporter.objects.update(woken_at=timezone.now() - timedelta(seconds=400))
    silent_for(balu, 300)
    assert wake_silent() == 1


def test_one_who_never_gave_a_position_is_woken_from_when_he_came_online(balu):
    changed = timezone.now() - timedelta(seconds=241)
    Transporter.objects.update(is_online=True, online_changed_at=changed)
    assert wake_silent() == 1
    Transporter.objects.update(woken_at=None, online_changed_at=timezone.now())
    assert wake_silent() == 0


@pytest.mark.parametrize(
    "change",
    [{"is_online": False}, {"kyc_status": "suspended"}],
    ids=["offline", "suspended"],
)
def test_who_is_offered_nothing_is_not_woken(balu, change):
    silent_for(balu, 600)
    Transporter.objects.update(**change)
    assert wake_silent() == 0


def test_who_is_blocked_is_not_woken(balu):
    silent_for(balu, 600)
    balu.owner.is_active = False
    balu.owner.save()
    assert wake_silent() == 0

"""Why somebody was told or not: the log, what is computed, and the sentence."""

import random
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from dispatch.matching import Reason
from dispatch.why import why
from orders.change import By
from orders.models import Actor, Wave
from orders.receipts import see
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from tests.dispatch.drive import look, shift, stand
from tests.people import (
    BALU,
    make_captain,
    make_captains,
    make_city,
    make_customer,
    make_order,
    tell_them,
    vehicle_ids,
)
from transporters import availability, presence
from transporters.models import Transporter
from weelo.lib.redis import guarded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("presence_empty")]


@pytest.fixture
def asha():
    make_city()
    return make_customer()


def forget_the_log(order):
    """As if the 50 nearest of those skipped had been others."""
    Wave.objects.filter(order=order).update(skipped=[])


def asked(order, fleet):
    order.refresh_from_db()
    return why(order, Transporter.objects.get(id=fleet.id))


def test_who_was_told_hears_in_which_wave_at_which_place_and_what_came_of_it(asha):
    balu, chitra = make_captains(2)
    stand(balu, 2000)
    stand(chitra, 1000)
    order = make_order(asha)
    look()
    assert asked(order, balu).sentence == (
        "told in wave 1, number 2, 2 km away, after 0 s; has not answered"
    )
    accept(balu.owner_id, order.offers.get(transporter=balu).id, vehicle_ids(balu))
    assert asked(order, balu).sentence.endswith("; accepted")
    assert asked(order, chitra).sentence.endswith("; did not answer before it was filled")


def test_who_was_too_far_hears_how_far_the_wave_reached_and_how_the_order_ended(asha):
    balu, chitra = make_captains(2)
    stand(balu, 1000)
    stand(chitra, 5200, at=timezone.now() - timedelta(seconds=20))
    order = make_order(asha)
    look()
    with transaction.atomic(durable=True):
        shift(order, 8)
    accept(balu.owner_id, order.offers.get(transporter=balu).id, vehicle_ids(balu))
    sentence = "not told: 5.2 km away; wave 1 reached 5 km, and the order was filled after 8 s"
    forget_the_log(order)
    assert asked(order, chitra).sentence == sentence


def test_the_log_is_believed_and_what_it_lacks_is_computed(asha):
    balu, chitra = make_captains(2)
    stand(balu, 1000)
    stand(chitra, 1200)
    availability.set_online(chitra.owner_id, online=False)
    order = make_order(asha)
    look()
    availability.set_online(chitra.owner_id, online=True)
    answer = asked(order, chitra)
    assert (answer.reason, answer.is_logged) == (Reason.OFFLINE, False), "he was off at the wave"
    assert answer.sentence == ("not told: offline when wave 1 went out, and the order still seeks")


def test_an_order_that_had_no_wave_yet(asha):
    balu = make_captain()
    assert asked(make_order(asha), balu).sentence == (
        "not told: no wave went out, and the order still seeks".replace(", and", ",")
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_hundred_random_answers_equal_what_the_town_was_made_to_be(asha, seed):
    """25 in each of four towns: the truth is what was done to each captain, not a computation."""
    dice = random.Random(seed)
    truth, fleets = {}, make_captains(25)
    near = 0
    for fleet in fleets:
        what = dice.choice(
            ["near", "far", "offline", "unknown", "stale", "busy", "retired", "expired", "rejected"]
        )
        metres = 6_000 + 5_000 * dice.random() if what == "far" else 300 + 4_000 * dice.random()
        if what == "near":
            near += 1
        truth[fleet.id] = WAYS[what](fleet, metres)
    order = make_order(asha)
    look()
    if near == 0:
        pytest.skip("the wave went wider; another seed has captains near")
    if dice.random() < 0.5:
        forget_the_log(order)
    cancel(By(Actor.CUSTOMER, asha.id), order.id)
    for fleet in fleets:
        assert asked(order, fleet).reason == truth[fleet.id], (fleet, truth[fleet.id])


def near(fleet, metres):
    stand(fleet, metres)


def far(fleet, metres):
    stand(fleet, metres)
    return Reason.TOO_FAR


def offline(fleet, metres):
    stand(fleet, metres)
    availability.set_online(fleet.owner_id, online=False)
    return Reason.OFFLINE


def unknown(fleet, _metres):
    return Reason.NO_POSITION


def stale(fleet, metres):
    stand(fleet, metres)
    presence.write_back()
    with connection.cursor() as cursor:
        for table in ("transporters_currentposition", "transporters_positionhistory"):
            cursor.execute(
                f"UPDATE {table} SET at = at - interval '301 s' WHERE transporter_id = %s",
                [fleet.id],
            )
    presence.forget(fleet.id)
    presence.admit(fleet.id)
    with guarded() as redis:
        for key in redis.scan_iter(f"presence:fix:{fleet.id.hex}*"):
            redis.delete(key)
    return Reason.STALE


def busy(fleet, metres):
    stand(fleet, metres)
    other = make_order(make_customer(f"+9198{fleet.owner.phone[-8:]}", "Zoya"))
    tell_them(other, [fleet])
    accept(fleet.owner_id, other.offers.get(transporter=fleet).id, vehicle_ids(fleet))
    return Reason.NO_FREE_VEHICLE


def retired(fleet, metres):
    stand(fleet, metres)
    fleet.vehicles.update(in_service=False)
    return Reason.NO_FREE_VEHICLE


def expired(fleet, metres):
    stand(fleet, metres)
    fleet.vehicles.update(puc_expires_on=timezone.now().date() - timedelta(days=3))
    return Reason.PAPERS_EXPIRED


def rejected(fleet, metres):
    stand(fleet, metres)
    Transporter.objects.filter(id=fleet.id).update(kyc_status="rejected")
    return Reason.NOT_VERIFIED


WAYS = {
    f.__name__: f for f in (near, far, offline, unknown, stale, busy, retired, expired, rejected)
}


def test_the_command_says_it_in_one_line_by_id_or_phone(asha, capsys):
    balu = make_captain()
    stand(balu, 1000)
    order = make_order(asha)
    look()
    for who in (balu.id, BALU, str(balu.id)[:8]):
        call_command("why", str(order.id), str(who))
        assert capsys.readouterr().out == (
            "told in wave 1, number 1, 1 km away, after 0 s; has not answered\n"
        )


def test_it_says_when_the_offer_was_on_the_phone_and_looked_at(asha):
    balu = make_captain()
    stand(balu, 1000)
    order = make_order(asha)
    look()
    see(balu.owner_id, order.offers.get().id)
    assert why(order, balu).sentence == (
        "told in wave 1, number 1, 1 km away, after 0 s;"
        " on his phone 0 s later, looked at 0 s later, has not answered"
    )


@pytest.mark.parametrize("words", [("00000000", BALU), ("order", "+919000099999")])
def test_the_command_says_what_it_did_not_find(asha, words):
    order = make_order(asha)
    with pytest.raises(CommandError, match=r"no (order|transporter)"):
        call_command("why", *(str(order.id) if word == "order" else word for word in words))

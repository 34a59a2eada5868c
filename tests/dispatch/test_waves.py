"""Waves: the nearest first, wider at once while nobody is found, newcomers between."""

from datetime import timedelta
from itertools import count

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dispatch import waves
from dispatch.policy import Policies
from dispatch.search import Search, find
from orders.models import Order, Wave
from orders.states import OfferState
from orders.verbs.accept import accept
from orders.verbs.decline import decline
from orders.verbs.give_back import give_back
from orders.verbs.tell import tell
from tests.dispatch.drive import log_of, look, shift, stand, told
from tests.people import (
    CHITRA,
    LONG_VALID,
    make_captain,
    make_captains,
    make_city,
    make_customer,
    make_order,
    make_vehicle,
    vehicle_ids,
)
from transporters import presence
from transporters.presence import index
from weelo.lib.redis import RedisAway

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("presence_empty")]
phones = count()


@pytest.fixture
def asha():
    make_city()
    return make_customer()


@pytest.fixture
def balu():
    return make_captain()


@pytest.fixture
def chitra():
    return make_captain(CHITRA, "Chitra")


def test_the_first_wave_goes_out_at_once_to_the_nearest(asha, balu, chitra):
    stand(chitra, 3000)
    stand(balu, 1000)
    order = make_order(asha)
    assert look() == 1
    assert told(order) == ["Balu", "Chitra"]
    assert (order.wave, order.radius_m, order.captains_told) == (1, 5000, 2)
    offer = order.offers.get(transporter=balu)
    assert offer.distance_m == pytest.approx(1000, abs=2)
    assert [v["id"] for v in offer.vehicles] == [str(id_) for id_ in vehicle_ids(balu)]


def test_a_wave_that_finds_nobody_widens_at_once_to_the_next_radius(asha, balu, chitra):
    stand(balu, 15_000)
    stand(chitra, 35_000)
    order = make_order(asha)
    look()
    assert told(order) == ["Balu"]
    assert log_of(order) == [(1, 0, 20_000, 1)]


def test_an_empty_city_ends_no_order_and_later_waves_still_run(asha, balu):
    order = make_order(asha)
    look()
    assert log_of(order) == [(1, 0, 80_000, 0)]
    assert order.is_seeking(order.created_at)
    stand(balu, 60_000)
    shift(order, 12)
    look()
    assert told(order) == ["Balu"]
    assert log_of(order) == [(1, 0, 80_000, 0), (2, 0, 80_000, 1)]


def test_waves_go_out_at_the_times_and_radii_of_the_policy(asha):
    for i, metres in enumerate((4_000, 9_000, 19_000, 39_000, 79_000)):
        stand(make_captain(f"+91801000000{i}", f"C{i}"), metres)
    order = make_order(asha)
    for seconds in (0, 12, 12, 12, 12):
        shift(order, seconds - 0.5 if seconds else 0)
        look()
        shift(order, 0.5 if seconds else 0)
        look()
    assert log_of(order) == [
        (1, 0, 5_000, 1),
        (2, 0, 10_000, 1),
        (3, 0, 20_000, 1),
        (4, 0, 40_000, 1),
        (5, 0, 80_000, 1),
    ]
    shift(order, 5)
    look()
    assert len(log_of(order)) == 5


def test_waves_that_nobody_sent_in_time_follow_one_another_at_once(asha, balu):
    order = make_order(asha)
    shift(order, 25)
    stand(balu, 4000)
    for _ in range(4):
        look()
    assert [number for number, *_ in log_of(order)] == [1, 2, 3]


def test_a_captain_inside_the_first_ring_is_found_by_a_later_wave(asha, balu, chitra):
    stand(balu, 1000)
    order = make_order(asha)
    look()
    stand(chitra, 500)
    shift(order, 12)
    look()
    assert told(order) == ["Balu", "Chitra"]
    assert log_of(order)[-1] == (2, 0, 10_000, 1)


def test_a_newcomer_is_told_within_two_seconds_and_empty_looks_write_nothing(asha, balu, chitra):
    stand(balu, 1000)
    order = make_order(asha)
    look()
    shift(order, 2)
    look()
    stand(chitra, 4000)
    shift(order, 2)
    look()
    assert told(order) == ["Balu", "Chitra"]
    assert log_of(order) == [(1, 0, 5000, 1), (1, 1, 5000, 1)]


def test_an_order_is_not_looked_at_again_before_two_seconds(asha, balu):
    stand(balu, 1000)
    make_order(asha)
    assert [look(), look()] == [1, 0]


def test_a_captain_whose_trip_ends_is_a_newcomer(asha, balu):
    stand(balu, 1000)
    other = make_customer("+919000000008", "Anil")
    first = make_order(other)
    look()
    won = accept(balu.owner_id, first.offers.get().id, vehicle_ids(balu))
    order = make_order(asha)
    look()
    assert told(order) == []
    give_back(balu.owner_id, won.trips[0]["id"])
    shift(order, 2)
    look()
    assert told(order) == ["Balu"]


def test_after_a_full_wave_a_look_for_newcomers_is_not_a_second_wave(asha):
    crowd = make_captains(13)
    for i, captain in enumerate(crowd):
        stand(captain, 1000 + 100 * i)
    order = make_order(asha)
    look()
    assert len(told(order)) == 10
    shift(order, 2)
    look()
    assert len(told(order)) == 10
    late = make_captain(name="Late")
    late.online_changed_at = order.waves.get().at + timedelta(seconds=1)
    late.save()
    stand(late, 4000)
    shift(order, 2)
    look()
    assert told(order)[10:] == ["Late"]
    shift(order, 8)
    look()
    assert len(told(order)) == 14


def test_nobody_is_told_twice_and_who_declined_stays_in_peace(asha, balu):
    stand(balu, 1000)
    order = make_order(asha)
    look()
    decline(balu.owner_id, order.offers.get().id)
    shift(order, 12)
    look()
    wave = order.waves.get(number=2)
    assert wave.told == []
    assert [(s["transporter"], s["reason"]) for s in wave.skipped] == [(str(balu.id), "DECLINED")]


def test_after_a_give_back_the_next_wave_goes_out_at_once_without_the_giver(asha, balu, chitra):
    stand(balu, 1000)
    order = make_order(asha)
    look()
    won = accept(balu.owner_id, order.offers.get().id, vehicle_ids(balu))
    shift(order, 1000)
    stand(chitra, 8000)
    assert look() == 0
    give_back(balu.owner_id, won.trips[0]["id"])
    assert look() == 1
    assert told(order) == ["Balu", "Chitra"]
    assert log_of(order) == [(1, 0, 5000, 1), (2, 0, 10_000, 1)]
    assert order.offers.get(transporter=balu).state == OfferState.GIVEN_BACK


def test_nobody_is_offered_the_own_order(asha):
    own = make_captain(asha.phone, "Asha")
    stand(own, 100)
    order = make_order(asha)
    look()
    assert told(order) == []
    assert order.waves.get().skipped[0]["reason"] == "OWN_ORDER"


def test_a_fleet_in_several_places_is_ranked_by_where_its_trucks_are(asha, balu):
    far = balu.vehicles.get()
    near = make_vehicle(balu)
    stand(balu, 10)
    stand(balu, 60_000, far)
    stand(balu, 2000, near)
    presence.write_back()
    order = make_order(asha)
    look()
    offer = order.offers.get()
    assert offer.distance_m == pytest.approx(2000, abs=2)
    assert [v["id"] for v in offer.vehicles] == [str(near.id), str(far.id)]


def test_a_truck_far_away_is_not_told_because_its_office_is_near(asha, balu):
    truck = balu.vehicles.get()
    stand(balu, 10)
    stand(balu, 70_000, truck)
    presence.write_back()
    order = make_order(asha)
    look()
    assert log_of(order) == [(1, 0, 80_000, 1)]


def test_a_vehicle_without_valid_papers_is_not_asked(asha, balu):
    balu.vehicles.update(puc_expires_on=LONG_VALID.replace(year=2020))
    stand(balu, 1000)
    order = make_order(asha)
    look()
    assert order.waves.get().skipped[0]["reason"] == "PAPERS_EXPIRED"


def test_busy_captains_nearby_do_not_hide_a_free_one_behind_them(asha, monkeypatch):
    monkeypatch.setattr("dispatch.policy.Policy.wave_size", lambda self, trucks_open: 1)
    crowd = make_captains(9)
    for i, captain in enumerate(crowd):
        stand(captain, 1000 + 100 * i)
        captain.vehicles.update(puc_expires_on=LONG_VALID.replace(year=2020))
    free = make_captain()
    stand(free, 4900)
    order = make_order(asha)
    look()
    assert told(order) == ["Balu"]


def test_waves_come_from_postgres_while_redis_is_away(asha, balu, monkeypatch):
    stand(balu, 1000)
    presence.write_back()

    def away(*_args, **_options):
        raise RedisAway("gone")

    monkeypatch.setattr("transporters.presence.index.nearest", away)
    order = make_order(asha)
    look()
    assert told(order) == ["Balu"]
    assert order.waves.get().source == "postgres"


def test_one_order_that_fails_does_not_stop_the_others(asha, balu, caplog):
    stand(balu, 1000)
    broken = make_order(make_customer("+919000000008", "Anil"))
    type(broken).objects.filter(id=broken.id).update(pickup={})
    order = make_order(asha)
    look()
    assert told(order) == ["Balu"]
    assert "order not dispatched" in caplog.text
    assert str(broken.id) in caplog.text


def test_a_wave_planned_twice_is_sent_once(asha, balu, monkeypatch):
    stand(balu, 1000)
    order = make_order(asha)
    plans = []
    monkeypatch.setattr("dispatch.waves.tell", lambda plan: plans.append(plan) or True)
    (row,) = waves.claim(20)
    due = waves.Due.of(row)
    policy = Policies().of("bengaluru")
    for _ in range(2):
        one = waves.Look.at(due, policy)
        find([one.search])
        one.tell()
    assert [tell(plan) for plan in plans] == [True, False]
    assert log_of(order) == [(1, 0, 5000, 1)]


def test_what_a_killed_loop_had_picked_is_picked_again_when_the_lease_is_over(asha, balu):
    stand(balu, 1000)
    order = make_order(asha)
    assert len(waves.claim(20)) == 1
    assert len(waves.claim(20)) == 0
    shift(order, 2)
    assert look() == 1
    assert told(order) == ["Balu"]


def test_new_orders_come_before_looks_at_old_ones(asha, balu):
    stand(balu, 1000)
    old = make_order(asha)
    look()
    shift(old, 5)
    new = make_order(make_customer("+919000000008", "Anil"))
    assert [row["order_id"] for row in waves.claim(1)] == [new.id]


def test_an_order_past_its_deadline_gets_no_wave(asha, balu):
    stand(balu, 1000)
    order = make_order(asha)
    shift(order, 60)
    assert look() == 0


def test_a_look_costs_two_statements_to_search_and_one_to_pick(asha, balu):
    stand(balu, 1000)
    order = make_order(asha)
    look()
    shift(order, 2)
    policies = Policies()
    policies.of("bengaluru")
    with CaptureQueriesContext(connection) as seen:
        waves.send_due(policies)
    assert len(seen) == 3, seen.captured_queries


def customers(number):
    return [make_customer(f"+9190000001{next(phones):02}", "Anil") for _ in range(number)]


def test_first_waves_take_three_statements_together_and_five_each(asha, balu):
    stand(balu, 1000)
    policies = Policies()
    policies.of("bengaluru")
    for number in (1, 2):
        for customer in customers(number):
            make_order(customer)
        with CaptureQueriesContext(connection) as seen:
            assert waves.send_due(policies, limit=number) == number
        bracket = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
        statements = [q["sql"] for q in seen if not q["sql"].startswith(bracket)]
        assert len(statements) == 3 + 5 * number, "\n\n".join(statements)
        Order.objects.filter(trucks_searching__gt=0).update(next_wave_at=None)


def test_orders_that_are_searched_for_together_share_one_trip_to_redis(asha, balu, monkeypatch):
    stand(balu, 1000)
    for customer in customers(3):
        make_order(customer)
    trips = []
    real = index.nearest
    monkeypatch.setattr(
        "transporters.presence.index.nearest", lambda asks: trips.append(len(asks)) or real(asks)
    )
    assert look() == 3
    assert trips == [3]


def test_orders_of_one_look_count_as_open_offers_for_one_another(asha, balu):
    stand(balu, 1000)
    for customer in customers(5):
        make_order(customer)
    assert look() == 5
    skipped = [skip["reason"] for wave in Wave.objects.all() for skip in wave.skipped]
    assert balu.offers.count() == 3
    assert skipped == ["TOO_MANY_OFFERS"] * 2


def test_a_search_that_fails_leaves_the_others_theirs(asha, balu, monkeypatch, caplog):
    stand(balu, 1000)
    broken = make_order(make_customer("+919000000008", "Anil"))
    order = make_order(asha)
    real = Search.hear

    def hear(search, *answer):
        if search.view.customer_id == broken.customer_id:
            raise ValueError("no answer")
        real(search, *answer)

    monkeypatch.setattr(Search, "hear", hear)
    look()
    assert told(order) == ["Balu"]
    assert told(broken) == []
    assert caplog.text.count("order not dispatched") == 1

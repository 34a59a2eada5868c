"""Confirming: one order comes into being, or the same one is given again."""

import pytest
from django.db import IntegrityError, connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from orders import refusals
from orders.change import SYSTEM
from orders.models import Fact, Order
from orders.quotes import QuoteInvalid
from orders.states import OrderStatus
from orders.verbs.cancel import cancel
from orders.verbs.confirm import body_hash, confirm
from tests.orders.clock import made_before, overdue
from tests.people import make_order, place, tell_them, wish
from weelo.cities.cells import cell_of
from weelo.lib.limits import RateLimited
from weelo.lib.locks import courtesy_lock
from weelo.lib.redis import guarded
from weelo.lib.wire import rfc3339


def test_a_confirm_makes_one_order_that_seeks_for_sixty_seconds(asha, heard):
    made = confirm(asha, wish(2), "key-1")
    order = Order.objects.get()
    assert (order.status, order.trucks_wanted, order.trucks_searching) == ("broadcasting", 2, 2)
    assert (order.expires_at - order.created_at).total_seconds() == 60
    assert order.next_wave_at == order.created_at
    assert made.order["fare_paise"] == 2 * order.trucks.first().fare_paise > 0
    assert heard(asha) == ["order_created"]
    assert list(Fact.objects.values_list("kind", "by")) == [("order_confirmed", "customer")]


def test_a_confirm_takes_four_statements(asha):
    with CaptureQueriesContext(connection) as queries:
        confirm(asha, wish(3), "key-1")
    statements = [q["sql"] for q in queries if not q["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(statements) == 4, "\n\n".join(statements)


def test_the_same_key_gives_the_same_order_as_it_is_now(asha, balu):
    first = confirm(asha, wish(), "key-1")
    tell_them(Order.objects.get(), [balu])
    again = confirm(asha, wish(), "key-1")
    assert again.replayed and not first.replayed
    assert again.order["id"] == first.order["id"]
    assert again.order["captains_told"] == 1
    assert Order.objects.count() == 1


def test_a_second_active_order_is_refused_and_the_first_is_named(asha):
    first = confirm(asha, wish(), "key-1")
    with pytest.raises(refusals.ActiveOrderExists) as refused:
        confirm(asha, wish(), "key-2")
    assert refused.value.extras["order_id"] == str(first.order["id"])


def test_an_overdue_order_does_not_stand_in_the_way(asha):
    first = make_order(asha)
    overdue(first)
    second = make_order(asha)
    first.refresh_from_db()
    assert (first.status, first.reason) == (OrderStatus.EXPIRED, "NO_CAPTAIN_ONLINE")
    assert second.status == OrderStatus.BROADCASTING


def test_a_business_may_have_as_many_active_orders_as_a_dispatcher_allows(asha):
    asha.max_active_orders = 2
    asha.save()
    assert {make_order(asha).slot, make_order(asha).slot} == {1, 2}
    with pytest.raises(refusals.ActiveOrderExists):
        make_order(asha)


def test_a_slot_taken_away_while_an_order_is_confirmed_is_not_used(asha):
    make_order(asha)
    asha.max_active_orders = 2  # as the request read it, before a dispatcher took it away
    with pytest.raises(refusals.ConcurrentRequest):
        make_order(asha)
    assert asha.orders.count() == 1


def test_orders_made_are_limited_and_a_refused_confirm_uses_none(asha, settings):
    settings.LIMIT_ORDERS = 2
    asha.max_active_orders = 3
    asha.save()
    make_order(asha)
    with pytest.raises(refusals.OutOfArea):
        confirm(asha, wish(pickup=place(10.0, 70.0)))
    make_order(asha)
    with pytest.raises(RateLimited) as refused:
        make_order(asha)
    assert 0 < int(refused.value.headers["Retry-After"]) <= 61


@pytest.mark.parametrize(("seconds", "is_limited"), [(45, True), (61, False)])
def test_only_orders_of_the_last_sixty_seconds_count_as_made(asha, settings, seconds, is_limited):
    settings.LIMIT_ORDERS = 1
    asha.max_active_orders = 2
    asha.save()
    made_before(make_order(asha), seconds)
    if is_limited:
        with pytest.raises(RateLimited):
            make_order(asha)
    else:
        make_order(asha)


def test_orders_that_ended_meanwhile_count_as_made(asha, settings):
    settings.LIMIT_ORDERS = 1
    cancel(SYSTEM, make_order(asha).id)
    with pytest.raises(RateLimited):
        make_order(asha)


def test_stops_on_the_way_make_the_distance_longer_and_the_fare_higher(asha):
    asha.max_active_orders = 2
    asha.save()
    straight, round_about = make_order(asha), make_order(asha, stops=[place(12.9, 77.5)])
    assert round_about.distance_km > straight.distance_km + 10
    assert round_about.fare_paise > straight.fare_paise


def test_who_made_too_many_orders_waits_until_enough_of_them_are_a_minute_old(asha, settings):
    asha.max_active_orders = 9
    asha.save()
    settings.LIMIT_ORDERS = 9
    for seconds in (55, 30, 10):
        made_before(make_order(asha), seconds)
    settings.LIMIT_ORDERS = 2
    with pytest.raises(RateLimited) as refused:
        make_order(asha)
    oldest_that_counts = Order.objects.annotate(now=Now()).order_by("-created_at")[1]
    left_s = 60 - (oldest_that_counts.now - oldest_that_counts.created_at).total_seconds()
    assert left_s <= int(refused.value.headers["Retry-After"]) <= 30
    assert refused.value.extras["limit"] == "orders"


def test_of_several_active_orders_the_newest_is_named(asha):
    asha.max_active_orders = 2
    asha.save()
    first, second = make_order(asha), make_order(asha)
    made_before(second, 120)
    with pytest.raises(refusals.ActiveOrderExists) as refused:
        make_order(asha)
    told = refused.value.extras
    assert (told["order_id"], told["expires_at"]) == (str(first.id), rfc3339(first.expires_at))
    assert rfc3339(first.created_at) <= told["server_time"] < told["expires_at"]


def test_an_order_takes_the_lowest_free_place(asha):
    asha.max_active_orders = 3
    asha.save()
    first, _ = make_order(asha), make_order(asha)
    cancel(SYSTEM, first.id)
    assert [make_order(asha).slot, make_order(asha).slot] == [1, 3]


def test_an_order_keeps_what_was_wished(asha):
    stop = place(13.0, 77.6, "Meera")
    body = wish(stops=[stop], payment={"mode": "upi", "paid_by": "receiver"})
    confirm(asha, body, "key-1")
    order = Order.objects.get()
    assert (order.pickup, order.drop, order.stops) == (body["pickup"], body["drop"], [stop])
    assert (order.goods, order.payment) == (body["goods"], body["payment"])
    assert order.idempotency_key == "key-1"
    assert order.pickup_cell == cell_of(body["pickup"]["lat"], body["pickup"]["lng"])
    assert order.distance_km.as_tuple().exponent == -2
    assert list(order.trucks.values_list("position", flat=True)) == [1]


def test_without_a_key_every_confirm_is_an_order_of_its_own(asha):
    asha.max_active_orders = 2
    asha.save()
    assert not confirm(asha, wish()).replayed
    assert not confirm(asha, wish()).replayed
    assert set(Order.objects.values_list("idempotency_key", flat=True)) == {None}


def test_the_key_is_no_part_of_the_wish_and_the_order_of_its_fields_neither(asha):
    body = wish()
    assert body_hash({**body, "idempotency_key": "a"}) == body_hash(body)
    assert body_hash(dict(reversed(body.items()))) == body_hash(body)
    assert body_hash(wish(2)) != body_hash(body)


def test_the_trucks_of_an_order_have_places_loads_fares_and_payouts_in_the_order_asked(asha):
    lines = [
        {"vehicle_type": "open-17-ft", "quantity": 2, "load_kg": 6000},
        {"vehicle_type": "mini-tata-ace", "quantity": 1},
    ]
    trucks = make_order(asha, lines).trucks.order_by("position")
    assert [(t.position, t.vehicle_type_id, t.load_kg) for t in trucks] == [
        (1, "open-17-ft", 6000),
        (2, "open-17-ft", 6000),
        (3, "mini-tata-ace", None),
    ]
    assert trucks[0].fare_paise == trucks[1].fare_paise != trucks[2].fare_paise
    assert all(t.payout_paise == t.fare_paise * 9 // 10 for t in trucks)


def test_an_unknown_type_is_named(asha):
    with pytest.raises(refusals.UnknownVehicleType) as refused:
        confirm(asha, wish(vehicle_type="rickshaw"))
    assert refused.value.extras == {"vehicle_type": "rickshaw"}


def test_a_confirm_with_another_key_waits_for_nobody(asha):
    with (
        courtesy_lock(f"confirm:{asha.id}", ttl_s=5, pass_for="other"),
        pytest.raises(refusals.ConcurrentRequest) as refused,
    ):
        confirm(asha, wish(), "key-1")
    assert refused.value.headers == {"Retry-After": "1"}


def test_a_confirm_with_the_same_key_passes_the_lock(asha):
    with courtesy_lock(f"confirm:{asha.id}", ttl_s=5, pass_for="key-1"):
        assert not confirm(asha, wish(), "key-1").replayed


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"pickup": place(28.6, 77.2)}, refusals.OutOfArea),
        ({"drop": place(51.5, 0.1)}, refusals.OutOfArea),
        ({"trucks": [{"vehicle_type": "rickshaw", "quantity": 1}]}, refusals.UnknownVehicleType),
        (
            {"trucks": [{"vehicle_type": "mini-tata-ace", "quantity": 1, "load_kg": 1001}]},
            refusals.Overload,
        ),
        (
            {"trucks": [{"vehicle_type": "open-17-ft", "quantity": 1, "quote": "1.2.x"}]},
            QuoteInvalid,
        ),
    ],
)
def test_what_cannot_be_served_is_refused_and_makes_nothing(asha, fields, refusal):
    with pytest.raises(refusal):
        confirm(asha, wish(**fields))
    assert not Order.objects.exists()


def test_trucks_of_several_types_make_one_order(asha):
    lines = [
        {"vehicle_type": "open-17-ft", "quantity": 2, "load_kg": 6000},
        {"vehicle_type": "mini-tata-ace", "quantity": 1},
    ]
    order = confirm(asha, wish(lines)).order
    assert [truck["vehicle_type"] for truck in order["trucks"]] == [
        "open-17-ft",
        "open-17-ft",
        "mini-tata-ace",
    ]
    assert order["fare_paise"] == sum(truck["fare_paise"] for truck in order["trucks"])


def test_without_a_payment_the_sender_pays_cash(asha):
    body = wish()
    del body["payment"]
    assert confirm(asha, body).order["payment"] == {"mode": "cash", "paid_by": "sender"}


def test_the_loop_hears_of_a_new_order_after_the_commit(asha, django_capture_on_commit_callbacks):
    with guarded() as redis, redis.pubsub() as heard:
        heard.subscribe("hint:loop")
        assert heard.get_message(timeout=5)["type"] == "subscribe"
        with django_capture_on_commit_callbacks(execute=True):
            confirm(asha, wish())
        message = heard.get_message(timeout=5)
    assert (message["channel"], message["data"]) == (b"hint:loop", b"orders")


def test_a_constraint_that_no_retry_can_meet_is_no_concurrent_request(asha):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE"
            " EXCEPTION 'broken' USING ERRCODE = '23514', CONSTRAINT = 'another'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON orders_order"
            " FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse()"
        )
    with pytest.raises(IntegrityError, match="broken"):
        confirm(asha, wish())

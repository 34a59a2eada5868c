"""The database itself refuses what is wrong, whoever asks: each rule attacked with raw SQL."""

import pytest
from django.db import IntegrityError, connection, transaction

from orders.models import Fact, Offer, Trip
from orders.verbs.accept import accept
from orders.verbs.expire import expire
from tests.orders.clock import overdue
from tests.people import (
    make_captain,
    make_driver,
    make_order,
    make_vehicle,
    tell_them,
    vehicle_ids,
)
from weelo.lib.writes import violated


@pytest.fixture
def trip(asha, balu, chitra):
    order = make_order(asha, trucks=2)
    offer, _ = tell_them(order, [balu, chitra])
    make_vehicle(balu)
    accept(balu.owner_id, offer.id, vehicle_ids(balu)[:1])
    return Trip.objects.get()


def attack(statement, *values):
    """Run SQL that must be refused; returns the name of the rule that refused it."""
    with pytest.raises(IntegrityError) as refused, transaction.atomic(savepoint=True):
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return violated(refused.value)


def copy_of(table, row_id, **changes):
    """An INSERT of a copy of a row with other values in some columns (SQL expressions)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
        )
        columns = [name for (name,) in cursor.fetchall()]
    changes = {"id": "gen_random_uuid()", **changes}
    chosen = ", ".join(changes.get(name, name) for name in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM {table}" + (
        f" WHERE id = '{row_id}'"
    )


def test_one_active_order_per_customer_and_slot(trip):
    copy = copy_of("orders_order", trip.order_id, idempotency_key="NULL", status="'broadcasting'")
    assert attack(copy) == "one_active_order_per_customer_and_slot"


def test_one_order_per_idempotency_key(asha):
    asha.max_active_orders = 2
    asha.save()
    order = make_order(asha, key="key-1")
    copy = copy_of("orders_order", order.id, slot="2")
    assert attack(copy) == "one_order_per_idempotency_key"


def test_one_live_trip_per_vehicle(trip):
    other = trip.order.trucks.exclude(id=trip.truck_id).get()
    copy = copy_of("orders_trip", trip.id, truck_id=f"'{other.id}'")
    assert attack(copy) == "one_live_trip_per_vehicle"


def test_one_live_trip_per_driver_also_at_the_drop(trip, balu):
    driver = make_driver(balu, "+919000000005")
    Trip.objects.update(driver=driver)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE orders_trip SET status = 'at_drop'")
        cursor.execute("SET LOCAL session_replication_role = origin")
    other = trip.order.trucks.exclude(id=trip.truck_id).get()
    vehicle = make_vehicle(balu)
    copy = copy_of(
        "orders_trip",
        trip.id,
        truck_id=f"'{other.id}'",
        vehicle_id=f"'{vehicle.id}'",
        status="'assigned'",
    )
    assert attack(copy) == "one_live_trip_per_driver"


def test_one_truck_is_filled_once(trip, balu):
    vehicle = make_vehicle(balu)
    copy = copy_of("orders_trip", trip.id, vehicle_id=f"'{vehicle.id}'", driver_id="NULL")
    assert attack(copy) == "one_truck_filled_once"


def test_one_offer_per_order_and_transporter(trip):
    copy = copy_of("orders_offer", Offer.objects.first().id, state="'open'")
    assert attack(copy) == "one_offer_per_order_and_transporter"


def test_a_trips_vehicle_belongs_to_the_offered_fleet_and_has_the_wanted_type(trip, balu, chitra):
    other = trip.order.trucks.exclude(id=trip.truck_id).get()
    stranger, wrong = vehicle_ids(chitra)[0], make_vehicle(balu, "tipper-20-24-t")
    for vehicle_id in (stranger, wrong.id):
        copy = copy_of(
            "orders_trip", trip.id, truck_id=f"'{other.id}'", vehicle_id=f"'{vehicle_id}'"
        )
        assert attack(copy) == "trip_vehicle_of_fleet_and_type"
    copy = copy_of(
        "orders_trip",
        trip.id,
        truck_id=f"'{other.id}'",
        vehicle_id=f"'{wrong.id}'",
        vehicle_type_id="'tipper-20-24-t'",
    )
    assert attack(copy) == "trip_truck_of_order_and_type"


def test_a_trips_driver_belongs_to_its_fleet(trip, chitra):
    driver = make_driver(chitra, "+919000000006")
    rule = attack("UPDATE orders_trip SET driver_id = %s", driver.id)
    assert rule == "trip_driver_of_fleet"


def test_a_trip_comes_only_by_an_offer(trip):
    other = trip.order.trucks.exclude(id=trip.truck_id).get()
    fleet = make_captain("+919000000011", "Farid")
    copy = copy_of(
        "orders_trip",
        trip.id,
        truck_id=f"'{other.id}'",
        transporter_id=f"'{fleet.id}'",
        vehicle_id=f"'{vehicle_ids(fleet)[0]}'",
        driver_id="NULL",
    )
    assert attack(copy) == "trip_only_by_offer"


def test_a_vehicle_that_was_on_a_trip_keeps_its_type_and_fleet(trip, chitra):
    sql = "UPDATE transporters_vehicle SET vehicle_type_id = 'tipper-20-24-t' WHERE id = %s"
    assert attack(sql, trip.vehicle_id) == "trip_vehicle_of_fleet_and_type"
    sql = "UPDATE transporters_vehicle SET transporter_id = %s WHERE id = %s"
    assert attack(sql, chitra.id, trip.vehicle_id) == "trip_vehicle_of_fleet_and_type"


def test_ended_orders_and_trucks_never_revive(asha):
    order = make_order(asha)
    overdue(order)
    expire(order.id)
    back = "UPDATE orders_order SET status = 'broadcasting', ended_at = NULL WHERE id = %s"
    assert attack(back, order.id) == "orders_order_legal_move"
    back = "UPDATE orders_truckrequest SET status = 'searching' WHERE order_id = %s"
    assert attack(back, order.id) == "orders_truckrequest_legal_move"


def test_a_trip_makes_no_illegal_move(trip):
    assert attack("UPDATE orders_trip SET status = 'at_drop'") == "orders_trip_legal_move"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_trip SET status = 'cancelled', ended_at = now()")
        cursor.execute("UPDATE orders_truckrequest SET status = 'searching'")
    back = "UPDATE orders_trip SET status = 'assigned', ended_at = NULL"
    assert attack(back) == "orders_trip_legal_move"


def test_what_was_agreed_never_changes(trip):
    for table, column in (
        ("orders_order", "fare_paise = fare_paise + 1"),
        ("orders_truckrequest", "fare_paise = fare_paise + 1"),
        ("orders_truckrequest", "payout_paise = 1"),
    ):
        assert attack(f"UPDATE {table} SET {column}") == f"{table}_frozen"
    assert attack("UPDATE orders_trip SET vehicle_id = gen_random_uuid()") == "orders_trip_frozen"
    assert attack("DELETE FROM orders_fact") == "orders_fact_frozen"
    assert Fact.objects.exists()


def test_counters_and_money_stay_within_bounds(trip):
    for change, rule in (
        ("trucks_filled = 3", "order_trucks"),
        ("trucks_searching = 51", "order_trucks"),
        ("payable_paise = fare_paise + 1", "order_money"),
        ("captain_share_paise = cancel_fee_paise + 1", "order_money"),
        ("slot = 51", "order_slot"),
        ("ended_at = now()", "order_ended_has_nothing_open"),
    ):
        assert attack(f"UPDATE orders_order SET {change}") == rule
    copy = copy_of("orders_order", trip.order_id, expires_at="created_at", status="'broadcasting'")
    assert attack(copy) == "order_deadline_after_start"


def test_a_completed_trip_has_its_proof(trip):
    with connection.cursor() as cursor:
        for status in ("at_pickup", "in_transit", "at_drop"):
            cursor.execute("UPDATE orders_trip SET status = %s", [status])
    done = "UPDATE orders_trip SET status = 'completed', ended_at = now()"
    assert attack(done) == "trip_completed_has_proof"


def test_every_row_begins_in_the_first_state_of_its_machine(trip):
    other = trip.order.trucks.exclude(id=trip.truck_id).get()
    offer = Offer.objects.get(transporter=trip.transporter)
    for table, row, changes in (
        ("orders_order", trip.order, {"idempotency_key": "NULL"}),
        ("orders_truckrequest", other, {"position": "9", "status": "'assigned'"}),
        ("orders_offer", offer, {}),
        ("orders_trip", trip, {"truck_id": f"'{other.id}'", "status": "'en_route_pickup'"}),
    ):
        assert attack(copy_of(table, row.id, **changes)) == f"{table}_begins"


def test_what_only_grows_never_falls(trip):
    for column in ("version", "captains_told"):
        assert attack(f"UPDATE orders_order SET {column} = 0") == "orders_order_only_grows"
    earlier = "UPDATE orders_order SET expires_at = expires_at - interval '1 second'"
    assert attack(earlier) == "orders_order_only_grows"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_truckrequest SET give_backs = 2")
        cursor.execute("UPDATE orders_order SET cancel_fee_paise = 100")
    fewer = "UPDATE orders_truckrequest SET give_backs = 1"
    assert attack(fewer) == "orders_truckrequest_only_grows"
    assert attack("UPDATE orders_order SET cancel_fee_paise = 99") == "orders_order_only_grows"


def test_an_order_takes_no_slot_beyond_its_customers_number(asha):
    order = make_order(asha)
    copy = copy_of("orders_order", order.id, slot="2", idempotency_key="NULL")
    assert attack(copy) == "order_within_slots"
    asha.max_active_orders = 2
    asha.save()
    with connection.cursor() as cursor:
        cursor.execute(copy)


def test_a_truck_is_assigned_exactly_while_it_has_a_live_trip(trip):
    other = trip.order.trucks.exclude(id=trip.truck_id).get()
    won = "UPDATE orders_truckrequest SET status = 'assigned' WHERE id = %s"
    assert attack(won, other.id) == "truck_assigned_exactly_with_a_live_trip"
    back = "UPDATE orders_truckrequest SET status = 'searching' WHERE id = %s"
    assert attack(back, trip.truck_id) == "truck_assigned_exactly_with_a_live_trip"
    ended = "UPDATE orders_trip SET status = 'cancelled', ended_at = now()"
    assert attack(ended) == "truck_assigned_exactly_with_a_live_trip"
    copy = copy_of(
        "orders_trip",
        trip.id,
        truck_id=f"'{other.id}'",
        vehicle_id=f"'{make_vehicle(trip.transporter).id}'",
    )
    assert attack(copy) == "truck_assigned_exactly_with_a_live_trip"


def test_nobody_is_offered_an_own_order(asha):
    order = make_order(asha)
    fleet = make_captain(asha.phone, "Asha")
    offer = tell_them(order, [make_captain()])[0]
    copy = copy_of("orders_offer", offer.id, transporter_id=f"'{fleet.id}'")
    assert attack(copy) == "nobody_is_offered_an_own_order"


def test_no_truck_is_asked_to_carry_more_than_its_type_can(trip):
    other = trip.order.trucks.exclude(id=trip.truck_id).get()
    copy = copy_of("orders_truckrequest", other.id, position="9", load_kg="7001")
    assert attack(copy) == "truck_carries_its_load"


def test_a_trip_that_is_not_completed_is_not_rated(trip):
    rating = "INSERT INTO orders_rating (trip_id, stars, comment) VALUES (%s, 5, '')"
    assert attack(rating, trip.id) == "only_completed_trips_are_rated"


def test_an_order_has_a_truck_and_at_most_two_stops(asha):
    order = make_order(asha)
    for change, rule in (
        ("trucks_wanted = 0, trucks_searching = 0", "order_one_truck_at_least"),
        ("stops = '[1, 2, 3]'", "order_two_stops_at_most"),
    ):
        assert attack(f"UPDATE orders_order SET {change} WHERE id = %s", order.id) == rule


# --- how a trip begins --------------------------------------------------------------------------


def second_trip(trip):
    """A copy of the trip for the order's other truck, with another vehicle of the fleet."""
    other = trip.order.trucks.exclude(id=trip.truck_id).get()
    vehicle = make_vehicle(trip.transporter)
    return vehicle, copy_of(
        "orders_trip",
        trip.id,
        truck_id=f"'{other.id}'",
        vehicle_id=f"'{vehicle.id}'",
        won_at="statement_timestamp()",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE orders_offer SET state = 'given_back' WHERE state = 'accepted'",
        "UPDATE transporters_transporter SET kyc_status = 'suspended'",
        "UPDATE transporters_vehicle SET in_service = false",
        "UPDATE transporters_vehicle SET permit_expires_on = current_date - 2",
    ],
    ids=["its offer is not accepted", "suspended", "out of service", "papers expired"],
)
def test_a_trip_is_won_by_an_accepted_offer_of_a_verified_fleet_with_a_fit_vehicle(trip, wrong):
    _, copy = second_trip(trip)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(wrong)
    assert attack(copy) == "trip_won_rightly"


def test_no_trip_is_won_past_the_deadline(trip):
    _, copy = second_trip(trip)
    overdue(trip.order)
    assert attack(copy) == "trip_won_rightly"


def test_an_order_ends_only_with_its_trucks(trip):
    ended = "UPDATE orders_order SET status = 'completed', ended_at = now(), trucks_searching = 0"
    assert attack(ended) == "ended_order_has_only_ended_trucks"


def test_orders_trucks_offers_and_trips_are_never_deleted(trip):
    for table in ("orders_trip", "orders_offer", "orders_truckrequest", "orders_order"):
        assert attack(f"DELETE FROM {table}") == f"{table}_stays"


def test_a_driver_stays_once_the_goods_are_on_board(trip, balu):
    driver = make_driver(balu, "+919000000005")
    with connection.cursor() as cursor:
        for status in ("at_pickup", "in_transit"):
            cursor.execute("UPDATE orders_trip SET status = %s", [status])
    change = "UPDATE orders_trip SET driver_id = %s"
    assert attack(change, driver.id) == "trip_driver_stays_after_the_pickup"


def test_stops_are_pending_arrived_or_done(trip):
    assert attack("UPDATE orders_trip SET stops_state = '{lost}'") == "trip_stops_state"


def test_a_truck_replaces_one_of_its_own_order_and_type(trip):
    other = trip.order.trucks.exclude(id=trip.truck_id).get()
    copy = copy_of(
        "orders_truckrequest",
        other.id,
        position="9",
        replaces_id=f"'{trip.truck_id}'",
        vehicle_type_id="'tipper-20-24-t'",
    )
    assert attack(copy) == "truck_replaces_one_of_its_order_and_type"

"""The rules of single rows, attacked with raw SQL: moves, ends, bounds, and what stays."""

from importlib import import_module

import pytest
from django.db import connection

from orders import states
from orders.models import Offer, Order, Rating, Trip, TruckRequest
from orders.verbs.rate import dispute, rate
from tests.orders.test_rules import attack, copy_of
from tests.people import make_order, tell_them
from tests.scenarios.story import WAY, drive, win

MACHINES = {
    "orders_order": ("status", states.ORDER),
    "orders_truckrequest": ("status", states.TRUCK),
    "orders_offer": ("state", states.OFFER),
    "orders_trip": ("status", states.TRIP),
}
FROZEN = import_module("orders.migrations.0002_rules").FROZEN


@pytest.fixture
def trip(asha, balu, chitra):
    """The first of two trucks is won."""
    order = make_order(asha, trucks=2, key="key-1")
    tell_them(order, [balu, chitra])
    return win(order, balu)


def bypass(statement, *values):
    """Plant what the triggers would refuse."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what was left for the commit is right
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, values)
        cursor.execute("SET LOCAL session_replication_role = origin")


def end_of(table, column, state):
    """The columns that go with a state, so that no other rule is in the way."""
    if table == "orders_offer":
        return f"close_reason = '{'EXPIRED' if state == 'closed' else ''}'"
    live = {"orders_order": states.ORDER_ACTIVE, "orders_trip": states.TRIP_LIVE}
    ended = "NULL" if state in live.get(table, (state,)) else "now()"
    more = {"orders_order": ", trucks_searching = 0", "orders_trip": ", proof = '{}'"}
    return f"ended_at = {ended}{more.get(table, '')}"


def moves(table):
    _, machine = MACHINES[table]
    return [(here, there) for here in machine.arrows for there in machine.arrows if here != there]


@pytest.mark.parametrize("table", MACHINES)
def test_no_row_moves_but_along_the_arrows_of_its_machine_and_the_ended_never_revive(trip, table):
    column, machine = MACHINES[table]
    row = {
        "orders_order": trip.order_id,
        "orders_truckrequest": trip.order.trucks.last().id,
        "orders_offer": Offer.objects.exclude(transporter=trip.transporter).get().id,
        "orders_trip": trip.id,
    }[table]
    refused = 0
    for here, there in moves(table):
        plant, leave = end_of(table, column, here), end_of(table, column, there)
        bypass(f"UPDATE {table} SET {column} = '{here}', {plant} WHERE id = %s", row)
        if not machine.allows(here, there):
            move = f"UPDATE {table} SET {column} = '{there}', {leave} WHERE id = %s"
            assert attack(move, row) == f"{table}_legal_move", (here, there)
            refused += 1
    everything = len(moves(table))
    assert refused == everything - sum(len(nexts) for nexts in machine.arrows.values()) > 0


def attack_past_the_triggers(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
    rule = attack(statement, *values)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = origin")
    return rule


@pytest.mark.parametrize("table", MACHINES)
def test_a_word_that_is_no_state_is_refused_even_where_no_trigger_looks(trip, table):
    column, _ = MACHINES[table]
    ends = end_of(table, column, "lost")
    rule = attack_past_the_triggers(f"UPDATE {table} SET {column} = 'lost', {ends}")
    assert rule == f"{table.removeprefix('orders_').removesuffix('request')}_{column}"


COUNTED = {
    "orders_order": [
        *("slot", "version", "trucks_wanted", "trucks_filled", "trucks_searching"),
        *("captains_told", "wave", "radius_m"),
    ],
    "orders_truckrequest": ["position", "load_kg", "give_backs"],
    "orders_offer": ["wave", "distance_m"],
    "orders_trip": ["start_code_tries", "drop_code_tries"],
    "orders_wave": ["number", "part", "radius_m"],
    "orders_fact": ["order_version"],
}


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in COUNTED for column in COUNTED[table]]
)
def test_nothing_that_is_counted_is_less_than_none(trip, table, column):
    one = f"(SELECT ctid FROM {table} LIMIT 1)"
    assert attack_past_the_triggers(f"UPDATE {table} SET {column} = -1 WHERE ctid = {one}")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("status = 'cancelled', ended_at = now()", "order_ended_has_nothing_open"),
        ("status = 'cancelled', trucks_searching = 0", "order_ended_has_nothing_open"),
        ("ended_at = now()", "order_ended_has_nothing_open"),
        ("trucks_wanted = 51", "order_trucks"),
        ("trucks_filled = -1", None),
        ("trucks_searching = trucks_wanted + 1", "order_trucks"),
        ("cancel_fee_paise = -1", None),
        ("payable_paise = -1", "order_money"),
        ("captain_share_paise = -1", "order_money"),
        ("slot = 0", "order_slot"),
    ],
)
def test_an_order_keeps_its_bounds(trip, change, rule):
    found = attack(f"UPDATE orders_order SET {change} WHERE id = %s", trip.order_id)
    assert found and rule in (found, None)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("status = 'cancelled'", "trip_ended_at"),
        ("ended_at = now()", "trip_ended_at"),
        ("start_code_tries = 6", "trip_code_tries"),
        ("drop_code_tries = 6", "trip_code_tries"),
    ],
)
def test_a_trip_keeps_its_bounds(trip, change, rule):
    assert attack(f"UPDATE orders_trip SET {change} WHERE id = %s", trip.id) == rule


@pytest.mark.parametrize(
    "change",
    ["state = 'closed'", "close_reason = 'EXPIRED'", "state = 'closed', close_reason = 'x'"],
)
def test_an_offer_is_closed_with_a_reason_and_only_then_has_one(trip, change):
    offer = Offer.objects.exclude(transporter=trip.transporter).get()
    found = attack(f"UPDATE orders_offer SET {change} WHERE id = %s", offer.id)
    assert found == "offer_closed_has_reason"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"fare_paise": "0", "payout_paise": "0"}, "truck_money"),
        ({"payout_paise": "fare_paise + 1"}, "truck_money"),
        ({"give_backs": "5"}, "truck_give_backs"),
        ({"position": "2"}, "truck_position"),
    ],
)
def test_a_truck_keeps_its_bounds(trip, changes, rule):
    truck = trip.order.trucks.last()
    changes = {"position": "9", "replaces_id": "NULL", **changes}
    assert attack(copy_of("orders_truckrequest", truck.id, **changes)) == rule


def test_a_truck_is_replaced_once(trip):
    other = trip.order.trucks.last()
    changes = {"replaces_id": f"'{trip.truck_id}'"}
    with connection.cursor() as cursor:
        cursor.execute(copy_of("orders_truckrequest", other.id, position="8", **changes))
    again = copy_of("orders_truckrequest", other.id, position="9", **changes)
    assert "replaces" in attack(again)


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in FROZEN for column in FROZEN[table]]
)
def test_what_an_order_was_agreed_on_is_frozen(trip, table, column):
    model = {m._meta.db_table: m for m in (Order, TruckRequest, Offer, Trip)}[table]
    kind = model._meta.get_field(column.removesuffix("_id")).get_internal_type()
    other = {
        "BigIntegerField": f"{column} + 1",
        "DateTimeField": f"{column} - interval '1 s'",
        "CharField": f"{column} || 'x'",
    }.get(kind, "NULL" if column != "replaces_id" else f"'{trip.truck_id}'")
    change = f"UPDATE {table} SET {column} = {other}"
    assert attack(change) == f"{table}_frozen"


@pytest.mark.parametrize("change", ["UPDATE orders_fact SET kind = 'x'", "DELETE FROM orders_fact"])
def test_a_fact_stays_as_it_was_written(trip, change):
    assert attack(change) == "orders_fact_frozen"


def test_a_wave_is_sent_once(trip):
    wave = trip.order.waves.get()
    again = f"""
    INSERT INTO orders_wave (order_id, number, part, radius_m, policy_id, told, skipped, source)
    SELECT order_id, number, part, 1, policy_id, '[]', '[]', 'redis' FROM orders_wave
    WHERE id = {wave.id}
    """
    assert attack(again) == "each_wave_sent_once"


def test_a_trip_is_rated_once_with_one_to_five_stars_and_disputed_once_for_a_reason(trip, asha):
    drive(trip, *WAY)
    rate(asha.id, trip.id, 5)
    again = "INSERT INTO orders_rating (trip_id, stars, comment) VALUES (%s, %s, '')"
    assert attack(again, trip.id, 4) == "orders_rating_pkey"
    Rating.objects.all().delete()
    for stars in (0, 6):
        assert attack(again, trip.id, stars) == "rating_stars"
    opened = dispute(asha.id, trip.id, "late")
    copy = copy_of("orders_dispute", opened["id"])
    assert attack(copy) == "one_open_dispute_per_trip_and_reason"

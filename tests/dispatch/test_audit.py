"""The audit: green on a house in order, red on every promise that is broken."""

import json

import pytest
from django.core.management import call_command
from django.db import connection

from dispatch.audit import INVARIANTS, RECOUNT, STATUS_WRONG, audit
from orders.change import By
from orders.models import Actor, Trip
from orders.states import TRIP_LIVE, TripStatus, order_status
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.decline import decline
from orders.verbs.expire import expire_due
from orders.verbs.fail import fail
from orders.verbs.give_back import give_back
from orders.verbs.steps import Step, step
from orders.verbs.withdraw import withdraw_all
from tests.dispatch.drive import look, shift, stand
from tests.people import (
    CHITRA,
    make_captain,
    make_city,
    make_customer,
    make_dispatcher,
    make_driver,
    make_order,
    vehicle_ids,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("presence_empty")]


@pytest.fixture
def house(settings):
    """A day in the house: orders that ended in every way, and one that is under way."""
    settings.LIMIT_ORDERS = 100
    make_city()
    asha, balu = make_customer(), make_captain(vehicles=4)
    chitra = make_captain(CHITRA, "Chitra")
    stand(balu, 1000)
    stand(chitra, 2000)
    deliver(asha, balu, chitra)
    run_out(asha)
    cancelled = make_order(asha)
    look()
    cancel(By(Actor.CUSTOMER, asha.id), cancelled.id, customer_id=asha.id)
    break_down(make_customer("+919000000007", "Anil"), balu)
    order = make_order(asha, trucks=3)
    look()
    first, second, *_ = vehicle_ids(balu)[1:]
    driver = make_driver(balu, "+919000000021")
    offer = order.offers.get(transporter=balu)
    won = accept(balu.owner_id, offer.id, [first, second], [driver.id])
    give_back(balu.owner_id, won.trips[1]["id"])
    look()
    return order


def deliver(asha, balu, chitra):
    order = make_order(asha)
    look()
    decline(chitra.owner_id, order.offers.get(transporter=chitra).id)
    offer = order.offers.get(transporter=balu)
    accept(balu.owner_id, offer.id, vehicle_ids(balu)[:1])
    take(balu, order.trips.get(), *TripStatus.values[1:6])


def run_out(asha):
    order = make_order(asha)
    look()
    shift(order, 61)
    assert expire_due() == 1


def break_down(anil, balu):
    order = make_order(anil)
    look()
    accept(balu.owner_id, order.offers.get(transporter=balu).id, vehicle_ids(balu)[:1])
    take(balu, order.trips.get(), *TripStatus.values[1:4])
    fail(make_dispatcher().id, order.trips.get().id, "gearbox", replace=True)
    look()
    withdraw_all(By(Actor.DISPATCHER), balu.id)


def take(captain, trip, *statuses):
    for status in statuses:
        proof = {"kind": "code", "code": trip.drop_code}
        step(captain.owner, trip.id, Step(status, start_code=trip.start_code, proof=proof))


def broken():
    return {finding.invariant.name for finding in audit() if finding.rows}


def plant(*statements):
    """Raw SQL past every guard: triggers and foreign keys stand aside."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_a_house_in_order_breaks_no_promise(house):
    assert broken() == set()


LIVE = f"status IN {tuple(sorted(TRIP_LIVE))}"


def copy(table, where):
    """A second row like one that is there, under an id of its own."""
    return f"""
        INSERT INTO {table}
        SELECT (jsonb_populate_record(
            NULL::{table},
            to_jsonb(one) || jsonb_build_object('id', gen_random_uuid())
        )).* FROM {table} one WHERE {where} LIMIT 1
    """


RED = {
    "one_active_order_per_customer_and_slot": [
        "DROP INDEX one_active_order_per_customer_and_slot",
        copy("orders_order", "status = 'partially_filled'"),
    ],
    "truck_has_a_live_trip_exactly_when_assigned": [
        "UPDATE orders_truckrequest SET status = 'searching' WHERE status = 'assigned'"
    ],
    "vehicle_on_one_live_trip": [
        "DROP INDEX one_live_trip_per_vehicle",
        "UPDATE orders_trip SET status = 'assigned', ended_at = NULL WHERE status = 'cancelled'",
        (
            "UPDATE orders_trip SET vehicle_id ="
            f" (SELECT min(vehicle_id::text)::uuid FROM orders_trip) WHERE {LIVE}"
        ),
    ],
    "driver_on_one_live_trip": [
        "DROP INDEX one_live_trip_per_driver",
        "UPDATE orders_trip SET status = 'assigned', ended_at = NULL WHERE status = 'cancelled'",
        f"UPDATE orders_trip SET driver_id = (SELECT id FROM transporters_driver) WHERE {LIVE}",
    ],
    "trip_fits_truck_vehicle_and_offer": [
        (
            f"UPDATE transporters_vehicle SET vehicle_type_id = 'mini-tata-ace'"
            f" WHERE id IN (SELECT vehicle_id FROM orders_trip WHERE {LIVE})"
        )
    ],
    "counters_are_the_count": [
        "UPDATE orders_order SET trucks_filled = 2 WHERE status = 'partially_filled'"
    ],
    "status_is_that_of_the_trucks": [
        "UPDATE orders_order SET status = 'filled' WHERE status = 'partially_filled'"
    ],
    "nothing_searches_past_its_deadline": [
        (
            "UPDATE orders_order SET created_at = created_at - interval '1 hour',"
            " expires_at = expires_at - interval '1 hour' WHERE trucks_searching > 0"
        )
    ],
    "offers_are_open_only_while_the_order_seeks": [
        "UPDATE orders_offer SET state = 'open', close_reason = '' WHERE state = 'closed'"
    ],
    "facts_follow_one_another": [
        "DELETE FROM orders_fact WHERE kind = 'trip_assigned'",
    ],
    "replaying_the_facts_gives_the_row": [
        "UPDATE orders_trip SET status = 'en_route_pickup' WHERE status = 'assigned'"
    ],
    "every_move_is_legal": [
        "UPDATE orders_fact SET to_status = 'in_transit' WHERE to_status = 'at_pickup'",
        "UPDATE orders_fact SET from_status = 'in_transit' WHERE from_status = 'at_pickup'",
    ],
    "terminal_states_never_revive": [
        """INSERT INTO orders_fact (order_id, order_version, at, kind, subject, subject_id,
                                    from_status, to_status, by, request_id, data)
           SELECT id, version, statement_timestamp(), 'revived', 'order', id, status,
                  'broadcasting', 'system', '', '{}' FROM orders_order WHERE status = 'expired'"""
    ],
    "every_fact_has_its_messages": [
        (
            "DELETE FROM events_event WHERE name = 'new_broadcast'"
            " AND id = (SELECT min(id) FROM events_event WHERE name = 'new_broadcast')"
        )
    ],
    "streams_have_no_gap": [
        (
            "DELETE FROM events_event WHERE seq = 3 AND id = (SELECT max(id) FROM events_event"
            " WHERE seq = 3)"
        )
    ],
    "every_offer_was_eligible_at_its_wave": ["UPDATE orders_wave SET told = '[]' WHERE number = 1"],
    "one_offer_per_order_and_transporter": [
        "ALTER TABLE orders_trip DROP CONSTRAINT trip_only_by_offer",
        "ALTER TABLE orders_offer DROP CONSTRAINT one_offer_per_order_and_transporter",
        copy("orders_offer", "state = 'open'"),
    ],
    "fares_are_those_of_the_confirm": [
        "UPDATE orders_order SET fare_paise = fare_paise + 100 WHERE status = 'partially_filled'"
    ],
}


def test_a_fare_raised_together_with_its_trucks_is_no_more_that_of_the_confirm(house):
    plant(
        f"UPDATE orders_order SET fare_paise = fare_paise + 100 WHERE id = '{house.id}'",
        "UPDATE orders_truckrequest SET fare_paise = fare_paise + 100"
        f" WHERE order_id = '{house.id}' AND position = 1",
    )
    found = {finding.invariant.name: finding.rows for finding in audit()}
    assert [row["order_id"] for row in found["fares_are_those_of_the_confirm"]] == [house.id]


def test_every_invariant_was_seen_red():
    assert set(RED) == {invariant.name for invariant in INVARIANTS}


@pytest.mark.parametrize("name", RED)
def test_a_planted_fault_turns_its_invariant_red(house, name):
    plant(*RED[name])
    assert name in broken()


def test_a_breach_is_shown_with_its_rows_and_ends_with_exit_code_1(house, capsys):
    plant(*RED["counters_are_the_count"])
    with pytest.raises(SystemExit) as ended:
        call_command("audit", "--json")
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out)
    (found,) = [one for one in told["invariants"] if one["violations"]]
    assert found["name"] == "counters_are_the_count"
    assert found["rows"][0]["order_id"] == str(house.id)
    assert told["violations"] == 1


def test_a_clean_audit_prints_a_line_for_each_invariant_and_ends_well(house, capsys):
    call_command("audit")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(INVARIANTS) + 2
    assert lines[-1] == f"{len(INVARIANTS)} invariants asked, 0 broken."


def test_the_status_in_sql_is_the_function_of_the_domain(house):
    """Every mix of two trucks, each with every status and every trip that could hold it."""
    kinds = [("searching", None), ("expired", None), ("cancelled", None)]
    kinds += [("assigned", status) for status in sorted(TRIP_LIVE)]
    kinds += [("completed", TripStatus.COMPLETED), ("failed", TripStatus.FAILED)]
    trip = Trip.objects.exclude(status__in=["cancelled", "completed", "failed"]).get()
    other = Trip.objects.filter(order=house, status="cancelled").get()
    house.trucks.exclude(id__in=[trip.truck_id, other.truck_id]).update(status="cancelled")
    for one in kinds:
        for two in kinds:
            set_truck(trip, *one)
            set_truck(other, *two)
            wrong = STATUS_WRONG.replace("status", f"'{order_status([one, two])}'")
            with connection.cursor() as cursor:
                cursor.execute(
                    RECOUNT.format(
                        orders="orders_order", wrong=f"order_id = '{house.id}' AND {wrong}"
                    )
                )
                assert cursor.fetchall() == [], (one, two)


def set_truck(trip, truck_status, trip_status):
    held = trip_status or TripStatus.CANCELLED
    ended = "NULL" if held in TRIP_LIVE else "statement_timestamp()"
    proof = "'{}'" if held == TripStatus.COMPLETED else "NULL"
    plant(
        f"UPDATE orders_truckrequest SET status = '{truck_status}' WHERE id = '{trip.truck_id}'",
        f"UPDATE orders_trip SET status = '{held}', ended_at = {ended}, proof = {proof}"
        f" WHERE id = '{trip.id}'",
    )

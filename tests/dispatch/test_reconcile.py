"""Reconciliation heals what should never be, once, and never touches what is right."""

import threading
from dataclasses import replace

import pytest
from django.db import connection, connections

from dispatch.audit import audit
from dispatch.models import Reconciliation
from dispatch.reconcile import BEYOND_REPAIR, KINDS, reconcile
from orders.models import Fact, Order
from orders.states import OfferState, OrderStatus, TripStatus, TruckStatus
from orders.verbs.accept import accept
from tests.dispatch.drive import look, shift, stand
from tests.people import make_captain, make_city, make_customer, make_order, vehicle_ids

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("presence_empty")]


@pytest.fixture
def balu(presence_empty):
    make_city()
    return stand(make_captain(vehicles=2), 1000)


@pytest.fixture
def order(balu):
    order = make_order(make_customer())
    look()
    return order


@pytest.fixture
def won(order, balu):
    accept(balu.owner_id, order.offers.get().id, vehicle_ids(balu)[:1])
    order.refresh_from_db()
    return order


def plant(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement, values)
        cursor.execute("SET session_replication_role = origin")


def repairs():
    return [repair["repair"] for repair in reconcile("beat")]


def broken():
    """What the audit finds, but for the story: planted rows have no facts."""
    of_facts = {"replaying_the_facts_gives_the_row", "facts_follow_one_another"}
    return {found.invariant.name for found in audit() if found.rows} - of_facts


def test_on_a_healthy_system_it_heals_nothing_and_says_so(won, caplog):
    before = Order.objects.values().get(), Fact.objects.count()
    assert reconcile("start") == []
    assert (Order.objects.values().get(), Fact.objects.count()) == before
    run = Reconciliation.objects.get()
    assert (run.trigger, run.repairs) == ("start", [])
    assert run.ended_at is not None
    (line,) = [record.msg for record in caplog.records if "reconciliation" in str(record.msg)]
    assert (line["event"], line["repairs"]) == ("reconciliation done", 0)


def test_an_order_that_nobody_expired_is_expired_and_told_as_a_repair(order, caplog):
    shift(order, 70)
    assert repairs() == ["overdue_order_expired"]
    order.refresh_from_db()
    assert (order.status, order.reason) == (OrderStatus.EXPIRED, "NO_CAPTAIN_ACCEPTED")
    (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert str(record.msg["order_id"]) == str(order.id)
    assert Reconciliation.objects.get().repairs[0]["order_id"] == str(order.id)
    assert repairs() == []


def test_an_order_just_past_its_deadline_is_left_to_the_loop(order):
    shift(order, 61)
    assert repairs() == []


def test_an_assigned_truck_without_a_trip_seeks_again(won):
    plant("DELETE FROM orders_trip")
    assert "truck_and_trip_joined" in repairs()
    won.refresh_from_db()
    assert won.status == OrderStatus.BROADCASTING
    assert won.trucks.get().status == TruckStatus.SEARCHING
    assert won.is_seeking(won.seeking_since)
    assert broken() == set()
    assert repairs() == []


def test_a_truck_whose_trip_was_delivered_is_completed(won):
    plant("UPDATE orders_trip SET status = 'completed', ended_at = now(), proof = '{}'")
    assert repairs() == ["truck_and_trip_joined"]
    won.refresh_from_db()
    assert won.status == OrderStatus.COMPLETED
    assert broken() == set()


def test_a_searching_truck_that_a_live_trip_holds_is_assigned(won):
    plant("UPDATE orders_truckrequest SET status = 'searching'")
    assert repairs() == ["truck_and_trip_joined"]
    won.refresh_from_db()
    assert (won.status, won.trucks.get().status) == (OrderStatus.FILLED, TruckStatus.ASSIGNED)
    assert broken() == set()


def test_a_live_trip_of_a_cancelled_order_is_cancelled_and_its_vehicle_free(won):
    plant("UPDATE orders_truckrequest SET status = 'cancelled', ended_at = now()")
    plant(
        "UPDATE orders_order SET status = 'cancelled', ended_at = now(), trucks_filled = 0,"
        " payable_paise = 0"
    )
    assert repairs() == ["truck_and_trip_joined"]
    assert won.trips.get().status == TripStatus.CANCELLED
    assert broken() == set()


def test_a_live_trip_of_a_completed_truck_is_shown_to_a_dispatcher_once(won, caplog):
    plant("UPDATE orders_truckrequest SET status = 'completed', ended_at = now()")
    plant("UPDATE orders_order SET status = 'completed', ended_at = now()")
    repairs()
    assert won.trips.get().flagged == BEYOND_REPAIR
    assert "truck and trip disagree" in caplog.text
    assert repairs() == []


@pytest.mark.parametrize(
    "wrong", ["trucks_filled = 0", "payable_paise = 1", "status = 'partially_filled'"]
)
def test_counters_and_status_that_are_not_those_of_the_trucks_are_counted_anew(won, wrong):
    plant(f"UPDATE orders_order SET {wrong}")
    assert repairs() == ["order_counted_anew"]
    assert broken() == set()
    assert repairs() == []


def test_an_offer_left_open_after_the_order_was_filled_is_closed(won):
    chitra = make_captain("+919000000003", "Chitra")
    plant(
        "INSERT INTO orders_offer (id, order_id, transporter_id, state, close_reason, wave,"
        " distance_m, vehicles, again, reason)"
        " SELECT gen_random_uuid(), order_id, %s, 'open', '', 1, 5, vehicles, false, ''"
        " FROM orders_offer",
        chitra.id,
    )
    assert repairs() == ["offers_follow_the_order"]
    offer = won.offers.get(transporter=chitra)
    assert (offer.state, offer.close_reason) == (OfferState.CLOSED, "FILLED")


def test_an_offer_left_closed_while_the_order_seeks_is_opened(order):
    plant("UPDATE orders_offer SET state = 'closed', close_reason = 'FILLED'")
    assert repairs() == ["offers_follow_the_order"]
    assert order.offers.get().state == OfferState.OPEN


def test_an_offer_left_open_to_a_suspended_fleet_is_withdrawn(order, balu):
    plant("UPDATE transporters_transporter SET kyc_status = 'suspended'")
    assert repairs() == ["offers_of_suspended_fleets_withdrawn"]
    assert order.offers.get().state == OfferState.WITHDRAWN
    assert repairs() == []


def test_each_repair_is_a_warning_with_the_row_a_metric_and_a_line_in_the_admin(
    order, client, admin_client, caplog
):
    plant("UPDATE orders_order SET trucks_filled = 1")
    assert repairs() == ["order_counted_anew"]
    (warning,) = [r.msg for r in caplog.records if "repaired" in str(r.msg)]
    assert (warning["order_id"], warning["trucks_filled"]) == (str(order.id), 1)
    metrics = client.get("/metrics").content.decode().splitlines()
    assert 'weelo_reconciliation_repairs_total{repair="order_counted_anew"} 1.0' in metrics
    page = admin_client.get("/admin/dispatch/reconciliation/")
    assert str(page.context["cl"].result_list[0]).startswith("1 repairs")


def test_one_repair_that_fails_does_not_stop_the_others(order, balu, monkeypatch, caplog):
    other = make_order(make_customer("+919000000008", "Anil"))
    shift(order, 70)
    shift(other, 70)

    def fail_for_one(change, _rows):
        assert change.order.id != order.id, "planted"
        change.expire_overdue()

    kinds = [replace(KINDS[0], heal=fail_for_one), *KINDS[1:]]
    monkeypatch.setattr("dispatch.reconcile.KINDS", kinds)
    assert [repair["order_id"] for repair in reconcile("beat")] == [other.id]
    assert "repair failed" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_three_at_once_repair_nothing_twice(presence_empty):
    make_city()
    orders = [make_order(make_customer(f"+91900000010{i}", "Asha")) for i in range(5)]
    for order in orders:
        plant("UPDATE orders_order SET trucks_filled = 1 WHERE id = %s", order.id)
    start, found = threading.Barrier(3), []

    def run():
        start.wait()
        found.extend(reconcile("beat"))
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(repair["order_id"] for repair in found) == sorted(order.id for order in orders)
    assert sum(len(run.repairs) for run in Reconciliation.objects.all()) == 5
    assert Reconciliation.objects.count() == 3
    assert {order.version for order in Order.objects.all()} == {2}

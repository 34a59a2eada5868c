"""The dispatcher's pages: what Devi sees at two in the morning, and what she can do."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders.change import By
from orders.interventions import page_of
from orders.models import Actor, Dispute, Fact, Offer, Order, Rating, Trip, TruckRequest, Wave
from orders.states import OrderStatus, TripStatus, TruckStatus
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.rate import dispute, rate
from orders.verbs.steps import Step, step
from tests.orders.clock import overdue
from tests.people import (
    ASHA,
    BALU,
    make_captain,
    make_captains,
    make_customer,
    make_dispatcher,
    make_order,
    tell_them,
    vehicle_ids,
)
from weelo.accounts.models import SmsMessage, User
from weelo.events.models import Event
from weelo.lib.ids import short_id
from weelo.lib.wire import encode

MODELS = (Order, TruckRequest, Offer, Trip, Wave, Fact, Rating, Dispute)


@pytest.fixture
def devi(asha):
    dispatcher = make_dispatcher()
    dispatcher.is_superuser = True
    dispatcher.save()
    return dispatcher


@pytest.fixture
def desk(client, devi):
    """Devi's browser, signed in."""
    client.force_login(devi, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def trip(asha, balu, chitra):
    order = make_order(asha)
    offers = tell_them(order, [balu, chitra])
    accept(balu.owner_id, offers[0].id, vehicle_ids(balu))
    return Trip.objects.get()


def list_of(model, which="", **query):
    address = reverse(f"admin:orders_{model._meta.model_name}_changelist")
    if which and model is Order:
        query["which"] = which
    return address + "?" + "&".join(f"{key}={value}" for key, value in query.items())


def found(desk, model, **query):
    """The rows of a list as the page shows them."""
    answer = desk.get(list_of(model, **query))
    assert answer.status_code == 200, answer.headers
    return list(answer.context["cl"].result_list)


def act(desk, row, word, **answers):
    return desk.post(reverse(f"admin:orders_{row._meta.model_name}_{word}", args=[row.pk]), answers)


def drive(trip, *statuses):
    for status in statuses:
        proof = {"kind": "code", "code": trip.drop_code}
        step(trip.transporter.owner, trip.id, Step(status, trip.start_code, proof))
    trip.refresh_from_db()


# --- looking ------------------------------------------------------------------------------------


def test_the_list_of_orders_tells_what_a_dispatcher_needs(desk, trip, asha):
    Trip.objects.update(flagged="NOT_MOVING")
    page = desk.get(list_of(Order)).content.decode()
    for shown in (short_id(trip.order_id), "Filled", "Asha +919000000001", "1 of 1", "NOT_MOVING"):
        assert shown in page
    assert "2 captains within 5 km" in page


def test_an_order_past_its_deadline_reads_as_expired_though_nobody_stored_it(desk, asha):
    order = make_order(asha)
    overdue(order)
    page = desk.get(list_of(Order)).content.decode()
    assert "Expired" in page and order.status == OrderStatus.BROADCASTING
    assert '<dt class="field-time_left' not in page


def test_ended_orders_show_when_asked_for_and_in_a_search(desk, asha):
    order = make_order(asha)
    cancel_as_customer(asha, order)
    assert found(desk, Order) == []
    assert found(desk, Order, which="all") == [order]
    assert found(desk, Order, q=str(order.id)) == [order]
    assert found(desk, Order, status__exact="cancelled") == [order]


def cancel_as_customer(asha, order):
    cancel(By(Actor.CUSTOMER, asha.id), order.id, customer_id=asha.id)


def test_flagged_are_orders_with_a_flagged_trip_or_an_open_dispute(desk, trip, asha):
    assert found(desk, Order, which="flagged") == []
    dispute(asha.id, trip.id, "late")
    assert found(desk, Order, which="flagged") == [trip.order]
    Dispute.objects.all().delete()
    Trip.objects.update(flagged="NOT_MOVING")
    assert found(desk, Order, which="flagged") == [trip.order]


def test_an_order_is_found_by_what_a_caller_can_read_out(desk, trip, asha, balu):
    make_order(make_customer("+919000000077", "Zoya"))
    registration = trip.vehicle.registration
    spaced = f"{registration[:4]}-{registration[4:].lower()}"
    for words in (ASHA, "90000 00001", BALU, registration, spaced, trip.order_id, trip.id):
        assert found(desk, Order, q=words) == [trip.order], words
    assert found(desk, Order, q=short_id(trip.order_id)) == [trip.order]
    assert found(desk, Trip, q=registration) == [trip]
    assert len(found(desk, Offer, q=BALU)) == 2
    for words in ("KA99ZZ9999", "+919999999999", "nobody", "%25"):
        assert found(desk, Order, q=words) == [], words


def test_a_list_of_fifty_rows_takes_no_more_statements_than_one_of_two(desk, asha):
    fill(asha, 2)
    few = {model: statements(desk, list_of(model, which="all")) for model in MODELS}
    fill(asha, 50, start=2)
    many = {model: statements(desk, list_of(model, which="all")) for model in MODELS}
    assert all(model.objects.count() > 50 for model in MODELS)
    assert many == few
    assert max(few.values()) <= 16, few


def test_the_page_of_an_order_of_fifty_trucks_takes_as_many_as_that_of_one(desk, asha):
    (small,) = fill(asha, 1)
    fleets = make_captains(20)
    large = make_order(make_customer("+919111111111"), trucks=50)
    for fleet, offer in zip(fleets, tell_them(large, fleets), strict=True):
        accept(fleet.owner_id, offer.id, vehicle_ids(fleet))
    statements(desk, page_of(small))  # the first page of all also reads the content types
    assert statements(desk, page_of(large)) == statements(desk, page_of(small)) <= 16


def fill(asha, number, start=0):
    """Orders of as many customers, each with a trip won and delivered, rated and disputed."""
    orders = []
    for i in range(start, start + number):
        customer = make_customer(f"+9170{i:08}", f"Customer {i}")
        fleet = make_captain(f"+9171{i:08}", f"Captain {i}")
        order = make_order(customer)
        (offer,) = tell_them(order, [fleet])
        accept(fleet.owner_id, offer.id, vehicle_ids(fleet))
        deliver_and_rate(Trip.objects.get(order=order))
        orders.append(order)
    return orders


def deliver_and_rate(trip):
    drive(trip, "at_pickup", "in_transit", "at_drop", "completed")
    rate(trip.order.customer_id, trip.id, 5)
    dispute(trip.order.customer_id, trip.id, "late")


def statements(desk, address):
    with CaptureQueriesContext(connection) as queries:
        assert desk.get(address).status_code == 200
    return len(queries)


@pytest.mark.parametrize("model", MODELS)
def test_nothing_can_be_added_changed_or_deleted_by_hand(desk, trip, asha, model):
    deliver_and_rate(trip)
    name = f"admin:orders_{model._meta.model_name}"
    row = model.objects.first()
    assert desk.get(reverse(f"{name}_add")).status_code == 403
    assert desk.get(reverse(f"{name}_delete", args=[row.pk])).status_code == 403
    page = desk.get(page_of(row))
    assert page.status_code == 200
    assert not page.context["adminform"].form.fields, "every field is read-only"
    status = {"status": "completed", "state": "accepted", "stars": 1, "fare_paise": 1}
    assert desk.post(page_of(row), status).status_code == 403


def test_the_codes_of_a_trip_are_not_shown(desk, trip):
    Trip.objects.update(start_code="7391", drop_code="8264")
    for address in (page_of(trip), page_of(trip.order), list_of(Trip)):
        page = desk.get(address).content.decode()
        assert "7391" not in page and "8264" not in page


def test_nor_do_pages_of_what_was_told_show_them(desk, trip):
    told = Event.objects.filter(name="truck_assigned")
    assert "start_code" in encode(told.get().data)
    address = reverse("admin:events_event_change", args=[told.get().pk])
    page = desk.get(address).content.decode()
    assert "registration" in page and "start_code" not in page and "drop_code" not in page
    assert "_code" not in desk.get(reverse("admin:events_event_changelist")).content.decode()


def test_only_staff_who_may_change_orders_are_asked_and_listened_to(client, trip, asha):
    clerk = User.objects.create(username="clerk", is_staff=True)
    client.force_login(clerk, backend="django.contrib.auth.backends.ModelBackend")
    assert act(client, trip.order, "cancel", reason="x").status_code == 403
    client.logout()
    assert act(client, trip.order, "cancel", reason="x").status_code == 302  # to sign in
    assert Order.objects.get().status == OrderStatus.FILLED


# --- intervening --------------------------------------------------------------------------------


def test_a_dispatcher_cancels_an_order_without_a_fee(desk, devi, trip, heard, asha, balu):
    order = trip.order
    assert b"Cancel the order" in desk.get(page_of(order)).content
    answer = act(desk, order, "cancel", reason="customer called")
    assert (answer.status_code, answer.url) == (302, page_of(order))
    order.refresh_from_db()
    assert (order.status, order.cancel_fee_paise) == (OrderStatus.CANCELLED, 0)
    assert "order_cancelled" in heard(balu)
    fact = Fact.objects.get(kind="order_cancelled")
    assert (fact.by, fact.by_user) == ("dispatcher", devi)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (devi, str(order.id))
    assert "customer called" in entry.get_change_message()
    assert b"Cancel the order" not in desk.get(page_of(order)).content


def test_a_dispatcher_cancels_one_truck_and_the_others_go_on(desk, asha):
    order = make_order(asha, trucks=2)
    truck = order.trucks.first()
    act(desk, truck, "cancel", reason="one is enough")
    assert [t.status for t in order.trucks.all()] == [TruckStatus.CANCELLED, TruckStatus.SEARCHING]
    assert LogEntry.objects.get().object_id == str(truck.id)


def test_an_intervention_asks_first_and_wants_a_reason(desk, trip):
    asked = desk.get(reverse("admin:orders_order_cancel", args=[trip.order_id]))
    assert asked.status_code == 200
    assert b"without a fee" in asked.content
    assert b"required" in act(desk, trip.order, "cancel", reason="  ").content
    assert Order.objects.get().status == OrderStatus.FILLED
    assert not LogEntry.objects.exists()


def test_a_refused_intervention_says_why_and_is_not_logged(desk, trip):
    drive(trip, "at_pickup", "in_transit")
    answer = act(desk, trip.order, "cancel", reason="customer called")
    assert answer.status_code == 409
    assert b"Open a dispute on the trip instead" in answer.content
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(("replace", "status"), [("on", "broadcasting"), ("", "cancelled")])
def test_a_dispatcher_fails_a_trip_with_or_without_a_replacement(desk, trip, replace, status):
    drive(trip, "at_pickup", "in_transit")
    act(desk, trip, "fail", reason="axle broke", replace=replace)
    trip.refresh_from_db()
    order = Order.objects.get()
    assert (trip.status, trip.reason) == (TripStatus.FAILED, "axle broke")
    assert order.trucks.count() == (2 if replace else 1)
    assert order.status == status
    assert "axle broke" in LogEntry.objects.get().get_change_message()


def test_a_new_start_code_gives_the_tries_back_and_the_customer_sees_it(desk, trip, heard, asha):
    old = trip.start_code
    Trip.objects.update(start_code_tries=5, status=TripStatus.AT_PICKUP)
    act(desk, trip, "new_start_code", reason="five wrong tries")
    trip.refresh_from_db()
    assert (trip.start_code_tries, trip.start_code != old) == (0, True)
    assert heard(asha)[-2:] == ["trip_changed", "order_status_changed"]
    assert Fact.objects.get(kind="start_code_renewed").by == "dispatcher"
    entry = LogEntry.objects.get().get_change_message()
    assert "five wrong tries" in entry and trip.start_code not in entry
    drive(trip, "in_transit")


def test_a_new_drop_code_goes_to_the_receiver_once_the_goods_are_on_their_way(desk, trip, heard):
    old = trip.drop_code
    act(desk, trip, "new_drop_code", reason="read out too early")
    assert not SmsMessage.objects.exists()
    trip.refresh_from_db()
    drive(trip, "at_pickup", "in_transit", "at_drop")
    act(desk, trip, "new_drop_code", reason="receiver lost it")
    trip.refresh_from_db()
    assert [sms.code for sms in SmsMessage.objects.order_by("id")][-1] == trip.drop_code != old
    assert heard(trip.order.customer)[-2:] == ["trip_changed", "order_status_changed"]


def test_a_code_that_has_done_its_work_gets_no_successor(desk, trip):
    drive(trip, "at_pickup", "in_transit")
    code = trip.start_code
    assert act(desk, trip, "new_start_code", reason="why not").status_code == 409
    trip.refresh_from_db()
    assert trip.start_code == code


def test_a_dispute_is_settled_once(desk, devi, trip, asha):
    dispute(asha.id, trip.id, "late", "two hours")
    opened = Dispute.objects.get()
    act(desk, opened, "settle", settlement="₹500 back")
    opened.refresh_from_db()
    assert opened.settlement == "₹500 back" and opened.settled_at is not None
    assert Fact.objects.get(kind="dispute_settled").by_user == devi
    assert act(desk, opened, "settle", settlement="₹500 back").status_code == 302
    assert act(desk, opened, "settle", settlement="nothing").status_code == 409
    opened.refresh_from_db()
    assert opened.settlement == "₹500 back"
    assert dispute(asha.id, trip.id, "late")["id"] != str(opened.id), "it may be opened anew"

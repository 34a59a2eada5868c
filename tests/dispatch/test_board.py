"""The dispatchers' board: what is on it, and that differences lead from one to the next."""

from datetime import timedelta
from itertools import pairwise

import pytest
from h3 import int_to_str

from dispatch import board
from orders.change import By
from orders.models import Actor, Order, Trip
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from tests.dispatch.drive import stand
from tests.people import (
    CENTRE,
    make_captain,
    make_city,
    make_customer,
    make_order,
    tell_them,
    vehicle_ids,
)
from transporters import presence
from transporters.models import CurrentPosition
from weelo.cities.cells import cell_of


@pytest.fixture
def balu(asha):
    return make_captain()


@pytest.fixture
def asha(db):
    make_city()
    return make_customer()


def seen():
    presence.write_back()
    return board.read(board.Supply())


def applied(old, changes):
    """The board that a console shows after a difference."""
    keys = {"orders": "id", "trips": "id", "cells": "cell", "counts": None}
    new = {name: dict(rows) for name, rows in old.items()}
    for name, change in changes.items():
        for row in change["set"]:
            new[name][row[keys[name]] if keys[name] else "all"] = row
        for key in change["gone"]:
            del new[name][key]
    return new


def test_an_order_its_truck_and_who_could_take_it_are_on_the_board(asha, balu):
    stand(balu, 1000)
    order = make_order(asha, trucks=2)
    tell_them(order, [balu])
    accept(balu.owner_id, order.offers.get().id, vehicle_ids(balu))
    shown = seen()
    (row,) = shown["orders"].values()
    assert (row["id"], row["status"], row["seeking"]) == (str(order.id), "partially_filled", True)
    assert (row["trucks_wanted"], row["trucks_filled"], row["captains_told"]) == (2, 1, 1)
    assert row["pickup"] == {"lat": CENTRE[0], "lng": CENTRE[1]}
    (trip,) = shown["trips"].values()
    assert (trip["order_id"], trip["status"]) == (str(order.id), "assigned")
    assert trip["registration"] == balu.vehicles.get().registration
    assert shown["counts"]["all"] == {
        "orders": 1,
        "orders_seeking": 1,
        "trucks_searching": 1,
        "trips": 1,
        "captains_online": 1,
    }


def test_cells_count_captains_on_offer_and_trucks_sought(asha, balu):
    stand(balu, 1000)
    make_order(asha, trucks=3)
    cells = seen()["cells"]
    here = int_to_str(cell_of(*CENTRE))
    assert cells[here]["demand"] == 3
    assert sum(row["supply"] for row in cells.values()) == 1
    place = CurrentPosition.objects.get()
    assert place.cell == cell_of(place.lat, place.lng)
    assert cells[int_to_str(place.cell)]["supply"] == 1


@pytest.mark.parametrize("change", [{"is_online": False}, {"kyc_status": "suspended"}])
def test_who_is_not_on_offer_is_no_supply(asha, balu, change):
    stand(balu, 1000)
    assert seen()["cells"]
    for name, value in change.items():
        setattr(balu, name, value)
    balu.save()
    assert seen()["cells"] == {}


def test_a_position_that_is_too_old_is_no_supply(asha, balu, settings):
    stand(balu, 1000)
    assert seen()["cells"]
    settings.POSITION_TTL = timedelta(seconds=0)
    assert seen()["cells"] == {}


def test_a_board_and_its_differences_make_the_next_board(asha, balu):
    shown = [seen()]
    stand(balu, 1000)
    order = make_order(asha)
    shown.append(seen())
    tell_them(order, [balu])
    accept(balu.owner_id, order.offers.get().id, vehicle_ids(balu))
    shown.append(seen())
    cancel(By(Actor.CUSTOMER, asha.id), order.id, customer_id=asha.id)
    shown.append(seen())
    assert Order.objects.get().status == "cancelled"
    assert shown[-1]["orders"] == shown[-1]["trips"] == {}
    assert Trip.objects.count() == 1
    for old, new in pairwise(shown):
        changes = board.difference(old, new)
        assert changes
        assert applied(old, changes) == new
        assert board.difference(new, new) == {}


def test_the_board_costs_as_much_for_many_orders_as_for_one(asha, balu, django_assert_num_queries):
    supply = board.Supply()
    for number in range(3):
        make_order(make_customer(f"+91900000010{number}", "Gita"))
    with django_assert_num_queries(3):  # the clock, the orders, the trips
        board.read(supply)

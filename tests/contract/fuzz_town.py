"""The town that the fuzz runs in, made inside the site's own Django by the verbs: `settle()`.

Asha has orders in every stage, Balu the offers and trips of them, Dinesh drives for him, Devi is
staff. Nobody's objects are used up by one call: there are many of each kind.
"""

import json
import sys
from datetime import timedelta

from django.utils import timezone

from orders.models import Offer, Order, Trip, TruckRequest
from orders.states import TripStatus
from orders.verbs.accept import accept
from orders.verbs.steps import Step, step
from tests.people import (
    BALU,
    make_captain,
    make_customer,
    make_dispatcher,
    make_driver,
    make_order,
    place,
    tell_them,
    vehicle_ids,
)
from weelo.accounts import tokens
from weelo.accounts.models import Session

DINESH = "+919000000004"
ORDERS = 24  # of three trucks each; two thirds of them have a trip
SESSIONS = 300  # of each person: some calls end the session that they are made with
WAY = (TripStatus.EN_ROUTE_PICKUP, TripStatus.AT_PICKUP, TripStatus.IN_TRANSIT)
WAY = (*WAY, TripStatus.AT_DROP, TripStatus.COMPLETED)


def settle():
    """Make everybody; tell tokens by role and ids by the name of their parameter as JSON."""
    asha, fleet = make_customer(), make_captain(BALU, vehicles=2 * ORDERS)
    asha.max_active_orders = 2 * ORDERS
    asha.save()
    dinesh = make_driver(fleet, DINESH)
    for number in range(ORDERS):
        live_through(make_order(asha, 3, stops=[place(), place()]), fleet, dinesh, number)
    people = {
        "customer": asha,
        "captain": fleet.owner,
        "driver": dinesh.user,
        "staff": make_dispatcher(),
    }
    ids = {
        "order_id": ids_of(Order),
        "truck_id": ids_of(TruckRequest),
        "offer_id": ids_of(Offer),
        "trip_id": ids_of(Trip),
        "vehicle_id": [str(one) for one in vehicle_ids(fleet)],
        "driver_id": [str(dinesh.id)],
    }
    signed_in = {role: sign_in(user) for role, user in people.items()}
    sys.stdout.write(json.dumps({"tokens": signed_in, "ids": ids}) + "\n")


def live_through(order, fleet, driver, number):
    """Two orders in three get a trip, each a step further than the one before."""
    (offer,) = tell_them(order, [fleet])
    if number % 3 == 0:
        return
    accept(fleet.owner_id, offer.id, [vehicle_ids(fleet)[number]], [driver.id] * (number == 1))
    trip = order.trips.get()
    for status in WAY[: number % (len(WAY) + 1)]:
        proof = {"kind": "code", "code": trip.drop_code}
        step(fleet.owner, trip.id, Step(status, trip.start_code, proof))


def ids_of(model):
    return [str(one) for one in model.objects.values_list("id", flat=True)]


def sign_in(user):
    """Access tokens of sessions, enough to end some."""
    until = timezone.now() + timedelta(days=1)
    opened = Session.objects.bulk_create(
        Session(user=user, device_name="fuzz", expires_at=until) for _ in range(SESSIONS)
    )
    return [tokens.access(session) for session in opened]

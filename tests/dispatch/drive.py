"""Where the captains of the tests stand, and what the loop does when it looks."""

import math

from django.db import connection

from dispatch import waves
from dispatch.policy import Policies
from orders.models import Order
from tests.people import CENTRE
from transporters import fleet, presence
from transporters.geo import EARTH_RADIUS_M
from weelo.lib.clock import database_now


def north(metres):
    """A point so many metres north of the centre."""
    return CENTRE[0] + math.degrees(metres / EARTH_RADIUS_M), CENTRE[1]


def stand(captain, metres, vehicle=None, at=None):
    """The captain's phone (or a vehicle's) reports a point so many metres north of the centre."""
    lat, lng = north(metres)
    point = {"lat": lat, "lng": lng, "at": at}
    if vehicle is not None:
        point["vehicle_id"] = vehicle.id
    report = presence.report(fleet.of_captain(captain.owner_id), [point], database_now())
    assert report.accepted == 1, report
    return captain


def shift(order, seconds):
    """Let so many seconds pass for an order: all its times move into the past."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE orders_order SET created_at = created_at - s, expires_at = expires_at - s,"
            " seeking_since = seeking_since - s, next_wave_at = next_wave_at - s"
            " FROM make_interval(secs => %s) s WHERE id = %s",
            [seconds, order.id],
        )
        cursor.execute(
            "UPDATE orders_wave SET at = at - make_interval(secs => %s) WHERE order_id = %s",
            [seconds, order.id],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    order.refresh_from_db()


def look():
    """One round of the loop's waves; how many orders it picked."""
    return waves.send_due(Policies())


def told(order):
    """Who was told of an order: names, nearest first."""
    order.refresh_from_db()
    names = order.offers.order_by("wave", "told_at", "distance_m")
    return list(names.values_list("transporter__owner__name", flat=True))


def log_of(order):
    """The decision log: (number, part, radius_m, how many told) of each row."""
    rows = Order.objects.get(id=order.id).waves.order_by("number", "part")
    return [(row.number, row.part, row.radius_m, len(row.told)) for row in rows]

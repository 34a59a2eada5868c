"""Finding orders by what a caller reads out: a phone, a registration, or an id or its start."""

import re
from uuid import UUID

from django.db.models import Q, QuerySet

from orders.models import Order, Trip
from transporters.models import Vehicle
from transporters.vehicles import plain_registration
from weelo.accounts.models import User
from weelo.accounts.phones import BadPhone, e164

_SHORTEST_ID = 6  # hex digits; lists show the first twelve
_HEX = re.compile(r"[0-9a-f]+")


def orders_for(term: str) -> QuerySet[Order]:
    """The orders that a word points at; every part of the query is served by an index.

    A phone finds the orders of its customer, and those its fleet or driver has trips on; a
    registration those of its vehicle; an id, or the first six or more digits of it, the order or
    the order of the trip.
    """
    wanted = Q(pk__in=[])
    if span := ids_starting_with(term):
        wanted |= Q(id__range=span) | Q(id__in=_order_ids(Q(id__range=span)))
    if user_ids := _users(term):
        driven = Q(transporter__owner__in=user_ids) | Q(driver__user__in=user_ids)
        wanted |= Q(customer__in=user_ids) | Q(id__in=_order_ids(driven))
    if vehicle_ids := _vehicles(term):
        wanted |= Q(id__in=_order_ids(Q(vehicle__in=vehicle_ids)))
    return Order.objects.filter(wanted)


def _order_ids(trips: Q) -> QuerySet[Trip, UUID]:
    return Trip.objects.filter(trips).values_list("order_id", flat=True)


def ids_starting_with(term: str) -> tuple[UUID, UUID] | None:
    """The least and the greatest id with this start, or None when it is not one."""
    digits = term.strip().lower().replace("-", "")
    if not _SHORTEST_ID <= len(digits) <= 32 or not _HEX.fullmatch(digits):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _users(term: str) -> list[UUID]:
    try:
        phone = e164(term, mobile=False)
    except BadPhone:
        return []
    return list(User.objects.filter(phone=phone).values_list("id", flat=True))


def _vehicles(term: str) -> list[UUID]:
    registration = plain_registration(term)
    return list(Vehicle.objects.filter(registration=registration).values_list("id", flat=True))

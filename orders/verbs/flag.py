"""Live trips that a dispatcher should look at: late for the pickup, or of a blocked account."""

from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import Case, CharField, Q, QuerySet, Value, When
from django.db.models.functions import Now

from orders.change import SYSTEM, Change
from orders.models import Trip
from orders.states import TRIP_LIVE, TripStatus
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)
MOST_TRIPS = 500
PICKUP_LATE = "PICKUP_LATE"
ACCOUNT_BLOCKED = "ACCOUNT_BLOCKED"


def flag_due() -> int:
    """Flag what has come to be worth a look since the last time; returns how many trips."""
    order_ids = set(_due().values_list("order_id", flat=True)[:MOST_TRIPS])
    return sum(map(_flag, order_ids))


def _due() -> QuerySet[Trip]:
    """Live trips that should be flagged and are not, each with `why`."""
    sla: timedelta = settings.PICKUP_SLA
    late = Q(
        status__in=[TripStatus.ASSIGNED, TripStatus.EN_ROUTE_PICKUP],
        won_at__lt=Now() - sla,
        flagged="",
    )
    blocked = (
        Q(order__customer__is_active=False)
        | Q(transporter__owner__is_active=False)
        | Q(driver__user__is_active=False)
    ) & ~Q(flagged=ACCOUNT_BLOCKED)
    why = Case(
        When(blocked, then=Value(ACCOUNT_BLOCKED)),
        When(late, then=Value(PICKUP_LATE)),
        output_field=CharField(),
    )
    live = Trip.objects.filter(late | blocked, status__in=TRIP_LIVE)
    return live.annotate(why=why).order_by("won_at")


@verb
def _flag(order_id: UUID) -> int:
    """Flag the trips of one order that need it, read once it is locked."""
    change = Change.of(SYSTEM, id=order_id)
    due = dict(_due().filter(order_id=order_id).values_list("id", "why"))  # type: ignore[misc]
    flagged = [trip for trip in change.trips() if trip.id in due]
    for trip in flagged:
        why = due[trip.id]
        change.set(trip, flagged=why)
        change.note("trip_flagged", trip, flagged=why)
        log.warning("trip flagged", order_id=order_id, trip_id=trip.id, why=why)
    if flagged:
        change.finish()
    return len(flagged)

"""Why a transporter was told of an order, or was not, in one sentence.

The decision log answers where it can. It holds the 50 nearest of those not told; for anybody else
the question is put to `matching` again, with what the tables know of the moment of the wave.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from dispatch.matching import (
    Candidate,
    Fix,
    History,
    OrderView,
    Reason,
    Skipped,
    VehicleView,
    match,
)
from dispatch.policy import Policy
from orders.models import Fact, Offer, Order, Trip, Wave
from orders.receipts import receipt_of
from orders.states import OfferState
from transporters.geo import Point, metres
from transporters.models import Kyc, Transporter
from transporters.presence import Member, last_seen


@dataclass(frozen=True)
class Why:
    """The answer: `reason` is None for one who was told; `is_logged` unless it was computed."""

    sentence: str
    reason: Reason | None
    is_logged: bool


def why(order: Order, fleet: Transporter) -> Why:
    """What the waves of `order` decided about `fleet`."""
    offer = Offer.objects.filter(order=order, transporter=fleet).first()
    if offer is not None:
        return Why(_told(order, offer), None, is_logged=True)
    # What the farthest of all looks said; parts between two waves look no farther.
    last = order.waves.filter(part=0).select_related("policy").order_by("-number").first()
    if last is None:
        return Why(f"not told: no wave went out, {_how_it_ended(order)}", None, is_logged=False)
    logged = _in_log(last, fleet)
    skipped = logged or _computed(order, fleet, last)
    sentence = f"not told: {_because(skipped, fleet, last)}, and {_how_it_ended(order)}"
    return Why(sentence, skipped.reason, is_logged=logged is not None)


def _in_log(wave: Wave, fleet: Transporter) -> Skipped | None:
    for one in wave.skipped:
        if one["transporter"] == str(fleet.id):
            return Skipped(fleet.id, Reason(one["reason"]), one["distance_m"])
    return None


def _computed(order: Order, fleet: Transporter, wave: Wave) -> Skipped:
    """What matching says about the fleet alone, at the moment of the wave and by its policy."""
    view = _order_view(order, wave.at)
    found = match(
        view,
        [_candidate(order, fleet, wave.at)],
        History(),
        Policy.of(wave.policy.values),
        wave.radius_m,
        now=wave.at,
        position_ttl=settings.POSITION_TTL,
    )
    if found.skipped:
        return found.skipped[0]
    return Skipped(fleet.id, Reason.WAVE_FULL, found.told[0].distance_m)


def _order_view(order: Order, at: datetime) -> OrderView:
    won = Trip.objects.filter(order=order, won_at__lte=at).exclude(ended_at__lte=at)
    searching = order.trucks.exclude(ended_at__lt=at).exclude(id__in=won.values("truck_id"))
    types = searching.values_list("vehicle_type_id", flat=True)
    today = at.astimezone(ZoneInfo(order.city.timezone)).date()
    return OrderView(order.customer_id, frozenset(types), max(1, len(types)), today)


def _candidate(order: Order, fleet: Transporter, at: datetime) -> Candidate:
    """The fleet as it was then, as far as is kept: its papers, types and owner are today's."""
    pickup = Point(order.pickup["lat"], order.pickup["lng"])
    vehicles = list(fleet.vehicles.all())
    members = [Member(fleet.id), *(Member(fleet.id, vehicle.id) for vehicle in vehicles)]
    fixes = _fixes(members, pickup, at)
    busy = Trip.objects.filter(transporter=fleet, won_at__lte=at).exclude(ended_at__lte=at)
    on_trip = set(busy.values_list("vehicle_id", flat=True))
    return Candidate(
        transporter_id=fleet.id,
        owner_id=fleet.owner_id,
        is_verified=fleet.kyc_status == Kyc.VERIFIED,
        is_online=_was_online(fleet, at) and fleet.owner.is_active,
        vehicles=tuple(
            VehicleView(
                vehicle.id,
                vehicle.registration,
                vehicle.vehicle_type_id,
                vehicle.papers_expire_on,
                vehicle.in_service,
                vehicle.id in on_trip,
                fixes.get(vehicle.id),
            )
            for vehicle in vehicles
        ),
        fix=fixes.get(None),
        offers_open=_open_offers(fleet, at),
        woken_at=fleet.woken_at if fleet.woken_at and fleet.woken_at <= at else None,
    )


_FIXES = """
SELECT DISTINCT ON (vehicle_id) vehicle_id, lat, lng, at FROM (
    SELECT vehicle_id, lat, lng, at FROM transporters_positionhistory
    WHERE transporter_id = %(fleet)s AND at <= %(at)s
      AND at > %(at)s::timestamptz - interval '1 hour'
    UNION ALL
    SELECT vehicle_id, lat, lng, at FROM transporters_currentposition
    WHERE transporter_id = %(fleet)s AND at <= %(at)s
) known ORDER BY vehicle_id, at DESC
"""

# Each change since then turned the switch round.
_SWITCHED = """
SELECT count(*) FROM events_event event JOIN events_stream stream ON stream.id = stream_id
WHERE stream.user_id = %s AND stream.role = 'captain' AND event.name = 'availability_changed'
  AND event.at > %s
"""

_OPEN = """
SELECT count(*) FROM (
    SELECT DISTINCT ON (fact.subject_id) fact.to_status, fact.order_id
    FROM orders_offer offer JOIN orders_fact fact
      ON fact.order_id = offer.order_id AND fact.subject_id = offer.id AND fact.to_status <> ''
    WHERE offer.transporter_id = %(fleet)s AND offer.told_at <= %(at)s
      AND offer.told_at > %(at)s::timestamptz - interval '1 day' AND fact.at <= %(at)s
    ORDER BY fact.subject_id, fact.id DESC
) last JOIN orders_order o ON o.id = last.order_id
WHERE last.to_status = 'open' AND o.expires_at > %(at)s
"""


def _fixes(members: Sequence[Member], pickup: Point, at: datetime) -> dict[UUID | None, Fix]:
    """Where the vehicles of one fleet, and its captain (None), were."""
    rows = _rows(_FIXES, {"fleet": members[0].transporter_id, "at": at})
    found = {
        vehicle: Fix(metres(pickup, Point(lat, lng)), when) for vehicle, lat, lng, when in rows
    }
    # A wave of the last seconds: PostgreSQL may not know yet where they were.
    for member, fix in last_seen(members).items():
        known = found.get(member.vehicle_id)
        if fix.at <= at and (known is None or known.at < fix.at):
            found[member.vehicle_id] = Fix(metres(pickup, fix.point), fix.at)
    return found


def _was_online(fleet: Transporter, at: datetime) -> bool:
    ((switches,),) = _rows(_SWITCHED, [fleet.owner_id, at])
    return bool(fleet.is_online) ^ bool(switches % 2)


def _open_offers(fleet: Transporter, at: datetime) -> int:
    ((number,),) = _rows(_OPEN, {"fleet": fleet.id, "at": at})
    return int(number)


def _rows(statement: str, values: Any) -> Sequence[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return rows


# --- words ----------------------------------------------------------------------------------


def _told(order: Order, offer: Offer) -> str:
    after = (offer.told_at - order.created_at).total_seconds()
    rank = next(
        (
            one["rank"]
            for wave in order.waves.filter(number=offer.wave)
            for one in wave.told
            if one["transporter"] == str(offer.transporter_id)
        ),
        None,
    )
    place = f", number {rank}" if rank else ""
    answer = {
        OfferState.OPEN: "has not answered",
        OfferState.CLOSED: f"did not answer before it was {offer.close_reason.lower()}",
        OfferState.GIVEN_BACK: "accepted and gave it back",
    }.get(OfferState(offer.state), offer.state)
    return (
        f"told in wave {offer.wave}{place}, {_km(offer.distance_m)} away, after {after:.0f} s;"
        f" {_received(offer)}{answer}"
    )


def _received(offer: Offer) -> str:
    receipt = receipt_of(offer)
    if receipt is None:
        return ""
    words = f"on his phone {_seconds(receipt.delivered_at - offer.told_at)} later, "
    if receipt.seen_at is not None:
        words += f"looked at {_seconds(receipt.seen_at - offer.told_at)} later, "
    return words


def _because(skipped: Skipped, fleet: Transporter, wave: Wave) -> str:
    away = "" if skipped.distance_m is None else f"{_km(skipped.distance_m)} away; "
    at = f"when wave {wave.number} went out"
    farthest = max((one["distance_m"] for one in wave.told), default=0)
    return {
        Reason.TOO_FAR: f"{away}wave {wave.number} reached {_km(wave.radius_m)}",
        Reason.WAVE_FULL: f"{away}wave {wave.number} was full: it told {len(wave.told)},"
        f" the farthest {_km(farthest)} away",
        Reason.TOO_MANY_OFFERS: f"{away}had too many open offers {at}",
        Reason.OWN_ORDER: "it is the captain's own order",
        Reason.NOT_VERIFIED: f"the transporter is {fleet.kyc_status}",
        Reason.OFFLINE: f"offline {at}",
        Reason.NO_FREE_VEHICLE: f"no free vehicle of a wanted type {at}",
        Reason.PAPERS_EXPIRED: f"the papers of every vehicle that would do had expired {at}",
        Reason.NO_POSITION: f"no position was known {at}",
        Reason.STALE: f"the last position was older than {_seconds(settings.POSITION_TTL)} {at}",
        Reason.ASLEEP: f"silent {at}, although a push had asked for a position",
    }[skipped.reason]


def _how_it_ended(order: Order) -> str:
    """What became of the order first: when it stopped to seek, or that it still does."""
    ends = Fact.objects.filter(order=order, subject="order").exclude(to_status="")
    ends = ends.exclude(to_status__in=("broadcasting", "partially_filled"))
    end = ends.order_by("id").first()
    if end is None:
        return "the order still seeks"
    after = (end.at - order.created_at).total_seconds()
    words = {"cancelled": "was cancelled", "expired": "expired"}
    return f"the order {words.get(end.to_status, 'was filled')} after {after:.0f} s"


def _km(distance_m: float) -> str:
    return f"{distance_m / 1000:.1f}".removesuffix(".0") + " km"


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"

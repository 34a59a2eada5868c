"""The steps of a trip, from assigned to completed, and its stops."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db.models import Q

from orders import messages
from orders.change import By, Change
from orders.models import Actor, Trip
from orders.refusals import CodeWrong, IllegalStep, ProofRequired
from orders.states import TRIP, TripStatus, TruckStatus
from orders.verbs.flag import PICKUP_LATE
from weelo.accounts import sms
from weelo.accounts.models import User
from weelo.lib.problems import NotFound, Refusal
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)
MOST_TRIES = 5
DROP_CODE_TTL = timedelta(hours=1)


@dataclass(frozen=True)
class Step:
    """What the captain or driver sends: the next status, with code or proof where needed."""

    status: str
    start_code: str = ""
    proof: Mapping[str, str] | None = None


def step(user: User, trip_id: UUID, wanted: Step) -> dict[str, Any]:
    """Take a trip one step on; the same step again is the same success.

    Raises NotFound, IllegalStep (`allowed`), CodeWrong (`tries_left`), ProofRequired.
    """
    result = _step(user, trip_id, wanted)
    if isinstance(result, Refusal):
        raise result  # the wrong try is counted: its transaction had to commit
    return result


@verb
def _step(user: User, trip_id: UUID, wanted: Step) -> dict[str, Any] | Refusal:
    change, trip = _own_trip(user, trip_id)
    truck = change.truck(trip.truck_id)
    if wanted.status == trip.status:
        return messages.trip_for_captain(trip, change.order, truck)
    if not TRIP.allows(trip.status, wanted.status) or wanted.status in _NOT_BY_CAPTAIN:
        allowed = sorted(TRIP.arrows[trip.status] - _NOT_BY_CAPTAIN)
        raise IllegalStep(
            f"The trip is {trip.status}; from there it goes to {', '.join(allowed) or 'nowhere'}.",
            allowed=allowed,
        )
    wrong = _check_codes(change, trip, wanted)
    if wrong is not None:
        return wrong
    change.expire_overdue()
    _take(change, trip, wanted)
    change.finish()
    log.info("trip step", order_id=change.order.id, trip_id=trip.id, status=trip.status)
    return messages.trip_for_captain(trip, change.order, truck)


_NOT_BY_CAPTAIN = frozenset({str(TripStatus.CANCELLED), str(TripStatus.FAILED)})


def _own_trip(user: User, trip_id: UUID) -> tuple[Change, Trip]:
    """Lock the order of a trip that the user drives or answers for."""
    mine = Trip.objects.filter(
        Q(transporter__owner_id=user.id) | Q(driver__user_id=user.id), id=trip_id
    )
    is_captain = hasattr(user, "transporter")
    by = By(Actor.CAPTAIN if is_captain else Actor.DRIVER, user.id)
    change = Change.of(by, id__in=mine.values("order_id"))
    for trip in change.trips():
        if trip.id == trip_id:
            return change, trip
    trip = mine.select_related("vehicle", "driver", "transporter__owner").get()
    return change, trip


def _check_codes(change: Change, trip: Trip, wanted: Step) -> Refusal | None:
    """Count and refuse a wrong start code or drop code; None when the step may be taken."""
    if wanted.status == TripStatus.IN_TRANSIT:
        return _check(change, trip, "start_code", wanted.start_code)
    if wanted.status != TripStatus.COMPLETED:
        return None
    proof = wanted.proof or {}
    if proof.get("kind") == "photo" and change.order.city.photo_proof_allowed:
        if not proof.get("reference"):
            raise ProofRequired("Send the photo's reference.")
        return None
    if proof.get("kind") != "code":
        raise ProofRequired("Ask the receiver for the 4-digit drop code and send it as proof.")
    return _check(change, trip, "drop_code", proof.get("code", ""))


def _check(change: Change, trip: Trip, name: str, given: str) -> Refusal | None:
    tries = getattr(trip, f"{name}_tries")
    right = hmac.compare_digest(given.encode(), getattr(trip, name).encode())
    if right and tries < MOST_TRIES:
        return None
    if tries < MOST_TRIES:
        tries += 1
        change.set(trip, **{f"{name}_tries": tries})
        change.note(f"{name}_wrong", trip, **{f"{name}_tries": tries})
        change.finish()
    left = MOST_TRIES - tries
    hint = "Ask again and retry." if left else "Call the dispatcher for a new code."
    what = name.replace("_", " ")
    return CodeWrong(f"That is not the {what}. {hint}", tries_left=left)


def _take(change: Change, trip: Trip, wanted: Step) -> None:
    fields: dict[str, Any] = {}
    if wanted.status == TripStatus.AT_PICKUP:
        fields["at_pickup_at"] = change.now
        if trip.flagged == PICKUP_LATE:
            fields["flagged"] = ""
    if wanted.status == TripStatus.COMPLETED:
        proof = wanted.proof or {}
        fields["proof"] = {"kind": proof["kind"], "reference": proof.get("reference", "")}
    change.step_trip(trip, wanted.status, **fields)
    if wanted.status == TripStatus.COMPLETED:
        change.move(change.truck(trip.truck_id), TruckStatus.COMPLETED)
    if wanted.status == TripStatus.IN_TRANSIT:
        send_drop_code(change, trip)


def send_drop_code(change: Change, trip: Trip) -> None:
    """The receiver gets the drop code by SMS once the goods are on their way."""
    contact = change.order.drop.get("contact") or {}
    if contact.get("phone"):
        text = (
            f"Weelo: {trip.vehicle.registration} is on its way to you. "
            f"Give the driver code {trip.drop_code} when your goods have arrived."
        )
        sms.queue(contact["phone"], "drop_code", text, code=trip.drop_code, ttl=DROP_CODE_TTL)


@verb
def check_stop(user: User, trip_id: UUID, number: int, state: str) -> dict[str, Any]:
    """Check off stop `number` (1-based): `arrived`, then `done`, in order.

    Raises NotFound, IllegalStep.
    """
    change, trip = _own_trip(user, trip_id)
    if not 1 <= number <= len(trip.stops_state):
        raise NotFound("There is no such stop on this trip.")
    states = list(trip.stops_state)
    here = states[number - 1]
    truck = change.truck(trip.truck_id)
    if here == state:
        return messages.trip_for_captain(trip, change.order, truck)
    in_order = all(earlier == "done" for earlier in states[: number - 1])
    allowed = {"pending": "arrived", "arrived": "done"}.get(here)
    if trip.status != TripStatus.IN_TRANSIT or not in_order or state != allowed:
        raise IllegalStep(
            f"Stop {number} is {here}: stops are checked off in order, arrived then done, "
            "while the trip is in transit.",
            allowed=[allowed] if allowed and in_order else [],
        )
    states[number - 1] = state
    change.set(trip, stops_state=states)
    change.note("stop_" + state, trip, stop=number, stops_state=states)
    change.finish()
    return messages.trip_for_captain(trip, change.order, truck)

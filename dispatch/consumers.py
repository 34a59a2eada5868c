"""The sockets of captains (and their drivers) and of customers."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from orders import serializers, snapshots
from orders.receipts import see
from orders.verbs.accept import accept
from orders.verbs.decline import decline
from orders.verbs.steps import Step, step
from transporters import availability, fleet, presence
from transporters.serializers import AvailabilitySerializer, read_points
from weelo.accounts.models import Session, User
from weelo.accounts.permissions import WrongRole, is_captain, is_driver
from weelo.events.consumers import BaseConsumer, Command
from weelo.events.models import Role
from weelo.lib.bodies import checked
from weelo.lib.problems import Invalid

Payload = dict[str, Any]


def _offer_id(payload: Payload) -> UUID:
    return _id(payload, "offer_id")


def _id(payload: Payload, name: str) -> UUID:
    try:
        return UUID(str(payload.get(name)))
    except ValueError as fault:
        error = {"pointer": f"/{name}", "code": "uuid", "detail": "Send a UUID."}
        raise Invalid([error]) from fault


def _captain(session: Session) -> UUID:
    if not is_captain(session.user):
        raise WrongRole("This command is for captains.")
    return session.user_id


def accept_command(session: Session, payload: Payload) -> Payload:
    """`{"type": "accept", "offer_id", "vehicle_ids", "driver_ids"?}`."""
    body = checked(serializers.AcceptSerializer, payload)
    drivers = body.get("driver_ids", ())
    won = accept(_captain(session), _offer_id(payload), body["vehicle_ids"], drivers)
    return {"trips": won.trips, "trucks_left": won.trucks_left}


def decline_command(session: Session, payload: Payload) -> Payload:
    """`{"type": "decline", "offer_id", "reason"?}`."""
    body = checked(serializers.ReasonSerializer, payload)
    return decline(_captain(session), _offer_id(payload), body["reason"])


def seen_command(session: Session, payload: Payload) -> Payload:
    """`{"type": "seen", "offer_id"}`."""
    return see(_captain(session), _offer_id(payload))


def status_command(session: Session, payload: Payload) -> Payload:
    """`{"type": "status", "trip_id", "status", "start_code"?, "proof"?}`."""
    body = checked(serializers.StepSerializer, payload)
    wanted = Step(body["status"], body["start_code"], body.get("proof"))
    return step(session.user, _id(payload, "trip_id"), wanted)


def availability_command(session: Session, payload: Payload) -> Payload:
    """`{"type": "availability", "online"}`."""
    body = checked(AvailabilitySerializer, payload)
    return availability.set_online(_captain(session), online=body["online"])


class CaptainConsumer(BaseConsumer):
    """`/ws/captain/`: offers and trips of a captain, trips of a driver, positions of both."""

    role = Role.CAPTAIN
    takes_positions = True
    commands: ClassVar[Mapping[str, Command]] = {
        "accept": accept_command,
        "decline": decline_command,
        "seen": seen_command,
        "status": status_command,
        "availability": availability_command,
    }

    def allowed(self, user: User) -> bool:
        return is_captain(user) or is_driver(user)

    def snapshot(self, user: User) -> Payload:
        return snapshots.captain_snapshot(user.id)

    def on_position(self, session: Session, payload: Payload) -> Payload:
        reporter = fleet.remembered(session.user)
        return presence.report(reporter, read_points(payload)).as_payload()


class CustomerConsumer(BaseConsumer):
    """`/ws/customer/`: a customer's orders."""

    role = Role.CUSTOMER

    def snapshot(self, user: User) -> Payload:
        return snapshots.customer_snapshot(user.id)

"""A fleet as its phones report positions: resolved once by SQL, then used without any.

Each process remembers it for 30 s, one that is not to be offered orders for 2 s (`remembered`).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from django.db.models import Q

from transporters.models import Driver, Kyc, Transporter
from transporters.presence.seen import Member
from weelo.accounts.models import User
from weelo.accounts.permissions import WrongRole

REFRESH_S = 30.0
# A fleet that is not to be offered orders is looked up again soon: it may just have come online.
REFRESH_IDLE_S = 2.0
MOST_REMEMBERED = 50_000


@dataclass(frozen=True)
class Fleet:
    """What a report needs to know; the reporter is the captain, or a driver.

    `vehicles`: id → vehicle type of those in service or on a trip; `trips`: vehicle id → its live
    trip; `driven`: the vehicle of the driver's live trip, the only one he reports for.
    """

    transporter_id: UUID
    is_online: bool
    is_verified: bool
    vehicles: Mapping[UUID, str]
    trips: Mapping[UUID, UUID]
    is_driver: bool = False
    driven: UUID | None = None

    @property
    def is_listed(self) -> bool:
        """Whether its positions go into the index of who can be offered orders."""
        return self.is_online and self.is_verified

    @cached_property
    def members_by_type(self) -> Mapping[str, tuple[Member, ...]]:
        """Its vehicles, by vehicle type."""
        by_type: dict[str, tuple[Member, ...]] = {}
        for vehicle_id, slug in self.vehicles.items():
            member = Member(self.transporter_id, vehicle_id)
            by_type[slug] = (*by_type.get(slug, ()), member)
        return by_type

    def member_of(self, vehicle_id: UUID | None) -> Member | None:
        """Whose position a point with this `vehicle_id` is; None when it is not theirs to tell."""
        if self.is_driver:
            if self.driven is None or vehicle_id not in (None, self.driven):
                return None
            vehicle_id = self.driven
        if vehicle_id is not None and vehicle_id not in self.vehicles:
            return None
        return Member(self.transporter_id, vehicle_id)

    def is_followed(self, member: Member) -> bool:
        """Whether anybody may know where the member is: it is online, or on a trip."""
        if self.is_online:
            return True
        return bool(self.trips) and (member.vehicle_id is None or member.vehicle_id in self.trips)

    def types_of(self, member: Member) -> Mapping[str, tuple[Member, ...]]:
        """The vehicle types in whose index the member stands, with the fleet's vehicles of each."""
        if member.vehicle_id is None:
            return self.members_by_type
        slug = self.vehicles[member.vehicle_id]
        return {slug: self.members_by_type[slug]}


def of_user(user: User) -> Fleet:
    """As captain or else as driver. Raises WrongRole (403) for who is neither."""
    fleet = of_captain(user.id) or of_driver(user.id)
    if fleet is None:
        raise WrongRole("Positions come from captains and drivers.")
    return fleet


def of_captain(user_id: UUID) -> Fleet | None:
    """The fleet that the user answers for, if any."""
    transporter = Transporter.objects.filter(owner_id=user_id).first()
    return _fleet(transporter) if transporter else None


def of_driver(user_id: UUID) -> Fleet | None:
    """The fleet that the user drives for, with the vehicle of his live trip; None if nobody's."""
    named = Driver.objects.filter(user_id=user_id, is_active=True).select_related("transporter")
    live = named.filter(trips__isnull=False, trips__ended_at__isnull=True)
    trip = live.order_by("-trips__won_at").values_list("id", "trips__vehicle_id").first()
    driver = named.filter(id=trip[0]).first() if trip else named.first()
    if driver is None:
        return None
    return _fleet(driver.transporter, is_driver=True, driven=trip[1] if trip else None)


def remembered(user: User) -> Fleet:
    """As `of_user`, from this process's memory when it was looked up lately."""
    known = _remembered.get(user.id)
    if known is not None and time.monotonic() < known[1]:
        return known[0]
    fleet = of_user(user)
    is_idle = not fleet.is_listed or (fleet.is_driver and fleet.driven is None)
    if len(_remembered) >= MOST_REMEMBERED:
        _remembered.clear()
    keep_s = REFRESH_IDLE_S if is_idle else REFRESH_S
    _remembered[user.id] = (fleet, time.monotonic() + keep_s)
    return fleet


def look_again(user_id: UUID) -> None:
    """Drop what this process remembers of the user's fleet."""
    _remembered.pop(user_id, None)


_remembered: dict[UUID, tuple[Fleet, float]] = {}


def _fleet(
    transporter: Transporter, *, is_driver: bool = False, driven: UUID | None = None
) -> Fleet:
    on_trip = transporter.vehicles.filter(trips__isnull=False, trips__ended_at__isnull=True)
    trips = dict(on_trip.values_list("id", "trips__id"))
    reporting = transporter.vehicles.filter(Q(in_service=True) | Q(id__in=trips))
    return Fleet(
        transporter_id=transporter.id,
        is_online=transporter.is_online,
        is_verified=transporter.kyc_status == Kyc.VERIFIED,
        vehicles=dict(reporting.values_list("id", "vehicle_type_id")),
        trips=trips,
        is_driver=is_driver,
        driven=driven,
    )

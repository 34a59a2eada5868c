"""Accounts for load tests, simulation and demo, made in bulk; never in production."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.conf import settings
from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import Exists, OuterRef

from dispatch.simulation.people import (
    CAPTAIN,
    CUSTOMER,
    MOST_OF_A_ROLE,
    SPREAD_KM,
    Account,
    Area,
    Person,
)
from orders.models import Trip
from orders.states import TRIP_LIVE
from transporters import availability, kyc
from transporters.geo import Point
from transporters.messages import PAPERS
from transporters.models import Kyc, Transporter, Vehicle
from weelo.accounts import tokens
from weelo.accounts.models import Session, User
from weelo.cities.models import City, VehicleType
from weelo.lib.clock import database_now

BATCH = 2_000
PAPERS_UNTIL = date(2049, 12, 31)


@dataclass(frozen=True)
class Crowd:
    """Whom to make: so many of each role of a block, from number `first` on, placed in a city.

    Captains get the vehicle types one after the other, one vehicle each.
    """

    block: int
    area: Area
    customers: int
    captains: int
    vehicle_types: tuple[str, ...]
    spread_km: float = SPREAD_KM
    first: int = 0


def refuse_in_production() -> None:
    """Raises CommandError where accounts without an owner would be an open door."""
    if settings.PRODUCTION:
        raise CommandError("Simulated accounts are refused where WEELO_ENV is production.")


def area_of(city: str) -> Area:
    """The area of a city by slug or name. Raises CommandError, which lists those there are."""
    cities = {c.slug: c for c in City.objects.all()} | {c.name: c for c in City.objects.all()}
    found = cities.get(city) or cities.get(city.lower())
    if found is None:
        known = ", ".join(sorted({c.slug for c in cities.values()})) or "none; load the catalogue"
        raise CommandError(f"There is no city {city}. There are: {known}.")
    cells = frozenset(found.cells.values_list("cell", flat=True))
    return Area(found.slug, Point(found.lat, found.lng), cells)


def check_types(slugs: tuple[str, ...]) -> tuple[str, ...]:
    """The same slugs again. Raises CommandError for one that the catalogue lacks."""
    known = set(VehicleType.objects.filter(slug__in=slugs).values_list("slug", flat=True))
    if missing := sorted(set(slugs) - known):
        raise CommandError(f"Not in the catalogue: {', '.join(missing)}.")
    return slugs


def make(crowd: Crowd) -> Iterator[list[Account]]:
    """The crowd's accounts in batches, customers first; whoever exists already is taken again.

    Each gets a session of its own with fresh tokens. Captains are verified and offline, with
    one vehicle in service, which is free. Raises CommandError.
    """
    refuse_in_production()
    check_types(crowd.vehicle_types)
    for role, number in ((CUSTOMER, crowd.customers), (CAPTAIN, crowd.captains)):
        end = crowd.first + number
        if number < 0 or end > MOST_OF_A_ROLE:
            raise CommandError(f"Of each role, 0 to {MOST_OF_A_ROLE} can be made.")
        for first in range(crowd.first, end, BATCH):
            numbers = range(first, min(first + BATCH, end))
            people = [Person(crowd.block, role, n) for n in numbers]
            yield _make(crowd, people) if role == CUSTOMER else _make_captains(crowd, people)


def _make_captains(crowd: Crowd, people: list[Person]) -> list[Account]:
    accounts = _make(crowd, people)
    fleets = Transporter.objects.filter(id__in=[person.fleet_id for person in people])
    for fleet in fleets.exclude(kyc_status=Kyc.VERIFIED):
        kyc.decide(fleet.id, Kyc.VERIFIED)
    for fleet in fleets.filter(is_online=True):
        availability.set_online(fleet.owner_id, online=False)
    return accounts


def _make(crowd: Crowd, people: list[Person]) -> list[Account]:
    with transaction.atomic(durable=True):
        # Written out instead of the column's default, which would cost a bulk insert its speed.
        now = database_now()
        _write_users(people, now)
        vehicles: Mapping[Person, UUID] = {}
        if people[0].role == CAPTAIN:
            _write_fleets(people, now)
            vehicles = _write_vehicles(crowd, people, now)
        sessions = _write_sessions(people, now)
    until = time.time() + settings.ACCESS_TTL.total_seconds()
    return [
        _account(crowd, person, session, vehicles.get(person), until)
        for person, session in zip(people, sessions, strict=True)
    ]


def _account(
    crowd: Crowd, person: Person, session: Session, vehicle_id: UUID | None, until: float
) -> Account:
    rng = random.Random(f"{crowd.area.city} {person.phone}")  # noqa: S311  # nosec B311  # for spreading and play, not for secrets
    place = crowd.area.place(rng, crowd.spread_km)
    return Account(
        role=person.role,
        phone=person.phone,
        user_id=str(person.user_id),
        access=tokens.access(session),
        refresh=tokens.refresh(session),
        until=until,
        vehicle_ids=(str(vehicle_id),) if vehicle_id else (),
        vehicle_type=_type_of(crowd, person) if vehicle_id else None,
        lat=place.lat,
        lng=place.lng,
    )


def _type_of(crowd: Crowd, person: Person) -> str:
    return crowd.vehicle_types[person.number % len(crowd.vehicle_types)]


def _write_users(people: list[Person], now: datetime) -> None:
    users = [User(id=p.user_id, phone=p.phone, name=p.name, created_at=now) for p in people]
    User.objects.bulk_create(users, ignore_conflicts=True)
    ours = User.objects.filter(id__in=[p.user_id for p in people], is_active=True)
    if ours.count() != len(people):
        raise CommandError(
            f"A number from {people[0].phone} to {people[-1].phone} is blocked, or belongs to "
            "somebody else. Choose another seed."
        )


def _write_fleets(people: list[Person], now: datetime) -> None:
    fleets = [
        Transporter(
            id=person.fleet_id,
            owner_id=person.user_id,
            business_name=f"{person.name} Transport",
            kyc_status=Kyc.VERIFIED,
            created_at=now,
        )
        for person in people
    ]
    Transporter.objects.bulk_create(fleets, ignore_conflicts=True)


def _write_vehicles(crowd: Crowd, people: list[Person], now: datetime) -> dict[Person, UUID]:
    """One free vehicle of the wanted type in service for each; a new one where there is none."""
    live_trips = Trip.objects.filter(vehicle=OuterRef("pk"), status__in=TRIP_LIVE)
    there = Vehicle.objects.filter(transporter_id__in=[p.fleet_id for p in people])
    owned: dict[UUID, list[Vehicle]] = defaultdict(list)
    for vehicle in there.annotate(busy=Exists(live_trips)).order_by("registration"):
        owned[vehicle.transporter_id].append(vehicle)
    chosen, new = {}, []
    for person in people:
        slug, own = _type_of(crowd, person), owned[person.fleet_id]
        free = [v for v in own if v.vehicle_type_id == slug and not v.busy]  # type: ignore[attr-defined]
        if not free:
            free = [_vehicle(person, len(own), slug, now)]
            new += free
        chosen[person] = free[0].id
    Vehicle.objects.bulk_create(new)
    there.filter(in_service=True).exclude(id__in=chosen.values()).update(in_service=False)
    there.filter(in_service=False, id__in=chosen.values()).update(in_service=True)
    return chosen


def _vehicle(person: Person, nth: int, slug: str, now: datetime) -> Vehicle:
    return Vehicle(
        id=person.vehicle_id(nth),
        transporter_id=person.fleet_id,
        vehicle_type_id=slug,
        registration=person.registration(nth),
        created_at=now,
        **{f"{paper}_expires_on": PAPERS_UNTIL for paper in PAPERS},
    )


def _write_sessions(people: list[Person], now: datetime) -> list[Session]:
    sessions = [
        Session(
            user_id=person.user_id,
            device_name="simulated",
            created_at=now,
            last_seen_at=now,
            expires_at=now + settings.REFRESH_TTL,
        )
        for person in people
    ]
    return Session.objects.bulk_create(sessions)

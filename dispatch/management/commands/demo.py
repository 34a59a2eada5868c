"""`manage.py demo`: the people of the demo, whom `make run` shows in its box."""

import json
import os
import secrets
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from dispatch.simulation.accounts import (
    PAPERS_UNTIL,
    Crowd,
    area_of,
    check_types,
    make,
    refuse_in_production,
)
from dispatch.simulation.people import (
    CAPTAIN,
    DEMO_BLOCK,
    DEMO_CAPTAINS,
    DEMO_CITY,
    DEMO_SPREAD_KM,
    DEMO_TYPES,
    Person,
)
from transporters.messages import PAPERS
from transporters.models import Driver, Kyc, Transporter, Vehicle
from weelo.accounts.models import User

ASHA = ("Asha", "+919000000001")
DINESH = ("Dinesh", "+919000000004")
# Captain: name, phone, fleet, and its vehicles as (registration, vehicle type).
BALU = (
    "Balu",
    "+919000000002",
    "Balu Roadways",
    (
        ("KA01BL1701", "open-17-ft"),
        ("KA01BL1702", "open-17-ft"),
        ("KA01BL1901", "lcv-open-19-ft"),
        ("KA01BL3201", "container-32-ft-multi-axle"),
    ),
)
CHITRA = (
    "Chitra",
    "+919000000003",
    "Chitra Logistics",
    (
        ("KA05CH1701", "open-17-ft"),
        ("KA05CH2401", "open-24-ft"),
        ("KA05CH2024", "tipper-20-24-t"),
    ),
)
DEVI = "devi"
_OURS = UUID("9c8f2f0e-6f2d-5d52-8a3c-0d4a3f1f7a10")


class Command(BaseCommand):
    """Makes what is missing and leaves what is there; the last line is the accounts as JSON."""

    requires_system_checks = ()
    help = "Make the demo's accounts and fleet; run again, it changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises CommandError in production and without the catalogue."""
        refuse_in_production()
        for *_, vehicles in (BALU, CHITRA):
            check_types(tuple(slug for _, slug in vehicles))
        with transaction.atomic(durable=True):
            asha = _person(*ASHA)
            captains = [_captain(*BALU), _captain(*CHITRA)]
            _driver(captains[0].transporter, *DINESH)
            password = _dispatcher(settings.DATA / "demo.json")
        _simulated_captains()
        accounts = {
            "customer": {"name": asha.name, "phone": asha.phone},
            "captains": [{"name": user.name, "phone": user.phone} for user in captains],
            "dispatcher": {"username": DEVI, "password": password},
        }
        self.stdout.write(json.dumps(accounts))


def crowd() -> Crowd:
    """The simulated captains of the demo."""
    area = area_of(DEMO_CITY)
    return Crowd(DEMO_BLOCK, area, 0, DEMO_CAPTAINS, DEMO_TYPES, DEMO_SPREAD_KM)


def _simulated_captains() -> None:
    people = [Person(DEMO_BLOCK, CAPTAIN, number) for number in range(DEMO_CAPTAINS)]
    there = Transporter.objects.filter(id__in=[person.fleet_id for person in people])
    if there.count() < len(people):
        for _ in make(crowd()):
            pass


def _person(name: str, phone: str) -> User:
    user, _ = User.objects.get_or_create(phone=phone, defaults={"name": name})
    if not user.name:  # signed in before the demo was made
        user.name = name
        user.save(update_fields=["name"])
    return user


def _captain(
    name: str, phone: str, business_name: str, vehicles: tuple[tuple[str, str], ...]
) -> User:
    owner = _person(name, phone)
    fleet, _ = Transporter.objects.get_or_create(
        owner=owner, defaults={"business_name": business_name, "kyc_status": Kyc.VERIFIED}
    )
    rows = [
        Vehicle(
            id=uuid5(_OURS, registration),
            transporter=fleet,
            vehicle_type_id=slug,
            registration=registration,
            **{f"{paper}_expires_on": PAPERS_UNTIL for paper in PAPERS},
        )
        for registration, slug in vehicles
    ]
    Vehicle.objects.bulk_create(rows, ignore_conflicts=True)
    return owner


def _driver(fleet: Transporter, name: str, phone: str) -> None:
    Driver.objects.get_or_create(
        transporter=fleet,
        phone=phone,
        defaults={
            "user": _person(name, phone),
            "name": name,
            "licence_number": "KA0120110012345",
            "licence_expires_on": date(2049, 12, 31),
        },
    )


def _dispatcher(kept: Path) -> str:
    """Devi's password: the one of the last start, which is set again should it not be hers."""
    devi, _ = User.objects.get_or_create(
        username=DEVI, defaults={"name": "Devi", "is_staff": True, "is_superuser": True}
    )
    password = _kept_password(kept)
    if not devi.check_password(password):
        devi.set_password(password)
        devi.save(update_fields=["password"])
    return password


def _kept_password(kept: Path) -> str:
    if kept.exists():
        return str(json.loads(kept.read_text())["password"])
    password = secrets.token_urlsafe(12)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"username": DEVI, "password": password}, file)
    return password

"""The supply: fleets, their vehicles and drivers, and where they were last seen."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Least, Now

from weelo.cities.models import VehicleType


class Kyc(models.TextChoices):
    """Whether a transporter's papers were checked; only a verified one is offered orders."""

    NOT_STARTED = "not_started"
    UNDER_REVIEW = "under_review"
    VERIFIED = "verified"
    REJECTED = "rejected"
    SUSPENDED = "suspended"


class Transporter(models.Model):
    """A fleet: one business with vehicles and drivers; its owner is the captain."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="transporter"
    )
    business_name = models.CharField(max_length=120)
    pan = models.CharField(max_length=10, blank=True)
    gstin = models.CharField(max_length=15, blank=True)
    kyc_status = models.CharField(max_length=12, choices=Kyc.choices, default=Kyc.NOT_STARTED)
    kyc_reason = models.CharField(max_length=300, blank=True)
    is_online = models.BooleanField(default=False)
    online_changed_at = models.DateTimeField(null=True, blank=True)
    last_won_at = models.DateTimeField(
        null=True, blank=True, help_text="Start of idleness: the longest idle ranks first."
    )
    woken_at = models.DateTimeField(
        null=True, blank=True, help_text="When a push last asked the silent captain for a position."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="transporter_kyc_status", condition=Q(kyc_status__in=Kyc.values)
            ),
        ]

    def __str__(self) -> str:
        return self.business_name


class Vehicle(models.Model):
    """One truck of a transporter, of exactly one vehicle type."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    transporter = models.ForeignKey(Transporter, on_delete=models.PROTECT, related_name="vehicles")
    vehicle_type = models.ForeignKey(VehicleType, on_delete=models.PROTECT)
    registration = models.CharField(max_length=16, unique=True)
    in_service = models.BooleanField(default=True)
    rc_expires_on = models.DateField()
    permit_expires_on = models.DateField()
    fitness_expires_on = models.DateField()
    insurance_expires_on = models.DateField()
    puc_expires_on = models.DateField()
    papers_expire_on = models.GeneratedField(
        expression=Least(
            "rc_expires_on",
            "permit_expires_on",
            "fitness_expires_on",
            "insurance_expires_on",
            "puc_expires_on",
        ),
        output_field=models.DateField(),
        db_persist=True,
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # The targets of composite foreign keys: a trip's vehicle belongs to the trip's
            # transporter and has the type that the truck request wants.
            models.UniqueConstraint(
                fields=["id", "transporter", "vehicle_type"], name="vehicle_owner_and_type"
            ),
        ]

    def __str__(self) -> str:
        return self.registration


class Driver(models.Model):
    """A person of a transporter who drives; signs in with the own phone."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    transporter = models.ForeignKey(Transporter, on_delete=models.PROTECT, related_name="drivers")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="driver_of"
    )
    name = models.CharField(max_length=120)
    phone = models.CharField(max_length=16)
    licence_number = models.CharField(max_length=20)
    licence_expires_on = models.DateField()
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["transporter", "phone"], name="one_driver_per_phone_and_fleet"
            ),
            models.UniqueConstraint(fields=["id", "transporter"], name="driver_and_owner"),
        ]

    def __str__(self) -> str:
        return self.name


class CurrentPosition(models.Model):
    """PostgreSQL's copy (≤ 15 s old) of the newest point of a vehicle, or of a captain.

    One row for each place in the index of a vehicle type. `vehicle` is empty for the captain's
    own point, which stands for the vehicles of that type that have no fix of their own. The
    column `on_sphere`, which only SQL knows (generated from `lat` and `lng`, see the migration
    `nearest`), carries with `vehicle_type` the GiST index for nearest-neighbour search.
    """

    id = models.BigAutoField(primary_key=True)
    # No indexes of their own for these two: the unique one and the GiST one begin with them, and
    # every position rewrites all indexes of the row.
    transporter = models.ForeignKey(
        Transporter, on_delete=models.CASCADE, related_name="positions", db_index=False
    )
    vehicle = models.ForeignKey(Vehicle, on_delete=models.CASCADE, null=True, blank=True)
    vehicle_type = models.ForeignKey(VehicleType, on_delete=models.CASCADE, db_index=False)
    lat = models.FloatField()
    lng = models.FloatField()
    accuracy_m = models.FloatField(null=True, blank=True)
    speed_mps = models.FloatField(null=True, blank=True)
    heading = models.FloatField(null=True, blank=True)
    at = models.DateTimeField()
    cell = models.BigIntegerField(null=True, help_text="H3, resolution 7 (`cities.cells`)")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["transporter", "vehicle", "vehicle_type"],
                name="one_current_position",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                name="current_position_on_earth",
                condition=Q(lat__range=(-85, 85), lng__range=(-180, 180)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.lat:.5f},{self.lng:.5f}"


class PositionHistory(models.Model):
    """Where a vehicle was: a point every 15 s or 75 m while it moves."""

    id = models.BigAutoField(primary_key=True)
    transporter = models.ForeignKey(Transporter, on_delete=models.CASCADE)
    vehicle = models.ForeignKey(Vehicle, on_delete=models.CASCADE, null=True, blank=True)
    lat = models.FloatField()
    lng = models.FloatField()
    at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "position history"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["vehicle", "at"], name="position_of_vehicle"),
            models.Index(fields=["at"], name="position_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.lat:.5f},{self.lng:.5f}"

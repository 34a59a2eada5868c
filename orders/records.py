"""What is written beside orders: waves, receipts, facts, ratings and disputes."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from weelo.cities.models import DispatchPolicy
from weelo.lib.wire import WireEncoder


class Wave(models.Model):
    """The decision log: one round of telling captains, with who was told, who not and why."""

    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(
        "orders.Order", on_delete=models.CASCADE, related_name="waves", db_index=False
    )
    number = models.PositiveSmallIntegerField()
    part = models.PositiveSmallIntegerField(
        default=0, help_text="0 is the wave; 1, 2, … are newcomers told before the next one."
    )
    at = models.DateTimeField(db_default=Now())
    radius_m = models.PositiveIntegerField()
    policy = models.ForeignKey(DispatchPolicy, on_delete=models.PROTECT)
    told = models.JSONField(help_text="[{transporter, distance_m, rank}]")
    skipped = models.JSONField(help_text="≤ 50 nearest: [{transporter, distance_m, reason}]")
    source = models.CharField(max_length=10, help_text="Which store answered who is near.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["order", "number", "part"], name="each_wave_sent_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["at"], name="wave_by_age"),
        ]

    def __str__(self) -> str:
        return f"wave {self.number} of {self.order_id}"


class Receipt(models.Model):
    """That an offer reached a phone of its captain, and when he looked at it.

    Of its last telling. No columns of the offer: noting it neither waits for the order's lock nor
    holds one up.
    """

    offer = models.OneToOneField(
        "orders.Offer", on_delete=models.CASCADE, primary_key=True, related_name="receipt"
    )
    delivered_at = models.DateTimeField(help_text="The first ack of a device that covers it.")
    seen_at = models.DateTimeField(null=True, blank=True, help_text="Its first `seen`.")

    def __str__(self) -> str:
        return f"receipt of {self.offer_id}"


class FactSubject(models.TextChoices):
    """What a fact is about."""

    ORDER = "order"
    TRUCK = "truck"
    OFFER = "offer"
    TRIP = "trip"


class Actor(models.TextChoices):
    """In which part somebody acted."""

    CUSTOMER = "customer"
    CAPTAIN = "captain"
    DRIVER = "driver"
    DISPATCHER = "dispatcher"
    SYSTEM = "system"


class Fact(models.Model):
    """What happened to an order, by whom, from what to what; written with the change itself."""

    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(
        "orders.Order", on_delete=models.PROTECT, related_name="facts", db_index=False
    )
    order_version = models.PositiveIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=6, choices=FactSubject.choices)
    subject_id = models.UUIDField()
    from_status = models.CharField(max_length=16, blank=True)
    to_status = models.CharField(max_length=16, blank=True)
    by = models.CharField(max_length=10, choices=Actor.choices)
    by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True
    )
    request_id = models.CharField(max_length=64, blank=True)
    data = models.JSONField(
        default=dict, blank=True, encoder=WireEncoder, help_text="The fields that it set, and more."
    )

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["order", "id"], name="fact_of_order"),
            models.Index(fields=["at"], name="fact_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"


class Rating(models.Model):
    """What the customer thought of a trip."""

    trip = models.OneToOneField(
        "orders.Trip", on_delete=models.PROTECT, primary_key=True, related_name="rating"
    )
    stars = models.PositiveSmallIntegerField()
    comment = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="rating_stars", condition=Q(stars__range=(1, 5))),
        ]

    def __str__(self) -> str:
        return f"{self.stars} stars"


class Dispute(models.Model):
    """A customer's complaint about a trip, for a dispatcher to settle."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    trip = models.ForeignKey("orders.Trip", on_delete=models.PROTECT, related_name="disputes")
    reason = models.CharField(max_length=60)
    notes = models.TextField(max_length=2000, blank=True)
    at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True, blank=True)
    settlement = models.TextField(max_length=2000, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                name="one_open_dispute_per_trip_and_reason",
                fields=["trip", "reason"],
                condition=Q(settled_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"dispute: {self.reason}"

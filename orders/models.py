"""Orders, truck requests, offers and trips, with the rules the database keeps.

Statuses are written by `orders.change` alone. Composite foreign keys and triggers, which Django
cannot declare, stand in the migrations `rules` of this app. Ids begin with the time (UUIDv7), so
that the rows of today lie together in every index.
"""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from orders.records import Actor, Dispute, Fact, FactSubject, Rating, Receipt, Wave
from orders.states import (
    ORDER_ACTIVE,
    TRIP_LIVE,
    CloseReason,
    OfferState,
    OrderStatus,
    TripStatus,
    TruckStatus,
)
from transporters.models import Driver, Transporter, Vehicle
from weelo.cities.models import City, RateCard, VehicleType
from weelo.lib.ids import short_id

__all__ = [
    "Actor",
    "Dispute",
    "Fact",
    "FactSubject",
    "Offer",
    "Order",
    "PaidBy",
    "PaymentMode",
    "Rating",
    "Receipt",
    "Trip",
    "TruckRequest",
    "Wave",
]


class PaymentMode(models.TextChoices):
    """How the customer pays; Weelo records it and collects nothing."""

    CASH = "cash"
    UPI = "upi"
    CREDIT = "credit"


class PaidBy(models.TextChoices):
    """Which end of the way pays."""

    SENDER = "sender"
    RECEIVER = "receiver"


class Order(models.Model):
    """One confirmed wish of one customer for 1 to 50 trucks."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # db_index=False, here and below: an index or constraint that begins with it stands in Meta.
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders", db_index=False
    )
    slot = models.PositiveSmallIntegerField(
        default=1, help_text="Which of the customer's places for active orders it takes."
    )
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)
    body_hash = models.CharField(max_length=64, blank=True)
    city = models.ForeignKey(City, on_delete=models.PROTECT, related_name="orders", db_index=False)
    rate_card = models.ForeignKey(RateCard, on_delete=models.PROTECT, db_index=False)
    pickup = models.JSONField(help_text="{lat, lng, address, contact}")
    drop = models.JSONField(help_text="{lat, lng, address, contact}")
    stops = models.JSONField(default=list, blank=True)
    pickup_cell = models.BigIntegerField(help_text="H3 cell, resolution 7.")
    goods = models.JSONField(null=True, blank=True)
    payment = models.JSONField(help_text="{mode, paid_by}")
    distance_km = models.DecimalField(max_digits=8, decimal_places=2)

    status = models.CharField(
        max_length=16, choices=OrderStatus.choices, default=OrderStatus.BROADCASTING
    )
    reason = models.CharField(max_length=40, blank=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    trucks_wanted = models.PositiveSmallIntegerField()
    trucks_filled = models.PositiveSmallIntegerField(default=0)
    trucks_searching = models.PositiveSmallIntegerField()
    captains_told = models.PositiveIntegerField(default=0)
    fare_paise = models.BigIntegerField()
    payable_paise = models.BigIntegerField(default=0)
    cancel_fee_paise = models.BigIntegerField(default=0)
    captain_share_paise = models.BigIntegerField(default=0)

    wave = models.PositiveSmallIntegerField(default=0, help_text="Number of the last wave sent.")
    radius_m = models.PositiveIntegerField(default=0, help_text="How far the last wave reached.")
    seeking_since = models.DateTimeField(
        db_default=Now(),
        help_text="When it began to seek (again): the times of waves count from it.",
    )
    next_wave_at = models.DateTimeField(
        null=True, blank=True, help_text="When the loop looks at it next: for a wave or newcomers."
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                name="one_active_order_per_customer_and_slot",
                fields=["customer", "slot"],
                condition=Q(status__in=sorted(ORDER_ACTIVE)),
            ),
            models.UniqueConstraint(
                name="one_order_per_idempotency_key",
                fields=["customer", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(name="order_status", condition=Q(status__in=OrderStatus.values)),
            models.CheckConstraint(name="order_slot", condition=Q(slot__range=(1, 50))),
            models.CheckConstraint(
                name="order_trucks",
                condition=Q(trucks_wanted__lte=50)
                & Q(trucks_filled__lte=F("trucks_wanted"))
                & Q(trucks_searching__lte=F("trucks_wanted")),
            ),
            models.CheckConstraint(
                name="order_money",
                condition=Q(
                    fare_paise__gte=0,
                    payable_paise__gte=0,
                    payable_paise__lte=F("fare_paise"),
                    cancel_fee_paise__gte=0,
                    captain_share_paise__gte=0,
                    captain_share_paise__lte=F("cancel_fee_paise"),
                ),
            ),
            models.CheckConstraint(
                name="order_deadline_after_start", condition=Q(expires_at__gt=F("created_at"))
            ),
            models.CheckConstraint(
                name="order_ended_has_nothing_open",
                condition=Q(status__in=sorted(ORDER_ACTIVE), ended_at__isnull=True)
                | (
                    ~Q(status__in=sorted(ORDER_ACTIVE))
                    & Q(ended_at__isnull=False, trucks_searching=0)
                ),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                name="order_due", fields=["expires_at"], condition=Q(trucks_searching__gt=0)
            ),
            models.Index(
                name="order_wave_due",
                fields=["next_wave_at"],
                condition=Q(trucks_searching__gt=0, next_wave_at__isnull=False),
            ),
            models.Index(name="order_of_customer", fields=["customer", "-created_at"]),
            models.Index(
                name="order_active_by_city",
                fields=["city", "-created_at"],
                condition=Q(status__in=sorted(ORDER_ACTIVE)),
            ),
        ]

    def __str__(self) -> str:
        return f"order {short_id(self.id)}"

    def is_seeking(self, now: datetime) -> bool:
        """Whether a truck is still wanted at `now` (aware, the database's clock)."""
        return self.trucks_searching > 0 and now < self.expires_at


class TruckRequest(models.Model):
    """One truck wanted within an order."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="trucks", db_index=False
    )
    position = models.PositiveSmallIntegerField()
    vehicle_type = models.ForeignKey(VehicleType, on_delete=models.PROTECT, db_index=False)
    load_kg = models.PositiveIntegerField(null=True, blank=True)
    fare_paise = models.BigIntegerField()
    payout_paise = models.BigIntegerField(help_text="What the captain gets: fare less commission.")
    status = models.CharField(
        max_length=10, choices=TruckStatus.choices, default=TruckStatus.SEARCHING
    )
    give_backs = models.PositiveSmallIntegerField(default=0)
    replaces = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by"
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["order", "position"], name="truck_position"),
            # Targets of a trip's composite foreign key: the trip's order and vehicle type.
            models.UniqueConstraint(
                fields=["id", "order", "vehicle_type"], name="truck_order_and_type"
            ),
            models.CheckConstraint(name="truck_status", condition=Q(status__in=TruckStatus.values)),
            models.CheckConstraint(
                name="truck_money",
                condition=Q(fare_paise__gt=0, payout_paise__gt=0)
                & Q(payout_paise__lte=F("fare_paise")),
            ),
            models.CheckConstraint(name="truck_give_backs", condition=Q(give_backs__lte=4)),
        ]

    def __str__(self) -> str:
        return f"truck {self.position} of {self.order_id}"


class Offer(models.Model):
    """One transporter told of one order."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="offers", db_index=False
    )
    transporter = models.ForeignKey(Transporter, on_delete=models.PROTECT, related_name="offers")
    state = models.CharField(max_length=10, choices=OfferState.choices, default=OfferState.OPEN)
    close_reason = models.CharField(max_length=10, choices=CloseReason.choices, blank=True)
    wave = models.PositiveSmallIntegerField()
    distance_m = models.PositiveIntegerField()
    vehicles = models.JSONField(help_text="[{id, registration, distance_km}] when told")
    told_at = models.DateTimeField(db_default=Now())
    again = models.BooleanField(default=False, help_text="Told again: the order seeks again.")
    answered_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    # Whom to tell; `orders.change` reads it together with the offer.
    captain_id: UUID

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["order", "transporter"], name="one_offer_per_order_and_transporter"
            ),
            models.CheckConstraint(name="offer_state", condition=Q(state__in=OfferState.values)),
            models.CheckConstraint(
                name="offer_closed_has_reason",
                condition=Q(state=OfferState.CLOSED, close_reason__in=CloseReason.values)
                | (~Q(state=OfferState.CLOSED) & Q(close_reason="")),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                name="offer_open_of_transporter",
                fields=["transporter"],
                condition=Q(state__in=["open", "accepted"]),
            ),
            # Counted for every candidate of a wave: accepted ones, which stay, must not slow it.
            models.Index(
                name="offer_unanswered", fields=["transporter"], condition=Q(state=OfferState.OPEN)
            ),
        ]

    def __str__(self) -> str:
        return f"offer {short_id(self.id)}"


class Trip(models.Model):
    """One truck request won by one vehicle, from accept to delivery."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="trips")
    truck = models.ForeignKey(TruckRequest, on_delete=models.PROTECT, related_name="trips")
    transporter = models.ForeignKey(
        Transporter, on_delete=models.PROTECT, related_name="trips", db_index=False
    )
    vehicle = models.ForeignKey(Vehicle, on_delete=models.PROTECT, related_name="trips")
    vehicle_type = models.ForeignKey(VehicleType, on_delete=models.PROTECT, db_index=False)
    driver = models.ForeignKey(
        Driver, on_delete=models.PROTECT, null=True, blank=True, related_name="trips"
    )
    status = models.CharField(
        max_length=16, choices=TripStatus.choices, default=TripStatus.ASSIGNED
    )
    reason = models.CharField(max_length=200, blank=True)
    start_code = models.CharField(max_length=4)
    start_code_tries = models.PositiveSmallIntegerField(default=0)
    drop_code = models.CharField(max_length=4)
    drop_code_tries = models.PositiveSmallIntegerField(default=0)
    proof = models.JSONField(null=True, blank=True)
    stops_state = ArrayField(
        models.CharField(max_length=8),
        default=list,
        blank=True,
        help_text="For each stop: pending, arrived or done.",
    )
    steps = models.JSONField(default=list, help_text="[{status, at}]")
    won_at = models.DateTimeField(db_default=Now())
    at_pickup_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    flagged = models.CharField(max_length=40, blank=True, help_text="Why a dispatcher should look.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                name="one_live_trip_per_vehicle",
                fields=["vehicle"],
                condition=Q(status__in=sorted(TRIP_LIVE)),
            ),
            models.UniqueConstraint(
                name="one_live_trip_per_driver",
                fields=["driver"],
                condition=Q(status__in=sorted(TRIP_LIVE)),
            ),
            models.UniqueConstraint(
                name="one_truck_filled_once",
                fields=["truck"],
                condition=~Q(status=TripStatus.CANCELLED),
            ),
            models.CheckConstraint(name="trip_status", condition=Q(status__in=TripStatus.values)),
            models.CheckConstraint(
                name="trip_ended_at",
                condition=Q(status__in=sorted(TRIP_LIVE), ended_at__isnull=True)
                | (~Q(status__in=sorted(TRIP_LIVE)) & Q(ended_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="trip_completed_has_proof",
                condition=~Q(status=TripStatus.COMPLETED) | Q(proof__isnull=False),
            ),
            models.CheckConstraint(
                name="trip_code_tries",
                condition=Q(start_code_tries__lte=5, drop_code_tries__lte=5),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(name="trip_of_transporter", fields=["transporter", "-won_at"]),
            models.Index(name="trip_of_driver", fields=["driver", "-won_at"]),
            # What the loop looks over for flags, every few seconds.
            models.Index(
                name="trip_live", fields=["won_at"], condition=Q(status__in=sorted(TRIP_LIVE))
            ),
        ]

    def __str__(self) -> str:
        return f"trip {short_id(self.id)}"

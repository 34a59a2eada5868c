"""A mailbox for each user and role: events numbered 1, 2, 3, … that survive everything."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from weelo.accounts.models import Device, Session


class Role(models.TextChoices):
    """The two mailboxes a person can have; drivers read `captain`."""

    CUSTOMER = "customer"
    CAPTAIN = "captain"


class Stream(models.Model):
    """The counter of one mailbox. Its row lock, held until commit, is what leaves no gap.

    `db_index=False`, here and below: the constraint in Meta begins with the key.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="streams", db_index=False
    )
    role = models.CharField(max_length=8, choices=Role.choices)
    epoch = models.UUIDField(default=uuid.uuid4, help_text="Changes when the stream is renewed.")
    head = models.BigIntegerField(default=0, help_text="seq of the newest event")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "role"], name="one_stream_per_user_and_role"),
        ]

    def __str__(self) -> str:
        return f"{self.role} stream of {self.user_id}"


class Event(models.Model):
    """One message to one person, written in the transaction of what it tells."""

    id = models.BigAutoField(primary_key=True)
    stream = models.ForeignKey(
        Stream, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    seq = models.BigIntegerField()
    name = models.CharField(max_length=40)
    at = models.DateTimeField(db_default=Now())
    order_id = models.UUIDField(null=True, blank=True)
    order_version = models.IntegerField(null=True, blank=True)
    data = models.JSONField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["stream", "seq"], name="one_event_per_seq"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["at"], name="event_by_age"),
            models.Index(fields=["order_id"], name="event_of_order"),
        ]

    def __str__(self) -> str:
        return f"{self.name} #{self.seq}"


class Ack(models.Model):
    """How far one device has read one stream; only spares it the push."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="acks")
    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="acks")
    seq = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["session", "stream"], name="one_ack_per_session"),
        ]

    def __str__(self) -> str:
        return f"session {self.session_id} read to {self.seq}"


class PushOutcome(models.TextChoices):
    """How a push ended."""

    SENT = "sent", "Sent"
    READ = "read", "Spared: read on a socket"
    OVER = "over", "Spared: the order was gone"
    LATE = "late", "Late: past its time"
    DEAD = "dead", "The device's token is dead"
    REFUSED = "refused", "Refused"
    GIVEN_UP = "given_up", "Given up after tries"


class Push(models.Model):
    """A push that waits to be sent to one device, written with what it tells.

    `lease` is the token of the loop that is sending it: only the last one that took it may say
    how it ended.
    """

    id = models.BigAutoField(primary_key=True)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="pushes")
    stream = models.ForeignKey(
        Stream, on_delete=models.CASCADE, null=True, blank=True, db_index=False
    )
    seq = models.BigIntegerField(null=True, blank=True)
    order_id = models.UUIDField(null=True, blank=True)
    data = models.JSONField(help_text="{type, order_id, offer_id?, role, seq, expires_at}")
    made_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now(), help_text="Its next try.")
    expires_at = models.DateTimeField(help_text="Not sent after this time.")
    tries = models.PositiveSmallIntegerField(default=0)
    lease = models.UUIDField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=8, choices=PushOutcome.choices, blank=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "pushes"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="push_ended_has_outcome",
                condition=Q(ended_at__isnull=True, outcome="")
                | Q(ended_at__isnull=False, outcome__in=PushOutcome.values),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["due_at"], name="push_due", condition=Q(ended_at__isnull=True)),
            models.Index(fields=["made_at"], name="push_by_age"),
        ]

    def __str__(self) -> str:
        return f"push {self.pk}"

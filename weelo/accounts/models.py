"""Who is calling: users, one-time codes, sessions per device, and SMS that wait to be sent."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.functional import cached_property


class UserManager(BaseUserManager["User"]):
    """Makes staff accounts for `createsuperuser`; customers and captains come by their phones."""

    def create_superuser(self, username: str, password: str | None = None, **extra: Any) -> "User":
        user = self.model(username=username, is_staff=True, is_superuser=True, **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def of_phone(self, phone: str) -> "User":
        """The account of a phone number (E.164), made when there is none yet."""
        user, _ = self.get_or_create(phone=phone)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """One person. Customers, captains and drivers sign in by phone, staff by username."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    phone = models.CharField(max_length=16, unique=True, null=True, blank=True, help_text="E.164")
    username = models.CharField(
        max_length=150, unique=True, null=True, blank=True, help_text="Staff only."
    )
    name = models.CharField(max_length=120, blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True, help_text="Off means blocked.")
    max_active_orders = models.PositiveSmallIntegerField(
        default=1, help_text="How many orders may be active at once; more than 1 for businesses."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[UserManager] = UserManager()
    totpdevice_set: "models.QuerySet[Any]"  # django-otp's, whose rows point here

    USERNAME_FIELD = "username"

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="user_has_phone_or_username",
                condition=Q(phone__isnull=False) | Q(username__isnull=False),
            ),
            models.CheckConstraint(
                name="user_max_active_orders", condition=Q(max_active_orders__range=(1, 50))
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.username or self.phone or str(self.id)

    @cached_property
    def has_authenticator(self) -> bool:
        """Whether the person signs in to the admin with a second factor; asked once a request."""
        return self.totpdevice_set.filter(confirmed=True).exists()


class OneTimeCode(models.Model):
    """A sign-in code sent to a phone; only its hash is kept."""

    id = models.BigAutoField(primary_key=True)
    phone = models.CharField(max_length=16)
    code_hash = models.CharField(max_length=128)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["phone", "-created_at"], name="one_time_code_newest"),
            models.Index(fields=["created_at"], name="one_time_code_by_time"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="one_time_code_tries", condition=Q(tries__lte=5)),
        ]

    def __str__(self) -> str:
        return f"code {self.pk}"


class Session(models.Model):
    """One signed-in device. A refresh rotates `generation`; an older one used again ends it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    device_name = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_seen_at = models.DateTimeField(db_default=Now())
    generation = models.PositiveIntegerField(default=1)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoke_reason = models.CharField(max_length=40, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["user"], name="session_live_of_user", condition=Q(revoked_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.device_name or 'device'} of {self.user_id}"

    def is_live(self, now: datetime) -> bool:
        """Whether the session still opens doors at `now` (aware)."""
        return self.revoked_at is None and self.expires_at > now


class Device(models.Model):
    """Where pushes for a session go."""

    session = models.OneToOneField(
        Session, on_delete=models.CASCADE, related_name="device", primary_key=True
    )
    push_token = models.CharField(max_length=512, unique=True)
    platform = models.CharField(max_length=16)
    updated_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.platform} device of session {self.session_id}"


class SmsMessage(models.Model):
    """A text message: written by a request in its transaction, sent by the dispatch loop."""

    id = models.BigAutoField(primary_key=True)
    to = models.CharField(max_length=16)
    template = models.CharField(max_length=40)
    text = models.CharField(max_length=500)
    code = models.CharField(max_length=8, blank=True, help_text="Emptied once sent.")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(help_text="Not sent after this time.")
    next_try_at = models.DateTimeField(db_default=Now())
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["next_try_at"],
                name="sms_due",
                condition=Q(sent_at__isnull=True, failed_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"sms {self.pk}"

"""Where we operate: cities, the cells they serve, the catalogue, versions of policy and rates."""

from typing import ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class City(models.Model):
    """A place with a service area, a clock, a dispatch policy and rates."""

    slug = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=80, unique=True)
    timezone = models.CharField(max_length=40, default="Asia/Kolkata")
    lat = models.FloatField(help_text="Centre, WGS84 degrees.")
    lng = models.FloatField(help_text="Centre, WGS84 degrees.")
    is_open = models.BooleanField(default=True, help_text="Closed cities refuse new orders.")
    commission_percent = models.DecimalField(max_digits=4, decimal_places=2, default=10)
    photo_proof_allowed = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "cities"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="city_commission",
                condition=Q(commission_percent__gte=0, commission_percent__lt=100),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CityCell(models.Model):
    """One H3 cell (resolution 7) of a city's service area; a cell belongs to one city."""

    cell = models.BigIntegerField(primary_key=True, help_text="H3 index as an integer.")
    city = models.ForeignKey(City, on_delete=models.CASCADE, related_name="cells")

    def __str__(self) -> str:
        return f"{self.cell:x}"


class DispatchPolicy(models.Model):
    """One version of a city's dispatch policy; never changed, only followed by the next."""

    id = models.BigAutoField(primary_key=True)
    city = models.ForeignKey(City, on_delete=models.CASCADE, related_name="policies")
    version = models.PositiveIntegerField()
    values = models.JSONField(help_text="The fields of dispatch.policy.Policy.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "dispatch policies"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["city", "version"], name="one_policy_per_version"),
        ]

    def __str__(self) -> str:
        return f"policy {self.city_id} v{self.version}"


class RateCard(models.Model):
    """One version of a city's prices, from a time on; never changed once in force.

    `rates`: category → `{"base", "per_km", "per_tonne_km", "min"}`, rupees as decimal strings;
    `multipliers`: vehicle type slug → decimal string.
    """

    id = models.BigAutoField(primary_key=True)
    city = models.ForeignKey(City, on_delete=models.CASCADE, related_name="rate_cards")
    version = models.PositiveIntegerField()
    effective_from = models.DateTimeField()
    is_demo = models.BooleanField(default=False)
    rates = models.JSONField()
    multipliers = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["city", "version"], name="one_rate_card_per_version"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["city", "-effective_from"], name="rate_card_in_force"),
        ]

    def __str__(self) -> str:
        return f"rates {self.city_id} v{self.version}"


class VehicleType(models.Model):
    """A row of the catalogue: category, body and size."""

    slug = models.CharField(
        primary_key=True, max_length=60, validators=[RegexValidator(r"^[a-z0-9-]+$")]
    )
    category = models.CharField(max_length=20)
    name = models.CharField(max_length=80)
    capacity_min_kg = models.PositiveIntegerField()
    capacity_kg = models.PositiveIntegerField()
    position = models.PositiveSmallIntegerField(default=0, help_text="Order in lists.")
    is_active = models.BooleanField(default=True, help_text="Off: no new orders.")

    class Meta:
        ordering: ClassVar[list[str]] = ["position", "slug"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="vehicle_type_capacity",
                condition=Q(capacity_kg__gt=0, capacity_min_kg__lte=F("capacity_kg")),
            ),
        ]

    def __str__(self) -> str:
        return self.name

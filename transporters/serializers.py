"""The wire form of the supply: what bodies hold, and what OpenAPI says of the answers."""

import re
from collections.abc import Sequence
from typing import Any

from drf_spectacular.drainage import set_override
from rest_framework import serializers

from transporters import messages
from transporters.models import Driver, Kyc, Transporter, Vehicle
from transporters.vehicles import plain_registration
from weelo.accounts.phones import PhoneField
from weelo.lib.problems import Invalid

MOST_POINTS = 100
LONGEST_NUMBER = 40  # characters of an official number, as written


class PlainField(serializers.CharField):
    """An official number: compared without spaces, dots and dashes, in upper case."""

    def __init__(self, pattern: str, like: str, **options: Any) -> None:
        self._pattern, self._like = re.compile(pattern), like
        told = {"type": "string", "maxLength": LONGEST_NUMBER, "pattern": _as_written(pattern)}
        set_override(self, "field", told)
        super().__init__(help_text=f"Such as {like}.", max_length=LONGEST_NUMBER, **options)

    def to_internal_value(self, data: Any) -> str:
        written = super().to_internal_value(data)
        if len(written) > LONGEST_NUMBER:  # DRF's own check would see the plain one
            self.fail("max_length", max_length=LONGEST_NUMBER)
        plain = plain_registration(written)
        if plain and not self._pattern.fullmatch(plain):
            raise serializers.ValidationError(f"Not such a number. Send it like {self._like}.")
        return plain


def optional(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, of which any may be left out."""
    for field in fields.values():
        field.required = False
    return fields


def _as_written(pattern: str) -> str:
    """The pattern of a plain number for what people write: either case, and marks in between."""
    sign = r"(?:\1[ .-]*)\2"
    loose = re.sub(r"(\[.*?\])(\{[\d,]+\})?", sign, pattern.replace("A-Z", "A-Za-z"))
    return f"^[ .-]*{loose}$"


class TransporterSerializer(serializers.Serializer[Transporter]):
    """A fleet, as its captain registers and sees it. With a PAN its review begins."""

    id = serializers.UUIDField(read_only=True)
    business_name = serializers.CharField(max_length=120)
    pan = PlainField("[A-Z]{5}[0-9]{4}[A-Z]", "ABCDE1234F", required=False, allow_blank=True)
    gstin = PlainField(
        "[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][0-9A-Z]{3}",
        "29ABCDE1234F1Z5",
        required=False,
        allow_blank=True,
    )
    kyc_status = serializers.ChoiceField(choices=Kyc.choices, read_only=True)
    kyc_reason = serializers.CharField(read_only=True, allow_null=True)
    online = serializers.BooleanField(read_only=True)

    def to_representation(self, instance: Transporter) -> dict[str, Any]:
        return messages.transporter(instance)


class PapersSerializer(serializers.Serializer[Any]):
    """Until when each paper of a vehicle is valid."""

    rc = serializers.DateField(help_text="Registration certificate.")
    permit = serializers.DateField()
    fitness = serializers.DateField()
    insurance = serializers.DateField()
    puc = serializers.DateField(help_text="Pollution under control.")


class PapersChangeSerializer(PapersSerializer):
    """The papers that are renewed; the others stay as they are."""

    def get_fields(self) -> dict[str, Any]:
        return optional(super().get_fields())


class VehicleSerializer(serializers.Serializer[Vehicle]):
    """One truck. Registration and type stay; papers and `in_service` change."""

    id = serializers.UUIDField(read_only=True)
    registration = PlainField("[A-Z0-9]{4,12}", "KA01AB1234")
    vehicle_type = serializers.CharField(max_length=60, help_text="A slug of the catalogue.")
    in_service = serializers.BooleanField(default=True)
    papers = PapersSerializer()
    papers_expire_on = serializers.DateField(read_only=True, help_text="The first to run out.")

    def to_representation(self, instance: Vehicle) -> dict[str, Any]:
        return messages.vehicle(instance)


class VehicleChangeSerializer(serializers.Serializer[Any]):
    """What may change of a vehicle."""

    in_service = serializers.BooleanField(required=False)
    papers = PapersChangeSerializer(required=False)


class LicenceSerializer(serializers.Serializer[Any]):
    """A driving licence."""

    number = PlainField("[A-Z0-9/]{5,20}", "KA0120110012345")
    expires_on = serializers.DateField()


class LicenceChangeSerializer(LicenceSerializer):
    """What changes of a licence."""

    def get_fields(self) -> dict[str, Any]:
        return optional(super().get_fields())


class DriverSerializer(serializers.Serializer[Driver]):
    """A person who drives for the fleet and signs in with this phone."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(max_length=120)
    phone = PhoneField()
    licence = LicenceSerializer()

    def to_representation(self, instance: Driver) -> dict[str, Any]:
        return messages.driver(instance)


class DriverChangeSerializer(serializers.Serializer[Any]):
    """What may change of a driver; another phone is another driver."""

    name = serializers.CharField(max_length=120, required=False)
    licence = LicenceChangeSerializer(required=False)


class AvailabilitySerializer(serializers.Serializer[Any]):
    """The switch."""

    online = serializers.BooleanField()


class AvailabilityStateSerializer(serializers.Serializer[Any]):
    """How the switch stands now."""

    online = serializers.BooleanField()
    needs_position = serializers.BooleanField(help_text="Online, but nobody knows where: send one.")
    kyc_status = serializers.ChoiceField(
        choices=Kyc.choices, help_text="Orders come to `verified` fleets only."
    )
    server_time = serializers.DateTimeField()


class PointSerializer(serializers.Serializer[Any]):
    """One position, as documented; `presence` checks it, since a bad one is counted, not 400."""

    lat = serializers.FloatField(min_value=-85, max_value=85)
    lng = serializers.FloatField(min_value=-180, max_value=180)
    accuracy_m = serializers.FloatField(required=False, min_value=0)
    speed_mps = serializers.FloatField(required=False, min_value=0)
    heading = serializers.FloatField(required=False, min_value=0, max_value=360)
    at = serializers.DateTimeField(required=False, help_text="When it was taken; now if left out.")
    vehicle_id = serializers.UUIDField(
        required=False, help_text="Left out: the captain's own, or the driver's trip's vehicle."
    )


class PointsSerializer(serializers.Serializer[Any]):
    """Positions kept while there was no network, in any order."""

    points = serializers.ListField(child=PointSerializer(), min_length=1, max_length=MOST_POINTS)


class ReportSerializer(serializers.Serializer[Any]):
    """What became of the points; together as many as were sent."""

    accepted = serializers.IntegerField(help_text="The truck stands there now.")
    stale = serializers.IntegerField(help_text="Older than what is known, or sent while off.")
    duplicate = serializers.IntegerField(help_text="The same instant again.")
    invalid = serializers.IntegerField(help_text="Off the map, not yours, too fast, too often.")


def read_points(body: Any) -> Sequence[object]:
    """The points of a body or frame (a JSON object): its `points`, or itself as the only one.

    Raises Invalid (400) for anything but a list of 1 to 100.
    """
    if "points" not in body:
        return [body]
    points = body["points"]
    if isinstance(points, list) and 1 <= len(points) <= MOST_POINTS:
        return points
    detail = f"Send a list of 1 to {MOST_POINTS} points."
    raise Invalid([{"pointer": "/points", "code": "invalid", "detail": detail}])

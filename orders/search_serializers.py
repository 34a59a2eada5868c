"""What search takes, as query parameters, and what it answers."""

import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from orders.serializers import MOST_LOAD_KG, MOST_STOPS
from transporters.geo import Point

_NUMBER = r"-?[0-9]{1,3}(\.[0-9]{1,20})?"
_POINT = re.compile(f"{_NUMBER},{_NUMBER}")


@extend_schema_field({"type": "string", "pattern": f"^{_POINT.pattern}$"})
class PointField(serializers.Field[Point, str, str, Any]):
    """A point as `lat,lng` in WGS84 degrees, |lat| ≤ 85."""

    default_error_messages = {  # noqa: RUF012 - DRF's own way, typed by its stubs
        "form": "Send latitude,longitude in degrees, such as 12.975377,77.696664.",
        "range": "Latitude goes from -85 to 85, longitude from -180 to 180.",
    }

    def to_internal_value(self, data: str) -> Point:
        """The point. Raises ValidationError `form` or `range`."""
        if not _POINT.fullmatch(data):
            self.fail("form")
        point = Point(*map(float, data.split(",")))
        if not point.is_on_map():
            self.fail("range")
        return point

    def to_representation(self, value: Point) -> str:
        return f"{value.lat},{value.lng}"


@extend_schema_field({"type": "string", "pattern": f"^{_POINT.pattern}(;{_POINT.pattern})?$"})
class StopsField(serializers.Field[list[Point], str, str, Any]):
    """The stops on the way as `lat,lng;lat,lng`, in order."""

    default_error_messages = {"many": f"At most {MOST_STOPS} stops."}  # noqa: RUF012

    def to_internal_value(self, data: str) -> list[Point]:
        """The stops. Raises ValidationError `many`, `form` or `range`."""
        parts = data.split(";") if data else []
        if len(parts) > MOST_STOPS:
            self.fail("many")
        return [PointField().run_validation(part) for part in parts]

    def to_representation(self, value: list[Point]) -> str:
        return ";".join(PointField().to_representation(point) for point in value)


class SearchQuerySerializer(serializers.Serializer[object]):
    """The query of a search."""

    pickup = PointField(help_text="Where the goods are: `lat,lng` in a city's area.")
    drop = PointField(help_text="Where they go: `lat,lng`, anywhere in India.")
    stops = StopsField(required=False, help_text="At most two stops: `lat,lng;lat,lng`.")
    load_kg = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_LOAD_KG,
        help_text="What one truck shall carry; types that cannot are left out. Default: full.",
    )
    category = serializers.CharField(
        required=False, max_length=20, help_text="Only this category, such as `open`."
    )


class OptionTypeSerializer(serializers.Serializer[object]):
    """The vehicle type of an option."""

    slug = serializers.CharField()
    name = serializers.CharField()
    category = serializers.CharField()
    capacity_kg = serializers.IntegerField()


class OptionSerializer(serializers.Serializer[object]):
    """One vehicle type that could do it."""

    vehicle_type = OptionTypeSerializer()
    fare_paise = serializers.IntegerField(help_text="For one truck, in integer paise.")
    currency = serializers.ChoiceField(choices=["INR"])
    nearby = serializers.IntegerField(help_text="Trucks of this type within 20 km of the pickup.")
    nearest_km = serializers.FloatField(allow_null=True, help_text="As the crow flies.")
    eta_minutes = serializers.IntegerField(
        allow_null=True, help_text="Of the nearest truck to the pickup, by road."
    )
    quote = serializers.CharField(help_text="Send it with the truck at confirm to pay this fare.")
    quote_expires_at = serializers.DateTimeField()


class FoundSerializer(serializers.Serializer[object]):
    """The answer of a search."""

    city = serializers.CharField(help_text="Slug of the city that serves the pickup.")
    distance_km = serializers.FloatField(help_text="By road over all stops, at least 5.")
    options = OptionSerializer(many=True)
    server_time = serializers.DateTimeField()

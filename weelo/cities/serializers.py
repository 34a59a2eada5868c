"""The catalogue as phones read it."""

from rest_framework import serializers


class VehicleTypeSerializer(serializers.Serializer[object]):
    """A vehicle type of the catalogue."""

    slug = serializers.CharField(help_text="Its name in every call, such as `open-17-ft`.")
    name = serializers.CharField()
    category = serializers.CharField()
    capacity_min_kg = serializers.IntegerField(help_text="The load it starts to be worth it for.")
    capacity_kg = serializers.IntegerField(help_text="The most it may carry.")


class VehicleTypePageSerializer(serializers.Serializer[object]):
    """The whole catalogue: always one page."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = VehicleTypeSerializer(many=True)

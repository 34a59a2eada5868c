"""The bodies that phones send and the shapes they get, checked and documented."""

import math
from typing import Any

from rest_framework import serializers

from orders.models import PaidBy, PaymentMode
from orders.states import OrderStatus, TripStatus, TruckStatus
from transporters.geo import MAX_LAT
from weelo.accounts.phones import PhoneField

MOST_TRUCKS = 50
MOST_STOPS = 2
MOST_LOAD_KG = 100_000  # on one truck


class Degrees(serializers.FloatField):
    """A finite coordinate."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool | str):
            raise serializers.ValidationError("Send a number.", code="number")
        value = super().to_internal_value(data)
        if not math.isfinite(value):
            raise serializers.ValidationError("Send a finite number.", code="number")
        return value


class ContactSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    phone = PhoneField(mobile=False)


class PlaceSerializer(serializers.Serializer[Any]):
    """A place, WGS84."""

    lat = Degrees(min_value=-MAX_LAT, max_value=MAX_LAT)
    lng = Degrees(min_value=-180, max_value=180)
    address = serializers.CharField(max_length=300)
    contact = ContactSerializer(required=False, allow_null=True)


class TrucksSerializer(serializers.Serializer[Any]):
    """Some trucks that are alike; with a quote, its fare holds."""

    vehicle_type = serializers.SlugField(max_length=60)
    quantity = serializers.IntegerField(min_value=1, max_value=MOST_TRUCKS)
    load_kg = serializers.IntegerField(
        min_value=1, max_value=MOST_LOAD_KG, required=False, allow_null=True
    )
    quote = serializers.CharField(max_length=2000, required=False, allow_null=True)


class GoodsSerializer(serializers.Serializer[Any]):
    category = serializers.CharField(max_length=40)
    description = serializers.CharField(max_length=500, required=False, allow_blank=True)
    value_paise = serializers.IntegerField(
        min_value=0, max_value=10**13, required=False, allow_null=True
    )
    eway_bill_no = serializers.RegexField(r"^\d{12}$", required=False, allow_null=True)


class PaymentSerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField(PaymentMode.choices)
    paid_by = serializers.ChoiceField(PaidBy.choices)


class ConfirmSerializer(serializers.Serializer[Any]):
    """The body of POST /orders."""

    pickup = PlaceSerializer()
    drop = PlaceSerializer()
    stops = serializers.ListField(child=PlaceSerializer(), max_length=MOST_STOPS, required=False)
    trucks = serializers.ListField(child=TrucksSerializer(), min_length=1, max_length=MOST_TRUCKS)
    goods = GoodsSerializer(required=False, allow_null=True)
    payment = PaymentSerializer(
        default=lambda: {"mode": str(PaymentMode.CASH), "paid_by": str(PaidBy.SENDER)},
        help_text="Cash, paid by the sender, when left out.",
    )
    idempotency_key = serializers.RegexField(
        r"^[\x20-\x7e]{1,255}$", required=False, help_text="Instead of the header."
    )

    def validate_trucks(self, trucks: list[Any]) -> list[Any]:
        if sum(line["quantity"] for line in trucks) > MOST_TRUCKS:
            raise serializers.ValidationError(
                f"At most {MOST_TRUCKS} trucks in one order.", code="max_trucks"
            )
        return trucks


class CancelSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class AcceptSerializer(serializers.Serializer[Any]):
    vehicle_ids = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=MOST_TRUCKS
    )
    driver_ids = serializers.ListField(
        child=serializers.UUIDField(allow_null=True), max_length=MOST_TRUCKS, required=False
    )


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class ProofSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField([("code", "code"), ("photo", "photo")])
    code = serializers.RegexField(r"^\d{4}$", required=False)
    reference = serializers.CharField(max_length=300, required=False)


class StepSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(TripStatus.choices)
    start_code = serializers.CharField(max_length=10, required=False, allow_blank=True, default="")
    proof = ProofSerializer(required=False, allow_null=True)


class StopSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField([("arrived", "arrived"), ("done", "done")])


class TripDriverSerializer(serializers.Serializer[Any]):
    driver_id = serializers.UUIDField(allow_null=True)


class TripsQuery(serializers.Serializer[Any]):
    live = serializers.BooleanField(default=False, help_text="Only live trips.")


class RatingSerializer(serializers.Serializer[Any]):
    stars = serializers.IntegerField(min_value=1, max_value=5)
    comment = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class DisputeSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=60)
    notes = serializers.CharField(max_length=2000, required=False, allow_blank=True, default="")


# --- answers, for the schema ------------------------------------------------------------------


class RegistrationAnswer(serializers.Serializer[Any]):
    registration = serializers.CharField()


class PersonAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    phone = serializers.CharField(allow_null=True)


class StepAnswer(serializers.Serializer[Any]):
    status = serializers.CharField()
    at = serializers.DateTimeField()


class CustomerTripAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    truck_id = serializers.UUIDField()
    status = serializers.ChoiceField(TripStatus.choices)
    vehicle = RegistrationAnswer()
    driver = PersonAnswer()
    captain = PersonAnswer()
    start_code = serializers.CharField()
    drop_code = serializers.CharField()
    stops_state = serializers.ListField(child=serializers.CharField())
    steps = StepAnswer(many=True)


class PositionAnswer(serializers.Serializer[Any]):
    lat = serializers.FloatField()
    lng = serializers.FloatField()
    at = serializers.DateTimeField()


class PlacedTripAnswer(CustomerTripAnswer):
    """In answers to GET; null until the truck was seen."""

    position = PositionAnswer(required=False, allow_null=True)


class TruckAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    vehicle_type = serializers.CharField()
    load_kg = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(TruckStatus.choices)
    fare_paise = serializers.IntegerField()
    trip = PlacedTripAnswer(allow_null=True)


class CancelAnswer(serializers.Serializer[Any]):
    allowed = serializers.BooleanField()
    fee_paise = serializers.IntegerField()
    reason_required = serializers.BooleanField()


class OrderAnswer(serializers.Serializer[Any]):
    """An order as its customer sees it."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(OrderStatus.choices)
    seeking = serializers.BooleanField()
    reason = serializers.CharField(allow_null=True)
    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    server_time = serializers.DateTimeField()
    city = serializers.CharField()
    pickup = PlaceSerializer()
    drop = PlaceSerializer()
    stops = PlaceSerializer(many=True)
    goods = GoodsSerializer(allow_null=True)
    payment = PaymentSerializer()
    distance_km = serializers.FloatField()
    fare_paise = serializers.IntegerField()
    payable_paise = serializers.IntegerField()
    cancel_fee_paise = serializers.IntegerField()
    currency = serializers.CharField()
    trucks_wanted = serializers.IntegerField()
    trucks_filled = serializers.IntegerField()
    captains_told = serializers.IntegerField()
    cancel = CancelAnswer()
    trucks = TruckAnswer(many=True)


class ActiveAnswer(serializers.Serializer[Any]):
    order = OrderAnswer(allow_null=True)
    orders = OrderAnswer(many=True)
    server_time = serializers.DateTimeField()


class TimelineAnswer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    by = serializers.CharField()
    data = serializers.JSONField()  # type: ignore[assignment]


class WaveAnswer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    part = serializers.IntegerField()
    at = serializers.DateTimeField()
    radius_m = serializers.IntegerField()
    policy_version = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]
    told = serializers.JSONField()
    skipped = serializers.JSONField()


class BarePlaceAnswer(serializers.Serializer[Any]):
    lat = serializers.FloatField()
    lng = serializers.FloatField()
    address = serializers.CharField()


class OfferLineAnswer(serializers.Serializer[Any]):
    vehicle_type = serializers.CharField()
    wanted = serializers.IntegerField()
    left = serializers.IntegerField()
    fare_paise = serializers.IntegerField()
    payout_paise = serializers.IntegerField()
    load_kg = serializers.IntegerField(allow_null=True)


class OfferVehicleAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    registration = serializers.CharField()
    distance_km = serializers.FloatField()


class OfferGoodsAnswer(serializers.Serializer[Any]):
    category = serializers.CharField(allow_null=True)
    description = serializers.CharField(allow_null=True)


class OfferAnswer(serializers.Serializer[Any]):
    """A broadcast with its state and the seconds that remain."""

    offer_id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    state = serializers.CharField()
    city = serializers.CharField()
    pickup = BarePlaceAnswer()
    drop = BarePlaceAnswer()
    stops = BarePlaceAnswer(many=True)
    distance_km = serializers.FloatField()
    pickup_distance_km = serializers.FloatField()
    pickup_eta_minutes = serializers.IntegerField()
    trucks = OfferLineAnswer(many=True)
    your_vehicles = OfferVehicleAnswer(many=True)
    goods = OfferGoodsAnswer()
    currency = serializers.CharField()
    expires_at = serializers.DateTimeField()
    server_time = serializers.DateTimeField()
    remaining_s = serializers.FloatField()
    again = serializers.BooleanField()


class OffersAnswer(serializers.Serializer[Any]):
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = OfferAnswer(many=True)


class TripVehicleAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    registration = serializers.CharField()
    vehicle_type = serializers.CharField()


class TripDriverAnswer(PersonAnswer):
    id = serializers.UUIDField(allow_null=True)


class TripStopAnswer(PlaceSerializer):
    state = serializers.CharField()


class TripAnswer(serializers.Serializer[Any]):
    """A trip as captain and driver see it."""

    id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    truck_id = serializers.UUIDField()
    status = serializers.ChoiceField(TripStatus.choices)
    vehicle = TripVehicleAnswer()
    driver = TripDriverAnswer()
    pickup = PlaceSerializer()
    drop = PlaceSerializer()
    stops = TripStopAnswer(many=True)
    goods = GoodsSerializer(allow_null=True)
    load_kg = serializers.IntegerField(allow_null=True)
    payment = PaymentSerializer()
    distance_km = serializers.FloatField()
    payout_paise = serializers.IntegerField()
    fare_paise = serializers.IntegerField()
    currency = serializers.CharField()
    won_at = serializers.DateTimeField()
    steps = StepAnswer(many=True)
    reason = serializers.CharField(allow_null=True)


class AcceptAnswer(serializers.Serializer[Any]):
    trips = TripAnswer(many=True)
    trucks_left = serializers.IntegerField()


class SeenAnswer(serializers.Serializer[Any]):
    offer_id = serializers.UUIDField()
    seen_at = serializers.DateTimeField()


class DeclineAnswer(serializers.Serializer[Any]):
    offer_id = serializers.UUIDField()
    state = serializers.CharField()


class RatingAnswer(RatingSerializer):
    trip_id = serializers.UUIDField()


class DisputeAnswer(DisputeSerializer):
    id = serializers.UUIDField()
    trip_id = serializers.UUIDField()

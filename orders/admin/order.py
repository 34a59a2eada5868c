"""The dispatcher's first page: orders, with everything that belongs to each."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from orders import snapshots
from orders.admin.page import Page, Rows, place, rupees, span, who_drives
from orders.models import Dispute, Fact, Offer, Order, Trip, TruckRequest
from orders.receipts import receipt_of
from orders.states import ORDER_ACTIVE, OrderStatus
from orders.trucks import held_trips, status_at
from weelo.lib.admin import ModelAdmin
from weelo.lib.ids import short_id


class Which(admin.SimpleListFilter):
    """Active orders unless asked otherwise; a search, or a status, looks at all."""

    title = "which"
    parameter_name = "which"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [("active", "Active"), ("flagged", "Flagged"), ("all", "All")]

    def value(self) -> str:
        return super().value() or self.default

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        asked = request.GET.get("q") or request.GET.get("status__exact")
        self.default = "all" if asked else "active"
        super().__init__(request, *args)

    def choices(self, changelist: Any) -> Any:
        return list(super().choices(changelist))[1:]  # without Django's own "All"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        if self.value() == "all":
            return queryset
        if self.value() == "flagged":
            flagged = Trip.objects.exclude(flagged="").values("order_id")
            disputed = Dispute.objects.filter(settled_at=None).values("trip__order_id")
            return queryset.filter(Q(id__in=flagged) | Q(id__in=disputed))
        return queryset.filter(status__in=ORDER_ACTIVE)


class TruckRows(Rows):
    """The trucks wanted."""

    model = TruckRequest
    fk_name = "order"
    related = ("vehicle_type", "order")
    fields = ("position", "vehicle_type", "load_kg", "status", "fare", "payout", "give_backs")
    readonly_fields = ("fare", "payout")

    def fare(self, truck: TruckRequest) -> str:
        return rupees(truck.fare_paise)

    def payout(self, truck: TruckRequest) -> str:
        return rupees(truck.payout_paise)


class TripRows(Rows):
    """The trips won, given up ones too."""

    model = Trip
    related = ("vehicle", "driver", "transporter__owner")
    fields = ("status", "vehicle", "who", "won_at", "at_pickup_at", "ended_at", "reason", "flagged")
    readonly_fields = ("who",)

    def who(self, trip: Trip) -> str:
        return who_drives(trip)


class OfferRows(Rows):
    """Who was told, nearest first."""

    model = Offer
    related = ("transporter", "receipt")
    ordering = ("wave", "distance_m")
    fields = (
        "transporter",
        "state",
        "close_reason",
        "wave",
        "distance_m",
        "told_at",
        "delivered",
        "seen",
        "answered_at",
    )
    readonly_fields = ("delivered", "seen")

    def delivered(self, offer: Offer) -> datetime | None:
        receipt = receipt_of(offer)
        return receipt.delivered_at if receipt else None

    def seen(self, offer: Offer) -> datetime | None:
        receipt = receipt_of(offer)
        return receipt.seen_at if receipt else None


class FactRows(Rows):
    """What happened, oldest first."""

    model = Fact
    related = ("by_user",)
    ordering = ("id",)
    fields = ("at", "kind", "from_status", "to_status", "by", "by_user", "data")


@admin.register(Order)
class OrderAdmin(Page):
    """The dispatcher's first page: what seeks, for how long still, and what is flagged."""

    to_order = "pk"
    list_display = (
        "short",
        "shown_status",
        "city",
        "who",
        "age",
        "filled",
        "time_left",
        "told",
        "flags",
    )
    list_filter = (Which, "status", "city", "reason")
    list_select_related = ("city", "customer")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (TruckRows, TripRows, OfferRows, FactRows)
    fieldsets = (
        (None, {"fields": ("id", "shown_status", "reason", "time_left", "customer", "city")}),
        ("The way", {"fields": ("from_", "stops_", "to", "distance_km", "goods", "payment")}),
        ("Trucks", {"fields": ("trucks_wanted", "trucks_filled", "captains_told", "told")}),
        ("Money", {"fields": ("fare", "payable", "cancel_fee", "captain_share", "rate_card")}),
        ("Times", {"fields": ("created_at", "expires_at", "next_wave_at", "ended_at", "version")}),
    )
    readonly_fields = (
        "shown_status",
        "time_left",
        "told",
        "from_",
        "stops_",
        "to",
        "fare",
        "payable",
        "cancel_fee",
        "captain_share",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return snapshots.with_trucks(super().get_queryset(request))

    @admin.display(description="order", ordering="id")
    def short(self, order: Order) -> str:
        return short_id(order.id)

    @admin.display(description="status", ordering="status")
    def shown_status(self, order: Order) -> str:
        """As everybody sees it now, also when its expiry is not stored yet."""
        return str(OrderStatus(status_at(order, *snapshots.loaded(order))).label)

    @admin.display(description="customer")
    def who(self, order: Order) -> str:
        return " ".join(filter(None, (order.customer.name, order.customer.phone)))

    @admin.display(ordering="-created_at")
    def age(self, order: Order) -> str:
        return span(_now(order) - order.created_at)

    @admin.display(description="trucks")
    def filled(self, order: Order) -> str:
        return f"{order.trucks_filled} of {order.trucks_wanted}"

    @admin.display(ordering="expires_at")
    def time_left(self, order: Order) -> str:
        """How much longer it seeks."""
        return span(order.expires_at - _now(order)) if order.is_seeking(_now(order)) else "-"

    @admin.display(description="told", ordering="captains_told")
    def told(self, order: Order) -> str:
        reach = f" within {order.radius_m / 1000:g} km" if order.wave else ""
        return f"{order.captains_told} captains{reach}"

    def flags(self, order: Order) -> str:
        trucks, _ = snapshots.loaded(order)
        return ", ".join(sorted({trip.flagged for trip in held_trips(trucks) if trip.flagged}))

    @admin.display(description="pickup")
    def from_(self, order: Order) -> str:
        return place(order.pickup)

    @admin.display(description="drop")
    def to(self, order: Order) -> str:
        return place(order.drop)

    @admin.display(description="stops")
    def stops_(self, order: Order) -> str:
        return format_html_join(SafeString("<br>"), "{}", ((place(stop),) for stop in order.stops))

    def fare(self, order: Order) -> str:
        return rupees(order.fare_paise)

    def payable(self, order: Order) -> str:
        return rupees(order.payable_paise)

    def cancel_fee(self, order: Order) -> str:
        return rupees(order.cancel_fee_paise)

    def captain_share(self, order: Order) -> str:
        return rupees(order.captain_share_paise)


def _now(order: Order) -> datetime:
    return snapshots.loaded(order)[1]

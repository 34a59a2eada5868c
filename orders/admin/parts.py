"""Pages of what belongs to an order: trucks, offers, trips, waves, facts, ratings, disputes."""

from datetime import datetime

from django.contrib import admin
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from orders.admin.page import Page, link, rupees, span, who_drives
from orders.models import Dispute, Fact, Offer, Rating, Receipt, Trip, TruckRequest, Wave
from weelo.lib.ids import short_id


@admin.register(TruckRequest)
class TruckRequestAdmin(Page):
    """The trucks wanted; one can be cancelled alone."""

    to_order = "order"
    list_display = ("of", "position", "vehicle_type", "status", "load_kg", "fare", "give_backs")
    list_filter = ("status", "vehicle_type__category", "order__city")
    list_select_related = ("order", "vehicle_type")
    date_hierarchy = "order__created_at"
    ordering = ("-order__created_at", "position")
    exclude = ("fare_paise", "payout_paise")
    readonly_fields = ("of", "fare", "payout")

    @admin.display(description="order")
    def of(self, truck: TruckRequest) -> str:
        return link(truck.order)

    def fare(self, truck: TruckRequest) -> str:
        return rupees(truck.fare_paise)

    def payout(self, truck: TruckRequest) -> str:
        return rupees(truck.payout_paise)


@admin.register(Offer)
class OfferAdmin(Page):
    """Who was told of what, and what he said."""

    to_order = "order"
    list_display = ("of", "transporter", "state", "close_reason", "wave", "km", "told_at", "again")
    list_filter = ("state", "close_reason", "again", "order__city")
    list_select_related = ("order", "transporter")
    date_hierarchy = "told_at"
    ordering = ("-told_at",)
    readonly_fields = ("of", "km")

    @admin.display(description="order")
    def of(self, offer: Offer) -> str:
        return link(offer.order)

    @admin.display(ordering="distance_m")
    def km(self, offer: Offer) -> str:
        return f"{offer.distance_m / 1000:.1f}"


@admin.register(Receipt)
class ReceiptAdmin(Page):
    """When offers reached a phone, and when their captains looked at them."""

    to_order = "offer__order"
    list_display = ("transporter", "of", "told_at", "delivered_at", "seen_at", "answered_at")
    list_filter = ("offer__state", "offer__order__city")
    list_select_related = ("offer__order", "offer__transporter")
    date_hierarchy = "delivered_at"
    ordering = ("-delivered_at",)
    readonly_fields = ("of",)

    @admin.display(description="order")
    def of(self, receipt: Receipt) -> str:
        return link(receipt.offer.order)

    def transporter(self, receipt: Receipt) -> str:
        return str(receipt.offer.transporter)

    def told_at(self, receipt: Receipt) -> datetime:
        return receipt.offer.told_at

    def answered_at(self, receipt: Receipt) -> datetime | None:
        return receipt.offer.answered_at


@admin.register(Trip)
class TripAdmin(Page):
    """Trips, the flagged ones to be looked after. The codes are nobody's business here."""

    to_order = "order"
    list_display = ("short", "status", "vehicle", "who", "of", "age", "waiting", "flagged")
    list_filter = ("status", "flagged", "order__city")
    list_select_related = ("vehicle", "driver", "transporter__owner", "order")
    date_hierarchy = "won_at"
    ordering = ("-won_at",)
    exclude = ("start_code", "drop_code")
    readonly_fields = ("of", "who")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trip]:
        waited = Now() - F("at_pickup_at")
        rows: QuerySet[Trip] = super().get_queryset(request)
        return rows.annotate(age=Now() - F("won_at"), waited=waited)

    @admin.display(description="trip", ordering="id")
    def short(self, trip: Trip) -> str:
        return short_id(trip.id)

    @admin.display(description="driver")
    def who(self, trip: Trip) -> str:
        return who_drives(trip)

    @admin.display(description="order")
    def of(self, trip: Trip) -> str:
        return link(trip.order)

    @admin.display(ordering="-won_at")
    def age(self, trip: Trip) -> str:
        return span(trip.age)  # type: ignore[attr-defined]

    def waiting(self, trip: Trip) -> str:
        """How long it stands at the pickup."""
        return span(trip.waited) if trip.status == "at_pickup" else "-"  # type: ignore[attr-defined]


@admin.register(Wave)
class WaveAdmin(Page):
    """The decision log: who was told in which round, and why others were not."""

    to_order = "order"
    list_display = ("of", "number", "part", "at", "km", "told_count", "skipped_count", "source")
    list_filter = ("number", "source", "order__city")
    list_select_related = ("order",)
    date_hierarchy = "at"
    ordering = ("-at",)
    readonly_fields = ("of",)

    @admin.display(description="order")
    def of(self, wave: Wave) -> str:
        return link(wave.order)

    @admin.display(description="within km")
    def km(self, wave: Wave) -> str:
        return f"{wave.radius_m / 1000:g}"

    @admin.display(description="told")
    def told_count(self, wave: Wave) -> int:
        return len(wave.told)

    @admin.display(description="skipped")
    def skipped_count(self, wave: Wave) -> int:
        return len(wave.skipped)


@admin.register(Fact)
class FactAdmin(Page):
    """What happened, by whom; written with the change itself, never altered."""

    to_order = "order"
    list_display = ("at", "kind", "of", "from_status", "to_status", "by", "by_user", "request_id")
    list_filter = ("kind", "by", "subject")
    list_select_related = ("order", "by_user")
    date_hierarchy = "at"
    ordering = ("-id",)
    readonly_fields = ("of",)

    @admin.display(description="order")
    def of(self, fact: Fact) -> str:
        return link(fact.order)


@admin.register(Rating)
class RatingAdmin(Page):
    """What customers thought of trips."""

    to_order = "trip__order"
    list_display = ("of", "stars", "comment", "at")
    list_filter = ("stars",)
    list_select_related = ("trip",)
    date_hierarchy = "at"
    ordering = ("-at",)

    @admin.display(description="trip")
    def of(self, rating: Rating) -> str:
        return link(rating.trip)


@admin.register(Dispute)
class DisputeAdmin(Page):
    """What customers complain of; open ones wait to be settled."""

    to_order = "trip__order"
    list_display = ("reason", "of", "at", "settled_at")
    list_filter = (("settled_at", admin.EmptyFieldListFilter), "reason")
    list_select_related = ("trip",)
    date_hierarchy = "at"
    ordering = ("-at",)

    @admin.display(description="trip")
    def of(self, dispute: Dispute) -> str:
        return link(dispute.trip)

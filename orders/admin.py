"""Dispatchers' pages for orders and all that belongs to them: to look at, and to intervene.

Nothing is added, edited or deleted here. What a dispatcher may do stands in `interventions`, as
buttons on the pages of orders, trucks, trips and disputes.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db.models import F, Model, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from orders import interventions, snapshots
from orders.lookup import orders_for
from orders.models import Dispute, Fact, Offer, Order, Rating, Trip, TruckRequest, Wave
from orders.states import ORDER_ACTIVE, OrderStatus
from orders.trucks import held_trips, status_at

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    ModelAdmin, TabularInline = admin.ModelAdmin, admin.TabularInline

SEARCH_HELP = "A phone, a registration, or an id or its first six or more digits."


class LookOnly:
    """What the verbs write and people only look at."""

    def has_add_permission(self, *_args: Any) -> bool:
        return False

    def has_change_permission(self, *_args: Any) -> bool:
        return False

    def has_delete_permission(self, *_args: Any) -> bool:
        return False


class Page(LookOnly, ModelAdmin):
    """List and page of one model, found through the orders that a caller's words point at."""

    to_order: ClassVar[str]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("id",)  # shows the box; the looking-up is `orders_for`'s
    search_help_text = SEARCH_HELP

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(**{f"{self.to_order}__in": orders_for(search_term)}), False

    def get_urls(self) -> list[URLPattern]:
        return [*interventions.routes(self), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        buttons = interventions.buttons(request, row) if row else []
        context = {**(extra_context or {}), "buttons": buttons}
        return super().change_view(request, object_id, form_url, context)


class Rows(LookOnly, TabularInline):
    """Rows of an order on its page, each with a link to its own."""

    extra = 0
    show_change_link = True
    related: ClassVar[tuple[str, ...]] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related(*self.related)


# --- how things read ---------------------------------------------------------------------------


def rupees(paise: int) -> str:
    """₹1,234.50; the paise only where there are any."""
    return f"₹{paise / 100:,.2f}".removesuffix(".00")


def span(time: timedelta) -> str:
    """48 s, 12 min, 3 h or 9 d; negative ones with a minus."""
    seconds = round(time.total_seconds())
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{sign}{seconds // size} {unit}"
    return f"{sign}{seconds} s"


def link(row: Model | None, text: str = "") -> str:
    """A link to a row's page in this app's admin."""
    return (
        format_html('<a href="{}">{}</a>', interventions.page_of(row), text or row) if row else "-"
    )


def place(spot: dict[str, Any]) -> str:
    """A place in one line, with whom to call there."""
    contact = spot.get("contact") or {}
    parts = [spot.get("address"), contact.get("name"), contact.get("phone")]
    return " · ".join([*filter(None, parts), f"{spot.get('lat')}, {spot.get('lng')}"])


# --- orders ------------------------------------------------------------------------------------


class Which(admin.SimpleListFilter):
    """Active orders unless asked otherwise; a search looks at all."""

    title = "which"
    parameter_name = "which"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [("active", "Active"), ("flagged", "Flagged"), ("all", "All")]

    def value(self) -> str:
        return super().value() or self.default

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.default = "all" if request.GET.get("q") else "active"
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
    model = Trip
    related = ("vehicle", "driver", "transporter__owner")
    fields = ("status", "vehicle", "who", "won_at", "at_pickup_at", "ended_at", "reason", "flagged")
    readonly_fields = ("who",)

    def who(self, trip: Trip) -> str:
        return who_drives(trip)


class OfferRows(Rows):
    model = Offer
    related = ("transporter",)
    ordering = ("wave", "distance_m")
    fields = (
        "transporter",
        "state",
        "close_reason",
        "wave",
        "distance_m",
        "told_at",
        "answered_at",
    )


class FactRows(Rows):
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
        return str(order.id)[:8]

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


# --- what belongs to an order --------------------------------------------------------------------


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


def who_drives(trip: Trip) -> str:
    """Name and phone of the driver, or of the captain when he drives himself."""
    person = trip.driver or trip.transporter.owner
    return " ".join(filter(None, (person.name, person.phone)))


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
        return str(trip.id)[:8]

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

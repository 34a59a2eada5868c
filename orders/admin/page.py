"""What all of the dispatchers' pages share: the search, the buttons, and how values read."""

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html

from orders import interventions
from orders.lookup import orders_for
from orders.models import Trip
from weelo.lib.admin import LookOnly, ReadOnly, TabularInline

SEARCH_HELP = "A phone, a registration, or an id or its first six or more digits."


class Page(ReadOnly):
    """List and page of one model, found through the orders that a caller's words point at."""

    to_order: ClassVar[str]
    list_per_page = 50
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


def who_drives(trip: Trip) -> str:
    """Name and phone of the driver, or of the captain when he drives himself."""
    person = trip.driver or trip.transporter.owner
    return " ".join(filter(None, (person.name, person.phone)))

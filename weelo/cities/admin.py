"""Dispatchers' pages for cities, their areas, prices and policies, and the catalogue.

A rate card or policy is never edited: the next version is made, with the newest one filled in.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_safe

from weelo.cities import cached, cells
from weelo.cities.areas import RADIUS_KM
from weelo.cities.history import with_differences
from weelo.cities.india import in_india
from weelo.cities.models import City, CityCell, DispatchPolicy, RateCard, VehicleType
from weelo.cities.versions import policy_faults, rate_faults
from weelo.lib.admin import ModelAdmin

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm


class CachedAdmin(ModelAdmin):
    """A model that search reads through the cache: a save makes the cached values void.

    Nothing is deleted here: orders point to it. Cities are closed, types made inactive.
    """

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        cached.forget()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class CityForm(ModelForm):
    """Refuses a clock that does not exist and a centre outside India."""

    def clean_timezone(self) -> str:
        """The name as given. Raises ValidationError when no clock has it."""
        name: str = self.cleaned_data["timezone"]
        if name not in available_timezones():
            raise forms.ValidationError("No such time zone; write it like Asia/Kolkata.")
        return name

    def clean(self) -> dict[str, Any]:
        """Everything as given. Raises ValidationError when the centre lies elsewhere."""
        data = super().clean() or {}
        if {"lat", "lng"} <= set(data) and not in_india(data["lat"], data["lng"]):
            raise forms.ValidationError("The centre must lie in India.")
        return data


@admin.register(City)
class CityAdmin(CachedAdmin):
    """A new city gets the area around its centre; it opens with its first rate card."""

    form = CityForm
    list_display = ("name", "slug", "is_open", "commission_percent", "timezone", "area", "versions")
    list_filter = ("is_open", "photo_proof_allowed", "timezone")
    search_fields = ("name", "slug")
    readonly_fields = ("area", "versions")

    def get_readonly_fields(self, request: HttpRequest, obj: City | None = None) -> tuple[str, ...]:
        # The area was cut around the centre; orders hold the slug.
        return (*self.readonly_fields, *(("slug", "lat", "lng") if obj else ()))

    def get_queryset(self, request: HttpRequest) -> QuerySet[City]:
        rows: QuerySet[City] = super().get_queryset(request)
        return rows.annotate(cell_count=Count("cells"))

    @admin.display(description="area")
    def area(self, city: City) -> str:
        """How many cells it serves."""
        return f"{getattr(city, 'cell_count', 0)} cells"

    @admin.display(description="versions")
    def versions(self, city: City) -> str:
        """Links to the city's rate cards and policies."""
        return format_html(
            '<a href="{}?city__slug__exact={}">rate cards</a> · <a href="{}">policies</a>',
            reverse("admin:cities_ratecard_changelist"),
            city.slug,
            policy_history(city.slug),
        )

    def save_model(self, request: HttpRequest, obj: City, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            area = cells.around(obj.lat, obj.lng, RADIUS_KM)
            # A cell that another city serves stays with it.
            CityCell.objects.bulk_create(
                [CityCell(cell=cell, city=obj) for cell in sorted(area)], ignore_conflicts=True
            )


@admin.register(CityCell)
class CityCellAdmin(ModelAdmin):
    """Which city serves which cell; to look at."""

    list_display = ("__str__", "city")
    list_filter = ("city",)
    list_select_related = ("city",)
    search_fields = ("cell",)
    search_help_text = "A cell as H3 writes it, such as 8760145b0ffffff."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CityCell], search_term: str
    ) -> tuple[QuerySet[CityCell], bool]:
        if not search_term:
            return queryset, False
        try:
            cell = int(search_term, 16)
        except ValueError:
            return queryset.none(), False
        return queryset.filter(cell=cell if cell < 2**63 else 0), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class VersionAdmin(CachedAdmin):
    """Rows that are only added: `version` counts up within a city."""

    carried: ClassVar[tuple[str, ...]] = ()
    search_fields = ("city__name", "city__slug")
    list_select_related: ClassVar[tuple[str, ...]] = ("city",)

    @admin.display(description="")
    def follow(self, row: Any) -> str:
        """A link to the form of the next version."""
        path = reverse(f"admin:cities_{self.opts.model_name}_add")
        return format_html('<a href="{}?city={}">New version</a>', path, row.city_id)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The newest version of the city in the query, or of any."""
        initial: dict[str, Any] = dict(super().get_changeform_initial_data(request))
        rows = self.model._default_manager.order_by("-version")
        city = str(initial.get("city", ""))
        newest = rows.filter(city=city).first() or rows.first()
        carried = {name: getattr(newest, name) for name in self.carried} if newest else {}
        return carried | initial

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        # Two versions made at the same time wait for each other here.
        City.objects.select_for_update(no_key=True).get(pk=obj.city_id)
        rows = self.model._default_manager.filter(city=obj.city_id)
        newest = rows.order_by("-version").values_list("version", flat=True).first()
        obj.version = (newest or 0) + 1
        super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def policy_history(slug: str) -> str:
    """The address of the page with all versions of a city's policy."""
    return reverse("admin:cities_dispatchpolicy_of_city", args=[slug])


class DispatchPolicyForm(ModelForm):
    """Refuses values that the dispatch loop could not follow."""

    def clean_values(self) -> Any:
        """The values as given. Raises ValidationError with every fault."""
        values = self.cleaned_data["values"]
        if faults := policy_faults(values):
            raise forms.ValidationError(faults)
        return values


@admin.register(DispatchPolicy)
class DispatchPolicyAdmin(VersionAdmin):
    """The newest version of a city is the one that new waves follow."""

    form = DispatchPolicyForm
    carried = ("values",)
    list_display = ("city", "version", "note", "created_by", "created_at", "changes", "follow")
    list_filter = ("city",)
    list_select_related = ("city", "created_by")
    exclude = ("version", "created_by")

    def get_urls(self) -> list[URLPattern]:
        history = require_safe(self.admin_site.admin_view(self.of_city))
        name = "cities_dispatchpolicy_of_city"
        return [path("of/<slug:slug>/", history, name=name), *super().get_urls()]

    @admin.display(description="")
    def changes(self, row: DispatchPolicy) -> str:
        """A link to all versions of the city and what each changed."""
        return format_html('<a href="{}">Changes</a>', policy_history(row.city_id))

    def of_city(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The versions of one city, newest first: who made each when, and what it changed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        city = get_object_or_404(City, slug=slug)
        versions = city.policies.select_related("created_by").order_by("-version")
        context = {
            **self.admin_site.each_context(request),
            "title": f"Dispatch policies of {city.name}",
            "city": city,
            "versions": with_differences(versions),
            "may_add": self.has_add_permission(request),
        }
        return render(request, "admin/cities/policy_history.html", context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.created_by = request.user
        super().save_model(request, obj, form, change)


class RateCardForm(ModelForm):
    """Refuses prices that do not add up, and a start before that of the newest card."""

    def clean(self) -> dict[str, Any]:
        """Everything as given. Raises ValidationError with every fault."""
        data = super().clean() or {}
        if "rates" in data and "multipliers" in data:
            for fault in rate_faults(data["rates"], data["multipliers"]):
                self.add_error(None, fault)
        return data

    def clean_effective_from(self) -> Any:
        """The start as given. Raises ValidationError when it lies in the past."""
        start = self.cleaned_data["effective_from"]
        if start < timezone.now() - timedelta(minutes=5):
            raise forms.ValidationError("A rate card comes into force now or later.")
        return start


@admin.register(RateCard)
class RateCardAdmin(VersionAdmin):
    """In force is the card with the latest start that has come."""

    form = RateCardForm
    carried = ("rates", "multipliers")
    list_display = ("city", "version", "effective_from", "is_demo", "created_at", "follow")
    list_filter = ("city", "is_demo")
    exclude = ("version",)
    date_hierarchy = "effective_from"

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"effective_from": timezone.now(), **super().get_changeform_initial_data(request)}


@admin.register(VehicleType)
class VehicleTypeAdmin(CachedAdmin):
    """The catalogue; a new type is offered once a rate card has a price for it."""

    list_display = ("name", "slug", "category", "capacity_kg", "position", "is_active")
    list_filter = ("category", "is_active")
    search_fields = ("name", "slug")

    def get_readonly_fields(
        self, request: HttpRequest, obj: VehicleType | None = None
    ) -> tuple[str, ...]:
        return ("slug", "category") if obj else ()

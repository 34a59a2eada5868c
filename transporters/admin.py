"""The supply in the admin: looked at here, changed by the captains; papers are judged here."""

from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from transporters import kyc
from transporters.models import CurrentPosition, Driver, Kyc, PositionHistory, Transporter, Vehicle
from weelo.lib.admin import ReadOnly
from weelo.lib.problems import Refusal


class ReasonForm(forms.Form):
    """Why the papers move; the captain reads it."""

    reason = forms.CharField(max_length=300, required=False, widget=forms.Textarea({"rows": 3}))


@admin.register(Transporter)
class TransporterAdmin(ReadOnly):
    """Fleets. Decisions about papers have a page of their own, since they are verbs."""

    list_display = ("business_name", "owner", "kyc_status", "is_online", "last_won_at")
    list_filter = ("kyc_status", "is_online", "created_at")
    list_select_related = ("owner",)
    search_fields = ("business_name", "owner__phone", "owner__name", "pan", "gstin", "id")
    search_help_text = "Business, captain's phone or name, PAN, GSTIN or id"
    ordering = ("-created_at",)
    fields = (
        "id",
        "business_name",
        "owner",
        "pan",
        "gstin",
        "kyc_status",
        "kyc_reason",
        "decisions",
        "is_online",
        "online_changed_at",
        "last_won_at",
        "created_at",
    )
    readonly_fields = ("decisions",)

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(self.decide)
        name = "transporters_transporter_decide"
        return [path("<uuid:transporter_id>/kyc/<str:to>/", decide, name=name), *super().get_urls()]

    @admin.display(description="Decide")
    def decisions(self, fleet: Transporter) -> SafeString:
        """Links to the decisions that its papers allow now."""
        name = "admin:transporters_transporter_decide"
        links = ((reverse(name, args=[fleet.id, to]), Kyc(to).label) for to in _choices(fleet))
        return format_html_join(" · ", '<a href="{}">{}</a>', links)

    def decide(self, request: HttpRequest, transporter_id: UUID, to: str) -> HttpResponse:
        """Ask for the reason, then move the papers."""
        if not request.user.has_perm("transporters.change_transporter"):
            raise PermissionDenied
        fleet = get_object_or_404(Transporter, id=transporter_id)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            self._move(request, fleet, to, form.cleaned_data["reason"])
            return HttpResponseRedirect(
                reverse("admin:transporters_transporter_change", args=[fleet.id])
            )
        context = {
            **self.admin_site.each_context(request),
            "title": f"{fleet}: {fleet.kyc_status} → {to}",
            "form": form,
            "opts": self.opts,
        }
        return render(request, "admin/transporters/decide.html", context)

    def _move(self, request: HttpRequest, fleet: Transporter, to: str, reason: str) -> None:
        try:
            kyc.decide(fleet.id, to, reason=reason, by=request.user.pk)
        except Refusal as refusal:
            self.message_user(request, refusal.detail, messages.ERROR)
            return
        self.log_change(request, fleet, f"KYC: {to}. {reason}".strip())
        self.message_user(request, f"{fleet} is {to}.")


def _choices(fleet: Transporter) -> list[str]:
    return sorted(kyc.ARROWS[fleet.kyc_status])


@admin.register(Vehicle)
class VehicleAdmin(ReadOnly):
    """Trucks, and when their papers run out."""

    list_display = (
        "registration",
        "transporter",
        "vehicle_type",
        "in_service",
        "papers_expire_on",
    )
    list_filter = ("in_service", "papers_expire_on", "vehicle_type")
    list_select_related = ("transporter", "vehicle_type")
    search_fields = ("registration", "transporter__business_name", "transporter__owner__phone")
    ordering = ("-created_at",)


@admin.register(Driver)
class DriverAdmin(ReadOnly):
    """People who drive."""

    list_display = ("name", "phone", "transporter", "licence_expires_on", "is_active")
    list_filter = ("is_active", "licence_expires_on")
    list_select_related = ("transporter",)
    search_fields = ("name", "phone", "licence_number", "transporter__business_name")
    ordering = ("-created_at",)


@admin.register(CurrentPosition)
class CurrentPositionAdmin(ReadOnly):
    """Where vehicles and captains were last seen; at most 15 s behind the index."""

    list_display = ("transporter", "vehicle", "vehicle_type", "lat", "lng", "at")
    list_filter = ("at", "vehicle_type")
    list_select_related = ("transporter", "vehicle", "vehicle_type")
    search_fields = ("vehicle__registration", "transporter__business_name")
    ordering = ("-id",)


@admin.register(PositionHistory)
class PositionHistoryAdmin(ReadOnly):
    """Where vehicles were."""

    list_display = ("transporter", "vehicle", "lat", "lng", "at")
    list_filter = ("at",)
    list_select_related = ("transporter", "vehicle")
    search_fields = ("vehicle__registration", "transporter__business_name")
    ordering = ("-id",)

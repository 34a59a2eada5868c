"""The traces of the machinery in the admin: to look at, never to change."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from dispatch.models import Heartbeat, Reconciliation

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnly(ModelAdmin):
    """A list that nobody writes by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly):
    """When each background process last said that it lives."""

    list_display = ("name", "at", "instance")
    search_fields = ("name",)
    ordering = ("name",)


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnly):
    """Every run, and what it had to repair: normally nothing."""

    list_display = ("started_at", "ended_at", "trigger", "repaired")
    list_filter = ("trigger", "started_at")
    date_hierarchy = "started_at"

    @admin.display(description="repairs")
    def repaired(self, run: Reconciliation) -> int:
        """How many repairs the run made."""
        return len(run.repairs)

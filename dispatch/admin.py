"""The traces of the machinery in the admin: to look at, never to change."""

from django.contrib import admin

from dispatch.models import Heartbeat, Reconciliation
from weelo.lib.admin import ReadOnly


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

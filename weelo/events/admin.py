"""Mailboxes in the admin: to read what somebody was told and how far a device has read."""

from typing import Any

from django.contrib import admin

from weelo.events.models import Ack, Event, Push, Stream
from weelo.lib.admin import ReadOnly
from weelo.lib.wire import encode


def _without_codes(data: Any) -> Any:
    """What was told, without the codes by which customer and receiver know the right captain."""
    if isinstance(data, list):
        return [_without_codes(each) for each in data]
    if not isinstance(data, dict):
        return data
    shown = {name: value for name, value in data.items() if not name.endswith("_code")}
    return {name: _without_codes(value) for name, value in shown.items()}


@admin.register(Stream)
class StreamAdmin(ReadOnly):
    """One mailbox a line."""

    list_display = ("person", "role", "head", "epoch")
    list_filter = ("role",)
    list_select_related = ("user",)
    search_fields = ("user__phone", "user__name", "user__username", "=user__id")
    search_help_text = "Phone, name, username or user id"
    ordering = ("-id",)

    @admin.display(ordering="user__phone")
    def person(self, stream: Stream) -> str:
        return f"{stream.user} {stream.user.phone or ''}".strip()


@admin.register(Event)
class EventAdmin(ReadOnly):
    """One message a line, the newest first."""

    list_display = ("at", "person", "role", "seq", "name", "order_id", "shortly")
    list_filter = ("name", "stream__role", "at")
    list_select_related = ("stream__user",)
    search_fields = ("stream__user__phone", "stream__user__name", "=order_id")
    search_help_text = "Phone, name or order id"
    ordering = ("-id",)
    exclude = ("data",)
    readonly_fields = ("told",)

    @admin.display(ordering="stream__user__phone")
    def person(self, event: Event) -> str:
        return str(event.stream.user)

    @admin.display(ordering="stream__role")
    def role(self, event: Event) -> str:
        return event.stream.role

    @admin.display(description="data")
    def told(self, event: Event) -> str:
        return encode(_without_codes(event.data))

    @admin.display(description="data")
    def shortly(self, event: Event) -> str:
        text = self.told(event)
        return text if len(text) <= 120 else f"{text[:119]}…"


@admin.register(Ack)
class AckAdmin(ReadOnly):
    """How far each device has read."""

    list_display = ("at", "person", "device", "role", "seq", "behind")
    list_filter = ("stream__role", "at")
    list_select_related = ("session", "stream__user")
    search_fields = ("stream__user__phone", "stream__user__name", "=session__id")
    search_help_text = "Phone, name or session id"
    ordering = ("-at",)

    def person(self, ack: Ack) -> str:
        return str(ack.stream.user)

    def device(self, ack: Ack) -> str:
        return ack.session.device_name or str(ack.session_id)

    def role(self, ack: Ack) -> str:
        return ack.stream.role

    def behind(self, ack: Ack) -> int:
        return ack.stream.head - ack.seq


@admin.register(Push)
class PushAdmin(ReadOnly):
    """One push to one device a line, the newest first: when, what, and how it ended."""

    list_display = ("made_at", "person", "type", "order_id", "tries", "ended", "error")
    list_filter = ("outcome", "made_at")
    list_select_related = ("device__session__user",)
    search_fields = ("device__session__user__phone", "device__session__user__name", "=order_id")
    search_help_text = "Phone, name or order id"
    ordering = ("-id",)

    @admin.display(ordering="device__session__user__phone")
    def person(self, push: Push) -> str:
        return str(push.device.session.user)

    def type(self, push: Push) -> str:
        return str(push.data.get("type", ""))

    @admin.display(ordering="outcome")
    def ended(self, push: Push) -> str:
        return push.get_outcome_display() or "Waits"

"""People, their sessions and messages in the admin. No code, hash, key or token is shown."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django_otp.plugins.otp_totp.models import TOTPDevice

from weelo.accounts import phones, sessions
from weelo.accounts.models import Device, OneTimeCode, Session, SmsMessage, User
from weelo.lib.admin import ReadOnly

if TYPE_CHECKING:
    PeopleAdmin = UserAdmin[User]
    ChangeForm = UserChangeForm[User]
    CreationForm = AdminUserCreationForm[User]
else:
    PeopleAdmin = UserAdmin
    ChangeForm, CreationForm = UserChangeForm, AdminUserCreationForm


class UserForm(ChangeForm):
    """Any person; most have a phone and neither username nor password."""

    class Meta:
        model = User
        fields = "__all__"

    def clean_phone(self) -> str | None:
        """E.164 from any common form."""
        phone = self.cleaned_data["phone"]
        try:
            return phones.e164(phone) if phone else None
        except phones.BadPhone as fault:
            raise forms.ValidationError(str(fault)) from fault


class StaffForm(CreationForm):
    """A new dispatcher; everybody else comes by the phone."""

    class Meta:
        model = User
        fields = ("username",)


RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


@admin.register(User)
class PersonAdmin(PeopleAdmin):
    """Blocking goes through the verb, which also ends the sessions."""

    form = UserForm
    add_form = StaffForm
    list_display = ("__str__", "phone", "username", "is_staff", "is_active", "created_at")
    list_filter = ("is_staff", "is_active", "created_at")
    search_fields = ("phone", "username", "name", "id")
    search_help_text = "Phone, username, name or id"
    ordering = ("-created_at",)
    readonly_fields = ("id", "is_active", "created_at", "last_login")
    actions = ("block", "unblock")
    fieldsets = (
        (None, {"fields": ("id", "phone", "name", "is_active", "max_active_orders")}),
        ("Staff", {"fields": ("username", "password", "is_staff", "is_superuser")}),
        ("Permissions", {"fields": ("groups", "user_permissions"), "classes": ("collapse",)}),
        ("Times", {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "name", "usable_password", "password1", "password2")}),
        (None, {"fields": ("is_staff",)}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Only superusers say who is staff and what staff may do."""
        rights = () if _staff(request).is_superuser else RIGHTS
        return (*self.readonly_fields, *rights)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nobody but a superuser changes other members of staff, their passwords least of all."""
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _staff(request).is_superuser

    @admin.action(description="Block: end all sessions, refuse new ones", permissions=["change"])
    def block(self, request: HttpRequest, people: QuerySet[User]) -> None:
        """Shut out the chosen people, except whoever chose them."""
        by = _staff(request)
        for person in filter(lambda p: _may_touch(request, p), people.exclude(pk=by.pk)):
            sessions.block(person, by)
            self.log_change(request, person, "Blocked.")
            self.message_user(request, f"{person} is blocked.", messages.WARNING)

    @admin.action(description="Unblock: may sign in again", permissions=["change"])
    def unblock(self, request: HttpRequest, people: QuerySet[User]) -> None:
        """Let the chosen people in again."""
        for person in filter(lambda p: _may_touch(request, p), people):
            sessions.unblock(person, _staff(request))
            self.log_change(request, person, "Unblocked.")
            self.message_user(request, f"{person} may sign in again.")


@admin.register(Session)
class SessionAdmin(ReadOnly):
    """Which devices are signed in, and why others are not any more."""

    list_display = ("user", "device_name", "created_at", "last_seen_at", "expires_at", "revoked_at")
    list_filter = ("revoke_reason", "created_at", "last_seen_at")
    list_select_related = ("user",)
    search_fields = ("user__phone", "user__name", "device_name", "id")
    actions = ("end",)

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Whether staff may sign people out: those who may change sessions."""
        return _staff(request).has_perm("accounts.change_session")

    @admin.action(description="End these sessions", permissions=["end"])
    def end(self, request: HttpRequest, chosen: QuerySet[Session]) -> None:
        """Sign out the chosen devices."""
        for session in chosen.select_related("user"):
            sessions.end(session.user, session.pk, "ended by staff")
            self.log_change(request, session, "Ended.")


@admin.register(OneTimeCode)
class OneTimeCodeAdmin(ReadOnly):
    """When codes were made and how often they were guessed."""

    list_display = ("id", "phone", "created_at", "expires_at", "tries", "used_at")
    list_filter = ("created_at", "tries")
    search_fields = ("phone",)
    exclude = ("code_hash",)


@admin.register(Device)
class DeviceAdmin(ReadOnly):
    """Who can be pushed to."""

    list_display = ("session", "platform", "updated_at")
    list_filter = ("platform", "updated_at")
    list_select_related = ("session",)
    search_fields = ("session__user__phone", "session__user__name")
    exclude = ("push_token",)


@admin.register(SmsMessage)
class SmsMessageAdmin(ReadOnly):
    """Which messages wait, left or failed; the text only once its code is out of it."""

    list_display = ("id", "to", "template", "created_at", "tries", "sent_at", "failed_at", "error")
    list_filter = ("template", "created_at", "sent_at", "failed_at")
    search_fields = ("to", "error")
    fields = ("to", "template", "shown_text", "created_at", "expires_at", "next_try_at", "tries")
    readonly_fields = ("shown_text",)

    @admin.display(description="Text")
    def shown_text(self, message: SmsMessage) -> str:
        """The text, unless it still carries a secret."""
        return "(carries a code until it is sent)" if message.code else message.text


admin.site.unregister(Group)


@admin.register(Group)
class RightsAdmin(GroupAdmin):
    """What the members of a group may do; whoever edits one could give themselves everything."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser  # also asked before the sign-in, where nobody is

    has_add_permission = has_module_permission

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return self.has_module_permission(request)

    has_view_permission = has_delete_permission = has_change_permission


admin.site.unregister(TOTPDevice)  # django-otp's own page shows and edits keys


@admin.register(TOTPDevice)
class AuthenticatorAdmin(ReadOnly):
    """Who signs in with a second factor. A lost phone: a superuser deletes it here."""

    list_display = ("user", "confirmed", "created_at", "last_used_at")
    list_filter = ("confirmed", "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__name")
    fields = ("user", "confirmed", "created_at", "last_used_at")

    def has_delete_permission(self, request: HttpRequest, *_args: Any) -> bool:
        return _staff(request).is_superuser


def _may_touch(request: HttpRequest, person: User | None) -> bool:
    by = _staff(request)
    return by.is_superuser or person is None or person == by or not person.is_staff


def _staff(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user

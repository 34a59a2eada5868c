"""Accounts on the wire: what comes in is checked here, what goes out is shaped here."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from weelo.accounts.models import Session, User
from weelo.accounts.otp import Asked
from weelo.accounts.permissions import roles_of
from weelo.accounts.phones import PhoneField
from weelo.accounts.sessions import SignedIn

ROLES = ("customer", "captain", "driver", "staff")
PLATFORMS = ("android", "ios", "web")


class PhoneIn(serializers.Serializer[Any]):
    """Where to send a code."""

    phone = PhoneField(help_text="A mobile number in any common form.")


class CodeIn(serializers.Serializer[Any]):
    """A code that came by SMS."""

    phone = PhoneField(help_text="The number that the code was sent to.")
    code = serializers.RegexField(r"^[0-9]{6}\Z", help_text="The six digits of the SMS.")
    device_name = serializers.CharField(
        max_length=120, required=False, default="", allow_blank=True, help_text="Such as Moto G54."
    )


class IdTokenIn(serializers.Serializer[Any]):
    """A Firebase phone sign-in."""

    id_token = serializers.CharField(max_length=4096, help_text="Firebase's ID token.")
    device_name = serializers.CharField(
        max_length=120, required=False, default="", allow_blank=True
    )


class RefreshIn(serializers.Serializer[Any]):
    """The refresh token of the last answer."""

    refresh = serializers.CharField(max_length=256)


class DeviceIn(serializers.Serializer[Any]):
    """Where pushes for this session go."""

    push_token = serializers.CharField(max_length=512, help_text="FCM's registration token.")
    platform = serializers.ChoiceField(choices=PLATFORMS)


class AskedOut(serializers.Serializer[Asked]):
    """A code is on its way."""

    expires_in = serializers.IntegerField(help_text="Seconds the code holds.")
    resend_in = serializers.IntegerField(help_text="Seconds until another one can be asked for.")

    def to_representation(self, instance: Asked) -> dict[str, int]:
        return {
            "expires_in": _seconds(instance.expires_in),
            "resend_in": _seconds(instance.resend_in),
        }


class UserOut(serializers.ModelSerializer[User]):
    """A person, as the person sees it."""

    roles = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ("id", "phone", "name", "roles")
        read_only_fields = ("id", "phone")

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=ROLES)))
    def get_roles(self, user: User) -> list[str]:
        return roles_of(user)


class SignedInOut(serializers.Serializer[SignedIn]):
    """Tokens of a session, where its sockets live, and who signed in."""

    access = serializers.CharField(help_text="Send it as `Authorization: Bearer …`.")
    expires_in = serializers.IntegerField(help_text="Seconds `access` holds.")
    refresh = serializers.CharField(help_text="Good for one refresh; keep the one it brings.")
    socket_url = serializers.CharField()
    user = UserOut()

    def to_representation(self, instance: SignedIn) -> dict[str, Any]:
        return {
            "access": instance.access,
            "expires_in": _seconds(instance.expires_in),
            "refresh": instance.refresh,
            "socket_url": settings.SOCKET_URL,
            "user": UserOut(instance.session.user).data,
        }


class SessionOut(serializers.ModelSerializer[Session]):
    """One device that is signed in."""

    is_current = serializers.SerializerMethodField(help_text="Whether this call came from it.")

    class Meta:
        model = Session
        fields = ("id", "device_name", "created_at", "last_seen_at", "expires_at", "is_current")

    def get_is_current(self, session: Session) -> bool:
        return bool(session == self.context["request"].auth)


def _seconds(span: timedelta) -> int:
    """Rounded down, so that no phone waits for something that is over."""
    return int(span.total_seconds())

"""The doors of accounts: sign in, sessions, the own account, the device's push token."""

from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView, RetrieveUpdateAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from weelo.accounts import firebase, otp, sessions
from weelo.accounts import serializers as wire
from weelo.accounts.authentication import session_of, user_of
from weelo.accounts.models import Session, User
from weelo.lib.bodies import checked
from weelo.lib.limits import Limit, RateLimited, charge_address
from weelo.lib.problems import NotFound
from weelo.lib.problems_schema import refusals


class OpenView(APIView):
    """For who is not signed in: a stale token in the header is not looked at."""

    authentication_classes = ()
    permission_classes = ()


class OtpView(OpenView):
    """Ask for a code by SMS."""

    @extend_schema(
        operation_id="auth_otp",
        request=wire.PhoneIn,
        responses={202: wire.AskedOut, **refusals(RateLimited)},
    )
    def post(self, request: Request) -> Response:
        """Send a code by SMS. The answer is the same whether or not the number has an account;
        within `resend_in` of the last code nothing is sent."""
        charge_address(request._request, Limit("codes", settings.LIMIT_OTP_ADDRESS, 3600))
        asked = otp.send_code(**checked(wire.PhoneIn, request.data))
        return Response(wire.AskedOut(asked).data, status=202)


class TokenView(OpenView):
    """Sign in with a code."""

    @extend_schema(
        operation_id="auth_token",
        request=wire.CodeIn,
        responses={
            200: wire.SignedInOut,
            **refusals(otp.OtpWrong, otp.OtpExpired, sessions.Blocked),
        },
    )
    def post(self, request: Request) -> Response:
        """Open a session with the code; the account is made at the first time. `OTP_WRONG`
        carries `tries_left`."""
        signed_in = sessions.sign_in_by_code(**checked(wire.CodeIn, request.data))
        return Response(wire.SignedInOut(signed_in).data)


class FirebaseView(OpenView):
    """Sign in with Firebase."""

    @extend_schema(
        operation_id="auth_firebase",
        request=wire.IdTokenIn,
        responses={
            200: wire.SignedInOut,
            **refusals(firebase.IdTokenWrong, firebase.FirebaseOff, sessions.Blocked),
        },
    )
    def post(self, request: Request) -> Response:
        """Open a session with the ID token of a Firebase phone sign-in."""
        body = checked(wire.IdTokenIn, request.data)
        phone = firebase.verified_phone(body["id_token"])
        signed_in = sessions.sign_in_by_phone(phone, body["device_name"])
        return Response(wire.SignedInOut(signed_in).data)


class RefreshView(OpenView):
    """Fresh tokens."""

    @extend_schema(
        operation_id="auth_token_refresh",
        request=wire.RefreshIn,
        responses={200: wire.SignedInOut, **refusals(sessions.NotSignedIn)},
    )
    def post(self, request: Request) -> Response:
        """Rotate: the answer's `refresh` replaces the one sent. An older one ends the session."""
        signed_in = sessions.refresh(checked(wire.RefreshIn, request.data)["refresh"])
        return Response(wire.SignedInOut(signed_in).data)


class LogoutView(APIView):
    """Sign out this device."""

    @extend_schema(operation_id="auth_logout", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """End the session of this token."""
        sessions.end(user_of(request), session_of(request).pk)
        return Response(status=204)


class SessionsView(ListAPIView[Session]):
    """The own devices that are signed in."""

    serializer_class = wire.SessionOut
    queryset = Session.objects.none()

    def get_queryset(self) -> QuerySet[Session]:
        own = user_of(self.request).sessions
        return own.filter(revoked_at__isnull=True, expires_at__gt=Now())


class SessionView(APIView):
    """One of the own devices."""

    @extend_schema(
        operation_id="sessions_end", request=None, responses={204: None, **refusals(NotFound)}
    )
    def delete(self, request: Request, session_id: UUID) -> Response:
        """Sign out one of the own devices."""
        sessions.end(user_of(request), session_id)
        return Response(status=204)


class MeView(RetrieveUpdateAPIView[User]):
    """The own account; only the name can be changed."""

    http_method_names = ("get", "patch", "head", "options")
    serializer_class = wire.UserOut

    def get_object(self) -> User:
        return user_of(self.request)


class DeviceView(APIView):
    """Where this session's pushes go."""

    @extend_schema(operation_id="devices_bind", request=wire.DeviceIn, responses={204: None})
    def put(self, request: Request) -> Response:
        """Bind the push token to this session; any other session loses it."""
        body = wire.DeviceIn(data=request.data)
        body.is_valid(raise_exception=True)
        sessions.bind_device(session_of(request), **body.validated_data)
        return Response(status=204)

    @extend_schema(operation_id="devices_drop", request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Send this session no more pushes."""
        sessions.drop_device(session_of(request))
        return Response(status=204)

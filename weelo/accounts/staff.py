"""The dispatchers' door: username, password and authenticator; few tries; then the admin."""

from importlib import import_module
from typing import Any

import structlog
from django import forms
from django.conf import settings
from django.contrib.admin import AdminSite, site
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import get_user
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, URLResolver
from django_otp import verify_token
from django_otp.middleware import OTPMiddleware

from weelo.accounts import authenticator
from weelo.accounts.models import User
from weelo.lib.limits import Limit, RateLimited, address, charge, charge_address

log = structlog.get_logger(__name__)
WINDOW_S = 900  # of both limits on signing in


class SignIn(AdminAuthenticationForm):
    """Whatever of the three is wrong, the answer is the same."""

    error_messages = {  # noqa: RUF012  (as Django declares it)
        **AdminAuthenticationForm.error_messages,
        "invalid_login": "Username, password or code is wrong; after a wrong code wait a moment.",
    }
    code = forms.CharField(
        required=False,
        max_length=9,
        label="Code of your authenticator, if you have one",
        widget=forms.TextInput({"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )

    def confirm_login_allowed(self, user: Any) -> None:
        """Called with the owner of the right password. Raises ValidationError."""
        super().confirm_login_allowed(user)
        assert isinstance(user, User)
        device = authenticator.of(user)
        if device is None:
            return
        code = self.cleaned_data.get("code", "").replace(" ", "")
        # Under the device's row lock, which also counts wrong codes and takes each right one once.
        verified = verify_token(user, device.persistent_id, code)
        if verified is None:
            raise self.get_invalid_login_error()
        user.otp_device = verified  # type: ignore[attr-defined]  # kept in the session by django-otp


class Desk(AdminSite):
    """The admin; whoever has an authenticator, or must have one, gets in only with its code."""

    login_form = SignIn
    login_template = "admin/sign_in.html"

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and authenticator.suffices(request)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [*authenticator.routes(self), *super().get_urls()]

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Count each try before it is judged, so that many at once are as few as one by one."""
        if request.method != "POST":
            if authenticator.is_owed(request):
                return redirect("admin:authenticator")
            return super().login(request, extra_context)
        try:
            _charge(request)
        except RateLimited as refusal:
            return self._wait(request, refusal)
        answer = super().login(request, extra_context)
        outcome = "staff signed in" if answer.status_code == 302 else "staff sign-in refused"
        log.info(outcome, address=address(request), user_id=request.user.pk)
        return answer

    def _wait(self, request: HttpRequest, refusal: RateLimited) -> HttpResponse:
        log.warning("staff sign-in limited", address=address(request), **refusal.extras)
        page = {**self.each_context(request), "title": "Wait", "detail": refusal.detail}
        answer = render(request, "admin/wait.html", page, status=refusal.status)
        answer["Retry-After"] = refusal.headers["Retry-After"]
        return answer


def may_enter(session_key: str) -> bool:
    """Whether the admin would let this session of its own in now, by the same rules: for doors that
    its cookie does not reach."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    request.user = get_user(request)
    OTPMiddleware(lambda _: HttpResponse())(request)
    return site.has_permission(request)


def _charge(request: HttpRequest) -> None:
    charge_address(request, Limit("admin-address", settings.LIMIT_ADMIN_ADDRESS, WINDOW_S))
    username = request.POST.get("username", "").strip()[:150]
    charge(request, Limit("admin-account", settings.LIMIT_ADMIN_ACCOUNT, WINDOW_S), username)

"""The second factor of staff: an authenticator on a phone (TOTP), enrolled with a QR code.

django-otp keeps the keys and judges the codes; here is who must have one and how one gets it.
"""

import io
from base64 import b32encode
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import segno
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.models import CHANGE, LogEntry
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from django_otp import login, verify_token
from django_otp.plugins.otp_totp.models import TOTPDevice

from weelo.accounts.models import User
from weelo.lib.retries import verb

View = Callable[[HttpRequest, User], HttpResponse]


class CodeForm(forms.Form):
    """The code that the authenticator shows after it read the key."""

    code = forms.CharField(
        max_length=9,
        widget=forms.TextInput({"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


def of(user: User) -> TOTPDevice | None:
    """The person's authenticator, once its first code was right."""
    return TOTPDevice.objects.filter(user=user, confirmed=True).first()


def is_verified(request: HttpRequest) -> bool:
    """Whether this session was opened with the authenticator's code."""
    return getattr(request.user, "otp_device", None) is not None


def suffices(request: HttpRequest) -> bool:
    """Whether a member of staff showed as much as `settings.ADMIN_TOTP` asks for.

    A session from before the enrolment, or from elsewhere, does not outlive it.
    """
    if is_verified(request):
        return True
    assert isinstance(request.user, User)
    return settings.ADMIN_TOTP == "optional" and not request.user.has_authenticator


def is_owed(request: HttpRequest) -> bool:
    """Whether somebody with the right password has to enrol an authenticator now."""
    user = request.user
    return (
        settings.ADMIN_TOTP == "required"
        and isinstance(user, User)
        and user.is_staff
        and not user.has_authenticator
    )


def routes(site: AdminSite) -> Iterator[URLPattern]:
    """The pages of the enrolment, below /admin/; open to whoever still has to enrol."""
    page = _for_staff(lambda request, user: _page(site, request, user))
    picture = require_safe(_for_staff(_picture))
    form = require_http_methods(["GET", "HEAD", "POST"])(page)
    yield path("authenticator/", form, name="authenticator")
    yield path("authenticator/qr.svg", picture, name="authenticator_qr")


def _for_staff(view: View) -> Callable[[HttpRequest], HttpResponse]:
    """With the password alone one enrols the first authenticator, but replaces none."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        user = request.user
        if not (isinstance(user, User) and user.is_staff and user.is_active):
            return redirect("admin:login")
        if user.has_authenticator and not is_verified(request):
            return redirect("admin:login")
        return view(request, user)

    return guarded


def _page(site: AdminSite, request: HttpRequest, user: User) -> HttpResponse:
    device, form = _waiting(user), CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        code = form.cleaned_data["code"].replace(" ", "")
        if verify_token(user, device.persistent_id, code):
            _confirm(request, user, device)
            return redirect("admin:index")
        form.add_error("code", "Not the code that it shows now. Wait a moment, then try again.")
    page: dict[str, Any] = {
        **site.each_context(request),
        "title": "Authenticator",
        "form": form,
        "key": b32encode(device.bin_key).decode(),
        "replaces": user.has_authenticator,
    }
    return render(request, "admin/authenticator.html", page)


def _picture(_request: HttpRequest, user: User) -> HttpResponse:
    """A file of its own, as pages hold nothing inline; on white, also for who reads in the dark."""
    svg = io.BytesIO()
    segno.make(_waiting(user).config_url, error="m").save(svg, kind="svg", scale=5, light="white")
    return HttpResponse(svg.getvalue(), content_type="image/svg+xml")


def _waiting(user: User) -> TOTPDevice:
    """The key that waits for its first code; the same one until then."""
    known = TOTPDevice.objects.filter(user=user, confirmed=False).order_by("id").first()
    return known or TOTPDevice.objects.create(user=user, confirmed=False, name="authenticator")


def _confirm(request: HttpRequest, user: User, device: TOTPDevice) -> None:
    _put_in_place(user, device)
    device.confirmed = True
    request.session.cycle_key()
    login(request, device)
    messages.success(request, "From now on the sign-in asks for its code.")


@verb
def _put_in_place(user: User, device: TOTPDevice) -> None:
    """The person's only authenticator; written into the admin's log."""
    TOTPDevice.objects.filter(user=user).exclude(pk=device.pk).delete()
    TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
    LogEntry.objects.log_actions(
        user.pk,
        User.objects.filter(pk=user.pk),
        CHANGE,
        change_message="Authenticator enrolled.",
        single_object=True,
    )

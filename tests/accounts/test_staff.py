"""The door of the admin: its cookie, its few tries, its second factor, and what staff may do."""

import re
import time

import pytest
from django.apps import apps
from django.contrib import admin as django_admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.accounts.doors import at_once
from tests.people import make_customer
from weelo.accounts import staff
from weelo.accounts.models import User

PASSWORD = "a long pass phrase"
SIGN_IN = "/admin/login/"
ENROL = "/admin/authenticator/"


@pytest.fixture(autouse=True)
def _quick_passwords(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def devi(db):
    return User.objects.create_superuser("devi", PASSWORD)


@pytest.fixture
def deepa(db):
    """A dispatcher who may change people, and is no superuser."""
    deepa = User.objects.create(username="deepa", is_staff=True)
    wanted = ("view_user", "change_user", "add_user", "delete_user")
    deepa.user_permissions.set(Permission.objects.filter(codename__in=wanted))
    return deepa


def try_in(client, code="", username="devi", password=PASSWORD, **headers):
    body = {"username": username, "password": password, "code": code}
    return client.post(SIGN_IN, body, headers=headers)


def is_in(client):
    return client.get("/admin/").status_code == 200


def code_of(device, steps=0):
    """What the authenticator shows now, or some steps of 30 s later."""
    totp = TOTP(device.bin_key, drift=steps)
    totp.time = time.time()
    return f"{totp.token():06}"


def enrolled(user):
    return TOTPDevice.objects.create(user=user, name="phone")


def signed_in(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


# --- the cookie ---------------------------------------------------------------------------------


def test_the_cookie_is_of_the_admin_alone_and_holds_eight_hours(devi, settings):
    client = Client()
    assert try_in(client).status_code == 302
    cookie = client.cookies["weelo_admin"]
    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/admin/", "Strict", True)
    assert cookie["max-age"] == "", "the browser forgets it when it is closed"
    left = client.session.get_expiry_age()
    assert 28790 <= left <= 28800
    form = client.cookies["weelo_admin_form"]
    assert (form["path"], form["samesite"], form["httponly"]) == ("/admin/", "Strict", True)


def test_a_sign_in_renews_the_session(devi):
    client = Client()
    client.get(SIGN_IN)
    planted = client.session
    planted["planted"] = True
    planted.save()
    client.cookies["weelo_admin"] = planted.session_key
    try_in(client)
    assert client.session.session_key != planted.session_key


def test_a_form_from_elsewhere_is_refused(devi):
    client = Client(enforce_csrf_checks=True)
    answer = try_in(client)
    assert answer.status_code == 403
    assert b"Form too old" in answer.content and b"<style" not in answer.content


# --- tries --------------------------------------------------------------------------------------


def test_an_address_has_fifteen_tries_in_fifteen_minutes(devi):
    client = Client()
    answers = [try_in(client, password="wrong", username=f"d{n}") for n in range(16)]
    assert [a.status_code for a in answers] == [200] * 15 + [429]
    assert 0 < int(answers[-1]["Retry-After"]) <= 900
    assert b"admin-address" in answers[-1].content
    assert try_in(client).status_code == 429, "the right password too has to wait"
    assert not is_in(client)


def test_an_account_has_twenty_tries_from_all_addresses_together(devi, settings):
    settings.PROXIES = 1
    addresses = [f"198.51.100.{n}" for n in range(25)]
    answers = [try_in(Client(), password="wrong", **{"X-Forwarded-For": a}) for a in addresses]
    assert [a.status_code for a in answers] == [200] * 20 + [429] * 5
    assert try_in(Client(), **{"X-Forwarded-For": "203.0.113.9"}).status_code == 429


def test_an_address_that_a_client_made_up_helps_nothing(devi, settings):
    settings.LIMIT_ADMIN_ADDRESS, settings.PROXIES = 2, 1
    told = [f"6.6.6.{n}, 198.51.100.7" for n in range(4)]
    answers = [try_in(Client(), "", f"d{n}", **{"X-Forwarded-For": t}) for n, t in enumerate(told)]
    assert [a.status_code for a in answers] == [200, 200, 429, 429]


@pytest.mark.django_db(transaction=True)
def test_sixty_tries_at_once_are_as_few_as_one_by_one(settings):
    User.objects.create_superuser("devi", PASSWORD)
    answers = at_once(lambda _: try_in(Client(), password="wrong").status_code, range(60), 12)
    assert (answers.count(200), answers.count(429)) == (15, 45)


def test_without_redis_the_tries_are_counted_all_the_same(devi, settings, redis_away):
    settings.LIMIT_ADMIN_ADDRESS, settings.LIMIT_ADMIN_ACCOUNT = 3, 100
    answers = [try_in(Client(), password="wrong") for _ in range(5)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]


# --- the second factor --------------------------------------------------------------------------


def test_who_has_an_authenticator_signs_in_with_its_code_and_not_without(devi):
    device = enrolled(devi)
    client = Client()
    assert try_in(client).status_code == 200 and not is_in(client)
    device.throttle_reset()
    assert try_in(client, code_of(device)).status_code == 302
    assert is_in(client)


def test_whatever_is_wrong_the_answer_is_the_same(devi):
    enrolled(devi)
    tries = [
        {"password": "wrong"},
        {"username": "nobody"},
        {"code": "000000"},
        {"code": ""},
        {"username": "asha-without-rights"},
    ]
    pages = [try_in(Client(), **one).content.decode() for one in tries]
    errors = {re.search(r'class="errornote">(.*?)<', page)[1] for page in pages}
    assert errors == {"Username, password or code is wrong; after a wrong code wait a moment."}


def test_a_code_opens_the_door_once(devi):
    device = enrolled(devi)
    code = code_of(device)
    assert try_in(Client(), code).status_code == 302
    assert try_in(Client(), code).status_code == 200
    TOTPDevice.objects.get().throttle_reset()
    assert try_in(Client(), code_of(device, 1)).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_one_code_typed_ten_times_at_once_opens_it_once():
    device = enrolled(User.objects.create_superuser("devi", PASSWORD))
    code = code_of(device)
    answers = at_once(lambda _: try_in(Client(), code).status_code, range(10), 10)
    assert answers.count(302) == 1


def test_after_wrong_codes_the_right_one_has_to_wait(devi):
    device = enrolled(devi)
    wrong = f"{(int(code_of(device)) + 1) % 10**6:06}"
    for _ in range(3):
        try_in(Client(), wrong)
    assert try_in(Client(), code_of(device)).status_code == 200
    TOTPDevice.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    assert try_in(Client(), code_of(device)).status_code == 302


def test_an_authenticator_counts_once_its_first_code_was_right(devi):
    client = signed_in(devi)
    page = client.get(ENROL)
    device = TOTPDevice.objects.get()
    picture = client.get(f"{ENROL}qr.svg")
    assert picture["Content-Type"] == "image/svg+xml"
    assert b"<svg" in picture.content and b"#fff" in picture.content
    assert "no-store" in page["Cache-Control"] and "no-store" in picture["Cache-Control"]
    assert TOTPDevice.objects.count() == 1, "page and picture show the same key"
    wrong = f"{(int(code_of(device)) + 1) % 10**6:06}"
    assert client.post(ENROL, {"code": wrong}).status_code == 200
    assert not devi.totpdevice_set.get().confirmed
    device.throttle_reset()
    assert client.post(ENROL, {"code": code_of(device)}).status_code == 302
    assert devi.totpdevice_set.get().confirmed
    assert is_in(client)
    assert LogEntry.objects.get().change_message == "Authenticator enrolled."


def test_sessions_of_before_the_enrolment_are_asked_for_the_code(devi):
    old, new = signed_in(devi), signed_in(devi)
    new.get(ENROL)
    new.post(ENROL, {"code": code_of(TOTPDevice.objects.get())})
    assert (is_in(new), is_in(old)) == (True, False)
    assert old.get(ENROL).status_code == 302, "nor does the old one replace it"
    old.post(ENROL, {"code": "123456"})
    assert TOTPDevice.objects.count() == 1


def test_doors_beside_the_admin_let_in_whom_the_admin_lets_in(devi, deepa):
    may = {
        client: staff.may_enter(client.session.session_key)
        for client in map(signed_in, (devi, deepa, make_customer()))
    }
    assert list(may.values()) == [True, True, False]
    assert not staff.may_enter("made-up")
    before, *_ = may
    after = signed_in(devi)
    after.get(ENROL)
    after.post(ENROL, {"code": code_of(TOTPDevice.objects.get())})
    assert staff.may_enter(after.session.session_key)
    assert not staff.may_enter(before.session.session_key), "it has not shown its code"
    before.logout()
    User.objects.filter(pk=deepa.pk).update(is_active=False)
    assert not any(staff.may_enter(client.session.session_key or "") for client in may)


def test_a_new_authenticator_takes_the_place_of_the_old_one(devi):
    client, old = Client(), enrolled(devi)
    try_in(client, code_of(old))
    client.get(ENROL)
    new = TOTPDevice.objects.get(confirmed=False)
    assert client.post(ENROL, {"code": code_of(new)}).status_code == 302
    assert TOTPDevice.objects.get() == new
    assert is_in(client)


def test_where_it_is_required_nobody_gets_in_without_and_the_door_leads_to_the_enrolment(
    devi, settings
):
    settings.ADMIN_TOTP = "required"
    client = Client()
    try_in(client)
    assert client.get("/admin/orders/order/").status_code == 302
    assert client.get(SIGN_IN).url == ENROL
    client.get(ENROL)
    client.post(ENROL, {"code": code_of(TOTPDevice.objects.get())})
    assert client.get("/admin/orders/order/").status_code == 200


def test_the_enrolment_is_for_staff(db):
    assert Client().get(ENROL).url == SIGN_IN
    client = signed_in(make_customer())
    assert client.get(ENROL).status_code == client.get(f"{ENROL}qr.svg").status_code == 302
    assert not TOTPDevice.objects.exists()


def test_a_superuser_takes_a_lost_authenticator_away_and_nobody_sees_its_key(devi, deepa):
    device = enrolled(deepa)
    page = f"/admin/otp_totp/totpdevice/{device.pk}/"
    desk = signed_in(devi)
    assert device.key not in desk.get(f"{page}change/").content.decode()
    deepa.user_permissions.set(Permission.objects.all())
    own = Client()
    own.force_login(deepa, backend="django.contrib.auth.backends.ModelBackend")
    assert own.post(f"{page}delete/", {"post": "yes"}).status_code == 302
    assert TOTPDevice.objects.exists(), "without its code she is not in"
    assert desk.post(f"{page}delete/", {"post": "yes"}).status_code == 302
    assert not TOTPDevice.objects.exists()
    assert LogEntry.objects.get().user == devi


# --- what staff may do to staff -----------------------------------------------------------------


def test_a_dispatcher_makes_nobody_staff_not_even_herself(deepa):
    asha = make_customer()
    desk = signed_in(deepa)
    rights = {"is_staff": "on", "is_superuser": "on", "max_active_orders": 1}
    for person in (deepa, asha):
        body = {**rights, "name": "Changed", "username": person.username or ""}
        answer = desk.post(f"/admin/accounts/user/{person.pk}/change/", {**body, "phone": ""})
        assert answer.status_code in (200, 302)
    passwords = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    desk.post("/admin/accounts/user/add/", {"username": "eve", **passwords, "is_staff": "on"})
    assert set(User.objects.filter(is_staff=True)) == {deepa}
    assert not User.objects.filter(is_superuser=True).exists()


def test_only_superusers_see_and_edit_what_a_group_may_do(deepa, devi):
    group = Group.objects.create(name="dispatchers")
    deepa.groups.add(group)
    deepa.user_permissions.set(Permission.objects.all())
    page = f"/admin/auth/group/{group.pk}/change/"
    body = {"name": "dispatchers", "permissions": [p.pk for p in Permission.objects.all()]}
    for path in (page, "/admin/auth/group/add/"):
        assert signed_in(deepa).post(path, body).status_code == 403
    assert not group.permissions.exists()
    assert signed_in(devi).post(page, body).status_code == 302
    assert group.permissions.exists()


def test_a_dispatcher_does_nothing_to_other_staff(deepa, devi):
    desk, page = signed_in(deepa), f"/admin/accounts/user/{devi.pk}/"
    assert desk.post(f"{page}change/", {"name": "x"}).status_code == 403
    body = {"usable_password": "true", "password1": "x" * 20, "password2": "x" * 20}
    assert desk.post(f"{page}password/", body).status_code == 403
    assert desk.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    body = {"action": "block", "_selected_action": [devi.pk]}
    desk.post("/admin/accounts/user/", body)
    devi.refresh_from_db()
    assert devi.is_active and devi.check_password(PASSWORD)


def test_blocked_staff_is_out_at_the_next_page(devi, deepa):
    desk = signed_in(deepa)
    assert is_in(desk)
    signed_in(devi).post(
        "/admin/accounts/user/", {"action": "block", "_selected_action": [deepa.pk]}
    )
    assert not is_in(desk)


WRITTEN_BY_VERBS = {"status", "state", "kyc_status", "revoked_at", "used_at", "flagged"}
WITH_THEM = [m for m in apps.get_models() if WRITTEN_BY_VERBS & {f.name for f in m._meta.fields}]


@pytest.mark.parametrize("model", WITH_THEM, ids=lambda model: model.__name__)
def test_no_form_of_the_admin_holds_what_verbs_write(model, rf, devi):
    request = rf.get("/admin/")
    request.user = devi
    page = django_admin.site.get_model_admin(model)
    may = page.has_change_permission(request, model())
    fields = page.get_form(request, model(), change=True).base_fields if may else {}
    assert not set(fields) & WRITTEN_BY_VERBS
    assert {"Order", "TruckRequest", "Offer", "Trip"} <= {found.__name__ for found in WITH_THEM}


# --- what browsers may load ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/admin/login/",
        "/admin/orders/order/",
        "/admin/authenticator/",
        "/admin/nothing/",
        "/api/docs/",
        "/api/docs/?script=",
        "/api/realtime/",
        "/api/problems/",
        "/api/v1/me",
        "/nothing",
        "/",
    ],
)
def test_every_answer_says_what_a_browser_may_load(devi, path):
    answer = signed_in(devi).get(path)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "path",
    [
        "/admin/login/",
        "/admin/",
        "/admin/orders/order/",
        "/admin/accounts/user/",
        "/admin/accounts/user/add/",
        "/admin/cities/ratecard/add/",
        "/admin/authenticator/",
        "/admin/password_change/",
        "/api/docs/",
        "/api/realtime/",
    ],
)
def test_no_page_carries_a_script_or_a_style_within(devi, path):
    client = Client() if path == "/admin/login/" else signed_in(devi)
    answer = client.get(path)
    assert (answer.status_code, answer["Content-Type"][:9]) == (200, "text/html")
    page = answer.content.decode()
    within = re.findall(r"<style|<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", page)
    assert within == []
    assert re.findall(r"<[^>]+\s(?:style|on[a-z]+)=", page) == []


def test_what_the_documents_page_loads_is_there(client):
    page = client.get("/api/docs/").content.decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 6 and "None" not in loaded
    for address in loaded:
        answer = client.get(address)
        assert answer.status_code == 200, address
        answer.close()

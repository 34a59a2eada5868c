from datetime import timedelta

import pytest
from django.contrib.auth import authenticate
from django.test import Client

from tests.accounts.doors import ask_code, sign_in
from tests.people import ASHA, BALU
from weelo.accounts.models import OneTimeCode, SmsMessage, User

PASSWORD = "a long pass phrase"


@pytest.fixture
def devi(db):
    return User.objects.create_superuser("devi", PASSWORD)


@pytest.fixture
def admin(devi):
    client = Client()
    assert client.login(username="devi", password=PASSWORD)
    return client


def act(admin, model, action, *rows):
    body = {"action": action, "_selected_action": [row.pk for row in rows]}
    return admin.post(f"/admin/accounts/{model}/", body, follow=True)


def test_every_list_page_and_search_opens(admin):
    phone, _ = sign_in(ASHA)
    phone.put("devices/current", {"push_token": "secret-token", "platform": "ios"})
    ask_code(BALU)
    for model in ("user", "session", "onetimecode", "device", "smsmessage"):
        page = admin.get(f"/admin/accounts/{model}/", {"q": "9000"})
        assert page.status_code == 200, model
        assert page.context["cl"].result_count == 1, model


def test_no_page_shows_a_code_a_hash_or_a_push_token(admin):
    phone, signed_in = sign_in(ASHA)
    phone.put("devices/current", {"push_token": "secret-token", "platform": "ios"})
    code = ask_code(BALU)
    rows = {
        "onetimecode": OneTimeCode.objects.get().pk,
        "smsmessage": SmsMessage.objects.get().pk,
        "device": signed_in.session.pk,
    }
    for model, pk in rows.items():
        for path in ("", f"{pk}/change/"):
            page = admin.get(f"/admin/accounts/{model}/{path}")
            assert page.status_code == 200
            for secret in (code, OneTimeCode.objects.get().code_hash, "secret-token"):
                assert secret not in page.content.decode(), (model, path)


def test_blocking_in_the_admin_ends_the_sessions_and_is_logged(admin, devi):
    asha, signed_in = sign_in(ASHA)

    act(admin, "user", "block", signed_in.session.user, devi)

    assert asha.get("me").status_code == 401
    assert devi.logentry_set.get().change_message == "Blocked."
    devi.refresh_from_db()
    assert devi.is_active  # nobody shuts out themselves
    act(admin, "user", "unblock", signed_in.session.user)
    assert sign_in(ASHA)[0].get("me").status_code == 200


def test_staff_ends_one_device_and_it_is_logged(admin, devi):
    (old, signed_in), (new, _) = sign_in(ASHA), sign_in(ASHA)
    act(admin, "session", "end", signed_in.session)
    assert (old.get("me").status_code, new.get("me").status_code) == (401, 200)
    assert devi.logentry_set.get().object_id == str(signed_in.session.pk)


def test_a_staff_password_is_changed_in_the_admin(admin, devi):
    new = "another long phrase"
    body = {"usable_password": "true", "password1": new, "password2": new}
    page = admin.post(f"/admin/accounts/user/{devi.pk}/password/", body, follow=True)
    assert page.status_code == 200
    assert authenticate(username="devi", password=new) == devi


def test_a_dispatcher_is_added_by_username_and_password(admin):
    body = {
        "username": "deepa",
        "name": "Deepa",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
        "is_staff": "on",
    }
    admin.post("/admin/accounts/user/add/", body)
    deepa = User.objects.get(username="deepa")
    assert deepa.is_staff and deepa.phone is None and deepa.check_password(PASSWORD)


def test_a_person_with_only_a_phone_is_edited_and_the_phone_normalised(admin):
    person = sign_in(ASHA)[1].session.user
    body = {"phone": "090000 00002", "name": "Asha", "max_active_orders": 3, "username": ""}
    page = admin.post(f"/admin/accounts/user/{person.pk}/change/", body)
    assert page.status_code == 302
    person.refresh_from_db()
    assert (person.phone, person.username, person.max_active_orders) == (BALU, None, 3)
    assert person.is_active  # blocking is an action, not a tick
    body["phone"] = "12"
    page = admin.post(f"/admin/accounts/user/{person.pk}/change/", body)
    assert "phone" in page.context["adminform"].form.errors


def test_rows_that_the_product_writes_cannot_be_changed_in_the_admin(admin):
    _, signed_in = sign_in(ASHA)
    page = f"/admin/accounts/session/{signed_in.session.pk}/change/"
    assert admin.get(page).status_code == 200
    moved = signed_in.session.expires_at + timedelta(days=999)
    assert admin.post(page, {"expires_at_0": moved.date()}).status_code == 403
    assert admin.get("/admin/accounts/session/add/").status_code == 403

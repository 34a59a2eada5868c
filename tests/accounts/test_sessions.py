from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from tests.accounts.doors import LockWatch, Phone, ask_code, at_once, sign_in
from tests.orders.clock import stopped_at
from tests.people import ASHA, BALU, make_captain, make_customer, make_dispatcher, make_driver
from weelo.accounts import sessions, tokens
from weelo.accounts.authentication import authenticate_token
from weelo.accounts.models import Device, Session, User
from weelo.lib.clock import database_now
from weelo.lib.problems import Refusal

DINESH = "+919000000004"


def is_out(phone):
    answer = phone.get("me")
    return (answer.status_code, answer.body["code"]) == (401, "NOT_SIGNED_IN")


@pytest.mark.django_db
def test_who_signs_in_gets_tokens_the_sockets_address_and_the_own_account(settings):
    body = {"phone": ASHA, "code": ask_code(ASHA), "device_name": "Moto G54"}

    answer = Phone().post("auth/token", body)

    assert answer.status_code == 200
    asha = User.objects.get(phone=ASHA)
    tokens_of_answer = {key: answer.body.pop(key) for key in ("access", "refresh")}
    assert answer.body == {
        "expires_in": 900,
        "socket_url": settings.SOCKET_URL,
        "user": {"id": str(asha.id), "phone": ASHA, "name": "", "roles": ["customer"]},
    }
    assert Phone(tokens_of_answer["access"]).get("me").body["id"] == str(asha.id)
    assert asha.sessions.get().device_name == "Moto G54"


@pytest.mark.django_db
def test_roles_are_what_a_person_is():
    fleet = make_captain(BALU, vehicles=0)
    driver = make_driver(fleet, DINESH)
    (balu, _), (dinesh, _) = sign_in(BALU), sign_in(DINESH)

    assert balu.get("me").body["roles"] == ["customer", "captain"]
    assert dinesh.get("me").body["roles"] == ["customer", "driver"]
    driver.is_active = False
    driver.save()
    assert dinesh.get("me").body["roles"] == ["customer"]


@pytest.mark.django_db
def test_a_captain_is_known_after_one_query():
    make_captain(BALU, vehicles=0)
    _, signed_in = sign_in(BALU)

    with CaptureQueriesContext(connection) as queries:
        session = authenticate_token(signed_in.access)
        assert session.user.transporter.business_name == "Balu Transport"
    assert len(queries) == 1


@pytest.mark.django_db
def test_a_customer_is_known_after_one_query():
    _, signed_in = sign_in(ASHA)

    with CaptureQueriesContext(connection) as queries:
        session = authenticate_token(signed_in.access)
        assert not hasattr(session.user, "transporter")
    assert len(queries) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer abc",
        "Bearer abc:def:ghi",
        "Basic YTpi",
        "Bearer \xff\xfe",
        "bearer " + "a" * 5000,
    ],
)
def test_without_a_good_token_nobody_is_signed_in(header):
    answer = Phone().get("me", Authorization=header)
    assert (answer.status_code, answer.body["code"]) == (401, "NOT_SIGNED_IN")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
def test_a_refresh_token_is_no_access_token():
    _, signed_in = sign_in(ASHA)
    assert is_out(Phone(signed_in.refresh))
    answer = Phone().post("auth/token/refresh", {"refresh": signed_in.access})
    assert (answer.status_code, answer.body["code"]) == (401, "NOT_SIGNED_IN")


@pytest.mark.django_db
def test_an_access_token_holds_fifteen_minutes():
    phone, _ = sign_in(ASHA)
    now = database_now()
    with stopped_at(now + timedelta(minutes=14, seconds=50)):
        assert phone.get("me").status_code == 200
    with stopped_at(now + timedelta(minutes=15, seconds=2)):
        assert is_out(phone)


@pytest.mark.django_db
@pytest.mark.parametrize("hours", [-1, 1])
def test_a_token_holds_also_where_the_clock_is_an_hour_off(hours):
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=True):
        phone, _ = sign_in(ASHA)
        assert phone.get("me").status_code == 200
    assert phone.get("me").status_code == 200


@pytest.mark.django_db
def test_a_refresh_brings_new_tokens_and_keeps_the_session():
    _, signed_in = sign_in(ASHA)

    first = Phone().post("auth/token/refresh", {"refresh": signed_in.refresh})
    second = Phone().post("auth/token/refresh", {"refresh": first.body["refresh"]})

    assert (first.status_code, second.status_code) == (200, 200)
    assert Phone(second.body["access"]).get("me").status_code == 200
    assert Session.objects.get().generation == 3


@pytest.mark.django_db
def test_a_refresh_token_used_twice_ends_the_session_for_both():
    stolen, signed_in = sign_in(ASHA)
    fresh = Phone().post("auth/token/refresh", {"refresh": signed_in.refresh}).body

    again = Phone().post("auth/token/refresh", {"refresh": signed_in.refresh})

    assert (again.status_code, again.body["code"]) == (401, "NOT_SIGNED_IN")
    assert is_out(stolen) and is_out(Phone(fresh["access"]))
    answer = Phone().post("auth/token/refresh", {"refresh": fresh["refresh"]})
    assert answer.status_code == 401
    assert Session.objects.get().revoke_reason == "refresh token used twice"


@pytest.mark.django_db(transaction=True)
def test_a_refresh_token_used_twice_at_once_ends_the_session():
    _, signed_in = sign_in(ASHA)

    def refresh(_):
        try:
            return bool(sessions.refresh(signed_in.refresh))
        except Refusal:
            return False

    with LockWatch() as locks:
        answers = at_once(refresh, range(16), threads=16)

    assert sum(answers) == 1
    assert not authenticate_token(signed_in.access)
    assert locks.seen


@pytest.mark.django_db
def test_a_session_unused_for_sixty_days_is_over():
    phone, signed_in = sign_in(ASHA)
    Session.objects.update(expires_at=Now())
    assert is_out(phone)
    answer = Phone().post("auth/token/refresh", {"refresh": signed_in.refresh})
    assert answer.status_code == 401


@pytest.mark.django_db
def test_signing_out_ends_this_device_only():
    (old, _), (new, _) = sign_in(ASHA), sign_in(ASHA)
    assert old.post("auth/logout").status_code == 204
    assert is_out(old)
    assert new.get("me").status_code == 200


@pytest.mark.django_db
def test_everybody_sees_and_ends_the_own_devices():
    (old, signed_in), (new, _) = sign_in(ASHA, "Nokia"), sign_in(ASHA, "Moto")
    sign_in(BALU)

    listed = new.get("sessions").body

    assert [(row["device_name"], row["is_current"]) for row in listed["results"]] == [
        ("Moto", True),
        ("Nokia", False),
    ]
    assert (listed["next"], listed["previous"]) == (None, None)
    answers = [new.delete(f"sessions/{signed_in.session.pk}").status_code for _ in range(2)]
    assert answers == [204, 204]
    assert is_out(old)
    assert len(new.get("sessions").body["results"]) == 1


@pytest.mark.django_db
def test_a_foreign_session_looks_like_a_missing_one():
    (asha, _), (balu, of_balu) = sign_in(ASHA), sign_in(BALU)

    foreign = asha.delete(f"sessions/{of_balu.session.pk}")
    missing = asha.delete("sessions/00000000-0000-0000-0000-000000000000")

    for answer in (foreign, missing):
        del answer.body["instance"], answer.body["request_id"]
    assert foreign.status_code == 404
    assert foreign.body == missing.body
    assert balu.get("me").status_code == 200


@pytest.mark.django_db
def test_a_blocked_person_is_out_at_once_and_stays_out():
    (first, signed_in), (second, _) = sign_in(ASHA), sign_in(ASHA)
    devi = make_dispatcher()

    sessions.block(User.objects.get(phone=ASHA), devi)

    assert is_out(first) and is_out(second)
    assert not authenticate_token(signed_in.access)
    assert Phone().post("auth/token/refresh", {"refresh": signed_in.refresh}).status_code == 401
    answer = Phone().post("auth/token", {"phone": ASHA, "code": ask_code(ASHA)})
    assert (answer.status_code, answer.body["code"]) == (403, "BLOCKED")
    assert not Session.objects.filter(revoked_at=None).exists()


@pytest.mark.django_db
def test_an_account_that_was_turned_off_by_other_means_opens_no_door_either():
    phone, signed_in = sign_in(ASHA)
    User.objects.update(is_active=False)
    assert is_out(phone)
    assert not authenticate_token(signed_in.access)
    assert Phone().post("auth/token/refresh", {"refresh": signed_in.refresh}).status_code == 401


@pytest.mark.django_db
def test_an_unblocked_person_signs_in_again_but_old_sessions_stay_ended():
    old, _ = sign_in(ASHA)
    asha, devi = User.objects.get(phone=ASHA), make_dispatcher()
    sessions.block(asha, devi)
    sessions.unblock(asha, devi)
    assert is_out(old)
    assert sign_in(ASHA)[0].get("me").status_code == 200


@pytest.mark.django_db
def test_the_own_name_can_be_changed_and_nothing_else():
    phone, _ = sign_in(ASHA)
    answer = phone.patch("me", {"name": "Asha Rao", "phone": BALU, "roles": ["staff"]})
    assert answer.status_code == 200
    assert (answer.body["name"], answer.body["phone"]) == ("Asha Rao", ASHA)
    assert answer.body["roles"] == ["customer"]
    assert phone.put("me", {"name": "x"}).status_code == 405


@pytest.mark.django_db
def test_a_push_token_belongs_to_the_session_that_named_it_last():
    (asha, _), (balu, of_balu) = sign_in(ASHA), sign_in(BALU)
    body = {"push_token": "token-1", "platform": "android"}

    assert asha.put("devices/current", body).status_code == 204
    assert balu.put("devices/current", body).status_code == 204

    assert Device.objects.get().session_id == of_balu.session.pk
    assert balu.put("devices/current", {**body, "push_token": "token-2"}).status_code == 204
    assert Device.objects.get().push_token == "token-2"
    assert balu.delete("devices/current").status_code == 204
    assert not Device.objects.exists()


@pytest.mark.django_db
def test_a_session_that_ends_takes_its_push_token_along():
    phone, _ = sign_in(ASHA)
    phone.put("devices/current", {"push_token": "token-1", "platform": "ios"})
    phone.post("auth/logout")
    assert not Device.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_one_push_token_named_by_ten_sessions_at_once_ends_with_one_of_them():
    make_customer(ASHA)
    opened = [sign_in(ASHA)[1].session for _ in range(10)]
    at_once(lambda session: sessions.bind_device(session, "token", "ios"), opened, threads=10)
    assert Device.objects.count() == 1


@pytest.mark.django_db
def test_every_call_is_counted_against_the_limit_of_its_user(settings):
    settings.LIMIT_CUSTOMER = 3
    (asha, _), (other, _) = sign_in(ASHA), sign_in(ASHA)

    answers = [phone.get("me") for phone in (asha, other, asha, asha)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"customer";q=3;w=60'
    assert answers[0].headers["RateLimit"].startswith('"customer";r=2;t=')
    assert answers[3].body["code"] == "RATE_LIMITED"
    assert 0 < int(answers[3].headers["Retry-After"]) <= 60
    assert sign_in(BALU)[0].get("me").status_code == 200


@pytest.mark.django_db
def test_a_captain_may_call_more_often(settings):
    settings.LIMIT_CUSTOMER, settings.LIMIT_CAPTAIN = 1, 2
    make_captain(BALU, vehicles=0)
    balu, _ = sign_in(BALU)
    assert [balu.get("me").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.django_db
def test_an_altered_token_names_no_session():
    _, signed_in = sign_in(ASHA)
    value, rest = signed_in.access.split(":", 1)
    flipped = ("0" if value[0] != "0" else "1") + value[1:]
    named, _ = tokens.session_of_access(signed_in.access)
    assert named == signed_in.session.pk
    assert tokens.session_of_access(f"{flipped}:{rest}") is None
    assert tokens.session_of_refresh(f"{signed_in.refresh}x") is None

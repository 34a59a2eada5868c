from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from tests.accounts.doors import LockWatch, Phone, ask_code, at_once, other_than
from tests.people import ASHA, make_customer
from weelo.accounts import otp, sessions
from weelo.accounts.models import OneTimeCode, Session, SmsMessage, User
from weelo.lib.limits import RateLimited
from weelo.lib.problems import Refusal

STRANGER = "+919800000001"


@pytest.fixture
def phone():
    return Phone()


def age(span, phone=ASHA):
    """Make the codes of a phone look older."""
    OneTimeCode.objects.filter(phone=phone).update(
        created_at=F("created_at") - span, expires_at=F("expires_at") - span
    )


def make_codes(phones, ago):
    for number in phones:
        OneTimeCode.objects.create(
            phone=number, code_hash="x", created_at=Now() - ago, expires_at=Now()
        )


@pytest.mark.django_db
def test_a_code_of_six_digits_is_sent_by_sms_and_kept_only_as_a_hash(phone):
    answer = phone.post("auth/otp", {"phone": "90000 00001"})

    assert (answer.status_code, answer.body) == (202, {"expires_in": 300, "resend_in": 30})
    message = SmsMessage.objects.get()
    assert (message.to, message.template) == (ASHA, "otp")
    assert len(message.code) == 6 and message.code.isdigit()
    assert message.text.startswith(message.code)
    assert message.code not in OneTimeCode.objects.get().code_hash


@pytest.mark.django_db
def test_known_and_unknown_numbers_get_the_same_answer(phone):
    make_customer(ASHA)

    known, unknown = (phone.post("auth/otp", {"phone": p}) for p in (ASHA, STRANGER))

    assert (known.status_code, known.body) == (unknown.status_code, unknown.body)
    guesses = [phone.post("auth/token", {"phone": p, "code": "000000"}) for p in (ASHA, STRANGER)]
    assert {guess.body["code"] for guess in guesses} == {"OTP_WRONG"}


@pytest.mark.django_db
def test_a_resend_within_30_seconds_answers_202_and_sends_nothing(phone):
    phone.post("auth/otp", {"phone": ASHA})
    age(timedelta(seconds=20))

    answer = phone.post("auth/otp", {"phone": ASHA})

    assert answer.status_code == 202
    assert 8 <= answer.body["resend_in"] <= 10
    assert 278 <= answer.body["expires_in"] <= 280
    assert SmsMessage.objects.count() == 1
    age(timedelta(seconds=10))
    assert phone.post("auth/otp", {"phone": ASHA}).body["resend_in"] == 30
    assert SmsMessage.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("made", "cap"),
    [
        (lambda: make_codes([ASHA] * 5, timedelta(minutes=50)), "codes-per-phone-and-hour"),
        (lambda: make_codes([ASHA] * 10, timedelta(hours=23)), "codes-per-phone-and-day"),
        (
            lambda: make_codes([f"+91900000{i}" for i in range(2000, 2200)], timedelta(minutes=9)),
            "codes-per-prefix-and-hour",
        ),
    ],
)
def test_no_code_is_sent_past_a_cap_and_the_answer_says_how_long(phone, made, cap):
    made()

    answer = phone.post("auth/otp", {"phone": "+919000002201" if "prefix" in cap else ASHA})

    assert (answer.status_code, answer.body["code"]) == (429, "RATE_LIMITED")
    assert answer.body["limit"] == cap
    assert 0 < int(answer.headers["Retry-After"]) <= 3600
    assert not SmsMessage.objects.exists()


@pytest.mark.django_db
def test_the_hourly_budget_of_sms_holds_for_all_numbers_together(settings):
    settings.SMS_PER_HOUR = 3
    for last in range(3):
        otp.send_code(f"+91980000{last}000")

    with pytest.raises(RateLimited, match="codes-per-hour"):
        otp.send_code(ASHA)


@pytest.mark.django_db
def test_without_redis_no_cap_of_codes_opens(phone, settings, redis_away):
    settings.LIMIT_OTP_ADDRESS = 7
    make_codes([ASHA] * 5, timedelta(minutes=50))
    make_codes([f"+91900000{i}" for i in range(2000, 2200)], timedelta(minutes=9))
    refused = {n: phone.post("auth/otp", {"phone": n}) for n in (ASHA, "+919000002201")}
    assert [answer.body["limit"] for answer in refused.values()] == [
        "codes-per-phone-and-hour",
        "codes-per-prefix-and-hour",
    ]
    asked = [phone.post("auth/otp", {"phone": f"+9198000{i}0000"}) for i in range(1, 8)]
    assert [answer.status_code for answer in asked] == [202] * 5 + [429] * 2
    assert asked[-1].body["limit"] == "codes"


@pytest.mark.django_db
def test_codes_of_yesterday_count_no_more(phone):
    make_codes([ASHA] * 10, timedelta(hours=25))
    assert phone.post("auth/otp", {"phone": ASHA}).status_code == 202


@pytest.mark.django_db(transaction=True)
def test_thirty_requests_at_once_do_not_overrun_a_shared_cap(settings):
    settings.OTP_PREFIX_PER_HOUR = 4

    def ask(last):
        try:
            otp.send_code(f"+91980000{last:04}")
        except RateLimited:
            return False
        return True

    with LockWatch() as locks:
        sent = at_once(ask, range(1000, 1030), threads=15)

    assert sum(sent) == SmsMessage.objects.count() == 4
    assert locks.seen


@pytest.mark.django_db(transaction=True)
def test_a_double_tap_sends_one_code():
    at_once(lambda _: otp.send_code(ASHA), range(8), threads=8)
    assert SmsMessage.objects.count() == 1


@pytest.mark.django_db
def test_a_code_opens_one_session_once(phone):
    code = ask_code(ASHA)
    guess = {"phone": "09000000001", "code": code}

    first, second = (phone.post("auth/token", guess) for _ in range(2))

    assert first.status_code == 200
    assert (second.status_code, second.body["code"]) == (401, "OTP_EXPIRED")
    assert Session.objects.count() == 1


@pytest.mark.django_db
def test_five_wrong_guesses_use_a_code_up(phone):
    code = ask_code(ASHA)
    wrong = {"phone": ASHA, "code": other_than(code)}

    answers = [phone.post("auth/token", wrong) for _ in range(5)]

    assert {answer.status_code for answer in answers} == {401}
    assert [answer.body["tries_left"] for answer in answers] == [4, 3, 2, 1, 0]
    right = phone.post("auth/token", {"phone": ASHA, "code": code})
    assert (right.status_code, right.body["code"]) == (401, "OTP_EXPIRED")
    assert not User.objects.exists()


@pytest.mark.django_db
def test_a_code_holds_five_minutes(phone):
    code = ask_code(ASHA)
    age(timedelta(minutes=5, seconds=1))
    answer = phone.post("auth/token", {"phone": ASHA, "code": code})
    assert (answer.status_code, answer.body["code"]) == (401, "OTP_EXPIRED")


@pytest.mark.django_db
def test_a_code_is_good_for_its_own_number_only(phone):
    code = ask_code(ASHA)
    ask_code(STRANGER)
    answer = phone.post("auth/token", {"phone": STRANGER, "code": code})
    assert answer.body["code"] == "OTP_WRONG"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("right_at", [0, 100])
def test_of_200_concurrent_guesses_at_most_five_are_judged_and_one_succeeds(right_at):
    code = ask_code(ASHA)

    def guess(number):
        try:
            return bool(sessions.sign_in_by_code(ASHA, f"{number:06}" if number else code))
        except Refusal as refusal:
            return refusal.code

    # Coming 100th, the right code finds the tries used up by the wrong ones.
    numbers = [n for n in range(1, 300) if f"{n:06}" != code][:199]
    numbers.insert(right_at, 0)
    with LockWatch() as locks:
        answers = at_once(guess, numbers, threads=20)

    judged, opened = OneTimeCode.objects.get().tries, answers.count(True)
    assert judged == 5 if right_at else judged <= 5
    assert opened == Session.objects.count() <= (0 if right_at else 1)
    assert answers.count("OTP_WRONG") == judged - opened
    assert answers.count("OTP_EXPIRED") == 200 - judged
    assert locks.seen


@pytest.mark.django_db(transaction=True)
def test_one_right_code_sent_twenty_times_at_once_opens_one_session():
    code = ask_code(ASHA)

    def guess(_):
        try:
            return sessions.sign_in_by_code(ASHA, code)
        except Refusal as refusal:
            return refusal.code

    answers = at_once(guess, range(20), threads=20)

    assert answers.count("OTP_EXPIRED") == 19
    assert Session.objects.count() == User.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/phone"),
        ({"phone": "12"}, "/phone"),
        ({"phone": None}, "/phone"),
        ({"phone": ["9000000001"]}, "/phone"),
        ({"phone": ASHA, "code": "12345"}, "/code"),
        ({"phone": ASHA, "code": "१२३४५६"}, "/code"),
        ({"phone": ASHA, "code": "123456", "device_name": "x" * 121}, "/device_name"),
    ],
)
def test_a_faulty_field_is_named(phone, body, pointer):
    answer = phone.post("auth/token", body)
    assert (answer.status_code, answer.body["code"]) == (400, "INVALID")
    assert pointer in [error["pointer"] for error in answer.body["errors"]]


@pytest.mark.django_db
def test_one_address_may_ask_for_300_codes_an_hour(phone, settings):
    settings.LIMIT_OTP_ADDRESS = 2
    asked = [phone.post("auth/otp", {"phone": f"+9198000{i}0000"}) for i in range(1, 4)]
    assert [answer.status_code for answer in asked] == [202, 202, 429]
    assert asked[0].headers["RateLimit-Policy"] == '"codes";q=2;w=3600'

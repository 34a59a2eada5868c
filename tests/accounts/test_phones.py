import pytest

from weelo.accounts.phones import BadPhone, e164


@pytest.mark.parametrize(
    "text",
    [
        "9000000001",
        "09000000001",
        "919000000001",
        "+91 90000-00001",
        "0091 9000000001",
        "(+91) 90000 00001",
        " 90000 00001 ",
    ],
)
def test_any_common_form_of_an_indian_number_becomes_e164(text):
    assert e164(text) == "+919000000001"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("12345", "exists"),
        ("hello", "Not a phone"),
        ("", "Not a phone"),
        ("+1 650 253 0000", "countries"),
        ("080 22223333", "landline"),
        ("9000000001 ext 5", "exists"),
        ("9" * 5000, "Not a phone"),
    ],
)
def test_a_number_that_takes_no_sms_here_is_refused_with_the_reason(text, why):
    with pytest.raises(BadPhone, match=why):
        e164(text)


def test_a_receiver_may_have_a_landline():
    assert e164("080 22223333", mobile=False) == "+918022223333"


def test_further_countries_are_a_setting(settings):
    settings.COUNTRIES = ["IN", "US"]
    assert e164("+1 650 253 0000") == "+16502530000"

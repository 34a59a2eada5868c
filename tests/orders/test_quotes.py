"""A quote is a promise: for one wish, at one fare, for a few minutes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.quotes import QuoteInvalid, Wish, check, sign
from transporters.geo import Point

NOW = datetime(2026, 11, 18, 8, 30, tzinfo=UTC)
UNTIL = NOW + timedelta(minutes=5)
PICKUP, STOP, DROP = Point(12.975377, 77.696664), Point(12.9, 77.6), Point(13.085377, 77.806664)
WISH = Wish((PICKUP, STOP, DROP), "open-17-ft", 5000, "bengaluru", 1)
FARE = 7525_00
QUOTE = sign(WISH, FARE, UNTIL)


def refused(quote, wish=WISH, now=NOW):
    with pytest.raises(QuoteInvalid) as refusal:
        check(quote, wish, now=now, fare_now_paise=8000_00)
    return refusal.value


def test_a_quote_holds_its_fare_whatever_the_fare_of_now():
    assert check(QUOTE, WISH, now=NOW, fare_now_paise=8000_00) == FARE
    assert check(QUOTE, WISH, now=UNTIL - timedelta(microseconds=1), fare_now_paise=1) == FARE


def test_a_quote_ends_on_the_second_it_says():
    assert refused(QUOTE, now=UNTIL)


def test_a_refusal_tells_the_fare_of_now():
    problem = refused(QUOTE, now=UNTIL).problem("/api/v1/orders")
    assert (problem["status"], problem["code"]) == (409, "QUOTE_INVALID")
    assert problem["fare_paise"] == 8000_00
    assert problem["vehicle_type"] == "open-17-ft"


def test_points_count_to_the_sixth_decimal():
    close = replace(WISH, points=(Point(12.9753770004, 77.696664), STOP, DROP))
    assert check(QUOTE, close, now=NOW, fare_now_paise=1) == FARE


@pytest.mark.parametrize(
    "change",
    [
        {"points": (Point(12.975378, 77.696664), STOP, DROP)},
        {"points": (PICKUP, STOP, Point(13.085377, 77.806665))},
        {"points": (PICKUP, DROP)},
        {"points": (PICKUP, DROP, STOP)},
        {"points": (PICKUP, STOP, STOP, DROP)},
        {"vehicle_type": "open-19-ft"},
        {"load_kg": 5001},
        {"load_kg": None},
        {"city": "mysuru"},
        {"rate_card_version": 2},
    ],
    ids=str,
)
def test_a_quote_for_something_else_is_refused(change):
    assert refused(QUOTE, replace(WISH, **change))


def test_an_altered_fare_or_end_is_refused():
    fare, until, signature = QUOTE.split(".")
    assert refused(f"100.{until}.{signature}")
    assert refused(f"{fare}.{int(until) + 3600}.{signature}")
    assert refused(f"0{QUOTE}")


def test_a_quote_signed_with_another_key_is_refused(settings):
    settings.SECRET_KEY = "x" * 50
    assert refused(QUOTE)


@given(
    st.text(max_size=200)
    | st.from_regex(r"[0-9]{1,20}\.[0-9]{1,20}\.[A-Za-z0-9_-]{0,60}", fullmatch=True)
)
def test_any_other_text_is_refused_and_never_a_fault_of_ours(text):
    if text != QUOTE:
        assert refused(text)

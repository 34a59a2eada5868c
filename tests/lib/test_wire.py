from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from weelo.lib.wire import encode, rfc3339

INDIA = timezone(timedelta(hours=5, minutes=30))


def test_times_are_told_in_utc_with_a_z_and_microseconds():
    assert rfc3339(datetime(2026, 11, 23, 9, 30, tzinfo=INDIA)) == "2026-11-23T04:00:00.000000Z"


def test_a_time_without_a_zone_is_told_to_nobody():
    with pytest.raises(ValueError, match="zone"):
        encode({"at": datetime(2026, 11, 23)})


def test_ids_dates_and_decimals_have_a_form_on_the_wire():
    value = {
        "id": UUID(int=1),
        "on": date(2026, 11, 23),
        "km": Decimal("5.25"),
        "paise": Decimal("5000.00"),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "name": "आशा",
    }
    assert encode(value) == (
        '{"id":"00000000-0000-0000-0000-000000000001","on":"2026-11-23","km":5.25,'
        '"paise":5000,"at":"2026-01-02T00:00:00.000000Z","name":"आशा"}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_does_not_know_is_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        encode(value)


def test_an_object_that_no_phone_understands_is_refused():
    with pytest.raises(TypeError, match="object has no form"):
        encode(object())

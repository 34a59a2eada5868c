"""The order's status as a function of its trucks, rule by rule."""

import pytest

from orders.states import order_status

SEARCHING, EXPIRED, CANCELLED = ("searching", None), ("expired", None), ("cancelled", None)
COMPLETED, FAILED = ("completed", "completed"), ("failed", "failed")
WON, AT_PICKUP, ON_BOARD = (("assigned", trip) for trip in ("assigned", "at_pickup", "in_transit"))
AT_DROP = ("assigned", "at_drop")


@pytest.mark.parametrize(
    ("trucks", "status"),
    [
        ([SEARCHING], "broadcasting"),
        ([SEARCHING, EXPIRED, CANCELLED], "broadcasting"),
        ([SEARCHING, WON], "partially_filled"),
        ([SEARCHING, AT_PICKUP], "partially_filled"),
        ([WON], "filled"),
        ([AT_PICKUP, WON, EXPIRED, CANCELLED], "filled"),
        ([ON_BOARD], "in_progress"),
        ([AT_DROP], "in_progress"),
        ([ON_BOARD, SEARCHING], "in_progress"),
        ([ON_BOARD, WON], "in_progress"),
        ([COMPLETED, WON], "in_progress"),
        ([COMPLETED, SEARCHING], "in_progress"),
        ([FAILED, SEARCHING], "in_progress"),
        ([COMPLETED], "completed"),
        ([COMPLETED, FAILED, EXPIRED, CANCELLED], "completed"),
        ([EXPIRED, CANCELLED, FAILED], "expired"),
        ([CANCELLED], "cancelled"),
        ([CANCELLED, FAILED], "cancelled"),
    ],
)
def test_the_status_of_an_order_follows_from_its_trucks(trucks, status):
    assert order_status(trucks) == status
    assert order_status(trucks[::-1]) == status

"""Whether we can serve a way: its pickup in an open city, everything else in India."""

from collections.abc import Sequence

from orders.refusals import OutOfArea
from transporters.geo import Point
from weelo.cities.current import CityNow
from weelo.cities.india import in_india


def check_area(here: CityNow | None, points: Sequence[Point]) -> CityNow:
    """`here` again, what holds at the pickup; `points` run from the pickup to the drop.

    Raises OutOfArea.
    """
    if here is None:
        raise OutOfArea(
            "No open city serves this pickup. Choose one inside the area of one of our cities."
        )
    if not all(in_india(point.lat, point.lng) for point in points):
        raise OutOfArea("A stop or the drop lies outside India. Choose a place in India.")
    return here

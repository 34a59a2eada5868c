"""The eleven cities that ship: where they are and how far each serves.

Centres lie roughly at each city's main railway station (Goa: Panaji); all numbers are our own.
"""

from dataclasses import dataclass

from weelo.cities import cells
from weelo.cities.india import Outline

RADIUS_KM = 30.0
_NO_OUTLINE: Outline = ()


@dataclass(frozen=True)
class ShippedCity:
    """A city as it ships: its centre (WGS84 degrees) and an outline served beyond the radius."""

    slug: str
    name: str
    lat: float
    lng: float
    outline: Outline = _NO_OUTLINE

    def cells(self) -> set[int]:
        """Every cell of the service area: at least RADIUS_KM around the centre."""
        area = cells.around(self.lat, self.lng, RADIUS_KM)
        return area | cells.within(self.outline) if self.outline else area


# The state from Tiracol in the north to Polem in the south and Mollem in the east, with a
# margin of a few kilometres.
GOA: Outline = (
    (15.76, 73.65),
    (15.83, 73.85),
    (15.79, 74.02),
    (15.68, 74.27),
    (15.42, 74.37),
    (15.15, 74.35),
    (14.97, 74.25),
    (14.86, 74.12),
    (14.87, 73.98),
    (15.10, 73.85),
    (15.35, 73.74),
    (15.50, 73.70),
)

SHIPPED = (
    ShippedCity("bengaluru", "Bengaluru", 12.9783, 77.5722),
    ShippedCity("chennai", "Chennai", 13.0826, 80.2755),
    ShippedCity("goa", "Goa", 15.4909, 73.8278, GOA),
    ShippedCity("indore", "Indore", 22.7177, 75.8684),
    ShippedCity("jaipur", "Jaipur", 26.9196, 75.7880),
    ShippedCity("kanpur", "Kanpur", 26.4547, 80.3512),
    ShippedCity("kochi", "Kochi", 9.9816, 76.2999),
    ShippedCity("ludhiana", "Ludhiana", 30.9120, 75.8483),
    ShippedCity("mysuru", "Mysuru", 12.3164, 76.6458),
    ShippedCity("pune", "Pune", 18.5289, 73.8744),
    ShippedCity("ranchi", "Ranchi", 23.3503, 85.3348),
)

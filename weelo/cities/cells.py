"""H3 cells (resolution 7, about 5 km² each): which city serves a point, and its service area."""

from collections.abc import Iterable, Sequence

from h3.api import basic_int as h3

RESOLUTION = 7
# Neighbouring centres of this resolution lie at least this far apart in India, so a disk of
# `radius / step` rings around a centre misses no cell of the radius.
_LEAST_STEP_KM = 1.8


def cell_of(lat: float, lng: float) -> int:
    """The cell of a point, as an integer that fits PostgreSQL's bigint.

    The caller has checked that the point is finite and on Earth: H3 answers nonsense silently.
    """
    return int(h3.latlng_to_cell(lat, lng, RESOLUTION))


def around(lat: float, lng: float, radius_km: float) -> set[int]:
    """Cells that cover every point within `radius_km` of a centre.

    Cells whose own centre lies within the radius, and one ring more: a point of the disk whose
    cell's centre lies outside belongs to a neighbour of a cell inside.
    """
    candidates = h3.grid_disk(cell_of(lat, lng), int(radius_km / _LEAST_STEP_KM) + 1)
    return with_ring(
        cell
        for cell in candidates
        if h3.great_circle_distance((lat, lng), h3.cell_to_latlng(cell)) <= radius_km
    )


def within(outline: Sequence[tuple[float, float]]) -> set[int]:
    """Cells that cover a polygon of (lat, lng) corners."""
    return with_ring(h3.h3shape_to_cells(h3.LatLngPoly(list(outline)), RESOLUTION))


def with_ring(cells: Iterable[int]) -> set[int]:
    """The cells and all their neighbours."""
    return {int(near) for cell in cells for near in h3.grid_disk(cell, 1)}

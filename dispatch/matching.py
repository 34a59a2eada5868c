"""Who is told of an order and who is not, and why: a pure function of what is known.

Nothing here reads a clock, a setting or a store, so that the same facts always give the same
answer: the loop, the decision log and `manage.py why` all ask here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from dispatch.policy import Policy

MOST_VEHICLES = 50
_NEVER = datetime.min.replace(tzinfo=UTC)


class Reason(StrEnum):
    """Why a transporter was not told."""

    OWN_ORDER = "OWN_ORDER"
    NOT_VERIFIED = "NOT_VERIFIED"
    OFFLINE = "OFFLINE"
    ALREADY_TOLD = "ALREADY_TOLD"
    DECLINED = "DECLINED"
    GAVE_BACK = "GAVE_BACK"
    NO_FREE_VEHICLE = "NO_FREE_VEHICLE"
    PAPERS_EXPIRED = "PAPERS_EXPIRED"
    NO_POSITION = "NO_POSITION"
    ASLEEP = "ASLEEP"
    STALE = "STALE"
    TOO_FAR = "TOO_FAR"
    TOO_MANY_OFFERS = "TOO_MANY_OFFERS"
    WAVE_FULL = "WAVE_FULL"


_OF_OFFER = {"declined": Reason.DECLINED, "given_back": Reason.GAVE_BACK}


@dataclass(frozen=True, slots=True)
class Fix:
    """A point that somebody reported: its distance from the pickup, and when it was taken."""

    distance_m: float
    at: datetime


@dataclass(frozen=True, slots=True)
class VehicleView:
    """One vehicle of a candidate; `fix` is its own newest point, fresh or not."""

    id: UUID
    registration: str
    vehicle_type: str
    papers_expire_on: date
    in_service: bool = True
    on_trip: bool = False
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A transporter as the stores know it.

    `fix` is the captain's own point; `offers_open` counts open offers of orders that seek;
    `available_since` is when it last came online or had a vehicle come free; `woken_at` when it
    was last woken by push.
    """

    transporter_id: UUID
    owner_id: UUID
    is_verified: bool
    is_online: bool
    vehicles: tuple[VehicleView, ...]
    fix: Fix | None = None
    offers_open: int = 0
    last_won_at: datetime | None = None
    available_since: datetime | None = None
    woken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderView:
    """What matching needs of an order; `today` is the date by its city's clock."""

    customer_id: UUID
    vehicle_types: frozenset[str]
    trucks_open: int
    today: date


@dataclass(frozen=True, slots=True)
class History:
    """What was done for this order before: the state of each transporter's offer.

    For a look at newcomers also when the last wave went out and, when that wave was full, how
    far the farthest one told was: who stood beyond it then waits for the next wave.
    """

    offers: Mapping[UUID, str] = field(default_factory=dict)
    wave_at: datetime | None = None
    frontier_m: int | None = None

    def for_a_wave(self) -> "History":
        """What the next wave needs of it: that one tells whoever stood beyond the last one too."""
        return History(self.offers)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A transporter to be told: rank 1 is the first; vehicles with distance, nearest first."""

    transporter_id: UUID
    rank: int
    distance_m: int
    vehicles: "Placed"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A transporter not told; the distance of its nearest free vehicle, when it is known."""

    transporter_id: UUID
    reason: Reason
    distance_m: int | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Who is told, in rank order, and who is skipped, nearest first."""

    told: tuple[Chosen, ...]
    skipped: tuple[Skipped, ...]


def match(
    order: OrderView,
    candidates: Iterable[Candidate],
    history: History,
    policy: Policy,
    radius_m: int,
    *,
    now: datetime,
    position_ttl: timedelta,
) -> Match:
    """Choose the nearest that may be told, at most one wave of them.

    Order: distance in whole metres, then longest idle (never won first), then id. `now` is the
    database's; a position older than `position_ttl` does not count.
    """
    fit: list[_Fit] = []
    skipped: list[Skipped] = []
    for candidate in candidates:
        view = _View(candidate, order, now - position_ttl)
        reason = (
            _refused(order, candidate, history)
            or _unfit(view)
            or _beyond(view, radius_m, history, policy)
        )
        if reason is None:
            fit.append(_Fit(view.distance_m, candidate, view.placed))
        else:
            skipped.append(Skipped(candidate.transporter_id, reason, view.known_distance_m))
    fit.sort(key=_Fit.rank)
    size = policy.wave_size(order.trucks_open)
    skipped += (
        Skipped(late.candidate.transporter_id, Reason.WAVE_FULL, late.distance_m)
        for late in fit[size:]
    )
    told = tuple(
        Chosen(one.candidate.transporter_id, rank, one.distance_m, one.placed[:MOST_VEHICLES])
        for rank, one in enumerate(fit[:size], start=1)
    )
    return Match(told, tuple(sorted(skipped, key=_nearest_first)))


Placed = tuple[tuple[VehicleView, float], ...]


@dataclass(frozen=True, slots=True)
class _Fit:
    """A candidate that may be told."""

    distance_m: int
    candidate: Candidate
    placed: Placed

    def rank(self) -> tuple[int, datetime, UUID]:
        idle_since = self.candidate.last_won_at or _NEVER
        return (self.distance_m, idle_since, self.candidate.transporter_id)


class _View:
    """A candidate as this order sees it: which vehicles are free, wanted, and where."""

    def __init__(self, candidate: Candidate, order: OrderView, fresh_since: datetime) -> None:
        self.candidate = candidate
        self.fresh_since = fresh_since
        idle = [v for v in candidate.vehicles if v.in_service and not v.on_trip]
        free = [v for v in idle if v.papers_expire_on >= order.today]
        self.free = len(free)
        self.has_idle = any(v.vehicle_type in order.vehicle_types for v in idle)
        self.wanted = [v for v in free if v.vehicle_type in order.vehicle_types]
        placed = ((v, fix.distance_m) for v in self.wanted if (fix := self._fix_of(v)))
        self.placed: Placed = tuple(sorted(placed, key=lambda pair: (pair[1], pair[0].id)))

    @property
    def distance_m(self) -> int:
        return round(self.placed[0][1])

    @property
    def known_distance_m(self) -> int | None:
        return self.distance_m if self.placed else None

    def newest(self) -> datetime | None:
        """When the newest point that could count was taken."""
        fixes = (self.candidate.fix, *(vehicle.fix for vehicle in self.wanted))
        return max((fix.at for fix in fixes if fix), default=None)

    def _fix_of(self, vehicle: VehicleView) -> Fix | None:
        """Its own fresh point; the captain's stands for a vehicle that has none."""
        for fix in (vehicle.fix, self.candidate.fix):
            if fix is not None and fix.at >= self.fresh_since:
                return fix
        return None


def _nearest_first(skip: Skipped) -> tuple[bool, int, UUID]:
    return (skip.distance_m is None, skip.distance_m or 0, skip.transporter_id)


def _refused(order: OrderView, candidate: Candidate, history: History) -> Reason | None:
    """The reasons that lie in who the candidate is and what it heard before."""
    if candidate.owner_id == order.customer_id:
        return Reason.OWN_ORDER
    if not candidate.is_verified:
        return Reason.NOT_VERIFIED
    if not candidate.is_online:
        return Reason.OFFLINE
    state = history.offers.get(candidate.transporter_id)
    return None if state is None else _OF_OFFER.get(state, Reason.ALREADY_TOLD)


def _unfit(view: _View) -> Reason | None:
    """The reasons that lie in its vehicles and in their positions."""
    if not view.wanted:
        return Reason.PAPERS_EXPIRED if view.has_idle else Reason.NO_FREE_VEHICLE
    newest, woken_at = view.newest(), view.candidate.woken_at
    if newest is None:
        return Reason.NO_POSITION
    if newest < view.fresh_since:
        return Reason.ASLEEP if woken_at is not None and woken_at > newest else Reason.STALE
    return None


def _beyond(view: _View, radius_m: int, history: History, policy: Policy) -> Reason | None:
    """The reasons that lie in distance, in what it has on its plate, and in the last wave."""
    if view.distance_m > radius_m:
        return Reason.TOO_FAR
    if view.candidate.offers_open >= max(policy.offers_cap, view.free):
        return Reason.TOO_MANY_OFFERS
    if history.frontier_m is None or view.distance_m <= history.frontier_m:
        return None
    since, wave_at = view.candidate.available_since, history.wave_at
    is_newcomer = since is not None and wave_at is not None and since > wave_at
    return None if is_newcomer else Reason.WAVE_FULL

"""Hours of dispatch in the simulated town, by the product's own looks, search and matching.

What is simulated is what lies around them: where captains are, who is busy, how people answer.
"""

import heapq
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from bench.quality import town
from bench.quality.town import Captain, Wish
from dispatch.matching import Candidate, Fix, History, OrderView, Reason, VehicleView
from dispatch.policy import Policy
from dispatch.waves import Due, Look
from transporters.geo import metres
from transporters.presence import Nearby, Seen

TTL_S = 60.0
START = datetime(2026, 1, 5, tzinfo=UTC)
VALID = START.date() + timedelta(days=3650)


@dataclass(slots=True)
class Seeking:
    """An order while it seeks, and what became of it."""

    wish: Wish
    open: int
    wave: int = 0
    part: int = 0
    reached_m: int = 0
    wave_at: datetime | None = None
    frontier_m: int | None = None
    offers: dict[UUID, str] = field(default_factory=dict)
    filled_after_s: list[float] = field(default_factory=list)
    pickup_m: list[float] = field(default_factory=list)
    too_late: int = 0

    @property
    def ends(self) -> float:
        return self.wish.at + TTL_S

    def seeks(self, now: float) -> bool:
        return self.open > 0 and now < self.ends


class Run:
    """One seed, one number of captains, one policy."""

    def __init__(self, seed: int, captains: int, policy: Policy, hours: float) -> None:
        self.seed, self.policy = seed, policy
        self.captains = {one.id: one for one in town.captains(seed, captains)}
        self.orders = [Seeking(wish, wish.trucks) for wish in town.wishes(seed, hours)]
        self._by_type: dict[str, list[Captain]] = {slug: [] for slug in town.TYPES}
        for one in self.captains.values():
            self._by_type[one.vehicle_type].append(one)
        self._turns = count()
        self._events: list[tuple] = []

    def go(self) -> list[Seeking]:
        """All orders, each with what became of it."""
        for order in self.orders:
            self._at(order.wish.at, self._look, order)
        while self._events:
            at, _, do, *what = heapq.heappop(self._events)
            do(at, *what)
        return self.orders

    def _at(self, when: float, do, *what) -> None:
        heapq.heappush(self._events, (when, next(self._turns), do, *what))

    # --- what happens ---

    def _look(self, now: float, order: Seeking) -> None:
        if not order.seeks(now):
            return
        look = Look.at(self._due(order, now), self.policy)
        while look.search.found is None:
            self._answer(look.search, now)
        found = look.search.found.match
        if look.part == 0:
            order.wave, order.part = look.number, 0
            order.reached_m, order.wave_at = look.search.found.radius_m, clock(now)
            full = any(skip.reason == Reason.WAVE_FULL for skip in found.skipped)
            order.frontier_m = max((c.distance_m for c in found.told), default=0) if full else None
        elif found.told:
            order.part = look.part
        for chosen in found.told:
            self._tell(now, order, self.captains[chosen.transporter_id], chosen.distance_m)
        self._at(max(now, seconds(look.next_look)), self._look, order)

    def _tell(self, now: float, order: Seeking, captain: Captain, distance_m: int) -> None:
        order.offers[captain.id] = "open"
        captain.offers.add(order.wish.number)
        answer = town.answer(self.seed, order.wish, captain, distance_m)
        if answer.accepts:
            self._at(now + answer.after_s, self._accept, order, captain)
        elif answer.accepts is False:
            self._at(now + answer.after_s, self._decline, order, captain)

    def _accept(self, now: float, order: Seeking, captain: Captain) -> None:
        if captain.busy:
            return
        if not order.seeks(now):
            order.too_late += 1
            return
        order.open -= 1
        order.offers[captain.id] = "accepted"
        captain.offers.discard(order.wish.number)
        order.filled_after_s.append(now - order.wish.at)
        order.pickup_m.append(metres(captain.point(now), order.wish.pickup))
        self._at(captain.haul(order.wish, now), self._free, captain)

    def _decline(self, now: float, order: Seeking, captain: Captain) -> None:
        if order.seeks(now) and order.offers[captain.id] == "open":
            order.offers[captain.id] = "declined"
            captain.offers.discard(order.wish.number)

    def _free(self, now: float, captain: Captain) -> None:
        captain.be_free(now)

    # --- what the stores would say ---

    def _due(self, order: Seeking, now: float) -> Due:
        wish = order.wish
        return Due(
            order_id=UUID(int=wish.number),
            city="town",
            pickup=wish.pickup,
            view=OrderView(UUID(int=1), frozenset([wish.vehicle_type]), order.open, START.date()),
            wave=order.wave,
            part=order.part,
            reached_m=order.reached_m,
            sent=order.wave,
            seeking_since=clock(wish.at),
            now=clock(now),
            history=History(order.offers, order.wave_at, order.frontier_m),
        )

    def _answer(self, search, now: float) -> None:
        ask = search.ask()
        (slug,) = ask.vehicle_types
        at = clock(now)
        # Busy ones are left out here, which spares most of the time; matching would skip them.
        idle = (one for one in self._by_type[slug] if not one.busy)
        placed = ((one, one.point(now)) for one in idle)
        near = ((metres(ask.point, point), one, point) for one, point in placed)
        within = sorted((d, one.id, point) for d, one, point in near if d <= ask.radius_m)
        seen = [Seen(id_, None, point, d, at) for d, id_, point in within[: ask.limit]]
        known = [self._candidate(self.captains[s.transporter_id], s, now) for s in seen]
        search.hear(Nearby(seen, "redis"), known)

    def _candidate(self, captain: Captain, seen: Seen, now: float) -> Candidate:
        vehicle = VehicleView(captain.vehicle_id, "", captain.vehicle_type, VALID)
        return Candidate(
            transporter_id=captain.id,
            owner_id=captain.owner_id,
            is_verified=True,
            is_online=True,
            vehicles=(vehicle,),
            fix=Fix(seen.distance_m, seen.at),
            offers_open=sum(self.orders[number].seeks(now) for number in captain.offers),
            last_won_at=None if captain.won_at is None else clock(captain.won_at),
            available_since=clock(captain.freed_at),
        )


def clock(at: float) -> datetime:
    return START + timedelta(seconds=at)


def seconds(at: datetime) -> float:
    return (at - START).total_seconds()

"""Whom to tell of several orders at once: a few round trips for all of them.

Who is near is asked of Redis in one trip, what is known of them of PostgreSQL in two statements;
only who needs to look farther is asked about again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from django.conf import settings

from dispatch.candidates import Fleets
from dispatch.matching import Candidate, History, Match, OrderView, match
from dispatch.policy import Policy
from transporters import presence
from transporters.geo import Point

MOST_SEEN = 6_400


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to one search: who, within which radius, and which store said so."""

    match: Match
    radius_m: int
    source: str


@dataclass(slots=True)
class Search:
    """Whom to tell of one order: the nearest that may be told, exactly, in rank order.

    Of `radii_m` the first counts within which anybody may be told, else the last. Within one it
    asks for more of the nearest until one wave is full of those who may be told and nobody unseen
    could be nearer, or until everyone was seen.
    """

    pickup: Point
    view: OrderView
    history: History
    policy: Policy
    radii_m: Sequence[int]
    now: datetime
    found: Found | None = None
    _wider: int = 0
    _limit: int = field(init=False)

    def __post_init__(self) -> None:
        self._limit = 4 * self.policy.wave_size(self.view.trucks_open)

    def ask(self) -> presence.Ask:
        """The next question to presence."""
        return presence.Ask(self.pickup, self.view.vehicle_types, self._radius_m, self._limit)

    def hear(self, nearby: presence.Nearby, known: Sequence[Candidate]) -> None:
        """The answer, and what is known of those seen: sets `found`, or asks for more next."""
        answer = match(
            self.view,
            known,
            self.history,
            self.policy,
            self._radius_m,
            now=self.now,
            position_ttl=settings.POSITION_TTL,
        )
        if not (self._saw_all(nearby) or self._is_full(answer, nearby)):
            self._limit *= 4
        elif not answer.told and self._wider + 1 < len(self.radii_m):
            self._wider += 1
            self._limit = 4 * self.policy.wave_size(self.view.trucks_open)
        else:
            self.found = Found(answer, self._radius_m, nearby.source)

    @property
    def _radius_m(self) -> int:
        return self.radii_m[self._wider]

    def _saw_all(self, nearby: presence.Nearby) -> bool:
        return len(nearby.seen) < self._limit or self._limit >= MOST_SEEN

    def _is_full(self, answer: Match, nearby: presence.Nearby) -> bool:
        size = self.policy.wave_size(self.view.trucks_open)
        return len(answer.told) == size and answer.told[-1].distance_m <= nearby.seen[-1].distance_m


def find(searches: Sequence[Search]) -> None:
    """Give each search its answer, `found`.

    Who is told of one of these orders has an offer more for those after it.
    """
    offered: Counter[UUID] = Counter()
    while waiting := [search for search in searches if search.found is None]:
        answers = presence.nearest_of_each([search.ask() for search in waiting])
        fleets = _fleets(waiting, answers)
        for search, nearby in zip(waiting, answers, strict=True):
            known = fleets.candidates(search.pickup, nearby.seen)
            search.hear(nearby, [_with_offers(one, offered) for one in known])
            if search.found is not None:
                offered.update(chosen.transporter_id for chosen in search.found.match.told)


def _fleets(searches: Sequence[Search], answers: Sequence[presence.Nearby]) -> Fleets:
    """What is known of everybody near one of the orders."""
    ids = {seen.transporter_id for nearby in answers for seen in nearby.seen}
    full = [search.history for search in searches if search.history.frontier_m is not None]
    since = min((history.wave_at for history in full if history.wave_at), default=None)
    return Fleets(ids, freed_since=since)


def _with_offers(candidate: Candidate, offered: Counter[UUID]) -> Candidate:
    more = offered[candidate.transporter_id]
    return replace(candidate, offers_open=candidate.offers_open + more) if more else candidate

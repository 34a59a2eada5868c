"""Waves: orders that are due a look, whom to tell of them now, and when to look next.

An order's `next_wave_at` is the time of its next look. Picking an order moves that time on at
once, by `LEASE`: copies of the loop share the work, and what a killed one had picked is picked
again when the lease is over. That a wave is sent once does not hang on it: `tell` locks the order
and looks again.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from dispatch import candidates
from dispatch.matching import Chosen, Match, OrderView, Reason, Skipped, match
from dispatch.policy import Policies, Policy
from orders.verbs.tell import Plan, Told, tell
from transporters import presence
from transporters.geo import Point
from weelo.lib.away import database_is_away
from weelo.lib.problems import Refusal

log = structlog.get_logger(__name__)

BATCH = 20
LEASE = timedelta(seconds=2)
MOST_LOGGED = 50
MOST_SEEN = 6_400

Row = dict[str, Any]

# What a broken row, or a fault of ours in handling it, raises: one order must not stop the rest.
BROKEN = (DatabaseError, Refusal, AssertionError, LookupError, TypeError, ValueError)

_CLAIM = """
WITH due AS (
    SELECT id FROM orders_order
    WHERE trucks_searching > 0 AND next_wave_at <= statement_timestamp()
      AND expires_at > statement_timestamp()
    ORDER BY wave > 0, next_wave_at
    LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE orders_order o SET next_wave_at = statement_timestamp() + make_interval(secs => %s)
    FROM due WHERE o.id = due.id
    RETURNING o.*
)
SELECT o.id AS order_id, o.city_id AS city, o.customer_id, o.pickup::text,
       o.trucks_searching AS trucks_open, o.wave, o.radius_m AS reached_m, o.seeking_since,
       statement_timestamp() AS now,
       (SELECT request_id FROM orders_fact
        WHERE order_id = o.id AND kind = 'order_confirmed' ORDER BY id LIMIT 1) AS request_id,
       (statement_timestamp() AT TIME ZONE city.timezone)::date AS today,
       (SELECT array_agg(DISTINCT vehicle_type_id) FROM orders_truckrequest
        WHERE order_id = o.id AND status = 'searching') AS vehicle_types,
       (SELECT count(*) FROM orders_wave
        WHERE order_id = o.id AND part = 0 AND at >= o.seeking_since) AS sent,
       (SELECT coalesce(max(part), 0) FROM orders_wave
        WHERE order_id = o.id AND number = o.wave) AS part,
       last.at AS wave_at,
       CASE WHEN last.skipped @> '[{"reason": "WAVE_FULL"}]' THEN
           (SELECT max((one ->> 'distance_m')::int) FROM jsonb_array_elements(last.told) one)
       END AS frontier_m
FROM claimed o
JOIN cities_city city ON city.slug = o.city_id
LEFT JOIN orders_wave last ON last.order_id = o.id AND last.number = o.wave AND last.part = 0
ORDER BY o.wave > 0, o.created_at
"""


@dataclass(frozen=True, slots=True)
class Due:
    """An order to look at, as it was when it was picked at `now` (the database's clock).

    `wave`, `part` and `reached_m` are those of the last one sent; `sent` counts the waves since
    it began to seek. `frontier_m` is set when the last wave was full (see `matching.History`).
    `request_id` is of the call that made the order.
    """

    order_id: UUID
    city: str
    pickup: Point
    view: OrderView
    wave: int
    part: int
    reached_m: int
    sent: int
    seeking_since: datetime
    now: datetime
    wave_at: datetime | None
    frontier_m: int | None
    request_id: str | None = None

    @classmethod
    def of(cls, row: Row) -> Self:
        """From a row of the claim. Raises LookupError, TypeError, ValueError for a broken one."""
        pickup = json.loads(row.pop("pickup"))
        view = OrderView(
            customer_id=row.pop("customer_id"),
            vehicle_types=frozenset(row.pop("vehicle_types") or ()),
            trucks_open=row.pop("trucks_open"),
            today=row.pop("today"),
        )
        return cls(pickup=Point(pickup["lat"], pickup["lng"]), view=view, **row)

    def wave_due_at(self, policy: Policy, sent: int) -> datetime | None:
        """When the wave after `sent` ones goes out; None when the policy has no more."""
        if sent >= len(policy.waves):
            return None
        return self.seeking_since + timedelta(seconds=policy.waves[sent].after_s)

    def next_look(self, policy: Policy, sent: int) -> datetime:
        """The next wave, or the next look for newcomers, whichever is first."""
        newcomers = self.now + timedelta(seconds=policy.newcomers_every_s)
        wave_due_at = self.wave_due_at(policy, sent)
        return newcomers if wave_due_at is None else min(newcomers, wave_due_at)


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to one search: who, within which radius, and which store said so."""

    match: Match
    radius_m: int
    source: str


def send_due(
    policies: Policies, *, limit: int = BATCH, is_stopping: Callable[[], bool] = lambda: False
) -> int:
    """Look at up to `limit` due orders, new ones first; returns how many were picked.

    An order that fails is logged and picked again when its lease is over. Raises OperationalError
    when the database is away.
    """
    picked = claim(limit)
    for row in picked:
        if is_stopping():
            break
        # What is written and logged for an order carries the id of the call that made it.
        with structlog.contextvars.bound_contextvars(request_id=row["request_id"] or ""):
            _look_at(row, policies)
    return len(picked)


def _look_at(row: Row, policies: Policies) -> None:
    try:
        look(Due.of(row), policies.of(row["city"]))
    except BROKEN as fault:
        if isinstance(fault, DatabaseError) and database_is_away(fault):
            raise
        log.exception("order not dispatched", order_id=row["order_id"])


def claim(limit: int) -> list[Row]:
    """Pick due orders that no other loop holds and move their next look on by the lease."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [limit, LEASE.total_seconds()])
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def look(due: Due, policy: Policy) -> bool:
    """Send the order's next wave if it is time, else tell newcomers; whether any was told."""
    wave_due_at = due.wave_due_at(policy, due.sent)
    if wave_due_at is not None and wave_due_at <= due.now:
        return send_wave(due, policy)
    return tell_newcomers(due, policy)


def send_wave(due: Due, policy: Policy) -> bool:
    """The next wave: the nearest within its radius, widened at once while that finds nobody.

    One that finds nobody anywhere is sent too: it says so in the decision log and to the
    customer, and newcomers are looked for as far as it reached.
    """
    started = time.perf_counter()
    number, next_look = due.wave + 1, due.next_look(policy, due.sent + 1)
    for radius_m in policy.radii_m(number, due.reached_m):
        found = search(due, policy, radius_m)
        if found.match.told:
            break
    sent = tell(_plan(due, policy, found, next_look, number=number, part=0))
    if sent:
        _log("wave sent", due, found, number, started)
    return sent


def tell_newcomers(due: Due, policy: Policy) -> bool:
    """Tell who came into reach since the last wave; writes nothing when there is nobody."""
    started = time.perf_counter()
    found = search(due, policy, due.reached_m, wave_at=due.wave_at, frontier_m=due.frontier_m)
    next_look = due.next_look(policy, due.sent)
    if not found.match.told:
        _look_again(due, next_look)
        return False
    sent = tell(_plan(due, policy, found, next_look, number=due.wave, part=due.part + 1))
    if sent:
        _log("newcomers told", due, found, due.wave, started)
    return sent


def search(
    due: Due,
    policy: Policy,
    radius_m: int,
    *,
    wave_at: datetime | None = None,
    frontier_m: int | None = None,
) -> Found:
    """Whom to tell within a radius, exactly: the nearest that may be told, in rank order.

    Asks for more of the nearest until one wave is full of those who may be told and nobody
    unseen could be nearer, or until everyone within the radius was seen.
    """
    size = policy.wave_size(due.view.trucks_open)
    limit = 4 * size
    while True:
        nearby = presence.nearest(
            due.pickup, vehicle_types=due.view.vehicle_types, radius_m=radius_m, limit=limit
        )
        known, history = candidates.known(
            due.order_id, due.pickup, nearby.seen, wave_at=wave_at, frontier_m=frontier_m
        )
        answer = match(
            due.view,
            known,
            history,
            policy,
            radius_m,
            now=due.now,
            position_ttl=settings.POSITION_TTL,
        )
        all_seen = len(nearby.seen) < limit or limit >= MOST_SEEN
        if all_seen or _is_full(answer, size, nearby.seen[-1].distance_m):
            return Found(answer, radius_m, nearby.source)
        limit *= 4


def _is_full(answer: Match, size: int, seen_to_m: float) -> bool:
    return len(answer.told) == size and answer.told[-1].distance_m <= seen_to_m


def _plan(
    due: Due, policy: Policy, found: Found, next_look: datetime, *, number: int, part: int
) -> Plan:
    return Plan(
        order_id=due.order_id,
        number=number,
        part=part,
        radius_m=found.radius_m,
        policy_id=policy.id,
        told=[_told(chosen) for chosen in found.match.told],
        skipped=[_logged(skipped) for skipped in nearest_skipped(found.match.skipped)],
        source=found.source,
        next_wave_at=next_look,
    )


def _told(chosen: Chosen) -> Told:
    vehicles = [
        {
            "id": str(vehicle.id),
            "registration": vehicle.registration,
            "distance_km": round(metres / 1000, 2),
        }
        for vehicle, metres in chosen.vehicles
    ]
    return Told(chosen.transporter_id, chosen.distance_m, vehicles)


def _logged(skipped: Skipped) -> dict[str, Any]:
    return {
        "transporter": str(skipped.transporter_id),
        "distance_m": skipped.distance_m,
        "reason": str(skipped.reason),
    }


def nearest_skipped(skipped: tuple[Skipped, ...]) -> list[Skipped]:
    """The nearest for the decision log; a full wave always shows, by the first that it left out."""
    nearest = list(skipped[:MOST_LOGGED])
    full = next((skip for skip in skipped if skip.reason == Reason.WAVE_FULL), None)
    if full is not None and full not in nearest:
        nearest[-1] = full
    return nearest


def _look_again(due: Due, at: datetime) -> None:
    """Move the next look off the lease, unless somebody else moved it meanwhile."""
    lease_ends = due.now + LEASE
    if at == lease_ends:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_order SET next_wave_at = %s WHERE id = %s AND next_wave_at = %s",
            [at, due.order_id, lease_ends],
        )


def _log(event: str, due: Due, found: Found, number: int, started: float) -> None:
    log.info(
        event,
        order_id=due.order_id,
        number=number,
        radius_m=found.radius_m,
        told=len(found.match.told),
        skipped=len(found.match.skipped),
        ms=round((time.perf_counter() - started) * 1000, 1),
    )

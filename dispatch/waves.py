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
from functools import partial
from typing import Any, Self, TypeVar
from uuid import UUID

import structlog
from django.db import DatabaseError, connection

from dispatch.matching import Chosen, History, OrderView, Reason, Skipped
from dispatch.policy import Policies, Policy
from dispatch.search import Found, Search, find
from orders.verbs.tell import Plan, Told, tell
from transporters.geo import Point
from weelo.lib.away import database_is_away
from weelo.lib.problems import Refusal
from weelo.lib.rows import Row, rows_of

log = structlog.get_logger(__name__)

BATCH = 20
LEASE = timedelta(seconds=2)
MOST_LOGGED = 50

T = TypeVar("T")

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
       (SELECT jsonb_object_agg(transporter_id, state) FROM orders_offer
        WHERE order_id = o.id)::text AS offers,
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
    it began to seek. `history`: whom it was offered to, and the last wave.
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
    history: History
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
        offers = json.loads(row.pop("offers") or "{}")
        history = History(
            {UUID(transporter_id): state for transporter_id, state in offers.items()},
            row.pop("wave_at"),
            row.pop("frontier_m"),
        )
        return cls(pickup=Point(pickup["lat"], pickup["lng"]), view=view, history=history, **row)

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
class Look:
    """One look at an order: at its next wave, or (`part` > 0) at newcomers since the last one."""

    due: Due
    policy: Policy
    search: Search
    number: int
    part: int
    next_look: datetime
    started: float

    @classmethod
    def at(cls, due: Due, policy: Policy) -> Self:
        """The order's next wave if it is time, else a look for newcomers."""
        wave_due_at = due.wave_due_at(policy, due.sent)
        if wave_due_at is not None and wave_due_at <= due.now:
            number, part, sent = due.wave + 1, 0, due.sent + 1
            radii_m, history = policy.radii_m(number, due.reached_m), due.history.for_a_wave()
        else:
            number, part, sent = due.wave, due.part + 1, due.sent
            radii_m, history = [due.reached_m], due.history
        search = Search(due.pickup, due.view, history, policy, radii_m, due.now)
        next_look = due.next_look(policy, sent)
        return cls(due, policy, search, number, part, next_look, time.perf_counter())

    def tell(self) -> bool:
        """Tell those who were found; whether any wave was sent.

        A wave that finds nobody anywhere is sent too: it says so in the decision log and to the
        customer, and newcomers are looked for as far as it reached. A look for newcomers that
        finds nobody writes nothing.
        """
        found = self.search.found
        assert found is not None
        if self.part and not found.match.told:
            _look_again(self.due, self.next_look)
            return False
        sent = tell(self._plan(found))
        if sent:
            self._log(found)
        return sent

    def _plan(self, found: Found) -> Plan:
        return Plan(
            order_id=self.due.order_id,
            number=self.number,
            part=self.part,
            radius_m=found.radius_m,
            policy_id=self.policy.id,
            told=[_told(chosen) for chosen in found.match.told],
            skipped=[_logged(skipped) for skipped in nearest_skipped(found.match.skipped)],
            source=found.source,
            next_wave_at=self.next_look,
        )

    def _log(self, found: Found) -> None:
        log.info(
            "newcomers told" if self.part else "wave sent",
            order_id=self.due.order_id,
            number=self.number,
            radius_m=found.radius_m,
            told=len(found.match.told),
            skipped=len(found.match.skipped),
            ms=round((time.perf_counter() - self.started) * 1000, 1),
        )


def send_due(
    policies: Policies, *, limit: int = BATCH, is_stopping: Callable[[], bool] = lambda: False
) -> int:
    """Look at up to `limit` due orders, new ones first; returns how many were picked.

    They are searched for together and told of one by one. An order that fails is logged and
    picked again when its lease is over. Raises OperationalError when the database is away.
    """
    picked = claim(limit)
    looks = [look for row in picked if (look := _look(row, policies)) is not None]
    for look in _found(looks):
        if is_stopping():
            break
        # What is written and logged for an order carries the id of the call that made it.
        with structlog.contextvars.bound_contextvars(request_id=look.due.request_id or ""):
            _without_stopping(look.due.order_id, look.tell)
    return len(picked)


def _look(row: Row, policies: Policies) -> Look | None:
    order_id, city = row["order_id"], row["city"]
    return _without_stopping(order_id, lambda: Look.at(Due.of(row), policies.of(city)))


def _found(looks: list[Look]) -> list[Look]:
    """The looks with their answers; one that fails leaves the others theirs."""
    try:
        find([look.search for look in looks])
    except BROKEN as fault:
        _raise_if_away(fault)
        for look in looks:
            _without_stopping(look.due.order_id, partial(find, [look.search]))
    return [look for look in looks if look.search.found is not None]


def _without_stopping(order_id: UUID, do: Callable[[], T]) -> T | None:
    """What `do` returns; a fault is logged, since one order must not stop the rest."""
    try:
        return do()
    except BROKEN as fault:
        _raise_if_away(fault)
        log.exception("order not dispatched", order_id=order_id)
        return None


def _raise_if_away(fault: Exception) -> None:
    if isinstance(fault, DatabaseError) and database_is_away(fault):
        raise fault


def claim(limit: int) -> list[Row]:
    """Pick due orders that no other loop holds and move their next look on by the lease."""
    return rows_of(_CLAIM, [limit, LEASE.total_seconds()])


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

"""The audit: every promise about the data as one named SQL query that returns what breaks it.

A healthy system returns nothing. `RECOUNT` is shared with reconciliation, which heals what it
finds; all else needs a person.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from orders.states import OFFER, ORDER, TRIP, TRUCK
from weelo.lib.rows import rows_of

MOST_ROWS = 100

# Counters and status of orders beside what their trucks say; the CASE is `states.order_status`.
RECOUNT = """
SELECT * FROM (
    SELECT o.id AS order_id, o.status, o.trucks_wanted, o.trucks_filled, o.trucks_searching,
           o.payable_paise, o.fare_paise, said.*,
           CASE
               WHEN said.past_pickup AND NOT said.all_ended THEN 'in_progress'
               WHEN said.searching > 0 AND said.filled > 0 THEN 'partially_filled'
               WHEN said.searching > 0 THEN 'broadcasting'
               WHEN said.assigned > 0 THEN 'filled'
               WHEN said.completed > 0 THEN 'completed'
               WHEN said.expired > 0 THEN 'expired'
               ELSE 'cancelled'
           END AS should_be
    FROM {orders} o CROSS JOIN LATERAL (
        SELECT count(*) AS wanted,
               count(*) FILTER (WHERE t.status IN ('assigned', 'completed', 'failed')) AS filled,
               count(*) FILTER (WHERE t.status = 'searching') AS searching,
               count(*) FILTER (WHERE t.status = 'assigned') AS assigned,
               count(*) FILTER (WHERE t.status = 'completed') AS completed,
               count(*) FILTER (WHERE t.status = 'expired') AS expired,
               bool_and(t.status NOT IN ('searching', 'assigned')) AS all_ended,
               bool_or(t.status IN ('assigned', 'completed', 'failed') AND coalesce(
                   trip.status IN ('in_transit', 'at_drop', 'completed', 'failed'), false
               )) AS past_pickup,
               coalesce(sum(t.fare_paise), 0) AS fares,
               coalesce(sum(t.fare_paise)
                   FILTER (WHERE t.status IN ('assigned', 'completed', 'failed')), 0) AS payable
        FROM orders_truckrequest t
        LEFT JOIN orders_trip trip ON trip.truck_id = t.id AND trip.status <> 'cancelled'
        WHERE t.order_id = o.id
          AND NOT EXISTS (SELECT FROM orders_truckrequest n WHERE n.replaces_id = t.id)
    ) said
) counted
WHERE {wrong}
"""
COUNTERS_WRONG = (
    "(trucks_wanted, trucks_filled, trucks_searching, payable_paise)"
    " IS DISTINCT FROM (wanted, filled, searching, payable)"
)
STATUS_WRONG = "status <> should_be"
_PARTS = {
    "live": "('assigned', 'at_drop', 'at_pickup', 'en_route_pickup', 'in_transit')",
    "active": "('broadcasting', 'filled', 'in_progress', 'partially_filled')",
    # Facts that move a status, each with the one before it of the same row.
    "moves": """(
    SELECT order_id, order_version, subject, subject_id, from_status, to_status, id AS fact_id,
           lag(to_status) OVER story AS before, lead(id) OVER story IS NULL AS is_last
    FROM orders_fact WHERE to_status <> ''
    WINDOW story AS (PARTITION BY subject, subject_id ORDER BY id)
)""",
    # Every row that has a status.
    "rows": """(
    SELECT 'order' AS subject, id AS subject_id, id AS order_id, status FROM orders_order
    UNION ALL SELECT 'truck', id, order_id, status FROM orders_truckrequest
    UNION ALL SELECT 'offer', id, order_id, state FROM orders_offer
    UNION ALL SELECT 'trip', id, order_id, status FROM orders_trip
)""",
}


def _sql(text: str) -> str:
    """A query with the parts that several share filled in."""
    return text.format(**_PARTS)


@dataclass(frozen=True)
class Invariant:
    """A promise: its name, the sentence that holds, and the query for what breaks it."""

    name: str
    sentence: str
    sql: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What an invariant's query returned: at most MOST_ROWS rows, each a dict by column."""

    invariant: Invariant
    rows: list[dict[str, Any]]


def audit(invariants: Iterable[Invariant] = ()) -> list[Finding]:
    """Ask every invariant (or these), one statement each, so each sees one moment."""
    return [Finding(one, _violations(one)) for one in invariants or INVARIANTS]


def _violations(invariant: Invariant) -> list[dict[str, Any]]:
    return rows_of(invariant.sql, invariant.values, MOST_ROWS)


def _legal_moves() -> tuple[list[str], list[str], list[str]]:
    """The arrows of all machines as three columns: subject, from, to."""
    machines = {"order": ORDER, "truck": TRUCK, "offer": OFFER, "trip": TRIP}
    moves = [
        (subject, here, there)
        for subject, machine in machines.items()
        for here, nexts in machine.arrows.items()
        for there in nexts
    ]
    # How a row begins: no state before it.
    moves += [("order", "", "broadcasting"), ("truck", "", "searching")]
    moves += [("offer", "", "open"), ("trip", "", "assigned")]
    subjects, heres, theres = zip(*moves, strict=True)
    return list(subjects), list(heres), list(theres)


def _terminal_states() -> tuple[list[str], list[str]]:
    machines = {"order": ORDER, "truck": TRUCK, "offer": OFFER, "trip": TRIP}
    states = [(name, state) for name, machine in machines.items() for state in machine.terminal]
    subjects, names = zip(*states, strict=True)
    return list(subjects), list(names)


INVARIANTS = (
    Invariant(
        "one_active_order_per_customer_and_slot",
        "A customer has at most one active order in each slot.",
        _sql("""
        SELECT customer_id, slot, array_agg(id) AS orders FROM orders_order
        WHERE status IN {active} GROUP BY customer_id, slot HAVING count(*) > 1
        """),
    ),
    Invariant(
        "truck_has_a_live_trip_exactly_when_assigned",
        "A truck request has a live trip exactly when it is assigned.",
        _sql("""
        SELECT t.order_id, t.id AS truck_id, t.status, count(trip.id) AS live_trips
        FROM orders_truckrequest t
        LEFT JOIN orders_trip trip ON trip.truck_id = t.id AND trip.status IN {live}
        GROUP BY t.id HAVING count(trip.id) <> (t.status = 'assigned')::int
        """),
    ),
    Invariant(
        "vehicle_on_one_live_trip",
        "No vehicle is on two live trips.",
        _sql("""
        SELECT vehicle_id, array_agg(id) AS trips FROM orders_trip WHERE status IN {live}
        GROUP BY vehicle_id HAVING count(*) > 1
        """),
    ),
    Invariant(
        "driver_on_one_live_trip",
        "No driver is on two live trips.",
        _sql("""
        SELECT driver_id, array_agg(id) AS trips FROM orders_trip
        WHERE status IN {live} AND driver_id IS NOT NULL
        GROUP BY driver_id HAVING count(*) > 1
        """),
    ),
    Invariant(
        "trip_fits_truck_vehicle_and_offer",
        "A trip's vehicle has the wanted type and belongs, like its driver, to a transporter"
        " that was offered the order.",
        """
        SELECT trip.order_id, trip.id AS trip_id, trip.vehicle_type_id,
               t.vehicle_type_id AS wanted, v.vehicle_type_id AS vehicles
        FROM orders_trip trip
        JOIN orders_truckrequest t ON t.id = trip.truck_id
        JOIN transporters_vehicle v ON v.id = trip.vehicle_id
        LEFT JOIN transporters_driver d ON d.id = trip.driver_id
        LEFT JOIN orders_offer offer
               ON offer.order_id = trip.order_id AND offer.transporter_id = trip.transporter_id
        WHERE t.order_id <> trip.order_id
           OR t.vehicle_type_id <> trip.vehicle_type_id
           OR v.vehicle_type_id <> trip.vehicle_type_id
           OR v.transporter_id <> trip.transporter_id
           OR d.transporter_id <> trip.transporter_id
           OR offer.id IS NULL
        """,
    ),
    Invariant(
        "counters_are_the_count",
        "Trucks wanted, filled and searching, and what is payable, are those of the trucks.",
        RECOUNT.format(orders="orders_order", wrong=COUNTERS_WRONG),
    ),
    Invariant(
        "status_is_that_of_the_trucks",
        "An order's status is the function of its trucks that the domain states.",
        RECOUNT.format(orders="orders_order", wrong=STATUS_WRONG),
    ),
    Invariant(
        "nothing_searches_past_its_deadline",
        "No truck searches more than 5 s past its order's deadline.",
        """
        SELECT t.order_id, t.id AS truck_id, o.expires_at FROM orders_truckrequest t
        JOIN orders_order o ON o.id = t.order_id
        WHERE t.status = 'searching' AND o.expires_at < statement_timestamp() - interval '5 seconds'
        """,
    ),
    Invariant(
        "offers_are_open_only_while_the_order_seeks",
        "Where nothing searches no offer is open; where something does none to a verified fleet"
        " is closed.",
        """
        SELECT offer.order_id, offer.id AS offer_id, offer.state FROM orders_offer offer
        JOIN orders_order o ON o.id = offer.order_id
        JOIN transporters_transporter fleet ON fleet.id = offer.transporter_id
        WHERE (offer.state = 'open' AND o.trucks_searching = 0)
           OR (offer.state = 'closed' AND o.trucks_searching > 0
               AND fleet.kyc_status = 'verified' AND o.expires_at > statement_timestamp())
        """,
    ),
    Invariant(
        "facts_follow_one_another",
        "Each fact moves a row from where the fact before it left it.",
        _sql("""
        SELECT order_id, subject, subject_id, fact_id, before, from_status, to_status
        FROM {moves} moves
        WHERE from_status <> coalesce(before, '')
          AND NOT (before IS NULL AND (subject, from_status) = ('truck', 'searching'))
        """),
    ),
    Invariant(
        "replaying_the_facts_gives_the_row",
        "The last fact of an order, truck, offer or trip names the status that its row has.",
        _sql("""
        SELECT row.order_id, row.subject, row.subject_id, row.status, moves.to_status AS fact
        FROM {rows} row
        LEFT JOIN {moves} moves
               ON moves.is_last AND moves.subject = row.subject
              AND moves.subject_id = row.subject_id
        WHERE row.status IS DISTINCT FROM coalesce(
            moves.to_status, CASE row.subject WHEN 'truck' THEN 'searching' END
        )
        """),
    ),
    Invariant(
        "every_move_is_legal",
        "Every move that the facts tell is an arrow of its state machine.",
        _sql("""
        SELECT order_id, subject, subject_id, fact_id, from_status, to_status FROM {moves} moves
        WHERE (subject, from_status, to_status)
              NOT IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))
        """),
        _legal_moves(),
    ),
    Invariant(
        "terminal_states_never_revive",
        "What has ended as completed, cancelled, expired, failed or given back stays so.",
        _sql("""
        SELECT order_id, subject, subject_id, fact_id, before, to_status FROM {moves} moves
        WHERE (subject, before) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        """),
        _terminal_states(),
    ),
    Invariant(
        "every_fact_has_its_messages",
        "Every change of a status was told to somebody, and every captain told has his message.",
        """
        SELECT fact.order_id, fact.order_version, fact.kind, fact.subject_id
        FROM orders_fact fact
        LEFT JOIN orders_offer offer ON fact.kind = 'captain_told' AND offer.id = fact.subject_id
        LEFT JOIN transporters_transporter fleet ON fleet.id = offer.transporter_id
        WHERE fact.to_status <> '' AND fact.at > statement_timestamp() - interval '23 hours'
          AND NOT EXISTS (
              SELECT FROM events_event event JOIN events_stream stream ON stream.id = stream_id
              WHERE event.order_id = fact.order_id AND event.order_version = fact.order_version
                AND (offer.id IS NULL OR (
                    event.name = 'new_broadcast' AND stream.role = 'captain'
                    AND stream.user_id = fleet.owner_id))
          )
        """,
    ),
    Invariant(
        "streams_have_no_gap",
        "The messages of a stream are numbered without a gap up to its head.",
        """
        SELECT stream.id AS stream_id, stream.user_id, stream.role, stream.head,
               min(event.seq) AS first, max(event.seq) AS last, count(*) AS events
        FROM events_stream stream JOIN events_event event ON event.stream_id = stream.id
        GROUP BY stream.id
        HAVING max(event.seq) <> stream.head
            OR max(event.seq) - min(event.seq) + 1 <> count(*)
        """,
    ),
    Invariant(
        "every_offer_was_eligible_at_its_wave",
        "Every offer stands in the log of its wave, within its radius, with a vehicle, and is"
        " not the customer's own order. (The log is kept for 30 days.)",
        """
        SELECT offer.order_id, offer.id AS offer_id, offer.wave, offer.distance_m
        FROM orders_offer offer
        JOIN orders_order o ON o.id = offer.order_id
        JOIN transporters_transporter fleet ON fleet.id = offer.transporter_id
        WHERE o.created_at > statement_timestamp() - interval '29 days' AND (
              fleet.owner_id = o.customer_id
           OR jsonb_array_length(offer.vehicles) = 0
           OR NOT EXISTS (
              SELECT FROM orders_wave wave
              WHERE wave.order_id = offer.order_id AND wave.number = offer.wave
                AND offer.distance_m <= wave.radius_m
                AND wave.told @> jsonb_build_array(
                    jsonb_build_object('transporter', offer.transporter_id::text))
           ))
        """,
    ),
    Invariant(
        "one_offer_per_order_and_transporter",
        "A transporter has at most one offer of an order.",
        """
        SELECT order_id, transporter_id, array_agg(id) AS offers FROM orders_offer
        GROUP BY order_id, transporter_id HAVING count(*) > 1
        """,
    ),
    Invariant(
        "fares_are_those_of_the_confirm",
        "An order's fare is that of its confirm and the sum of its trucks', and a replacement"
        " costs what the truck did that it replaces.",
        RECOUNT.format(
            orders="orders_order",
            wrong="""fare_paise <> fares OR fare_paise <> (
                SELECT (fact.data ->> 'fare_paise')::bigint FROM orders_fact fact
                WHERE fact.order_id = counted.order_id AND fact.kind = 'order_confirmed'
            ) OR EXISTS (
                SELECT FROM orders_truckrequest new
                JOIN orders_truckrequest old ON old.id = new.replaces_id
                WHERE new.order_id = counted.order_id
                  AND (new.fare_paise, new.payout_paise) <> (old.fare_paise, old.payout_paise)
            )""",
        ),
    ),
)

"""Rules that look at more than one row, numbers that only grow, and cheaper checks of moves.

Each is a trigger whose WHEN decides without a call where it can; a refusal names the trigger as
its constraint, as those of `0002_rules` do.
"""

from importlib import import_module
from typing import Any, ClassVar

from django.db import migrations

rules = import_module("orders.migrations.0002_rules")

LIVE = "('assigned', 'en_route_pickup', 'at_pickup', 'in_transit', 'at_drop')"
FIRST_STATES = {
    "orders_order": "broadcasting",
    "orders_truckrequest": "searching",
    "orders_offer": "open",
    "orders_trip": "assigned",
}
GROWING = {
    "orders_order": ["version", "expires_at", "captains_told", "cancel_fee_paise"],
    "orders_truckrequest": ["give_backs"],
}
REFUSE = """
CREATE FUNCTION weelo_refused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: %', TG_TABLE_NAME, to_jsonb(NEW) ->> 'id', TG_ARGV[0]
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
END $$;
"""
DROP_REFUSE = "DROP FUNCTION weelo_refused;"

# A trigger function for each rule that has to look at other rows: what makes it refuse.
LOOKS = {
    "order_within_slots": (
        "SELECT FROM accounts_user WHERE id = NEW.customer_id AND max_active_orders < NEW.slot"
    ),
    "truck_carries_its_load": (
        "SELECT FROM cities_vehicletype"
        " WHERE slug = NEW.vehicle_type_id AND capacity_kg < NEW.load_kg"
    ),
    "nobody_is_offered_an_own_order": (
        "SELECT FROM orders_order o JOIN transporters_transporter t ON t.owner_id = o.customer_id"
        " WHERE o.id = NEW.order_id AND t.id = NEW.transporter_id"
    ),
    "only_completed_trips_are_rated": (
        "SELECT FROM orders_trip WHERE id = NEW.trip_id AND status <> 'completed'"
    ),
    # For a truck or a trip that changed.
    "truck_assigned_exactly_with_a_live_trip": (
        "SELECT FROM orders_truckrequest t"
        " WHERE t.id = coalesce(to_jsonb(NEW) ->> 'truck_id', to_jsonb(NEW) ->> 'id')::uuid"
        " AND (t.status = 'assigned') <>"
        f" EXISTS (SELECT FROM orders_trip WHERE truck_id = t.id AND status IN {LIVE})"  # nosec B608  # names are constants of the module; values are bound
    ),
}
BEFORE_INSERT = {
    "order_within_slots": "orders_order FOR EACH ROW WHEN (NEW.slot > 1)",
    "truck_carries_its_load": "orders_truckrequest FOR EACH ROW WHEN (NEW.load_kg IS NOT NULL)",
    "nobody_is_offered_an_own_order": "orders_offer FOR EACH ROW",
    "only_completed_trips_are_rated": "orders_rating FOR EACH ROW",
}
# Looked at when the transaction commits: truck and trip change together, in one order or another.
AT_COMMIT = {
    "truck_assigned_exactly_with_a_live_trip": {
        "orders_truckrequest": (
            "UPDATE OF status",
            "OLD.status <> NEW.status AND 'assigned' IN (OLD.status, NEW.status)",
        ),
        "orders_trip": (
            "INSERT OR UPDATE OF status",
            f"NEW.status = 'assigned' OR NEW.status NOT IN {LIVE}",
        ),
    },
}
CHECKS = {
    "order_one_truck_at_least": "CHECK (trucks_wanted >= 1)",
    "order_two_stops_at_most": "CHECK (jsonb_array_length(stops) <= 2)",
}


def moves(table: str) -> list[str]:
    """The legal moves of a table's rows, each `from>to`."""
    _, arrows = rules.ARROWS[table]
    return [f"{here}>{there}" for here, nexts in arrows.items() for there in nexts]


def legal_moves() -> str:
    """A move is checked by the trigger's own WHEN; nothing is called for a legal one."""
    parts = []
    for table, (column, _) in rules.ARROWS.items():
        legal = ", ".join(f"'{move}'" for move in moves(table))
        parts.append(
            f"DROP TRIGGER {table}_legal_move ON {table};"
            f"CREATE TRIGGER {table}_legal_move BEFORE UPDATE OF {column} ON {table} FOR EACH ROW"
            f" WHEN (OLD.{column} <> NEW.{column}"
            f" AND (OLD.{column} || '>' || NEW.{column}) <> ALL (ARRAY[{legal}]))"
            f" EXECUTE FUNCTION weelo_refused('this move is not one of its machine');"
        )
    return "\n".join(parts)


def older_legal_moves() -> str:
    """The reverse of `legal_moves`: the triggers of `0002_rules`."""
    drops = [f"DROP TRIGGER {table}_legal_move ON {table};" for table in rules.ARROWS]
    made = [line for line in rules.triggers().splitlines() if "_legal_move BEFORE" in line]
    return "\n".join(drops + made)


def beginnings() -> str:
    """Every row begins in the first state of its machine."""
    return "\n".join(
        f"CREATE TRIGGER {table}_begins BEFORE INSERT ON {table} FOR EACH ROW"
        f" WHEN (NEW.{rules.ARROWS[table][0]} <> '{first}')"
        f" EXECUTE FUNCTION weelo_refused('its machine begins at {first}');"
        for table, first in FIRST_STATES.items()
    )


def growing() -> str:
    """Numbers and deadlines that never fall."""
    return "\n".join(
        f"CREATE TRIGGER {table}_only_grows BEFORE UPDATE ON {table} FOR EACH ROW WHEN ("
        + " OR ".join(f"NEW.{name} < OLD.{name}" for name in names)
        + f") EXECUTE FUNCTION weelo_refused('{', '.join(names)} never fall');"
        for table, names in GROWING.items()
    )


def looks() -> str:
    """The rules that look at other rows, before the insert or at the commit."""
    parts = [
        f"CREATE FUNCTION weelo_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF EXISTS ({wrong}) THEN RAISE EXCEPTION '% refused', TG_TABLE_NAME"
        f" USING ERRCODE = 'check_violation', CONSTRAINT = '{name}'; END IF;"
        f" RETURN NEW; END $$;"
        for name, wrong in LOOKS.items()
    ]
    parts += [
        f"CREATE TRIGGER {name} BEFORE INSERT ON {where} EXECUTE FUNCTION weelo_{name}();"
        for name, where in BEFORE_INSERT.items()
    ]
    parts += [
        f"CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON {table}"
        f" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        f" WHEN ({when}) EXECUTE FUNCTION weelo_{name}();"
        for name, tables in AT_COMMIT.items()
        for table, (event, when) in tables.items()
    ]
    return "\n".join(parts)


def no_looks() -> str:
    """The reverse of `looks`."""
    return "\n".join(f"DROP FUNCTION weelo_{name} CASCADE;" for name in LOOKS)


def _drops(suffix: str, tables: dict[str, Any]) -> str:
    return "\n".join(f"DROP TRIGGER {table}_{suffix} ON {table};" for table in tables)


class Migration(migrations.Migration):
    dependencies: ClassVar[list[Any]] = [("orders", "0002_rules")]
    operations: ClassVar[list[Any]] = [
        migrations.RunSQL(REFUSE, DROP_REFUSE),
        migrations.RunSQL(legal_moves(), older_legal_moves()),
        migrations.RunSQL(beginnings(), _drops("begins", FIRST_STATES)),
        migrations.RunSQL(growing(), _drops("only_grows", GROWING)),
        migrations.RunSQL(looks(), no_looks()),
        *(
            migrations.RunSQL(
                f"ALTER TABLE orders_order ADD CONSTRAINT {name} {check}",
                f"ALTER TABLE orders_order DROP CONSTRAINT {name}",
            )
            for name, check in CHECKS.items()
        ),
    ]

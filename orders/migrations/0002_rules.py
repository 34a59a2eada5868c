"""What Django cannot declare: composite foreign keys and triggers.

The arrows are those of orders/states.py, frozen here; a test compares the two.
"""

import json
from typing import Any, ClassVar

from django.db import migrations

ARROWS: dict[str, tuple[str, dict[str, list[str]]]] = {
    "orders_order": (
        "status",
        {
            state: [to for to in states if to != state]
            for states in [
                [
                    "broadcasting",
                    "partially_filled",
                    "filled",
                    "in_progress",
                    "completed",
                    "cancelled",
                    "expired",
                ]
            ]
            for state in states[:4]
        },
    ),
    "orders_truckrequest": (
        "status",
        {
            "searching": ["assigned", "expired", "cancelled"],
            "assigned": ["completed", "searching", "expired", "cancelled", "failed"],
        },
    ),
    "orders_offer": (
        "state",
        {
            "open": ["accepted", "declined", "withdrawn", "closed"],
            "accepted": ["given_back"],
            "declined": ["accepted"],
            "closed": ["open"],
            "withdrawn": ["open"],
        },
    ),
    "orders_trip": (
        "status",
        {
            "assigned": ["en_route_pickup", "at_pickup", "cancelled"],
            "en_route_pickup": ["at_pickup", "cancelled"],
            "at_pickup": ["in_transit", "cancelled"],
            "in_transit": ["at_drop", "failed"],
            "at_drop": ["completed", "failed"],
        },
    ),
}
FROZEN = {
    "orders_order": [
        "customer_id",
        "idempotency_key",
        "city_id",
        "rate_card_id",
        "fare_paise",
        "created_at",
    ],
    "orders_truckrequest": [
        "order_id",
        "vehicle_type_id",
        "fare_paise",
        "payout_paise",
        "replaces_id",
    ],
    "orders_offer": ["order_id", "transporter_id"],
    "orders_trip": ["order_id", "truck_id", "transporter_id", "vehicle_id", "vehicle_type_id"],
}
COMPOSITE = {
    "trip_truck_of_order_and_type": (
        "(truck_id, order_id, vehicle_type_id)",
        "orders_truckrequest (id, order_id, vehicle_type_id)",
    ),
    "trip_vehicle_of_fleet_and_type": (
        "(vehicle_id, transporter_id, vehicle_type_id)",
        "transporters_vehicle (id, transporter_id, vehicle_type_id)",
    ),
    "trip_driver_of_fleet": (
        "(driver_id, transporter_id)",
        "transporters_driver (id, transporter_id)",
    ),
    "trip_only_by_offer": (
        "(order_id, transporter_id)",
        "orders_offer (order_id, transporter_id)",
    ),
}

FUNCTIONS = """
CREATE FUNCTION weelo_legal_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    here text := to_jsonb(OLD) ->> TG_ARGV[0];
    there text := to_jsonb(NEW) ->> TG_ARGV[0];
BEGIN
    IF here <> there AND NOT coalesce((TG_ARGV[1]::jsonb -> here) ? there, false) THEN
        RAISE EXCEPTION '% % may not move from % to %', TG_TABLE_NAME, OLD.id, here, there
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION weelo_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: what was agreed never changes', TG_TABLE_NAME, OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
END $$;
"""


def triggers() -> str:
    """The CREATE TRIGGER statements of every guarded table."""
    parts = []
    for table, (column, arrows) in ARROWS.items():
        parts.append(
            f"CREATE TRIGGER {table}_legal_move BEFORE UPDATE OF {column} ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION weelo_legal_move('{column}', '{json.dumps(arrows)}');"
        )
        old = ", ".join(f"OLD.{name}" for name in FROZEN[table])
        new = ", ".join(f"NEW.{name}" for name in FROZEN[table])
        parts.append(
            f"CREATE TRIGGER {table}_frozen BEFORE UPDATE ON {table} FOR EACH ROW"
            f" WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION weelo_never_changes();"
        )
    parts.append(
        "CREATE TRIGGER orders_fact_frozen BEFORE UPDATE OR DELETE ON orders_fact"
        " FOR EACH ROW EXECUTE FUNCTION weelo_never_changes();"
    )
    return "\n".join(parts)


def no_triggers() -> str:
    """The reverse of `triggers`."""
    drops = [
        f"DROP TRIGGER {table}_{name} ON {table};"
        for table in ARROWS
        for name in ("legal_move", "frozen")
    ]
    return "\n".join([*drops, "DROP TRIGGER orders_fact_frozen ON orders_fact;"])


class Migration(migrations.Migration):
    dependencies: ClassVar[list[Any]] = [
        ("orders", "0001_initial"),
        ("transporters", "0001_initial"),
    ]
    operations: ClassVar[list[Any]] = [
        *(
            migrations.RunSQL(
                f"ALTER TABLE orders_trip ADD CONSTRAINT {name}"
                f" FOREIGN KEY {columns} REFERENCES {target}",
                f"ALTER TABLE orders_trip DROP CONSTRAINT {name}",
            )
            for name, (columns, target) in COMPOSITE.items()
        ),
        migrations.RunSQL(
            FUNCTIONS, "DROP FUNCTION weelo_legal_move; DROP FUNCTION weelo_never_changes;"
        ),
        migrations.RunSQL(triggers(), no_triggers()),
    ]

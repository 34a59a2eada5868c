"""Rules of a trip's begin and of an order's end, and rows that stay.

The triggers look when the statement is done, so that one statement may write a trip together with
its offer, or an order together with its trucks.
"""

from django.db import migrations

LOOKS = {
    "trip_won_rightly": (
        "orders_trip",
        "INSERT",
        "true",
        (
            "SELECT FROM orders_order o"
            " JOIN cities_city city ON city.slug = o.city_id"
            " JOIN orders_offer offer"
            "   ON (offer.order_id, offer.transporter_id) = (o.id, NEW.transporter_id)"
            " JOIN transporters_transporter fleet ON fleet.id = NEW.transporter_id"
            " JOIN transporters_vehicle vehicle ON vehicle.id = NEW.vehicle_id"
            " WHERE o.id = NEW.order_id AND NOT ("
            "   offer.state = 'accepted' AND NEW.won_at < o.expires_at"
            "   AND fleet.kyc_status = 'verified' AND vehicle.in_service"
            "   AND vehicle.papers_expire_on >= (NEW.won_at AT TIME ZONE city.timezone)::date)"
        ),
    ),
    "ended_order_has_only_ended_trucks": (
        "orders_order",
        "UPDATE OF status",
        "NEW.ended_at IS NOT NULL",
        (
            "SELECT FROM orders_truckrequest"
            " WHERE order_id = NEW.id AND status IN ('searching', 'assigned')"
        ),
    ),
}
STAYS = ("orders_order", "orders_truckrequest", "orders_offer", "orders_trip")
STAYS_FUNCTION = """
CREATE FUNCTION weelo_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: what was agreed stays', TG_TABLE_NAME, OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
END $$;
"""
RULES = {
    "trip_driver_stays_after_the_pickup": (
        (
            "CREATE TRIGGER trip_driver_stays_after_the_pickup BEFORE UPDATE OF driver_id"
            " ON orders_trip FOR EACH ROW WHEN (OLD.driver_id IS DISTINCT FROM NEW.driver_id"
            " AND OLD.status NOT IN ('assigned', 'en_route_pickup', 'at_pickup'))"
            " EXECUTE FUNCTION weelo_refused('the goods are on board')"
        ),
        "DROP TRIGGER trip_driver_stays_after_the_pickup ON orders_trip",
    ),
    "trip_stops_state": (
        (
            "ALTER TABLE orders_trip ADD CONSTRAINT trip_stops_state"
            " CHECK (stops_state <@ ARRAY['pending', 'arrived', 'done']::varchar[])"
        ),
        "ALTER TABLE orders_trip DROP CONSTRAINT trip_stops_state",
    ),
    "truck_replaces_one_of_its_order_and_type": (
        (
            "ALTER TABLE orders_truckrequest ADD CONSTRAINT truck_replaces_one_of_its_order_and_type"
            " FOREIGN KEY (replaces_id, order_id, vehicle_type_id)"
            " REFERENCES orders_truckrequest (id, order_id, vehicle_type_id)"
        ),
        "ALTER TABLE orders_truckrequest DROP CONSTRAINT truck_replaces_one_of_its_order_and_type",
    ),
}


def looks():
    """A function and a trigger for each rule that looks at other rows."""
    return [
        (
            (
                f"CREATE FUNCTION weelo_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" IF EXISTS ({wrong}) THEN RAISE EXCEPTION '% refused', TG_TABLE_NAME"
                f" USING ERRCODE = 'check_violation', CONSTRAINT = '{name}'; END IF;"
                f" RETURN NULL; END $$;"
                f" CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW WHEN ({when})"
                f" EXECUTE FUNCTION weelo_{name}();"
            ),
            f"DROP FUNCTION weelo_{name} CASCADE",
        )
        for name, (table, event, when, wrong) in LOOKS.items()
    ]


def stays():
    """Orders, trucks, offers and trips are never deleted."""
    return [
        (
            (
                f"CREATE TRIGGER {table}_stays BEFORE DELETE ON {table} FOR EACH ROW"
                f" EXECUTE FUNCTION weelo_stays()"
            ),
            f"DROP TRIGGER {table}_stays ON {table}",
        )
        for table in STAYS
    ]


class Migration(migrations.Migration):
    dependencies = [("orders", "0005_trip_live")]
    operations = [
        *(migrations.RunSQL(*rule) for rule in looks()),
        migrations.RunSQL(STAYS_FUNCTION, "DROP FUNCTION weelo_stays"),
        *(migrations.RunSQL(*rule) for rule in stays()),
        *(migrations.RunSQL(*rule) for rule in RULES.values()),
    ]

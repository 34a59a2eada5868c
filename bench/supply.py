"""Plants captains by the hundred thousand: each a person, a verified fleet, a truck, a position.

For measurements only: rows as the product writes them, in a few statements.
"""

from django.db import connection, transaction

from transporters import presence
from transporters.presence import index
from weelo.lib.redis import guarded

_MOST_AT_ONCE = 50_000
_PLANT = """
CREATE TEMP TABLE planted ON COMMIT DROP AS
SELECT gen_random_uuid() AS owner, gen_random_uuid() AS fleet, gen_random_uuid() AS truck, n,
       lat, lng FROM unnest(%s::float8[], %s::float8[]) WITH ORDINALITY AS point (lat, lng, n);
INSERT INTO accounts_user (id, phone, name, password, is_staff, is_superuser, is_active,
                           max_active_orders, created_at)
SELECT owner, '+917' || lpad((n + %s)::text, 9, '0'), 'Captain ' || n, '', false, false, true, 1,
       now() FROM planted;
INSERT INTO transporters_transporter (id, owner_id, business_name, pan, gstin, kyc_status,
                                      kyc_reason, is_online, online_changed_at, created_at)
SELECT fleet, owner, 'Fleet ' || n, '', '', 'verified', '', true, now(), now() FROM planted;
INSERT INTO transporters_vehicle (id, transporter_id, vehicle_type_id, registration, in_service,
                                  rc_expires_on, permit_expires_on, fitness_expires_on,
                                  insurance_expires_on, puc_expires_on, created_at)
SELECT truck, fleet, %s, 'B' || (n + %s), true, day, day, day, day, day, now()
FROM planted, (VALUES (date '2040-01-01')) papers (day);
INSERT INTO transporters_currentposition (transporter_id, vehicle_id, vehicle_type_id, lat, lng, at)
SELECT fleet, truck, %s, lat, lng, now() + interval '1 day' FROM planted;
"""


def plant(points, vehicle_type, *, after=0):
    """A captain with one truck of the type at each point; `after` so many planted before.

    Their positions are dated a day ahead, so that none grows stale while others are measured.
    """
    for start in range(0, len(points), _MOST_AT_ONCE):
        part = points[start : start + _MOST_AT_ONCE]
        lats, lngs = [p.lat for p in part], [p.lng for p in part]
        number = after + start
        with transaction.atomic(savepoint=True), connection.cursor() as cursor:
            values = [lats, lngs, number, vehicle_type, number, vehicle_type]
            cursor.execute(_PLANT, values)


def tidy():
    """VACUUM and ANALYZE, as autovacuum would have by then."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def fill_index():
    """Empty Redis and let the product fill its index from PostgreSQL; how many it holds."""
    with guarded() as redis:
        redis.flushdb()
    assert not index.is_filled()
    return presence.refill()

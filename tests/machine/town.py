"""The town of the histories: its people in the database, emptied of orders between histories."""

import json
from datetime import date, datetime

from django.db import connection

from tests import people
from tests.machine import model
from transporters.models import Driver, Vehicle
from weelo.accounts.models import User

ELSEWHERE = (12.2958, 76.6394)
EXPIRED = date(2026, 1, 1)
OPEN, ACE, TIPPER = "open-17-ft", "mini-tata-ace", "tipper-20-24-t"
# Each fleet: its vehicles as (type, in service, papers valid), its drivers as (active, licence).
FLEETS = {
    "Balu": (
        [(OPEN, True, True), (OPEN, True, True), (ACE, True, True)],
        [(True, True), (True, True)],
    ),
    "Chitra": ([(OPEN, True, True), (ACE, True, True)], [(True, True)]),
    "Deepak": (
        [(OPEN, True, True), (OPEN, False, True), (OPEN, True, False), (TIPPER, True, True)],
        [(True, True), (True, False), (False, True)],
    ),
    "Elango": ([(OPEN, True, True), (ACE, True, True)], [(True, True)]),
    "Fatima": ([(ACE, True, True), (OPEN, True, True)], []),
}
CUSTOMERS = {"Asha": 1, "Bina": 2, "Gopal": 1}
EMPTY = """
SET session_replication_role = replica;
DELETE FROM orders_rating; DELETE FROM orders_dispute; DELETE FROM orders_fact;
DELETE FROM orders_wave; DELETE FROM orders_trip; DELETE FROM orders_offer;
DELETE FROM orders_truckrequest; DELETE FROM orders_order;
DELETE FROM events_event; DELETE FROM events_stream;
DELETE FROM accounts_smsmessage; DELETE FROM dispatch_reconciliation;
UPDATE transporters_transporter SET kyc_status = 'verified', kyc_reason = '', is_online = true;
SET session_replication_role = origin;
"""
ROWS = """
SELECT clock_timestamp(), json_build_object(
    'order', (SELECT json_agg(o) FROM orders_order o),
    'truck', (SELECT json_agg(t) FROM orders_truckrequest t),
    'offer', (SELECT json_agg(f) FROM orders_offer f),
    'trip', (SELECT json_agg(t ORDER BY won_at) FROM orders_trip t),
    'fleet', (SELECT json_agg(t) FROM transporters_transporter t),
    'rating', (SELECT json_agg(r) FROM orders_rating r),
    'dispute', (SELECT json_agg(d) FROM orders_dispute d),
    'sms', (SELECT count(*) FROM accounts_smsmessage),
    'heard', (
        SELECT json_agg(json_build_array(user_id, role, name, number)) FROM (
            SELECT user_id, role, name, count(*) AS number
            FROM events_event event JOIN events_stream stream ON stream.id = stream_id
            GROUP BY 1, 2, 3
        ) counted
    )
)::text
"""


class Town:
    """The people, who stay, and a fresh model of them for each history."""

    def __init__(self):
        self.city = people.make_city()
        elsewhere = people.make_city("mysuru", ELSEWHERE)
        elsewhere.photo_proof_allowed = True
        elsewhere.save()
        self.policy_id = self.city.policies.get().id
        self.dispatcher = people.make_dispatcher()
        for i, (name, most_active) in enumerate(CUSTOMERS.items()):
            user = people.make_customer(f"+91910000000{i}", name)
            User.objects.filter(id=user.id).update(max_active_orders=most_active)
        for i, (name, (vehicles, drivers)) in enumerate(FLEETS.items()):
            self._make_fleet(name, f"+91920000000{i}", vehicles, drivers)
        self.users = {user.id: user for user in User.objects.select_related("transporter")}
        self.by_name = {user.name: user for user in self.users.values()}
        self.rows = {name: self._rows(name) for name in FLEETS}

    def _make_fleet(self, name, phone, vehicles, drivers):
        fleet = people.make_captain(phone, name, vehicles=0)
        for slug, in_service, valid in vehicles:
            papers = {} if valid else {"puc_expires_on": EXPIRED}
            people.make_vehicle(fleet, slug, in_service=in_service, **papers)
        for i, (active, licence) in enumerate(drivers):
            driver = people.make_driver(fleet, f"{phone[:-2]}{i + 1}{phone[-1]}", f"driver {i + 1}")
            expires_on = driver.licence_expires_on if licence else EXPIRED
            changed = Driver.objects.filter(id=driver.id)
            changed.update(is_active=active, licence_expires_on=expires_on)

    def fresh_model(self, kind):
        """Everybody as they are at the start of a history; `kind` is the model's class."""
        self.empty()
        customers = [
            model.Customer(name, self.by_name[name].id, most) for name, most in CUSTOMERS.items()
        ]
        fleets = [self._fleet(name, *parts) for name, parts in FLEETS.items()]
        return kind(customers, fleets)

    def _rows(self, name):
        """Ids of a fleet's vehicles with what they are called, and of its drivers."""
        fleet = self.by_name[name].transporter
        vehicles = Vehicle.objects.filter(transporter=fleet).order_by("registration")
        drivers = Driver.objects.filter(transporter=fleet).order_by("phone")
        return (
            [(f"{name}'s {row.vehicle_type_id} {row.registration}", row.id) for row in vehicles],
            [(f"{name}'s {row.name}", row.id, row.user_id) for row in drivers],
        )

    def _fleet(self, name, vehicles, drivers):
        owner, (vehicle_rows, driver_rows) = self.by_name[name], self.rows[name]
        return model.Fleet(
            name,
            owner.transporter.id,
            owner.id,
            [model.Vehicle(*row, *kind) for row, kind in zip(vehicle_rows, vehicles, strict=True)],
            [model.Driver(*row, *kind) for row, kind in zip(driver_rows, drivers, strict=True)],
        )

    def empty(self):
        with connection.cursor() as cursor:
            cursor.execute(EMPTY)

    def read(self):
        """The database's clock, and every row by table as dicts of JSON values."""
        with connection.cursor() as cursor:
            cursor.execute(ROWS)
            now, rows = cursor.fetchone()
        return now, {name: [] if part is None else part for name, part in json.loads(rows).items()}


def moment(text):
    """A time as JSON of the database has it."""
    return datetime.fromisoformat(text) if text else None

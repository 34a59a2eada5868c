"""Holds the rows of the database to the model, and gives the model's things their ids."""

from collections import Counter

from tests.machine import model
from tests.machine.town import moment

# What people hear that the model predicts; the rest are partial updates of the same lists.
HEARD = {
    "order_created",
    "order_expired",
    "order_completed",
    "order_cancelled",
    "truck_assigned",
    "new_broadcast",
    "broadcast_dismissed",
    "kyc_changed",
}
MOMENTS = {"expires_at", "next_wave_at", "at_pickup_at"}


class Comparison:
    """What differs between a model and the rows of one look, as lines to read."""

    def __init__(self, known, rows):
        self.model, self.rows = known, rows
        self.differences = []

    def run(self):
        """Compare everything; what was expected to lie in a span is known exactly afterwards."""
        orders = {row["id"]: row for row in self.rows["order"]}
        self._same("orders", {str(order.id) for order in self.model.orders()}, set(orders))
        if not self.differences:
            for order in self.model.orders():
                self._order(order, orders[str(order.id)])
            self._others()
        return self.differences

    def _of(self, table, **wanted):
        wanted = {name: str(value) for name, value in wanted.items()}
        return [
            row
            for row in self.rows[table]
            if all(row[name] == value for name, value in wanted.items())
        ]

    def _same(self, what, expected, found):
        if (isinstance(expected, frozenset) and not isinstance(found, frozenset)) or isinstance(
            expected, model.Span
        ):
            matches = found in expected
        else:
            matches = expected == found
        if not matches:
            self.differences.append(f"{what}: the model says {expected}, the database {found}")

    def _fields(self, what, thing, row, *names, **columns):
        """Compare attributes of a thing with columns of its row, and learn what was uncertain."""
        for name, column in {**dict(zip(names, names, strict=True)), **columns}.items():
            found = moment(row[column]) if column in MOMENTS else row[column]
            self._same(f"{what}.{column}", getattr(thing, name), found)
            setattr(thing, name, found)

    def _order(self, order, row):
        what = order.name
        self._fields(what, order, row, "status", "reason", "captains_told", "fare_paise")
        self._fields(what, order, row, "payable_paise", "cancel_fee_paise", "captain_share_paise")
        self._fields(what, order, row, "expires_at", "next_wave_at")
        counting = order.counting()
        won = [truck for truck in counting if truck.status in model.WON]
        self._same(f"{what}.trucks_wanted", len(counting), row["trucks_wanted"])
        self._same(f"{what}.trucks_filled", len(won), row["trucks_filled"])
        self._same(f"{what}.trucks_searching", len(order.searching()), row["trucks_searching"])
        self._same(f"{what}.wave", order.wave[0], row["wave"])
        self._same(f"{what} ended", order.status not in model.ACTIVE, row["ended_at"] is not None)
        self._trucks(order, row["id"])
        self._offers(order, row["id"])

    def _trucks(self, order, order_id):
        rows = {row["position"]: row for row in self._of("truck", order_id=order_id)}
        self._same(f"{order.name}.trucks", {truck.position for truck in order.trucks}, set(rows))
        for truck in order.trucks:
            row = rows.get(truck.position)
            if row is None:
                continue
            truck.id = truck.id or row["id"]
            what = f"{order.name} truck {truck.position}"
            self._fields(what, truck, row, "id", "status", "give_backs", "load_kg", "fare_paise")
            self._fields(what, truck, row, "payout_paise", type="vehicle_type_id")
            replaces = truck.replaces and truck.replaces.id
            self._same(f"{what}.replaces", replaces, row["replaces_id"])
            self._trips(what, truck)

    def _trips(self, what, truck):
        rows = self._of("trip", truck_id=truck.id)
        self._same(f"{what}.trips", len(truck.trips), len(rows))
        for number, (trip, row) in enumerate(zip(truck.trips, rows, strict=False), 1):
            self._trip(f"{what} trip {number}", trip, row)

    def _trip(self, what, trip, row):
        trip.id = trip.id or row["id"]
        self._fields(what, trip, row, "id", "status", "reason", stops="stops_state")
        self._same(f"{what}.vehicle", str(trip.vehicle.id), row["vehicle_id"])
        self._same(f"{what}.transporter", str(trip.fleet.id), row["transporter_id"])
        self._same(f"{what}.driver", trip.driver and str(trip.driver.id), row["driver_id"])
        self._same(f"{what}.steps", trip.steps, [step["status"] for step in row["steps"]])
        self._same(f"{what}.proof", trip.proof, row["proof"] and row["proof"]["kind"])
        self._same(f"{what} ended", trip.status not in model.LIVE, row["ended_at"] is not None)
        at_pickup = "at_pickup" in trip.steps
        self._same(f"{what} at pickup", at_pickup, row["at_pickup_at"] is not None)
        trip.at_pickup_at = moment(row["at_pickup_at"])
        for code in ("start_code", "drop_code"):
            self._same(f"{what}.{code}_tries", trip.tries[code], row[f"{code}_tries"])
            stays = trip.codes.get(code, row[code]) == row[code]
            self._same(f"{what}.{code} stays", trip.renewed != code, stays)
            trip.codes[code] = row[code]
        trip.renewed = ""

    def _offers(self, order, order_id):
        rows = {row["transporter_id"]: row for row in self._of("offer", order_id=order_id)}
        told = {str(offer.fleet.id) for offer in order.offers.values()}
        self._same(f"{order.name}.offers", told, set(rows))
        for offer in order.offers.values():
            row = rows.get(str(offer.fleet.id))
            if row is None:
                continue
            offer.id = offer.id or row["id"]
            what = f"{order.name} offer to {offer.fleet.name}"
            self._fields(what, offer, row, "id", "state", "close_reason", "again")

    def _others(self):
        for fleet in self.model.fleets:
            (row,) = self._of("fleet", id=fleet.id)
            self._fields(fleet.name, fleet, row, kyc="kyc_status", online="is_online")
        rated = {row["trip_id"]: row["stars"] for row in self.rows["rating"]}
        trips = self.model.trips()
        self._same("ratings", {t.id: t.stars for t in trips if t.stars is not None}, rated)
        known = {d.id: (d.trip.id, d.reason, d.settlement) for d in self.model.disputes}
        found = {
            row["id"]: (row["trip_id"], row["reason"], row["settled_at"] and row["settlement"])
            for row in self.rows["dispute"]
        }
        self._same("disputes", known, found)
        self._same("text messages", self.model.sms, self.rows["sms"])
        heard = {(user, role, name): n for user, role, name, n in self.rows["heard"]}
        heard = Counter({key: n for key, n in heard.items() if key[2] in HEARD})
        expected = Counter({(str(u), *rest): n for (u, *rest), n in self.model.heard.items()})
        self._same("heard", +expected - heard, heard - expected)


def versions_follow(before, after, lenient):
    """What is wrong with the versions: one step up when order, trucks or trips changed.

    `before`, `after`: the rows of two looks with one verb between them; `lenient`: the verb may
    also count something else.
    """
    wrong = []
    old = {row["id"]: row for row in before["order"]}
    for row in after["order"]:
        was = old.get(row["id"])
        if was is None:
            continue
        changed = _content(before, was) != _content(after, row)
        steps = row["version"] - was["version"]
        if steps != changed and not (lenient and steps in (0, 1)):
            wrong.append(f"the order changed: {changed}; its version rose by {steps}")
    return wrong


def _content(rows, order):
    parts = [row for t in ("truck", "trip") for row in rows[t] if row["order_id"] == order["id"]]
    return {**order, "version": 0}, sorted(parts, key=lambda row: row["id"])

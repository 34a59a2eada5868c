"""The rows of an order rebuilt from its facts alone, as somebody who only has those would."""

from collections import defaultdict

from orders.models import Offer, Order, Trip, TruckRequest
from weelo.lib.wire import rfc3339

# What the facts must bring back of each row; the rest is where it began (places, goods, payment)
# or belongs to dispatch (waves, times of looks).
ORDER = (
    "status reason version fare_paise payable_paise cancel_fee_paise captain_share_paise"
    " expires_at ended_at trucks_wanted trucks_filled trucks_searching captains_told"
)
TRUCK = "status vehicle_type_id load_kg fare_paise payout_paise give_backs replaces_id ended_at"
OFFER = "state transporter_id close_reason wave distance_m"
TRIP = (
    "status truck_id vehicle_id transporter_id driver_id reason flagged start_code_tries"
    " drop_code_tries proof stops_state at_pickup_at won_at ended_at"
)
ENDED = {"completed", "cancelled", "expired", "failed"}
WON = {"assigned", "completed", "failed"}


class Story:
    """Rows by subject and id, as the facts so far tell them."""

    def __init__(self, facts, stops):
        self.stops = stops
        self.rows = defaultdict(dict)
        for fact in facts:
            self.apply(fact)

    def apply(self, fact):
        row = self.rows[fact.subject, str(fact.subject_id)]
        begin = getattr(self, fact.kind, None)
        if begin is not None:
            row.update(begin(fact))
        row.update(fact.data)
        if fact.to_status:
            assert row.get("status", "") == fact.from_status, (fact.kind, row)
            row["status"] = fact.to_status
            row["ended_at"] = rfc3339(fact.at) if fact.to_status in ENDED else None
        if fact.subject == "offer" and fact.to_status == "open":
            row["close_reason"] = ""
        self.order["version"] = fact.order_version

    @property
    def order(self):
        return next(row for (subject, _), row in self.rows.items() if subject == "order")

    def of(self, subject):
        return {id_: row for (kind, id_), row in self.rows.items() if kind == subject}

    def order_confirmed(self, fact):
        for truck in fact.data["trucks"]:
            self.truck_begins(truck)
        return {"reason": "", "cancel_fee_paise": 0, "captain_share_paise": 0}

    def truck_begins(self, truck):
        row = self.rows["truck", truck["truck_id"]]
        row.update({"give_backs": 0, "replaces_id": None, "ended_at": None, **truck})
        row["status"] = "searching"

    def truck_replacement(self, fact):
        self.truck_begins({**fact.data, "replaces_id": fact.data["replaces"]})
        return {"status": ""}

    def trip_assigned(self, fact):
        return {
            "won_at": rfc3339(fact.at),
            "stops_state": ["pending"] * self.stops,
            "start_code_tries": 0,
            "drop_code_tries": 0,
            "reason": "",
            "flagged": "",
            "proof": None,
            "at_pickup_at": None,
        }

    def counted(self):
        """The order with what its trucks and offers make of it."""
        trucks = self.of("truck").values()
        replaced = {truck["replaces_id"] for truck in trucks}
        counting = [t for id_, t in self.of("truck").items() if id_ not in replaced]
        won = [truck for truck in counting if truck["status"] in WON]
        return {
            **self.order,
            "trucks_wanted": len(counting),
            "trucks_filled": len(won),
            "trucks_searching": sum(truck["status"] == "searching" for truck in trucks),
            "payable_paise": sum(truck["fare_paise"] for truck in won),
            "captains_told": len(self.of("offer")),
        }


def rebuilt(order):
    """`{table: {id: {column: value}}}` from the facts."""
    story = Story(order.facts.order_by("id"), stops=len(order.stops))
    offers = {id_: {**row, "state": row["status"]} for id_, row in story.of("offer").items()}
    return {
        "order": chosen({str(order.id): story.counted()}, _told(order)),
        "truck": chosen(story.of("truck"), TRUCK),
        "offer": chosen(offers, OFFER),
        "trip": chosen(story.of("trip"), TRIP),
    }


def stored(order):
    """The same from the rows."""
    of_order = {"order_id": order.id}
    tables = (
        ("order", Order, _told(order), {"id": order.id}),
        ("truck", TruckRequest, TRUCK, of_order),
        ("offer", Offer, OFFER, of_order),
        ("trip", Trip, TRIP, of_order),
    )
    return {
        name: chosen({str(r["id"]): r for r in model.objects.filter(**where).values()}, columns)
        for name, model, columns, where in tables
    }


def _told(order):
    """The order's columns; without the deadline where a test has moved it behind the verbs."""
    was_moved = order.facts.get(kind="order_confirmed").at != order.created_at
    return ORDER.replace("expires_at", "") if was_moved else ORDER


def chosen(rows, columns):
    return {id_: {c: plain(row.get(c)) for c in columns.split()} for id_, row in rows.items()}


def plain(value):
    if hasattr(value, "tzinfo"):
        return rfc3339(value)
    if isinstance(value, dict | list | int | None.__class__):
        return value
    return str(value)

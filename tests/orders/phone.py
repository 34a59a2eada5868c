"""What a phone does with a snapshot and the events after it, as CONTRACT tells its makers."""

import json

from tests.contract.frames import validate_frame
from weelo.events.mailbox import event_frame
from weelo.events.models import Event, Stream
from weelo.lib.wire import encode

# By nature different at every look or computed against the clock; and when an order was made,
# which only moves because the tests move the clock so.
PASSING = {"server_time", "remaining_s", "position", "cancel", "created_at"}


def plain(payload):
    """As it arrives over the wire."""
    return json.loads(encode(payload))


def head(user, role):
    stream = Stream.objects.filter(user=user, role=role).first()
    return stream.head if stream else 0


def events_after(user, role, seq):
    """What the person was told since, each as docs/asyncapi.yaml has it."""
    told = Event.objects.filter(stream__user=user, stream__role=role, seq__gt=seq)
    events = list(told.order_by("seq"))
    columns = ("seq", "name", "at", "order_id", "order_version")
    for event in events:
        row = [getattr(event, name) for name in columns]
        validate_frame(role, "send", json.loads(event_frame([*row, encode(event.data)])))
    return events


class CustomerPhone:
    """Asha's phone: her orders by id."""

    def __init__(self, snapshot):
        snapshot = plain(snapshot)
        self.orders = {order["id"]: order for order in snapshot["orders"]}
        if snapshot["last_order"]:
            self.orders[snapshot["last_order"]["id"]] = snapshot["last_order"]

    def apply(self, event):
        data, order_id = event.data, str(event.order_id)
        getattr(self, event.name)(order_id, data)
        if order_id in self.orders:
            self.orders[order_id]["version"] = event.order_version

    def order_created(self, order_id, data):
        self.orders[order_id] = data["order"]

    def order_status_changed(self, order_id, data):
        order = self.orders[order_id]
        known = {truck["id"]: truck for truck in order["trucks"]}
        moving = {name: value for name, value in data.items() if name != "trucks"}
        order.update(moving)
        order["trucks"] = []
        for changed in data["trucks"]:
            truck = known.get(changed["id"], {"trip": None})
            truck |= {name: value for name, value in changed.items() if name != "trip_id"}
            if changed["trip_id"] is None:
                truck["trip"] = None
            order["trucks"].append(truck)

    def captains_told(self, order_id, data):
        self.orders[order_id]["captains_told"] = data["captains_told"]

    def truck_assigned(self, order_id, data):
        for truck in self.orders[order_id]["trucks"]:
            if truck["id"] == data["truck_id"]:
                truck["trip"] = data["trip"]

    def trip_changed(self, order_id, data):
        for truck in self.orders[order_id]["trucks"]:
            if truck["trip"] and truck["trip"]["id"] == data["id"]:
                truck["trip"] = data

    def trucks_remaining_update(self, order_id, data):
        self.orders[order_id] |= {
            name: data[name] for name in ("trucks_filled", "trucks_wanted", "expires_at")
        }

    def order_expired(self, order_id, data):
        self.orders[order_id] |= data

    def order_completed(self, order_id, data):
        self.orders[order_id] |= data

    def shows(self):
        return {order_id: stripped(order) for order_id, order in self.orders.items()}


class CaptainPhone:
    """A captain's phone: the offers in the list, and the trips."""

    def __init__(self, snapshot):
        snapshot = plain(snapshot)
        self.offers = {offer["offer_id"]: offer for offer in snapshot["offers"]}
        self.trips = {trip["id"]: trip for trip in snapshot["trips"]}

    def apply(self, event):
        getattr(self, event.name)(event.data)

    def new_broadcast(self, data):
        self.offers[data["offer_id"]] = data

    def trucks_remaining_update(self, data):
        offer = self.offers[data["offer_id"]]
        offer |= {name: data[name] for name in ("trucks", "expires_at", "state")}

    def broadcast_dismissed(self, data):
        self.offers.pop(data["offer_id"], None)

    def trip_changed(self, data):
        self.trips[data["id"]] = data

    def order_cancelled(self, data):
        pass  # a note; what it tells came with trip_changed

    def shows(self):
        offers = {offer_id: stripped(offer) for offer_id, offer in self.offers.items()}
        return offers, {trip_id: stripped(trip) for trip_id, trip in self.trips.items()}


def stripped(payload):
    if isinstance(payload, dict):
        return {k: stripped(v) for k, v in payload.items() if k not in PASSING}
    if isinstance(payload, list):
        return [stripped(item) for item in payload]
    return payload

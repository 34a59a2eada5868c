"""What readers see against what the model says, whether or not an expiry is stored yet."""

from orders import snapshots
from tests.machine.model import ACTIVE, LOADED, WON, order_status


def disagreements(known):
    """Where the lists that phones read differ from the model, as lines to read."""
    wrong = []
    for customer in (one for one in known.customers if one.orders):
        orders = {order.id: order for order in customer.orders}
        for payload in snapshots.order_payloads(snapshots.orders_of(customer.id)):
            order = orders[str(payload["id"])]
            wrong += _unlike(order.name, _order(order), payload)
        seen = {str(order.id) for order in snapshots.active_orders(customer.id)}
        active = {o.id for o in customer.orders if order_status(o, seen=True) in ACTIVE}
        wrong += _unlike(f"{customer.name}'s active orders", {"ids": active}, {"ids": seen})
    told = {offer.fleet.name: offer.fleet for offer in known.offers()}
    for fleet in told.values():
        offers = snapshots.offers_of(fleet.owner_id)
        seen = {str(offer["offer_id"]): (offer["state"], offer["again"]) for offer in offers}
        wrong += _unlike(f"{fleet.name}'s list", _offers(known, fleet), seen)
    return wrong


def _order(order):
    trucks = [truck.seen() for truck in order.trucks]
    filled = sum(truck.status in WON for truck in order.counting())
    open_trips = [t.trip for t in order.trucks if t.trip and t.seen() == "assigned"]
    seen = {
        "status": order_status(order, seen=True),
        "seeking": order.seeks(),
        "captains_told": order.captains_told,
        "trucks_filled": filled,
        "payable_paise": order.payable_paise,
        "cancel_fee_paise": order.cancel_fee_paise,
        "trucks": trucks,
    }
    allowed = seen["status"] in ACTIVE and not any(t.status in LOADED for t in open_trips)
    return {**seen, "cancel": allowed}


def _offers(known, fleet):
    mine = (offer for offer in known.offers() if offer.fleet is fleet)
    listed = (offer for offer in mine if offer.state in ("open", "accepted"))
    return {offer.id: (offer.state, offer.again) for offer in listed if offer.order.seeks()}


def _unlike(what, expected, payload):
    if "trucks" in payload:
        trucks = [truck["status"] for truck in payload["trucks"]]
        payload = {**payload, "trucks": trucks, "cancel": payload["cancel"]["allowed"]}
    names = set(expected) | (set(payload) if "status" not in expected else set())
    return [
        f"{what}, {name}: the model says {expected.get(name)}, a reader {payload.get(name)}"
        for name in sorted(names)
        if expected.get(name) != payload.get(name)
    ]

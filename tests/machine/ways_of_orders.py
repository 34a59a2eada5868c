"""What can be done with orders and offers; what a way leaves open is drawn."""

from dataclasses import replace

from tests.machine.booking import Line
from tests.machine.guiding import way
from tests.machine.model import ACTIVE, order_status
from tests.machine.openings import ACE, OPEN, ROUTES, body

DELHI, LONDON = (28.6139, 77.2090), (51.5072, -0.1276)
LINES = (
    (Line(OPEN),),
    (Line(OPEN, 2),),
    (Line(ACE, 1, 600), Line(OPEN, 1, 7000)),
    (Line(OPEN, 3),),
)


def wish(draw):
    return body(draw.one_of(*ROUTES), *draw.one_of(*LINES))


def has_room(_, customer):
    active = [order for order in customer.orders if order_status(order, seen=True) in ACTIVE]
    made_lately = sum(order.made_lately for order in customer.orders)
    return len(active) < customer.most_active and made_lately < 5


def has_none(acts, customer):
    return not has_room(acts, customer)


def has_key(_, customer):
    return any(order.key for order in customer.orders)


# --- confirm ------------------------------------------------------------------------------------


@way("customer", "confirm")
def confirm(acts, draw, customer):
    key = draw.one_of("", f"key {len(customer.orders)}")
    acts.confirm(customer, wish(draw), key, key if key and draw.seldom() else None)


@way("customer", "confirm", "ACTIVE_ORDER_EXISTS", fits=has_none)
def confirm_one_more(acts, draw, customer):
    acts.confirm(customer, wish(draw))


@way("customer", "confirm", "RATE_LIMITED", fits=has_room)
def confirm_too_often(acts, draw, customer):
    """Orders made and cancelled until five were made in a minute, and then some more."""
    for _ in range(5 - sum(order.made_lately for order in customer.orders)):
        acts.cancel(acts.confirm(customer, body("no stop", Line(OPEN))), None, "no need")
    for _ in range(draw.one_of(3, 1)):
        acts.confirm(customer, wish(draw))


@way("customer", "confirm", ("seen", "replayed"), fits=has_key)
@way("customer", "confirm", "IDEMPOTENCY_KEY_REUSED", fits=has_key)
def confirm_again(acts, draw, customer):
    """The key that made an order before, with the same body or another one."""
    order = draw.one_of(*(order for order in customer.orders if order.key))
    other = replace(order.body, lines=(Line(OPEN, 9),))
    acts.confirm(customer, draw.one_of(order.body, other), order.key)


@way("customer", "confirm", "CONCURRENT_REQUEST", fits=has_room)
def confirm_during_another(acts, draw, customer):
    acts.confirm(customer, wish(draw), draw.one_of("", "mine"), draw.one_of("", "another"))


@way("customer", "confirm", "OUT_OF_AREA", fits=has_room)
def confirm_outside(acts, draw, customer):
    wanted = wish(draw)
    from_delhi, to_london = (DELHI, *wanted.points[1:]), (*wanted.points[:-1], LONDON)
    acts.confirm(customer, replace(wanted, points=draw.one_of(from_delhi, to_london), served=False))


@way("customer", "confirm", "UNKNOWN_VEHICLE_TYPE", fits=has_room)
def confirm_an_unknown_type(acts, draw, customer):
    acts.confirm(customer, replace(wish(draw), lines=(Line(OPEN), Line("hovercraft"))))


@way("customer", "confirm", "LOAD_OVER_CAPACITY", fits=has_room)
def confirm_an_overload(acts, draw, customer):
    acts.confirm(customer, replace(wish(draw), lines=(Line(OPEN), Line(ACE, 1, 1001))))


@way("customer", "confirm", "QUOTE_INVALID", fits=has_room)
@way("customer", "confirm", ("seen", "quoted"), fits=has_room)
def confirm_a_quote(acts, draw, customer):
    wanted = wish(draw)
    first = wanted.lines[0]
    fare_paise = acts.fare_to_quote(wanted.points, first)
    kind = draw.one_of("valid", "expired", "foreign", "altered", "valid")
    line = replace(first, quantity=1, quote=(kind, fare_paise))
    acts.confirm(customer, replace(wanted, lines=(line,)))


# --- offers -------------------------------------------------------------------------------------


def seeks(_, order):
    return order.seeks()


@way("order", "tell")
@way("order", "tell", "STALE", fits=seeks)
def tell(acts, draw, order):
    fleets = [fleet for fleet in acts.model.fleets if draw.number(4)]
    number, part = order.wave
    following = [(number + 1, 0), (max(number, 1), part + 1), (max(number, 1), part)]
    acts.tell(order, fleets, *draw.one_of(*following))


def usable(offer):
    """Vehicles of the fleet that could serve the order, busy or not."""
    wanted = {truck.type for truck in offer.order.trucks}
    fleet = offer.fleet
    return [v for v in fleet.vehicles if v.in_service and v.papers_valid and v.type in wanted]


def free(acts, offer):
    return [vehicle for vehicle in usable(offer) if not acts.model.is_busy(vehicle)]


def can_win(acts, offer):
    verified = offer.fleet.kyc == "verified" and offer.state in ("open", "accepted", "declined")
    wanted = {truck.type for truck in offer.order.searching()}
    return verified and offer.order.seeks() and any(v.type in wanted for v in free(acts, offer))


def could_win_more(acts, offer):
    wanted = [truck.type for truck in offer.order.searching()]
    return can_win(acts, offer) and len(free(acts, offer)) > 1 and len(wanted) > 1


def was_cancelled(_, offer):
    cancelled = offer.order.status == "cancelled" or offer.close_reason == "CANCELLED"
    return cancelled and offer.fleet.kyc == "verified" and offer.order.status != "expired"


def has_gone(_, offer):
    gone = offer.state in ("withdrawn", "given_back")
    return gone and offer.fleet.kyc == "verified" and offer.order.seeks()


def has_run_out(_, offer):
    late = offer.order.is_overdue() or "EXPIRED" in (offer.order.cell().upper(), offer.close_reason)
    return late and offer.fleet.kyc == "verified" and offer.state != "accepted"


@way("offer", "accept")
@way("offer", "accept", fits=can_win)
@way("offer", "accept", "ORDER_EXPIRED", fits=has_run_out)
@way("offer", "accept", "NOT_VERIFIED", fits=lambda _, offer: offer.fleet.kyc != "verified")
@way("offer", "accept", "OFFER_CLOSED", fits=has_gone)
@way("offer", "accept", "ORDER_CANCELLED", fits=was_cancelled)
@way("offer", "accept", "TRUCK_TAKEN", fits=lambda _, offer: offer.close_reason == "FILLED")
def accept(acts, draw, offer):
    """With one free vehicle, or with all that are free."""
    vehicles = free(acts, offer)
    drivers = own_drivers(acts, draw, offer.fleet) if draw.seldom() else []
    acts.accept(offer.fleet, offer, draw.one_of(vehicles[:1], vehicles), drivers)


@way("offer", "accept", ("seen", "several_won"), fits=could_win_more)
def accept_with_all(acts, _, offer):
    acts.accept(offer.fleet, offer, free(acts, offer))


def own_drivers(acts, draw, fleet):
    """A driver of the fleet, if there is any, or none named."""
    idle = [d for d in fleet.drivers if not acts.model.is_busy(d) and d.active and d.licence_valid]
    return [draw.one_of(*idle, None)]


@way("offer", "accept", fits=can_win)
def accept_with_a_driver(acts, draw, offer):
    drivers = own_drivers(acts, draw, offer.fleet)
    acts.accept(offer.fleet, offer, free(acts, offer)[:1], drivers)


def _held(offer):
    return [trip for trip in offer.order.held_trips() if trip.fleet is offer.fleet]


@way("offer", "accept", ("seen", "same_vehicles"), fits=lambda _, offer: bool(_held(offer)))
def accept_again(acts, draw, offer):
    """The vehicles that won before, alone or with another one."""
    vehicles = [trip.vehicle for trip in _held(offer)]
    more = draw.one_of([], [], free(acts, offer)[:1])
    acts.accept(offer.fleet, offer, [*vehicles, *more])


def has_a_busy_vehicle(acts, offer):
    return offer.order.seeks() and len(free(acts, offer)) < len(usable(offer))


@way("offer", "accept", "VEHICLE_BUSY", fits=has_a_busy_vehicle)
def accept_with_a_busy_vehicle(acts, draw, offer):
    idle = free(acts, offer)
    busy = [vehicle for vehicle in usable(offer) if vehicle not in idle]
    wrong = [vehicle for vehicle in offer.fleet.vehicles if vehicle not in usable(offer)]
    acts.accept(offer.fleet, offer, [*busy, *draw.one_of([], idle[:1], wrong[:1])])


def has_a_busy_driver(acts, offer):
    return offer.order.seeks() and any(map(acts.model.is_busy, offer.fleet.drivers))


@way("offer", "accept", "DRIVER_BUSY", fits=has_a_busy_driver)
def accept_with_a_busy_driver(acts, draw, offer):
    idle = [vehicle for vehicle in offer.fleet.vehicles if not acts.model.is_busy(vehicle)]
    vehicles = draw.one_of(free(acts, offer)[:1], idle)
    busy = [driver for driver in offer.fleet.drivers if acts.model.is_busy(driver)]
    acts.accept(offer.fleet, offer, vehicles, busy)


@way("offer", "accept", "WRONG_VEHICLE", fits=can_win)
def accept_with_a_wrong_vehicle(acts, draw, offer):
    """One that is not to be had: another's, one of another type, old papers, none, one twice."""
    (idle, *_) = free(acts, offer)
    wrong = [vehicle for vehicle in offer.fleet.vehicles if vehicle not in usable(offer)]
    others = [v for fleet in acts.model.fleets if fleet is not offer.fleet for v in fleet.vehicles]
    winners = [trip.vehicle for trip in offer.order.held_trips() if trip.fleet is not offer.fleet]
    vehicles = draw.one_of(
        [], [idle, idle], others[:1], others[-1:], winners, *([v] for v in wrong)
    )
    acts.accept(offer.fleet, offer, [*draw.one_of([], vehicles), *vehicles])


@way("offer", "accept", "WRONG_VEHICLE", fits=can_win)
def accept_with_wrong_drivers(acts, draw, offer):
    """Too many, another fleet's, one who may not drive, one twice."""
    fleet = offer.fleet
    others = [driver for one in acts.model.fleets if one is not fleet for driver in one.drivers]
    invalid = [driver for driver in fleet.drivers if not (driver.active and driver.licence_valid)]
    ways = ([None, *fleet.drivers[:1]], others[:1], others[1:2], fleet.drivers[:1] * 2)
    drivers = draw.one_of(*ways, *([driver] for driver in invalid))
    acts.accept(fleet, offer, free(acts, offer)[:1], drivers)


@way("offer", "accept", "NOT_FOUND")
def accept_what_is_not_his(acts, draw, offer):
    others = [fleet for fleet in acts.model.fleets if fleet is not offer.fleet]
    captain = draw.one_of(*others)
    acts.accept(captain, draw.one_of(offer, None), captain.vehicles[:1], captain=captain)


@way("offer", "decline")
@way("offer", "decline", "OFFER_CLOSED", fits=lambda _, o: o.state not in ("open", "declined"))
def decline(acts, _, offer):
    acts.decline(offer.fleet, offer)


@way("offer", "decline", "NOT_FOUND")
def decline_what_is_not_his(acts, draw, offer):
    others = [fleet for fleet in acts.model.fleets if fleet is not offer.fleet]
    acts.decline(offer.fleet, draw.one_of(offer, None), draw.one_of(*others))


@way("offer", "withdraw")
def suspend(acts, draw, offer):
    acts.decide(offer.fleet, "suspended", "" if draw.seldom() else "papers")


@way("offer", "reinstate")
def verify(acts, _, offer):
    acts.decide(offer.fleet, "verified")


@way("town", "decide", "ILLEGAL_MOVE")
def judge(acts, draw, _):
    acts.decide(draw.one_of(*acts.model.fleets), draw.one_of("rejected", "under_review"))


@way("town", "decide", "INVALID")
def suspend_without_a_reason(acts, draw, _):
    acts.decide(draw.one_of(*acts.model.fleets), "suspended", "")


@way("town", "switch")
def switch(acts, draw, _):
    acts.switch(draw.one_of(*acts.model.fleets), draw.one_of(True, False))


# --- endings ------------------------------------------------------------------------------------


def waits(_, order):
    return any(trip.status == "at_pickup" for trip in order.held_trips())


REASONS = ("no need", "", "no loaders")


@way("order", "cancel_order", "REASON_REQUIRED", fits=waits)
@way("order", "cancel_truck", "REASON_REQUIRED", fits=waits)
@way("order", "cancel_by_dispatcher", "REASON_REQUIRED", fits=waits)
def cancel_without_a_reason(acts, draw, order):
    waiting = [trip.truck for trip in order.held_trips() if trip.status == "at_pickup"]
    truck, by_dispatcher = draw.one_of((None, False), (waiting[0], False), (None, True))
    acts.cancel(order, truck, draw.one_of("", "  "), by_dispatcher=by_dispatcher)


@way("order", "cancel_order")
def cancel(acts, draw, order):
    acts.cancel(order, None, draw.one_of(*REASONS))


@way("order", "cancel_by_dispatcher")
def cancel_by_dispatcher(acts, draw, order):
    truck = draw.one_of(*order.trucks) if draw.seldom() else None
    acts.cancel(order, truck, draw.one_of(*REASONS), by_dispatcher=True)


@way("order", "cancel_truck")
def cancel_truck(acts, draw, order):
    acts.cancel(order, draw.one_of(*order.trucks), draw.one_of(*REASONS))


@way("order", "cancel_order", "NOT_FOUND")
@way("order", "cancel_truck", "NOT_FOUND")
def cancel_what_is_not_his(acts, draw, order):
    others = [customer for customer in acts.model.customers if customer is not order.customer]
    truck = draw.one_of(None, order.trucks[0])
    acts.cancel(order, truck, "no need", draw.one_of(*others))


@way("order", "run_out")
def run_out(acts, _, order):
    acts.run_out(order)


@way("order", "expire")
def expire(acts, _, order):
    acts.expire(order)


@way("order", "expire_due")
def expire_due(acts, _, __):
    acts.expire_due()


@way("order", "reconcile")
def reconcile(acts, _, __):
    acts.reconcile()

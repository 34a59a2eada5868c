"""What can be done with trips; what a way leaves open is drawn."""

from functools import partial

from tests.machine.guiding import way
from tests.machine.model import LIVE, TRIP_STATUSES, UNLOADED

PROOFS = ("right code", "wrong code", "none", "photo", "photo without reference")


def at(*statuses):
    return lambda _acts, trip: trip.status in statuses


def who(acts, draw, trip):
    """Who drives a trip: its captain or its driver."""
    return draw.one_of(trip.fleet.owner_id, trip.driver.user_id if trip.driver else None) or (
        trip.fleet.owner_id
    )


def stranger(acts, draw, trip):
    others = [fleet for fleet in acts.model.fleets if fleet is not trip.fleet]
    return draw.one_of(*others)


def other_customer(acts, draw, trip):
    owner = trip.truck.order.customer
    return draw.one_of(*(one for one in acts.model.customers if one is not owner))


def following(trip):
    return (*LIVE, "completed")[LIVE.index(trip.status) + 1]


def step_to(to, acts, draw, trip):
    acts.step(trip, to, user_id=who(acts, draw, trip))


for status in TRIP_STATUSES:
    way("trip", "step", more=(status,))(partial(step_to, status))


@way("trip", "step", fits=at(*LIVE))
def drive(acts, draw, trip):
    """The next step, as it should be."""
    acts.step(trip, following(trip), user_id=who(acts, draw, trip))


@way("trip", "step", "NOT_FOUND")
def step_what_is_not_his(acts, draw, trip):
    to = draw.one_of("at_pickup", "completed", "cancelled")
    drivers = [d.user_id for d in trip.fleet.drivers if d is not trip.driver]
    user_id = draw.one_of(stranger(acts, draw, trip).owner_id, *drivers)
    acts.step(trip, to, user_id=user_id)


@way("trip", "step", "CODE_WRONG", fits=at("at_pickup", "at_drop"))
@way("trip", "step", ("seen", "code_used_up"), fits=at("at_pickup", "at_drop"))
def guess(acts, draw, trip):
    """A code guessed once, or until no tries are left, and then sent right."""
    for _ in range(draw.one_of(6, 1)):
        acts.step(trip, following(trip), False, "wrong code")
    acts.step(trip, following(trip))


@way("trip", "step", "PROOF_REQUIRED", fits=at("at_drop"))
def prove(acts, draw, trip):
    acts.step(trip, "completed", proof=draw.one_of(*PROOFS))


def takes_photos(_, trip):
    return trip.status == "at_drop" and trip.truck.order.photo_allowed


@way("trip", "step", ("seen", "photo"), fits=takes_photos)
def prove_by_photo(acts, _, trip):
    acts.step(trip, "completed", proof="photo")


@way("trip", "check_stop")
@way("trip", "check_stop", "done", fits=lambda _, t: t.stops and t.status == "in_transit")
def check_stop(acts, draw, trip):
    number = draw.number(len(trip.stops)) + 1
    states = {"pending": "arrived", "arrived": "done"}
    right = states.get(trip.stops[number - 1], "done") if trip.stops else "arrived"
    acts.check_stop(trip, number, draw.one_of(right, right, "done"), who(acts, draw, trip))


@way("trip", "check_stop", "NOT_FOUND")
def check_what_is_no_stop(acts, draw, trip):
    acts.check_stop(trip, draw.one_of(0, len(trip.stops) + 1), "arrived")


@way("trip", "check_stop", "NOT_FOUND")
def check_what_is_not_his(acts, draw, trip):
    acts.check_stop(trip, 1, "arrived", stranger(acts, draw, trip).owner_id)


@way("trip", "set_driver")
def set_driver(acts, draw, trip):
    acts.set_driver(trip, draw.one_of(*trip.fleet.drivers, None))


def has_a_busy_driver(acts, trip):
    busy = [d for d in trip.fleet.drivers if d is not trip.driver and acts.model.is_busy(d)]
    return trip.status in UNLOADED and bool(busy)


@way("trip", "set_driver", "DRIVER_BUSY", fits=has_a_busy_driver)
def set_a_busy_driver(acts, draw, trip):
    busy = [d for d in trip.fleet.drivers if d is not trip.driver and acts.model.is_busy(d)]
    acts.set_driver(trip, draw.one_of(*busy))


@way("trip", "set_driver", "WRONG_VEHICLE", fits=at(*UNLOADED))
def set_a_wrong_driver(acts, draw, trip):
    """Another fleet's, or one who may not drive."""
    others = [d for fleet in acts.model.fleets if fleet is not trip.fleet for d in fleet.drivers]
    invalid = [d for d in trip.fleet.drivers if not (d.active and d.licence_valid)]
    acts.set_driver(trip, draw.one_of(*invalid, others[0]))


@way("trip", "set_driver", "NOT_FOUND")
def set_driver_of_another(acts, draw, trip):
    captain = stranger(acts, draw, trip)
    acts.set_driver(trip, None, captain)


def is_late(_, trip):
    return trip.status in UNLOADED and trip.truck.order.is_overdue()


@way("trip", "give_back")
@way("trip", "give_back", fits=at(*UNLOADED))
@way("trip", "give_back", ("seen", "expired_with_the_give_back"), fits=is_late)
def give_back(acts, _, trip):
    acts.give_back(trip)


@way("trip", "give_back", ("seen", "fourth_give_back"), fits=at(*UNLOADED))
def give_back_again_and_again(acts, draw, trip):
    """The truck goes from hand to hand as long as somebody takes it."""
    acts.give_back(trip)
    truck = trip.truck
    for offer in list(truck.order.offers.values()):
        vehicles = [v for v in offer.fleet.vehicles if v.type == truck.type and v.in_service]
        vehicles = [v for v in vehicles if v.papers_valid and not acts.model.is_busy(v)]
        open_ = offer.state in ("open", "declined") and offer.fleet.kyc == "verified"
        if open_ and vehicles and truck.order.seeks():
            acts.accept(offer.fleet, offer, vehicles[:1])
            if truck.trip:
                acts.give_back(truck.trip)


@way("trip", "give_back", "NOT_FOUND")
def give_back_what_is_not_his(acts, draw, trip):
    acts.give_back(trip, stranger(acts, draw, trip))


@way("trip", "fail")
def fail(acts, draw, trip):
    acts.fail(trip, draw.one_of(True, False))


@way("town", "fail", "NOT_FOUND")
def fail_nothing(acts, draw, _):
    acts.fail(None, draw.one_of(True, False))


@way("trip", "new_code")
def new_code(acts, draw, trip):
    acts.new_code(trip, draw.one_of("start_code", "drop_code"))


@way("town", "new_code", "NOT_FOUND")
def new_code_of_nothing(acts, draw, _):
    acts.new_code(None, draw.one_of("start_code", "drop_code"))


@way("trip", "cancel_order")
def cancel_order(acts, draw, trip):
    acts.cancel(trip.truck.order, None, draw.one_of("no need", ""))


@way("trip", "cancel_truck")
def cancel_truck(acts, draw, trip):
    acts.cancel(trip.truck.order, trip.truck, draw.one_of("no need", ""))


@way("trip", "cancel_order", ("seen", "waiting_fee"), fits=at("at_pickup"))
@way("trip", "cancel_truck", ("seen", "waiting_fee"), fits=at("at_pickup"))
def wait_and_cancel(acts, draw, trip):
    """The truck has waited at the pickup, and is cancelled alone or with its order."""
    acts.wait_at_pickup(trip, draw.one_of(34.5, 60.5, 25.5, 10.5, 3.5))
    truck = draw.one_of(None, trip.truck)
    acts.cancel(trip.truck.order, truck, "no loaders", by_dispatcher=draw.seldom())


@way("trip", "rate")
@way("trip", "rate", "done", fits=at("completed"))
def rate(acts, draw, trip):
    acts.rate(trip, draw.one_of(5, 1))


@way("trip", "rate", "NOT_FOUND")
def rate_for_another(acts, draw, trip):
    acts.rate(trip, 5, other_customer(acts, draw, trip))


@way("trip", "dispute")
def dispute(acts, draw, trip):
    acts.dispute(trip, draw.one_of("damage", "late"))


@way("trip", "dispute", "NOT_FOUND")
def dispute_for_another(acts, draw, trip):
    acts.dispute(trip, "damage", other_customer(acts, draw, trip))


@way("trip", "settle")
@way("trip", "settle", "ALREADY_SETTLED", fits=lambda _, t: any(d.settlement for d in t.disputes))
def settle(acts, draw, trip):
    if not trip.disputes:
        acts.dispute(trip, "damage")
    acts.settle(draw.one_of(*trip.disputes), draw.one_of("refunded", "nothing"))


@way("town", "settle", "NOT_FOUND")
def settle_nothing(acts, _, __):
    acts.settle(None, "refunded")

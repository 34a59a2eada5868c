"""What the end of an order's time does, whoever notices it, and what it must not do."""

from itertools import pairwise

import pytest
from django.core.serializers import serialize

from dispatch import tasks
from dispatch.reconcile import reconcile
from orders import snapshots
from orders.change import By
from orders.models import Actor, Fact, Order, Trip, TruckRequest
from orders.refusals import OrderExpired
from orders.states import OrderStatus
from orders.verbs.accept import accept
from orders.verbs.cancel import cancel
from orders.verbs.confirm import confirm
from orders.verbs.expire import expire, expire_due
from tests.accounts.doors import sign_in
from tests.dispatch.drive import shift
from tests.orders import phone as phones
from tests.orders.clock import overdue
from tests.people import make_captains, make_order, tell_them, vehicle_ids, wish
from tests.races.racing import race, race_for
from tests.scenarios.story import WAY, drive, heard, names, new_customer, win, without
from weelo.events.models import Event
from weelo.lib.problems import Refusal

# --- 11, 12: won trucks go on ---------------------------------------------------------------


def everything():
    """All rows that an expiry or a repair could touch."""
    rows = [*Order.objects.all(), *TruckRequest.objects.all(), *Trip.objects.all()]
    return serialize("json", [*rows, *Fact.objects.all(), *Event.objects.all()])


@pytest.mark.parametrize("reached", range(len(WAY)))
def test_11_a_trip_in_progress_whose_deadline_is_long_past_is_left_alone(asha, balu, reached):
    order = make_order(asha)
    tell_them(order, [balu])
    drive(win(order, balu), *WAY[:reached])
    shift(order, 7200)
    before = everything()
    for trigger in ("start", "beat"):
        assert reconcile(trigger) == []
    tasks.sweep()
    assert (expire_due(), expire(order.id)) == (0, False)
    assert everything() == before
    drive(order.trips.get(), *WAY[reached:])
    order.refresh_from_db()
    assert order.status == OrderStatus.COMPLETED


def test_12_only_the_third_truck_expires_and_the_order_goes_on_with_two(asha, balu, chitra):
    order = make_order(asha, trucks=3)
    tell_them(order, [balu, chitra])
    trips = [win(order, balu), win(order, chitra)]
    drive(trips[0], *WAY[:3])
    overdue(order)
    assert expire_due() == 1
    order.refresh_from_db()
    assert (order.status, order.trucks_searching) == (OrderStatus.IN_PROGRESS, 0)
    statuses = order.trucks.order_by("position").values_list("status", flat=True)
    assert list(statuses) == ["assigned", "assigned", "expired"]
    told = [data for name, data in heard(asha) if name == "order_expired"]
    assert told == [{"reason": "PARTLY_FILLED", "trucks_filled": 2, "trucks_wanted": 3}]
    assert [trip.status for trip in order.trips.order_by("won_at")] == ["in_transit", "assigned"]
    drive(trips[0], *WAY[3:])
    drive(trips[1], *WAY)
    order.refresh_from_db()
    assert order.status == OrderStatus.COMPLETED
    assert order.payable_paise == sum(trip.truck.fare_paise for trip in trips)
    assert names(heard(asha)).count("order_expired") == 1


# --- 17: every captain told is told again ---------------------------------------------------


def fill(order, fleets):
    win(order, fleets[0])


def cancel_it(order, fleets):
    by = By(Actor.CUSTOMER, order.customer_id)
    cancel(by, order.id, customer_id=order.customer_id)


def run_out(order, fleets):
    overdue(order)
    assert expire_due() == 1


@pytest.mark.parametrize(
    ("end", "reason"), [(fill, "FILLED"), (cancel_it, "CANCELLED"), (run_out, "EXPIRED")]
)
def test_17_every_captain_told_is_told_of_the_end_and_who_was_offline_sees_nothing_stale(
    asha, phone, end, reason
):
    fleets = make_captains(5)
    order = make_order(asha)
    tell_them(order, fleets[:3], number=1)
    tell_them(order, fleets[3:], number=2)
    away = fleets[4].owner
    screen = phones.CaptainPhone(snapshots.captain_snapshot(away.id))
    assert len(screen.offers) == 1
    seq = phones.head(away, "captain")
    end(order, fleets)
    for fleet in fleets:
        told = [data for name, data in heard(fleet, order) if name == "broadcast_dismissed"]
        assert [data["reason"] for data in told] == [reason]
        assert told[0]["order_id"] == str(order.id)
    # Back online: by the events missed, by a fresh snapshot, and by polling.
    for event in phones.events_after(away, "captain", seq):
        screen.apply(event)
    assert screen.offers == {}
    assert snapshots.captain_snapshot(away.id)["offers"] == []
    line = phone(fleets[4])
    assert line.get("offers").body["results"] == []
    (offer,) = fleets[4].offers.all()
    assert line.get(f"offers/{offer.id}").body["state"] == "closed"


def test_17_an_order_past_its_deadline_is_stale_for_nobody_though_no_job_has_stored_it(
    asha, balu, phone
):
    order = make_order(asha)
    tell_them(order, [balu])
    overdue(order, seconds=0)
    assert phone(balu).get("offers").body["results"] == []
    assert snapshots.captain_snapshot(balu.owner_id)["offers"] == []


# --- 22: one expiry, whoever notices ---------------------------------------------------------


def by_confirm(order):
    try:
        confirm(order.customer, wish(), "")
    except Refusal as refusal:  # another one was first to confirm anew
        assert refusal.code in {"ACTIVE_ORDER_EXISTS", "CONCURRENT_REQUEST"}


def by_accept(order):
    offer = order.offers.latest("distance_m")
    fleet = offer.transporter
    with pytest.raises(OrderExpired):
        accept(fleet.owner_id, offer.id, vehicle_ids(fleet))


def by_reading(path):
    def read(order):
        line, _ = sign_in(order.customer.phone)
        assert line.get(path.format(order=order)).status_code == 200

    return read


# Whoever notices that an order is overdue: one line each.
NOTICING = {
    "the loop": lambda order: expire_due(500),
    "expire": lambda order: expire(order.id),
    "the sweep": lambda order: tasks.sweep(),
    "confirm": by_confirm,
    "accept": by_accept,
    "who reads the active orders": by_reading("orders/active"),
    "who reads the order": by_reading("orders/{order.id}"),
}
# Those who wait for the order; the others leave one that is locked to whoever holds it.
WAITING = {"expire", "confirm", "accept"}
CAPTAINS = 3


class Overdue:
    """An order for two trucks whose time ran out, `won` of them won; three captains were told."""

    def __init__(self, won):
        self.row = make_order(new_customer(), trucks=2)
        self.customer = self.row.customer
        fleets = make_captains(CAPTAINS)
        tell_them(self.row, fleets)
        for fleet in fleets[:won]:
            win(self.row, fleet)
        overdue(self.row)
        self.facts, self.events = set(self._facts()), set(self._events())
        self.known = dict(self._words(fleets))

    def facts_since(self):
        """What was recorded since: `(kind, row, from, to, by)`, the rows by words."""
        return [
            (fact.kind, self.known[str(fact.subject_id)], fact.from_status, fact.to_status, fact.by)
            for fact in self._facts()
            if fact not in self.facts
        ]

    def told_since(self):
        """Who was told what since, without times, each in the order in which it came."""
        new = [event for event in self._events() if event not in self.events]
        told = [(self.known[str(e.stream.user_id)], e.name, self._plain(e.data)) for e in new]
        return sorted(told, key=lambda one: one[0])

    def _facts(self):
        return Fact.objects.filter(order=self.row).order_by("id")

    def _events(self):
        events = Event.objects.filter(order_id=self.row.id).order_by("stream_id", "seq")
        return events.select_related("stream")

    def _words(self, fleets):
        yield str(self.row.id), "order"
        yield str(self.customer.id), "customer"
        for n, fleet in enumerate(fleets, 1):
            yield str(fleet.owner_id), f"captain {n}"
            yield str(fleet.offers.get().id), f"offer {n}"
        for truck in self.row.trucks.all():
            yield str(truck.id), f"truck {truck.position}"
        for trip in self.row.trips.all():
            yield str(trip.id), f"trip of truck {trip.truck.position}"

    def _plain(self, value):
        if isinstance(value, dict):
            plain = without(value, {"server_time", "expires_at"})
            return {key: self._plain(inner) for key, inner in plain.items()}
        if isinstance(value, list):
            return [self._plain(inner) for inner in value]
        return self.known.get(value, value)


def what_an_expiry_is(won):
    """The facts of an expiry, and for each person the names of the messages."""
    trucks = [
        ("truck_expired", f"truck {n}", "searching", "expired", "system") for n in range(won + 1, 3)
    ]
    here, to = [("broadcasting", "expired"), ("partially_filled", "filled")][won]
    offers = [
        ("offer_closed", f"offer {n}", "open", "closed", "system")
        for n in range(won + 1, CAPTAINS + 1)
    ]
    told = {f"captain {n}": ["broadcast_dismissed"] for n in range(1, CAPTAINS + 1)}
    told["customer"] = ["trucks_remaining_update", "order_status_changed", "order_expired"]
    return [*trucks, (f"order_{to}", "order", here, to, "system"), *sorted(offers)], told


def is_one_expiry(order, won):
    """Recorded and told once, as by the plain verb; returns what was told."""
    wanted, names = what_an_expiry_is(won)
    found, told = order.facts_since(), order.told_since()
    assert sorted(found) == sorted(wanted)
    heard = {who: [name for w, name, _ in told if w == who] for who, *_ in told}
    assert heard == names
    return told


@pytest.mark.parametrize("won", [0, 1])
@pytest.mark.parametrize("who", NOTICING)
def test_22_whoever_notices_an_expiry_the_same_facts_and_messages_come_of_it_once(asha, who, won):
    order, plain = Overdue(won), Overdue(won)
    assert expire(plain.row.id)
    NOTICING[who](order.row)
    assert is_one_expiry(order, won) == is_one_expiry(plain, won)
    for again in (who, "expire", "the sweep"):
        NOTICING[again](order.row)
    assert is_one_expiry(order, won) == is_one_expiry(plain, won)


@pytest.mark.django_db(transaction=True)
def test_22_two_who_notice_an_expiry_at_the_same_time_make_one_of_it(asha):
    plain = Overdue(1)
    expire(plain.row.id)
    alike, unlike = zip(NOTICING, NOTICING, strict=True), pairwise(NOTICING)
    for first, second in (*alike, *unlike, ("the loop", "accept")):
        order = Overdue(1)
        noticing = [lambda who=who: NOTICING[who](order.row) for who in (first, second)]
        # Of two confirms of one customer the second is turned away before it waits.
        both_wait = {first, second} <= WAITING and (first, second) != ("confirm", "confirm")
        results = race_for(order.row, *noticing) if both_wait else race(*noticing)
        assert not any(isinstance(result, Exception) for result in results), results
        assert is_one_expiry(order, 1) == is_one_expiry(plain, 1), (first, second)


def test_22_an_expiry_that_a_step_of_a_won_truck_notices_is_told_once_and_nobodys_doing(asha):
    order = Overdue(1)
    drive(order.row.trips.get(), "en_route_pickup")
    assert expire_due() == 0
    done_by = {kind: by for kind, *_, by in order.facts_since()}
    assert (done_by["truck_expired"], done_by["trip_en_route_pickup"]) == ("system", "captain")
    assert names(heard(order.customer, order.row)).count("order_expired") == 1

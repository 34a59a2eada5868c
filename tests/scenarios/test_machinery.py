"""Two loops, two workers and three beats on one database, and a whole trip in their midst."""

from collections import Counter

import pytest
from django.conf import settings

from dispatch.models import Reconciliation
from orders.models import Fact, Order, Wave
from orders.states import OrderStatus
from tests.dispatch.drive import north
from tests.journeys.site import Phone, place
from tests.people import POLICY, make_captains
from tests.races.racing import race
from tests.running import running
from tests.scenarios.story import WAY, heard, names, new_customer, until
from weelo.cities.models import DispatchPolicy

CREW = ("loop", "loop-2", "worker", "worker-2", "beat", "beat-2", "beat-3")
WAVES = [
    {"after_s": after_s, "radius_m": radius_m}
    for after_s, radius_m in ((0, 5_000), (1, 10_000), (2, 20_000))
]


@pytest.fixture(scope="module")
def site():
    often = {"SWEEP_EVERY": "1", "RECONCILE_EVERY": "1", "ORDER_TTL": "4"}
    with running({**often, "SECRET_KEY": settings.SECRET_KEY}, ("http", *CREW)) as site:
        yield site


@pytest.fixture
def policy(at_site):
    """Three waves within the short time that orders seek here; made before the loops look."""
    DispatchPolicy.objects.get_or_create(
        city_id="bengaluru", version=2, defaults={"values": {**POLICY, "waves": WAVES}}
    )


def test_30_two_loops_two_workers_and_three_beats_expire_each_order_and_send_each_wave_once(
    dial, at_site, policy
):
    fleets = make_captains(3, vehicles=21)
    for fleet, metres in zip(fleets, (1_000, 7_000, 15_000), strict=True):
        lat, lng = north(metres)
        assert dial(fleet).post("positions", {"lat": lat, "lng": lng}).json()["accepted"] == 1
    customers = [new_customer() for _ in range(20)]
    answers = race(*(dial(customer).confirming("key-1") for customer in customers))
    assert [answer.status_code for answer in answers] == [201] * 20
    orders = {answer.json()["id"] for answer in answers}
    mine = Order.objects.filter(id__in=orders)
    until(lambda: mine.filter(status=OrderStatus.EXPIRED).count() == 20)
    look_again()
    assert len(orders) == 20
    waves = Wave.objects.filter(order__in=mine).values_list("order_id", "number", "part")
    assert Counter(waves) == {(order.id, n, 0): 1 for order in mine for n in (1, 2, 3)}
    facts = Counter(Fact.objects.filter(order__in=mine).values_list("order_id", "kind"))
    each = {"order_confirmed": 1, "captain_told": 3, "truck_expired": 1, "offer_closed": 3}
    each |= {"order_expired": 1}
    assert facts == {(order.id, kind): n for order in mine for kind, n in each.items()}
    for customer in customers:
        told = names(heard(customer))
        assert [told.count(n) for n in ("captains_told", "order_expired")] == [3, 1]
    for fleet in fleets:
        told = Counter((data["order_id"], name) for name, data in heard(fleet))
        each = ("new_broadcast", "broadcast_dismissed")
        assert told == {(id_, name): 1 for id_ in orders for name in each}
    all_took_part(at_site)


def look_again():
    """Until every beat has had everything looked at twice more."""
    looks = Reconciliation.objects.filter(trigger="beat", ended_at__isnull=False)
    before = looks.count()
    until(lambda: looks.count() >= before + 6)
    assert all(look.repairs == [] for look in looks)


def all_took_part(site):
    did = {(name, words) for name, line in site.lines for words in DEEDS if words in line}
    assert did >= {("loop", "wave sent"), ("loop-2", "wave sent")}
    assert did >= {(name, "reconciliation done") for name in ("worker", "worker-2")}
    assert all(map(site.runs, CREW))


DEEDS = ("wave sent", "order expired", "reconciliation done")


# --- 31: a whole trip --------------------------------------------------------------------------

ASHA, BALU, DINESH, RAVI = (f"+91900000000{n}" for n in (1, 2, 5, 9))
PAPERS = dict.fromkeys(("rc", "permit", "fitness", "insurance", "puc"), "2040-01-01")
TRUCK = {"registration": "KA 01 AB 1234", "vehicle_type": "open-17-ft", "papers": PAPERS}
LICENCE = {"number": "KA01 20110012345", "expires_on": "2040-01-01"}


@pytest.fixture
def phone(at_site):
    """Signs in by the code of an SMS; hangs up at the end."""
    phones = []

    def phone(number):
        phones.append(Phone(at_site, number))
        return phones[-1]

    yield phone
    for one in phones:
        one.http.close()


def ok(answer, status=200):
    assert answer.status_code == status, answer.text
    return answer.json()


def offer_of(captain, order):
    """Polls for the broadcast of an order, as a phone without a socket does."""
    found = []

    def look():
        listed = ok(captain.get("offers"))["results"]
        found[:] = [offer for offer in listed if offer["order_id"] == order["id"]]
        return found

    until(look)
    return found[0]


def test_31_a_whole_trip_through_http_with_the_documented_words_frees_vehicle_and_driver(
    phone, office, policy
):
    asha, balu, dinesh = phone(ASHA), phone(BALU), phone(DINESH)
    fleet = ok(balu.post("transporter", business_name="Balu Transport", pan="ABCDE1234F"), 201)
    assert fleet["kyc_status"] == "under_review"
    office.decide(fleet["id"], "verified")
    assert ok(balu.get("transporter"))["kyc_status"] == "verified"
    vehicle = ok(balu.post("vehicles", **TRUCK), 201)["id"]
    driver = ok(balu.post("drivers", name="Dinesh", phone=DINESH, licence=LICENCE), 201)["id"]
    assert ok(balu.put("availability", online=True))["needs_position"] is True
    here = {"lat": 12.972, "lng": 77.595}
    assert ok(balu.post("positions", **here), 202)["accepted"] == 1

    order, offer = book(asha, balu)
    assert offer["trucks"][0]["payout_paise"] < order["fare_paise"]
    taken = {"vehicle_ids": [vehicle], "driver_ids": [driver]}
    won = ok(balu.post(f"offers/{offer['offer_id']}/accept", **taken))
    (trip,) = won["trips"]
    assert (trip["status"], won["trucks_left"]) == ("assigned", 0)
    assert ok(asha.get(f"orders/{order['id']}"))["status"] == "filled"

    (mine,) = ok(dinesh.get("trips", live="true"))["results"]
    assert mine["id"] == trip["id"]
    seen = ok(asha.get(f"orders/{order['id']}"))["trucks"][0]["trip"]
    assert (seen["driver"]["phone"], seen["captain"]["phone"]) == (DINESH, BALU)
    statuses = drive(dinesh, asha, trip, order)
    assert statuses == ["filled", "filled", "in_progress", "in_progress", "completed"]
    done = ok(asha.get(f"orders/{order['id']}"))
    assert done["payable_paise"] == order["fare_paise"]
    assert ok(asha.get("orders/active"))["order"] is None
    assert ok(balu.get("trips", live="true"))["results"] == []
    assert ok(asha.post(f"trips/{trip['id']}/rating", stars=5))["stars"] == 5
    kinds = [row["kind"] for row in ok(asha.get(f"orders/{order['id']}/timeline"))]
    assert kinds[0] == "order_confirmed" and kinds[-2:] == ["order_completed", "trip_rated"]

    _, next_offer = book(asha, balu)
    assert ok(balu.post(f"offers/{next_offer['offer_id']}/accept", **taken))["trips"]


def book(asha, balu):
    """Search, confirm with the quote, and the offer that the captain gets of it."""
    query = {"pickup": "12.9716,77.5946", "drop": "13.05,77.7", "stops": "13.0,77.6"}
    found = ok(asha.get("search", **query))["options"]
    option = next(o for o in found if o["vehicle_type"]["slug"] == "open-17-ft")
    truck = {"vehicle_type": "open-17-ft", "quantity": 1, "quote": option["quote"]}
    order = ok(asha.confirm(trucks=[truck], stops=[place(13.0, 77.6, "Mina", ASHA)]), 201)
    return order, offer_of(balu, order)


def drive(driver, asha, trip, order):
    """The driver goes all the way; returns the order's status after each step."""
    path, statuses = f"trips/{trip['id']}", []
    for status in WAY:
        codes = ok(asha.get(f"orders/{order['id']}"))["trucks"][0]["trip"]
        extras = {"in_transit": {"start_code": codes["start_code"]}}
        if status == "completed":
            until(lambda: [line for line in asha.sms() if line["to"] == RAVI])
            code = [line["code"] for line in asha.sms() if line["to"] == RAVI][-1]
            assert code == codes["drop_code"]
            extras["completed"] = {"proof": {"kind": "code", "code": code}}
        answer = driver.post(f"{path}/status", status=status, **extras.get(status, {}))
        assert ok(answer)["status"] == status
        statuses.append(ok(asha.get(f"orders/{order['id']}"))["status"])
        if status == "in_transit":
            assert ok(driver.post("positions", lat=12.99, lng=77.6), 202)["accepted"] == 1
            for state in ("arrived", "done"):
                assert ok(driver.post(f"{path}/stops/1", state=state))["stops"][0]["state"] == state
    return statuses

"""The main job end to end: real processes, real HTTP, real sockets, nothing mocked."""

import json
import re
import time

import pytest

from tests.journeys.site import Site

TTL = 4
ASHA, BALU, CHITRA = "+919000000001", "+919000000002", "+919000000003"
NEAR = {"lat": 12.9750, "lng": 77.5990}
NEARER = {"lat": 12.9720, "lng": 77.5950}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(
        tmp_path_factory.mktemp("site"),
        ORDER_TTL=str(TTL),
        RECONCILE_EVERY="3",
        LIMIT_ORDERS="50",
    )
    try:
        yield site
        audit = site.manage("audit", "--json")
    finally:
        site.stop()
    assert audit.returncode == 0, audit.stdout + audit.stderr


@pytest.fixture(scope="module")
def people(site):
    return {number: site.phone(number) for number in (ASHA, BALU, CHITRA)}


@pytest.fixture
def asha(people):
    asha = people[ASHA]
    order = asha.get("orders/active").json()["order"]
    if order:
        asha.post(f"orders/{order['id']}/cancel", reason="the test before was cut off")
    return asha


@pytest.fixture
def ears():
    """Closes the sockets that a test opened."""
    opened = []
    yield lambda ear: opened.append(ear) or ear
    for ear in opened:
        ear.close()


def online(phone, where):
    """The captain goes online and says where he is; returns his socket and vehicle of the type."""
    ear = phone.socket("captain")
    reply = ear.ask("availability", online=True)
    assert reply["status"] == 200, reply
    vehicles = phone.get("vehicles").json()["results"]
    (vehicle, *_) = [v for v in vehicles if v["vehicle_type"] == "open-17-ft"]
    answer = phone.post("positions", vehicle_id=vehicle["id"], **where)
    assert answer.status_code == 202, answer.text
    return ear, vehicle["id"]


@pytest.fixture
def balu(people):
    ear, vehicle = online(people[BALU], NEARER)
    yield people[BALU], ear, vehicle
    ear.close()


@pytest.fixture
def chitra(people):
    ear, vehicle = online(people[CHITRA], NEAR)
    yield people[CHITRA], ear, vehicle
    ear.close()


def test_a_truck_is_booked_driven_and_delivered(site, asha, balu, chitra, ears):
    captain, balus_ear, vehicle = balu
    _, chitras_ear, _ = chitra
    ashas_ear = ears(asha.socket("customer"))
    assert ashas_ear.welcome["snapshot"]["order"] is None

    types = asha.get("vehicle-types").json()
    assert "open-17-ft" in json.dumps(types)
    found = asha.get("search", pickup="12.9716,77.5946", drop="13.05,77.70").json()
    (option,) = [o for o in found["options"] if o["vehicle_type"]["slug"] == "open-17-ft"]
    assert option["nearby"] == 2
    trucks = [{"vehicle_type": "open-17-ft", "quantity": 1, "quote": option["quote"]}]
    made = asha.confirm(trucks=trucks)
    assert made.status_code == 201, made.text
    order = made.json()
    assert order["fare_paise"] == option["fare_paise"]

    offer = balus_ear.hear("new_broadcast")
    assert offer["order_id"] == order["id"] and "contact" not in json.dumps(offer)
    assert chitras_ear.hear("new_broadcast")["order_id"] == order["id"]
    balus_ear.say(type="ack", seq=balus_ear.seq)
    time.sleep(3)  # acks are kept twice a second
    assert balus_ear.ask("seen", offer_id=offer["offer_id"])["status"] == 200
    reply = balus_ear.ask("accept", offer_id=offer["offer_id"], vehicle_ids=[vehicle])
    assert reply["status"] == 200, reply
    (trip,) = reply["data"]["trips"]
    assert trip["pickup"]["contact"]["phone"] == ASHA

    story = site.manage("why", order["id"], BALU).stdout
    arrived, seen = re.search(r"on his phone (\d+) s later, looked at (\d+) s", story).groups()
    assert int(arrived) < 3 <= int(seen), story
    assigned = ashas_ear.hear("truck_assigned")["trip"]
    assert assigned["vehicle"]["registration"] == trip["vehicle"]["registration"]
    assert assigned["driver"]["phone"] == BALU
    assert chitras_ear.hear("broadcast_dismissed")["reason"] == "FILLED"

    moved = {"vehicle_id": vehicle, "lat": 12.9722, "lng": 77.5948}
    assert balus_ear.ask("position", **moved)["data"]["accepted"] == 1
    live = ashas_ear.live("location_updated")
    assert (live["trip_id"], live["lat"]) == (trip["id"], 12.9722)
    assert live["vehicle"]["registration"] == trip["vehicle"]["registration"]

    for body in (
        {"status": "en_route_pickup"},
        {"status": "at_pickup"},
        {"status": "in_transit", "start_code": assigned["start_code"]},
        {"status": "at_drop"},
    ):
        answer = captain.post(f"trips/{trip['id']}/status", **body)
        assert answer.status_code == 200, answer.text
        assert ashas_ear.hear("trip_changed")["status"] == body["status"]
    asha_knows = asha.get(f"orders/{order['id']}").json()["trucks"][0]["trip"]["drop_code"]
    receiver = [line for line in asha.sms() if line["to"] == "+919000000009"][-1]
    assert receiver["code"] == asha_knows
    proof = {"kind": "code", "code": receiver["code"]}
    answer = captain.post(f"trips/{trip['id']}/status", status="completed", proof=proof)
    assert answer.json()["status"] == "completed", answer.text
    assert ashas_ear.hear("order_completed")["payable_paise"] == order["fare_paise"]
    rated = asha.post(f"trips/{trip['id']}/rating", stars=5)
    assert rated.status_code == 200, rated.text
    kinds = [row["kind"] for row in asha.get(f"orders/{order['id']}/timeline").json()]
    assert kinds[0] == "order_confirmed" and kinds[-2:] == ["order_completed", "trip_rated"]


def test_create_cancel_and_create_again(asha):
    first = asha.confirm()
    assert first.status_code == 201, first.text
    second = asha.confirm()
    assert (second.status_code, second.json()["code"]) == (409, "ACTIVE_ORDER_EXISTS")
    assert second.json()["order_id"] == first.json()["id"]
    cancelled = asha.post(f"orders/{first.json()['id']}/cancel")
    assert cancelled.json()["status"] == "cancelled"
    assert asha.confirm().status_code == 201


def test_after_the_ttl_create_succeeds_because_the_old_one_expired(asha, ears):
    ear = ears(asha.socket("customer"))
    first = asha.confirm().json()
    time.sleep(TTL)
    now = asha.get(f"orders/{first['id']}").json()
    assert (now["status"], now["seeking"]) == ("expired", False)
    assert ear.hear("order_expired", seconds=3)["reason"] in (
        "NO_CAPTAIN_ACCEPTED",
        "NO_CAPTAIN_ONLINE",
    )
    assert asha.confirm().status_code == 201


def test_a_repeated_confirm_gives_the_same_order(asha):
    first = asha.confirm(key="the-same-key")
    again = asha.confirm(key="the-same-key")
    assert again.status_code == 201 and again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    other = asha.confirm(key="the-same-key", goods={"category": "steel"})
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_captain_who_was_away_gets_what_he_missed_exactly_once(asha, balu, people, ears):
    _, ear, _ = balu
    epoch, seq = ear.epoch, ear.seq
    ear.close()
    order = asha.confirm().json()
    time.sleep(1)
    back = ears(people[BALU].socket("captain", epoch=epoch, after=seq))
    assert back.welcome["snapshot"] is None
    assert back.hear("new_broadcast")["order_id"] == order["id"]


def test_a_declined_offer_leaves_the_list_and_can_still_be_accepted(asha, balu):
    captain, ear, vehicle = balu
    order = asha.confirm().json()
    offer = ear.hear("new_broadcast")
    assert offer["order_id"] == order["id"]
    declined = captain.post(f"offers/{offer['offer_id']}/decline", reason="lunch")
    assert declined.json()["state"] == "declined"
    assert captain.get("offers").json()["results"] == []
    won = captain.post(f"offers/{offer['offer_id']}/accept", vehicle_ids=[vehicle])
    assert won.status_code == 200, won.text
    trip = won.json()["trips"][0]["id"]
    back = captain.post(f"trips/{trip}/give-back", reason="flat tyre")
    assert back.json()["status"] == "cancelled"


def test_the_log_shows_reconciliation_at_the_start_and_at_every_period(site):
    site.wait_for("reconciliation", seconds=20, times=3)
    lines = [line for line in site.lines if "reconciliation" in line]
    assert any("start" in line for line in lines) and any("beat" in line for line in lines)
    assert all("repairs=0" in line for line in lines if "done" in line)


def test_no_line_of_the_log_shows_a_fault_or_a_whole_phone_number(site):
    faults = [line for line in site.lines if "[error" in line or "Traceback" in line]
    assert not faults, "\n".join(faults)
    logged = [line for line in site.lines if " | " in line]
    assert not any(number in line for line in logged for number in (ASHA, BALU, CHITRA))

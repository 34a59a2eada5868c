"""A whole journey on real processes: what the logs show of it, and what a captain sees of whom."""

import json
import re

import httpx
import psycopg
import pytest

from orders.models import Fact, Order, Trip
from tests.accounts.doors import other_than
from tests.journeys.site import Ear, Phone, place
from tests.people import ASHA, BALU, CHITRA, make_captain
from tests.running import running
from tests.scenarios.story import until
from weelo.accounts.models import User
from weelo.events.models import Event

SENDER, WAREHOUSE, RECEIVER = "+919811112222", "+919833334444", "+919822223333"
OTHERS_OF_THE_ORDER = (ASHA, SENDER, WAREHOUSE, RECEIVER)
PASSWORD = "a long pass phrase"
HERE = {"lat": 12.9720, "lng": 77.5950}
LOOKED_AT = ("me", "offers", "trips", "vehicles", "transporter", "drivers", "orders", "sessions")


@pytest.fixture(scope="module")
def site(fcm):
    """All five kinds of process over servers of their own, whose logs are read too."""
    to_fcm = {"FCM_CREDENTIALS": fcm.account, "FCM_URL": fcm.address, "ORDER_TTL": "30"}
    services = ("http", "live", "loop", "worker", "beat")
    with running({**to_fcm, "LOG_FORMAT": "json"}, services, durable=True) as site:
        yield site


class Watched(Phone):
    """A phone of which every answer and frame is kept: the text of each in `seen`."""

    def __init__(self, site, number):
        super().__init__(site, number)
        self.seen = []
        self.http.event_hooks["response"].append(lambda a: self.seen.append(a.read().decode()))
        token = f"push-token-of-{number[-4:]}"
        assert self.put("devices/current", push_token=token, platform="android").is_success

    def socket(self, role, epoch=None, after=None):
        return Listening(self, role, epoch, after)

    def look_everywhere(self, order):
        """Whatever a captain may ask, and what he may only try."""
        mine = (f"orders/{order['id']}{rest}" for rest in ("", "/timeline", "/waves"))
        for path in (*LOOKED_AT, *mine):
            self.get(path)
        self.get("events", role="captain", after=0)
        self.get("events", role="customer", after=0)
        for offer in self.get("offers").json()["results"]:
            self.get(f"offers/{offer['offer_id']}")
        for trip in Trip.objects.filter(order_id=order["id"]):
            self.get(f"trips/{trip.id}")


class Listening(Ear):
    def next(self, seconds=10):
        frame = super().next(seconds)
        self.phone.seen.append(json.dumps(frame))
        return frame

    def __init__(self, phone, *words):
        self.phone = phone
        super().__init__(phone, *words)


@pytest.fixture
def people(at_site):
    fleets = [make_captain(BALU, "Balu"), make_captain(CHITRA, "Chitra")]
    phones = {number: Watched(at_site, number) for number in (ASHA, BALU, CHITRA)}
    for fleet, number in zip(fleets, (BALU, CHITRA), strict=True):
        assert phones[number].put("availability", online=True).is_success
        at = {"vehicle_id": str(fleet.vehicles.get().id), **HERE}
        assert phones[number].post("positions", **at).status_code == 202
    yield phones
    for phone in phones.values():
        phone.http.close()


def digits(text):
    """With what stands between the digits of a phone number, or between two words, left out."""
    return re.sub(r"(?<=\d)[ ()-]+(?=\d)", "", text)


def shown_to(phone, of=OTHERS_OF_THE_ORDER):
    seen = digits("\n".join(phone.seen))
    return [number for number in of if number[3:] in seen]


def confirm(asha):
    made = asha.confirm(
        pickup=place(12.9716, 77.5946, "Sita", SENDER),
        drop=place(13.05, 77.70, "Ravi", RECEIVER),
        stops=[place(13.00, 77.65, "Warehouse", WAREHOUSE)],
    )
    assert made.status_code == 201, made.text
    return made.json()


def drive_to_the_end(captain, trip):
    code = {"start_code": Trip.objects.get().start_code}
    for status, more in (("at_pickup", {}), ("in_transit", code), ("at_drop", {})):
        if status == "at_drop":
            for state in ("arrived", "done"):
                captain.post(f"trips/{trip['id']}/stops/1", state=state)
        answer = captain.post(f"trips/{trip['id']}/status", status=status, **more)
        assert answer.status_code == 200, answer.text
    proof = {"kind": "code", "code": Trip.objects.get().drop_code}
    ended = captain.post(f"trips/{trip['id']}/status", status="completed", proof=proof)
    assert ended.json()["status"] == "completed", ended.text


def try_every_door(site, people):
    """Right and wrong codes, refreshes, tickets, a dispatcher's password, a broken constraint."""
    asha, chitra = people[ASHA], people[CHITRA]
    asha.post("auth/token", phone=ASHA, code=other_than(asha.code()))
    fresh = asha.post("auth/token/refresh", refresh=asha.session["refresh"]).json()
    ticket = chitra.post("socket-ticket").json()["ticket"]
    User.objects.create_superuser("devi", PASSWORD)
    with httpx.Client(base_url=site.api, headers={"Referer": site.api}) as desk:
        desk.get("/admin/login/")
        form = {"csrfmiddlewaretoken": desk.cookies["weelo_admin_form"], "username": "devi"}
        for password in ("not " + PASSWORD, PASSWORD):
            answer = desk.post("/admin/login/", data={**form, "password": password})
        assert answer.status_code == 302, answer.text
        desk.get("/admin/orders/order/", params={"q": ASHA, "which": "all"})
        cookies = list(desk.cookies.values())
        block = {"action": "block", "_selected_action": str(User.objects.get(phone=CHITRA).pk)}
        block["csrfmiddlewaretoken"] = desk.cookies["weelo_admin_form"]
        assert desk.post("/admin/accounts/user/", data=block).status_code == 302
    with site.database() as database, pytest.raises(psycopg.IntegrityError):
        database.execute(
            "INSERT INTO accounts_user (id, phone, name, password, is_superuser, is_staff,"
            " is_active, max_active_orders) VALUES"
            f" (gen_random_uuid(), '{ASHA}', '', '', false, false, true, 1)"
        )
    return [fresh["access"], fresh["refresh"], ticket, PASSWORD, *cookies]


def test_39_logs_show_no_phone_and_no_token_and_a_captain_no_contact_before_he_won(
    people, site, fcm
):
    asha, balu, chitra = (people[number] for number in (ASHA, BALU, CHITRA))
    ear = balu.socket("captain")  # Chitra's phone sleeps
    order = confirm(asha)
    offer = ear.hear("new_broadcast")
    until(lambda: any(m["token"].endswith(CHITRA[-4:]) for m in fcm.got))
    for captain in (balu, chitra):
        captain.look_everywhere(order)
        assert len(captain.seen) > 12
        assert shown_to(captain) == []
    vehicle = balu.get("vehicles").json()["results"][0]["id"]
    assert shown_to(balu) == []
    reply = ear.ask("accept", offer_id=offer["offer_id"], vehicle_ids=[vehicle])
    (trip,) = reply["data"]["trips"]
    assert trip["pickup"]["contact"]["phone"] == SENDER
    assert set(shown_to(balu)) >= {SENDER, WAREHOUSE, RECEIVER}
    drive_to_the_end(balu, trip)
    until(lambda: Order.objects.get().status == "completed")
    chitra.look_everywhere(order)
    assert shown_to(chitra, (*OTHERS_OF_THE_ORDER, BALU)) == [], "who lost never sees one"
    assert Trip.objects.get().start_code not in "\n".join(balu.seen), "nor the winner a code"

    secrets = try_every_door(site, people)
    codes = {code for number in (*people, RECEIVER) for code in site.codes_by_sms(number)}
    codes |= {Trip.objects.get().start_code, Trip.objects.get().drop_code}
    secrets += [phone.session[kind] for phone in people.values() for kind in ("access", "refresh")]
    secrets += [f"push-token-of-{number[-4:]}" for number in people]
    told = {
        "events": str(list(Event.objects.values_list("data", flat=True))),
        "facts": str(list(Fact.objects.values_list("data", flat=True))),
        "pushes": str([message["data"] for message in fcm.got]),
    }
    assert len(codes) >= 5 and all(len(text) > 200 for text in told.values()), told
    happened = ("user blocked", "staff signed in", "sign-in refused", "sms sent", "refresh")
    until(lambda: [word for word in happened if word not in site.log()] == [])
    logs = site.log() + "".join(
        log.read_text(errors="replace") for log in site.data.rglob("*.log") if log.is_file()
    )
    assert "duplicate key value" in logs and "order confirmed" in logs
    assert [n for n in (*people, *OTHERS_OF_THE_ORDER) if n[3:] in digits(logs)] == []
    assert [n for n in people if n[3:] in digits(told["facts"] + told["pushes"])] == []
    for name, text in {"logs": logs, **told}.items():
        assert [secret for secret in secrets if secret in text] == [], name
    plain = re.sub(r"pid:? \d+|\[\d+\]|[0-9a-f-]{36}", "", logs)
    assert [code for code in codes if re.search(rf"(?<![\w.:-]){code}(?![\w.:-])", plain)] == []

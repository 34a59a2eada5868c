"""Captains look after their fleets over HTTP: papers, vehicles, drivers, the switch, positions."""

import threading
from datetime import date, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from orders.verbs.accept import accept
from tests.people import (
    CENTRE,
    CHITRA,
    make_captain,
    make_customer,
    make_dispatcher,
    make_driver,
    make_order,
    make_vehicle,
    tell_them,
    vehicle_ids,
)
from transporters import fleet as fleets
from transporters import kyc, presence, vehicles
from transporters.geo import Point
from transporters.models import CurrentPosition, Driver, Kyc, Transporter, Vehicle
from transporters.refusals import KycMoveRefused, RegistrationTaken
from weelo.accounts.models import User
from weelo.events.models import Event
from weelo.lib.problems import Invalid

pytestmark = pytest.mark.django_db(transaction=True)
TYPE = "open-17-ft"
PAPERS = dict.fromkeys(("rc", "permit", "fitness", "insurance", "puc"), "2040-01-01")
TRUCK = {"registration": "ka 01-ab 1234", "vehicle_type": TYPE, "papers": PAPERS}
DINESH = {
    "name": "Dinesh",
    "phone": "90000 00021",
    "licence": {"number": "KA01 20110012345", "expires_on": "2040-01-01"},
}


def door(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def balu(town):
    return make_captain()


@pytest.fixture
def api(balu):
    return door(balu.owner)


def heard(fleet):
    events = Event.objects.filter(stream__user=fleet.owner, stream__role="captain")
    return [(e.name, e.data) for e in events.order_by("seq")]


def near():
    point = Point(*CENTRE)
    return presence.nearest(point, vehicle_types=[TYPE], radius_m=5000, limit=9).seen


def here(**fields):
    return {"lat": CENTRE[0], "lng": CENTRE[1], **fields}


# --- becoming a captain, papers ---------------------------------------------------------------


def test_anybody_becomes_a_captain_once(town):
    asha = make_customer()
    first = door(asha).post("/api/v1/transporter", {"business_name": "Asha Cargo"}, "json")
    again = door(asha).post("/api/v1/transporter", {"business_name": "Other"}, "json")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["kyc_status"] == "not_started"


def test_papers_sent_go_under_review_and_the_captain_hears_of_it(town):
    asha = make_customer()
    door(asha).post("/api/v1/transporter", {"business_name": "Asha Cargo"}, "json")
    answer = door(asha).patch("/api/v1/transporter", {"pan": "abcde1234f"}, "json")
    assert (answer.json()["pan"], answer.json()["kyc_status"]) == ("ABCDE1234F", "under_review")
    fleet = Transporter.objects.get(owner=asha)
    assert heard(fleet) == [("kyc_changed", {"kyc_status": "under_review", "reason": None})]
    kyc.decide(fleet.id, Kyc.REJECTED, reason="The PAN is another person's.")
    again = door(asha).patch("/api/v1/transporter", {"pan": "ABCDE1234G"}, "json")
    assert (again.json()["kyc_status"], again.json()["kyc_reason"]) == ("under_review", None)


def test_a_number_that_is_no_pan_is_a_field_fault(api):
    answer = api.patch("/api/v1/transporter", {"pan": "12345"}, "json")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/pan"


def test_who_is_no_captain_has_no_transporter_and_no_fleet(town):
    client = door(make_customer())
    assert client.get("/api/v1/transporter").status_code == 404
    for route in ("vehicles", "drivers"):
        answer = client.get(f"/api/v1/{route}")
        assert (answer.status_code, answer.json()["code"]) == (403, "WRONG_ROLE")


@pytest.mark.parametrize("here_", list(Kyc))
@pytest.mark.parametrize("to", list(Kyc))
def test_papers_move_along_their_arrows_only(balu, here_, to):
    Transporter.objects.update(kyc_status=here_)
    legal = here_ == to or to in kyc.ARROWS[here_]
    if legal:
        kyc.decide(balu.id, to, reason="because")
    else:
        with pytest.raises(KycMoveRefused):
            kyc.decide(balu.id, to, reason="because")
    balu.refresh_from_db()
    assert balu.kyc_status == (to if legal else here_)
    assert len(heard(balu)) == (legal and here_ != to)


def test_a_suspension_says_why(balu):
    with pytest.raises(Invalid):
        kyc.decide(balu.id, Kyc.SUSPENDED)


def test_a_suspended_fleet_leaves_the_index_and_followers_hear_of_it(balu, monkeypatch):
    told = []
    monkeypatch.setattr(kyc, "_followers", [lambda *args: told.append(args)])
    fleet = fleets.of_captain(balu.owner_id)
    presence.report(fleet, [here()])
    assert len(near()) == 1
    kyc.decide(balu.id, Kyc.SUSPENDED, reason="Complaints.")
    presence.report(fleet, [here()], timezone.now() + timedelta(seconds=5))
    assert near() == []
    assert told == [(balu.id, Kyc.SUSPENDED, None)]


def test_staff_decide_about_papers_in_the_admin(balu, client):
    devi = make_dispatcher()
    devi.is_superuser = True
    devi.save()
    client.force_login(devi)
    shown = client.get(f"/admin/transporters/transporter/{balu.id}/change/")
    page = f"/admin/transporters/transporter/{balu.id}/kyc/suspended/"
    assert page in shown.content.decode()
    assert client.get(page).status_code == 200
    client.post(page, {"reason": ""})
    balu.refresh_from_db()
    assert balu.kyc_status == Kyc.VERIFIED
    client.post(page, {"reason": "Complaints."})
    balu.refresh_from_db()
    assert (balu.kyc_status, balu.kyc_reason) == (Kyc.SUSPENDED, "Complaints.")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (devi, str(balu.id))
    assert entry.change_message == "KYC: suspended. Complaints."


@pytest.mark.parametrize(
    "model", ["transporter", "vehicle", "driver", "currentposition", "positionhistory"]
)
def test_the_admin_lists_and_searches_every_model(balu, client, model):
    make_driver(balu, "+919000000021")
    presence.report(fleets.of_captain(balu.owner_id), [here()])
    presence.write_back()
    devi = make_dispatcher()
    devi.is_superuser = True
    devi.save()
    client.force_login(devi)
    assert client.get(f"/admin/transporters/{model}/?q=Balu").status_code == 200


# --- vehicles -----------------------------------------------------------------------------------


def test_a_vehicle_is_registered_once_however_it_is_written(api, balu):
    first = api.post("/api/v1/vehicles", TRUCK, "json")
    again = api.post("/api/v1/vehicles", {**TRUCK, "registration": "KA01AB1234"}, "json")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["registration"] == "KA01AB1234"
    assert heard(balu) == [("vehicle_changed", first.json())]
    assert len(api.get("/api/v1/vehicles").json()["results"]) == 2


def test_another_fleets_registration_is_refused(api):
    make_captain(CHITRA, "Chitra").vehicles.update(registration="KA01AB1234")
    answer = api.post("/api/v1/vehicles", TRUCK, "json")
    assert (answer.status_code, answer.json()["code"]) == (409, "REGISTRATION_TAKEN")


def test_two_fleets_that_register_one_truck_at_once_get_it_once(balu):
    chitra, outcome = make_captain(CHITRA, "Chitra"), []
    start = threading.Barrier(2)

    def register(user_id):
        start.wait()
        try:
            papers = {name: date(2040, 1, 1) for name in PAPERS}
            vehicles.register(user_id, registration="KA01AB1234", vehicle_type=TYPE, papers=papers)
            outcome.append("won")
        except RegistrationTaken:
            outcome.append("taken")
        finally:
            connection.close()

    threads = [
        threading.Thread(target=register, args=(fleet.owner_id,)) for fleet in (balu, chitra)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(outcome) == ["taken", "won"]
    assert Vehicle.objects.filter(registration="KA01AB1234").count() == 1


def test_a_vehicle_of_no_known_type_is_a_field_fault(api):
    answer = api.post("/api/v1/vehicles", {**TRUCK, "vehicle_type": "rocket"}, "json")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/vehicle_type")


def test_papers_are_renewed_one_by_one_and_a_vehicle_out_of_service_leaves_the_index(api, balu):
    vehicle = balu.vehicles.get()
    route = f"/api/v1/vehicles/{vehicle.id}"
    presence.report(fleets.of_captain(balu.owner_id), [here(vehicle_id=str(vehicle.id))])
    assert len(near()) == 1
    body = {"in_service": False, "papers": {"puc": "2030-05-05"}}
    answer = api.patch(route, body, "json")
    assert answer.json()["papers"] == {**PAPERS, "puc": "2030-05-05"}
    assert (answer.json()["papers_expire_on"], answer.json()["in_service"]) == ("2030-05-05", False)
    assert api.get(route).json() == answer.json()
    assert near() == []
    api.patch(route, body, "json")
    assert [name for name, _ in heard(balu)] == ["vehicle_changed"]


def test_a_vehicle_with_trips_stays_in_the_books_and_others_go(api, balu):
    other = make_vehicle(balu)
    order = make_order(make_customer())
    (offer,) = tell_them(order, [balu])
    driven, *_ = vehicle_ids(balu)
    accept(balu.owner_id, offer.id, [driven])
    refused = api.delete(f"/api/v1/vehicles/{driven}")
    assert (refused.status_code, refused.json()["code"]) == (409, "VEHICLE_HAS_TRIPS")
    assert api.delete(f"/api/v1/vehicles/{other.id}").status_code == 204
    assert heard(balu)[-1][1]["removed"] is True
    assert api.get(f"/api/v1/vehicles/{other.id}").status_code == 404


def test_another_fleets_vehicle_looks_like_a_missing_one(api):
    foreign = make_captain(CHITRA, "Chitra").vehicles.get()
    for call in (api.get, api.delete):
        assert call(f"/api/v1/vehicles/{foreign.id}").status_code == 404
    answer = api.patch(f"/api/v1/vehicles/{foreign.id}", {"in_service": False}, "json")
    assert answer.status_code == 404


# --- drivers ------------------------------------------------------------------------------------


def test_a_driver_is_named_once_let_go_and_taken_on_again(api, balu):
    first = api.post("/api/v1/drivers", DINESH, "json")
    again = api.post("/api/v1/drivers", DINESH, "json")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert User.objects.get(phone="+919000000021") == Driver.objects.get().user
    route = f"/api/v1/drivers/{first.json()['id']}"
    body = {"licence": {"expires_on": "2031-01-01"}}
    assert api.patch(route, body, "json").json()["licence"]["expires_on"] == "2031-01-01"
    assert api.delete(route).status_code == 204
    assert api.get(route).status_code == 404
    assert api.get("/api/v1/drivers").json()["results"] == []
    assert api.post("/api/v1/drivers", DINESH, "json").json() == first.json()


def test_a_driver_reports_only_for_the_vehicle_of_his_live_trip(balu):
    other = make_vehicle(balu)
    dinesh = make_driver(balu, "+919000000021")
    client = door(dinesh.user)
    send = {"path": "/api/v1/positions", "format": "json"}
    assert client.post(data=here(), **send).json()["invalid"] == 1
    (offer,) = tell_them(make_order(make_customer()), [balu])
    driven, *_ = vehicle_ids(balu)
    accept(balu.owner_id, offer.id, [driven], [dinesh.id])
    fleets.look_again(dinesh.user_id)
    assert client.post(data=here(), **send).json()["accepted"] == 1
    assert client.post(data=here(vehicle_id=str(other.id)), **send).json()["invalid"] == 1
    assert [one.vehicle_id for one in near()] == [driven]


def test_a_driver_on_a_trip_is_not_let_go(api, balu):
    dinesh = make_driver(balu, "+919000000021")
    (offer,) = tell_them(make_order(make_customer()), [balu])
    accept(balu.owner_id, offer.id, vehicle_ids(balu), [dinesh.id])
    answer = api.delete(f"/api/v1/drivers/{dinesh.id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "DRIVER_BUSY")


# --- the switch and positions -------------------------------------------------------------------


def test_the_switch_says_whether_a_position_is_needed(api, balu):
    Transporter.objects.update(is_online=False)
    on = api.put("/api/v1/availability", {"online": True}, "json").json()
    assert (on["online"], on["needs_position"], on["kyc_status"]) == (True, True, "verified")
    assert api.post("/api/v1/positions", here(), "json").json()["accepted"] == 1
    again = api.put("/api/v1/availability", {"online": True}, "json").json()
    assert again["needs_position"] is False
    assert heard(balu) == [("availability_changed", {"online": True, "needs_position": True})]


def test_off_then_a_late_position_stays_off_until_on_again(api, balu):
    resolved_before = fleets.of_captain(balu.owner_id)
    presence.report(resolved_before, [here()])
    presence.write_back()
    assert len(near()) == 1
    api.put("/api/v1/availability", {"online": False}, "json")
    assert near() == [] and not CurrentPosition.objects.exists()
    late = timezone.now() + timedelta(seconds=5)
    presence.report(resolved_before, [here()], late)
    assert near() == []
    assert api.post("/api/v1/positions", here(), "json").json()["stale"] == 1
    api.put("/api/v1/availability", {"online": True}, "json")
    presence.report(fleets.of_captain(balu.owner_id), [here()], late + timedelta(seconds=5))
    assert len(near()) == 1


def test_a_switch_stands_though_what_follows_its_commit_fails(api, balu):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE transporters_currentposition RENAME TO away")
        try:
            answer = api.put("/api/v1/availability", {"online": False}, "json")
        finally:
            cursor.execute("ALTER TABLE away RENAME TO transporters_currentposition")
    assert (answer.status_code, answer.json()["online"]) == (200, False)
    balu.refresh_from_db()
    assert not balu.is_online


def test_an_offline_fleet_is_followed_on_its_trips_only(balu):
    driven, other = balu.vehicles.get(), make_vehicle(balu)
    (offer,) = tell_them(make_order(make_customer()), [balu])
    accept(balu.owner_id, offer.id, [driven.id])
    Transporter.objects.update(is_online=False)
    fleet = fleets.of_captain(balu.owner_id)
    points = [here(vehicle_id=str(vehicle.id)) for vehicle in (driven, other)]
    result = presence.report(fleet, points).as_payload()
    assert (result["accepted"], result["stale"]) == (1, 1)
    presence.write_back()
    assert CurrentPosition.objects.get().vehicle_id == driven.id
    assert near() == []


def test_positions_by_http_run_no_sql_once_the_fleet_is_known(api, django_assert_num_queries):
    api.post("/api/v1/positions", here(), "json")
    with django_assert_num_queries(0):
        assert api.post("/api/v1/positions", here(), "json").status_code == 202


@pytest.mark.parametrize("points", [[], "here", [here()] * 101])
def test_a_body_without_a_list_of_points_is_a_field_fault(api, points):
    answer = api.post("/api/v1/positions", {"points": points}, "json")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/points")

"""`manage.py seed` and `manage.py demo`: accounts that can be used at once."""

import json
import stat

import pytest
from django.core.management import CommandError, call_command

from dispatch.simulation.people import Person, block_of
from orders.states import TripStatus
from orders.verbs.accept import accept
from tests.people import (
    make_city,
    make_customer,
    make_order,
    tell_them,
)
from transporters import availability, kyc
from transporters.models import CurrentPosition, Kyc, Transporter, Vehicle
from weelo.accounts.authentication import authenticate_token
from weelo.accounts.models import Session, SmsMessage, User
from weelo.accounts.phones import e164
from weelo.cities.cells import cell_of
from weelo.cities.models import CityCell

pytestmark = pytest.mark.django_db


@pytest.fixture
def bengaluru():
    return make_city()


@pytest.fixture
def seed(tmp_path, bengaluru):
    def run(**options):
        out = tmp_path / "accounts.jsonl"
        options = {"city": "bengaluru", "vehicle_type": "open-17-ft", "seed": 3, **options}
        call_command("seed", out=str(out), **options)
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        return [json.loads(line) for line in out.read_text().splitlines()]

    return run


def without_tokens(accounts):
    return [{k: v for k, v in account.items() if k != "access"} for account in accounts]


def test_seed_makes_captains_who_are_verified_and_offline_with_one_free_vehicle(seed):
    accounts = seed(captains=3)
    for account in accounts:
        fleet = Transporter.objects.get(owner_id=account["user_id"])
        assert (fleet.kyc_status, fleet.is_online) == (Kyc.VERIFIED, False)
        (vehicle,) = fleet.vehicles.all()
        assert vehicle.in_service
        assert [str(vehicle.id)] == account["vehicle_ids"]
        assert vehicle.vehicle_type_id == account["vehicle_type"] == "open-17-ft"
    assert [account["role"] for account in accounts] == ["captain"] * 3


def test_seed_makes_customers_without_vehicles(seed):
    accounts = seed(customers=2)
    assert set(accounts[0]) == {
        *("role", "phone", "user_id", "access", "vehicle_ids", "vehicle_type", "lat", "lng")
    }
    shown = [(a["role"], a["vehicle_ids"], a["vehicle_type"]) for a in accounts]
    assert shown == [("customer", [], None)] * 2
    assert not Transporter.objects.exists()


def test_the_tokens_of_seed_open_doors(seed):
    for account in seed(customers=1, captains=1):
        session = authenticate_token(account["access"])
        assert str(session.user_id) == account["user_id"]


def test_the_same_seed_gives_the_same_accounts_with_fresh_tokens(seed):
    first, second = seed(customers=2, captains=2), seed(customers=2, captains=2)
    assert without_tokens(first) == without_tokens(second)
    assert not {a["access"] for a in first} & {a["access"] for a in second}
    assert (User.objects.count(), Vehicle.objects.count(), Session.objects.count()) == (4, 2, 8)


def test_another_seed_gives_other_accounts(seed):
    first, second = seed(customers=2, captains=2), seed(customers=2, captains=2, seed=4)
    assert not {a["phone"] for a in first} & {a["phone"] for a in second}


def test_more_of_the_same_seed_begins_with_the_same(seed):
    few, more = seed(captains=2), seed(captains=4)
    assert without_tokens(more)[:2] == without_tokens(few)


def test_seeded_places_lie_in_the_city_and_are_not_stored(seed, bengaluru):
    area = set(CityCell.objects.filter(city=bengaluru).values_list("cell", flat=True))
    accounts = seed(customers=50, captains=50)
    assert {cell_of(a["lat"], a["lng"]) for a in accounts} <= area
    assert len({(a["lat"], a["lng"]) for a in accounts}) == 100
    assert not CurrentPosition.objects.exists()


@pytest.mark.parametrize("seed_number", [0, 1, 39, 2**40])
def test_seeded_numbers_are_valid_and_in_a_range_of_their_own(seed_number):
    for role in ("customer", "captain"):
        for number in (0, 999_999):
            phone = Person(block_of(seed_number), role, number).phone
            assert e164(phone) == phone
            assert phone.startswith("+9169")


def test_seeding_sends_no_sms(seed):
    seed(customers=2, captains=2)
    assert not SmsMessage.objects.exists()


def test_captains_of_other_types_get_those(seed):
    assert {a["vehicle_type"] for a in seed(captains=2, vehicle_type="mini-tata-ace")} == {
        "mini-tata-ace"
    }


def test_seeded_again_a_captain_is_offline_and_verified(seed):
    (account,) = seed(captains=1)
    fleet = Transporter.objects.get(owner_id=account["user_id"])
    availability.set_online(fleet.owner_id, online=True)
    kyc.decide(fleet.id, Kyc.SUSPENDED, reason="test")
    seed(captains=1)
    fleet.refresh_from_db()
    assert (fleet.kyc_status, fleet.is_online) == (Kyc.VERIFIED, False)


def test_seeded_again_with_another_type_a_captain_still_has_one_vehicle_in_service(seed):
    (first,) = seed(captains=1)
    (second,) = seed(captains=1, vehicle_type="mini-tata-ace")
    assert first["vehicle_ids"] != second["vehicle_ids"]
    in_service = Vehicle.objects.get(in_service=True)
    assert [str(in_service.id)] == second["vehicle_ids"]
    (third,) = seed(captains=1)
    assert third["vehicle_ids"] == first["vehicle_ids"]
    assert Vehicle.objects.count() == 2


def test_a_captain_on_a_trip_gets_another_free_vehicle(seed):
    (account,) = seed(captains=1)
    fleet = Transporter.objects.get(owner_id=account["user_id"])
    availability.set_online(fleet.owner_id, online=True)
    (offer,) = tell_them(make_order(make_customer()), [fleet])
    won = accept(fleet.owner_id, offer.id, [fleet.vehicles.get().id])
    assert won.trips[0]["status"] == TripStatus.ASSIGNED
    (again,) = seed(captains=1)
    assert again["vehicle_ids"] != account["vehicle_ids"]


def test_a_blocked_account_is_told_and_not_taken(seed):
    (account,) = seed(customers=1)
    User.objects.filter(id=account["user_id"]).update(is_active=False)
    with pytest.raises(CommandError, match="blocked"):
        seed(customers=1)


def test_an_unknown_city_is_refused_with_those_there_are(seed):
    with pytest.raises(CommandError, match=r"no city atlantis.*bengaluru"):
        seed(customers=1, city="atlantis")


def test_an_unknown_vehicle_type_is_refused(seed):
    with pytest.raises(CommandError, match="catalogue: sledge"):
        seed(captains=1, vehicle_type="sledge")
    assert not User.objects.exists()


@pytest.mark.parametrize("command", ["seed", "demo", "simulate", "replay"])
def test_simulated_people_are_refused_in_production(command, settings, tmp_path):
    settings.PRODUCTION = True
    words = {
        "seed": ["--city", "bengaluru", "--out", str(tmp_path / "out")],
        "simulate": ["--city", "bengaluru"],
        "replay": [str(tmp_path / "in.csv")],
    }
    (tmp_path / "in.csv").write_text("id,at,city,pickup_lat,pickup_lng,drop_lat,drop_lng\n")
    with pytest.raises(CommandError, match="production"):
        call_command(command, *words.get(command, []))
    assert not User.objects.exists()


class TestDemo:
    @pytest.fixture
    def demo(self, settings, tmp_path, capsys):
        settings.DATA = tmp_path
        call_command("catalogue")

        def run():
            capsys.readouterr()
            call_command("demo")
            return json.loads(capsys.readouterr().out.splitlines()[-1])

        return run

    def test_the_people_of_the_box(self, demo):
        accounts = demo()
        assert accounts["customer"] == {"name": "Asha", "phone": "+919000000001"}
        assert accounts["captains"] == [
            {"name": "Balu", "phone": "+919000000002"},
            {"name": "Chitra", "phone": "+919000000003"},
        ]
        devi = User.objects.get(username="devi")
        assert devi.check_password(accounts["dispatcher"]["password"])
        assert devi.is_staff
        balu = Transporter.objects.get(owner__phone="+919000000002")
        assert balu.kyc_status == Kyc.VERIFIED
        assert balu.vehicles.filter(vehicle_type_id="open-17-ft").count() == 2
        assert balu.drivers.get().name == "Dinesh"

    def test_a_second_start_shows_the_same_and_makes_nothing(self, demo):
        first = demo()
        counts = [model.objects.count() for model in (User, Vehicle, Session)]
        assert demo() == first
        assert [model.objects.count() for model in (User, Vehicle, Session)] == counts

    def test_what_people_changed_stays(self, demo):
        demo()
        balu = Transporter.objects.get(owner__phone="+919000000002")
        kyc.decide(balu.id, Kyc.SUSPENDED, reason="papers")
        Vehicle.objects.filter(transporter=balu).update(in_service=False)
        demo()
        balu.refresh_from_db()
        assert balu.kyc_status == Kyc.SUSPENDED
        assert not balu.vehicles.filter(in_service=True).exists()

    def test_the_password_is_kept_for_its_owner_alone(self, demo, tmp_path):
        password = demo()["dispatcher"]["password"]
        kept = tmp_path / "demo.json"
        assert json.loads(kept.read_text())["password"] == password
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    def test_the_password_in_the_box_is_devis_also_with_another_database(self, demo):
        first = demo()
        User.objects.filter(username="devi").update(password="another")
        assert demo() == first
        devi = User.objects.get(username="devi")
        assert devi.check_password(first["dispatcher"]["password"])

    def test_who_signed_in_before_the_demo_keeps_the_account(self, demo):
        asha = User.objects.of_phone("+919000000001")
        demo()
        asha.refresh_from_db()
        assert asha.name == "Asha"

    def test_simulated_captains_leave_the_walk_through_to_balu_and_chitra(self, demo):
        demo()
        simulated = Vehicle.objects.filter(transporter__owner__phone__startswith="+9169")
        assert simulated.count() == 6
        assert not simulated.filter(vehicle_type_id="open-17-ft").exists()
        owners = Vehicle.objects.filter(vehicle_type_id="open-17-ft")
        names = set(owners.values_list("transporter__owner__name", flat=True))
        assert names == {"Balu", "Chitra"}

"""The dispatchers' pages: edits are seen at once, versions are only added."""

import json
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from weelo.accounts.models import User
from weelo.cities import cached
from weelo.cities.catalogue import DEMO_MULTIPLIERS, DEMO_RATES, FIRST_POLICY
from weelo.cities.history import differences
from weelo.cities.models import City, CityCell, DispatchPolicy, RateCard, VehicleType

pytestmark = pytest.mark.usefixtures("two_cities")
MODELS = ["city", "citycell", "dispatchpolicy", "ratecard", "vehicletype"]


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()


@pytest.fixture
def devi(db):
    return User.objects.create(username="devi", is_staff=True, is_superuser=True)


@pytest.fixture
def admin_client(client, devi):
    client.force_login(devi)
    return client


def page(name, *args):
    return reverse(f"admin:cities_{name}", args=args)


def card_form(**fields):
    start = timezone.now() + timedelta(minutes=1)
    return {
        "city": "kochi",
        "effective_from_0": f"{start:%Y-%m-%d}",
        "effective_from_1": f"{start:%H:%M:%S}",
        "rates": json.dumps(DEMO_RATES),
        "multipliers": json.dumps(DEMO_MULTIPLIERS),
        **fields,
    }


@pytest.mark.parametrize("model", MODELS)
def test_every_list_opens_and_can_be_searched(admin_client, model):
    for query in ("", "?q=kochi", "?q=8760145b0ffffff", "?q=ffffffffffffffffffff"):
        answer = admin_client.get(page(f"{model}_changelist") + query)
        assert answer.status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_every_row_opens_and_none_can_be_deleted(admin_client, model):
    key = {"city": "kochi", "vehicletype": "open-17-ft"}.get(model)
    models = {"citycell": CityCell, "dispatchpolicy": DispatchPolicy, "ratecard": RateCard}
    key = key or models[model].objects.first().pk
    assert admin_client.get(page(f"{model}_change", key)).status_code == 200
    assert admin_client.post(page(f"{model}_delete", key), {"post": "yes"}).status_code == 403


def test_a_cell_is_found_by_its_name(admin_client):
    cell = CityCell.objects.filter(city="kochi").first()
    answer = admin_client.get(page("citycell_changelist"), {"q": str(cell)})
    assert [row.pk for row in answer.context["cl"].result_list] == [cell.pk]


def test_an_edited_type_is_seen_by_search_at_once(admin_client, django_capture_on_commit_callbacks):
    before = {row["slug"]: row["name"] for row in cached.vehicle_types()}
    assert before["open-17-ft"] == "Open 17 ft"
    form = {"name": "Eicher", "capacity_min_kg": 5000, "capacity_kg": 7000, "position": 10}
    path = page("vehicletype_change", "open-17-ft")
    with django_capture_on_commit_callbacks(execute=True):
        assert admin_client.post(path, form | {"is_active": "on"}).status_code == 302
    after = {row["slug"]: row["name"] for row in cached.vehicle_types()}
    assert after["open-17-ft"] == "Eicher"


def test_a_new_city_gets_the_area_around_its_centre(admin_client):
    form = {
        "slug": "tumakuru",
        "name": "Tumakuru",
        "timezone": "Asia/Kolkata",
        "lat": "13.3392",
        "lng": "77.1140",
        "commission_percent": "10",
        "is_open": "on",
    }
    bengaluru = CityCell.objects.filter(city="bengaluru").count()
    assert admin_client.post(page("city_add"), form | {"lat": "1e9"}).status_code == 200
    assert admin_client.post(page("city_add"), form).status_code == 302
    assert City.objects.get(slug="tumakuru").cells.count() > 500
    assert CityCell.objects.filter(city="bengaluru").count() == bengaluru


def test_a_city_in_no_time_zone_is_refused(admin_client):
    form = {"name": "Kochi", "timezone": "Asia/Panaji", "commission_percent": "10"}
    answer = admin_client.post(page("city_change", "kochi"), form)
    assert "timezone" in answer.context["adminform"].form.errors


def test_a_new_policy_is_the_next_version_by_whoever_made_it(admin_client, devi):
    values = FIRST_POLICY | {"per_truck": 5}
    form = {"city": "kochi", "values": json.dumps(values), "note": "more"}
    assert admin_client.post(page("dispatchpolicy_add"), form).status_code == 302
    made = DispatchPolicy.objects.get(city="kochi", version=2)
    assert (made.values, made.note, made.created_by) == (values, "more", devi)


def test_a_policy_that_cannot_be_followed_is_not_stored(admin_client):
    form = {"city": "kochi", "values": json.dumps(FIRST_POLICY | {"waves": []})}
    answer = admin_client.post(page("dispatchpolicy_add"), form)
    assert "values" in answer.context["adminform"].form.errors
    assert DispatchPolicy.objects.filter(city="kochi").count() == 1


def test_the_form_of_a_new_version_holds_the_newest(admin_client):
    newest = FIRST_POLICY | {"per_truck": 9}
    DispatchPolicy.objects.create(city_id="kochi", version=2, values=newest)
    answer = admin_client.get(page("dispatchpolicy_add"), {"city": "kochi"})
    assert answer.context["adminform"].form.initial["values"] == newest


@pytest.mark.parametrize("model", ["dispatchpolicy", "ratecard"])
def test_a_version_is_never_edited(admin_client, model):
    row = {"dispatchpolicy": DispatchPolicy, "ratecard": RateCard}[model].objects.first()
    assert admin_client.post(page(f"{model}_change", row.pk), {}).status_code == 403


def test_a_new_rate_card_is_the_next_version(admin_client):
    assert admin_client.post(page("ratecard_add"), card_form()).status_code == 302
    made = RateCard.objects.get(city="kochi", version=2)
    assert (made.rates, made.is_demo) == (DEMO_RATES, False)


def test_a_rate_card_without_a_price_for_an_active_type_is_not_stored(admin_client):
    VehicleType.objects.create(
        slug="open-21-ft", category="open", name="Open 21 ft", capacity_min_kg=1, capacity_kg=2
    )
    answer = admin_client.post(page("ratecard_add"), card_form())
    assert "open-21-ft" in str(answer.context["adminform"].form.errors)
    assert RateCard.objects.filter(city="kochi").count() == 1


def test_a_rate_card_does_not_change_the_past(admin_client):
    answer = admin_client.post(page("ratecard_add"), card_form(effective_from_0="2026-01-01"))
    assert "effective_from" in answer.context["adminform"].form.errors


def test_the_page_of_a_citys_policies_says_who_changed_what_when(admin_client, devi):
    waves = [*FIRST_POLICY["waves"][:-1], {"after_s": 45, "radius_m": 60_000}]
    values = FIRST_POLICY | {"per_truck": 5, "waves": waves}
    for changed, note in ((values, "more, and sooner"), (values | {"offers_cap": 2}, "calmer")):
        form = {"city": "kochi", "values": json.dumps(changed), "note": note}
        assert admin_client.post(page("dispatchpolicy_add"), form).status_code == 302
    answer = admin_client.get(page("dispatchpolicy_of_city", "kochi"))
    shown = [
        (row.version, row.note, row.created_by, [tuple(one) for one in differences])
        for row, differences in answer.context["versions"]
    ]
    assert shown[:2] == [
        (3, "calmer", devi, [("offers_cap", "3", "2")]),
        (
            2,
            "more, and sooner",
            devi,
            [
                ("wave 5", "after 48 s within 80000 m", "after 45 s within 60000 m"),
                ("per_truck", "3", "5"),
            ],
        ),
    ]
    version, _, nobody, all_of_it = shown[2]
    assert (version, nobody, len(all_of_it)) == (1, None, 10)
    text = answer.content.decode()
    assert "Version 3, in force" in text
    assert "after 45 s within 60000 m" in text
    assert "by devi: calmer" in text


def test_a_wave_that_is_gone_or_new_is_a_difference():
    two = {"waves": [{"after_s": 0, "radius_m": 5}, {"after_s": 9, "radius_m": 7}]}
    one = {"waves": two["waves"][:1], "wave_min": 4}
    assert differences(two, one) == [
        ("wave_min", "—", "4"),
        ("wave 2", "after 9 s within 7 m", "—"),
    ]
    assert differences(one, one) == []


def test_the_lists_lead_to_the_page_of_a_citys_policies(admin_client):
    address = page("dispatchpolicy_of_city", "kochi")
    for name in ("city_changelist", "dispatchpolicy_changelist"):
        assert address in admin_client.get(page(name)).content.decode()


def test_the_page_of_a_citys_policies_is_for_those_who_may_see_them(client):
    client.force_login(User.objects.create(username="eve", is_staff=True))
    assert client.get(page("dispatchpolicy_of_city", "kochi")).status_code == 403
    client.logout()
    assert client.get(page("dispatchpolicy_of_city", "kochi")).status_code == 302


def test_a_city_that_is_not_there_has_no_page_of_policies(admin_client):
    assert admin_client.get(page("dispatchpolicy_of_city", "atlantis")).status_code == 404

"""From a customer's tap on confirm to what captains are offered."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.cache import cache

from orders.models import Order, Wave
from orders.search import Haul, search
from orders.states import OrderStatus
from orders.verbs.confirm import confirm
from orders.verbs.expire import expire_due
from tests.dispatch.drive import look, shift, stand, told
from tests.orders.clock import overdue
from tests.people import CENTRE, make_captain, make_customer, make_order, wish
from tests.races.racing import race
from tests.scenarios.story import body, heard, names, new_customer
from transporters import kyc
from transporters.geo import Point
from transporters.models import Kyc, Transporter
from transporters.presence import index
from transporters.presence.seen import Member
from transporters.presence.track import to_ms
from weelo.cities.catalogue import VEHICLE_TYPES
from weelo.cities.management.commands.catalogue import load
from weelo.cities.models import City
from weelo.lib.clock import database_now
from weelo.lib.redis import guarded

DROP = (13.05, 77.70)
KEY = {"Idempotency-Key": "key-1"}
DAY_MS = 24 * 3600 * 1000


# --- 5, 6: keys -------------------------------------------------------------------------------


def pass_time(seconds):
    return lambda phone, order, settings: shift(order, seconds)


def end(phone, order, settings):
    overdue(order)
    expire_due()


def order_another(phone, order, settings):
    overdue(order)
    assert phone.post("orders", body(), **{"Idempotency-Key": "key-2"}).status_code == 201


def use_up_the_limit(phone, order, settings):
    settings.LIMIT_ORDERS = 1
    answer = phone.post("orders", body(), **{"Idempotency-Key": "key-2"})
    assert (answer.status_code, answer.body["code"]) == (429, "RATE_LIMITED")


MEANWHILE = {
    "at once": pass_time(0),
    "after 1 s": pass_time(1),
    "after 10 s": pass_time(10),
    "past the TTL": pass_time(61),
    "past the TTL when the expiry was stored": end,
    "while another order is active": order_another,
    "beyond the limit of orders made": use_up_the_limit,
}


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
def test_05_a_confirm_retried_with_its_key_gives_the_same_order_and_no_second_broadcast(
    asha, balu, phone, settings, meanwhile
):
    stand(balu, 1000)
    line = phone(asha)
    first = line.post("orders", body(), **KEY)
    order = Order.objects.get()
    look()
    meanwhile(line, order, settings)
    again = line.post("orders", body(), **KEY)
    look()
    assert (first.status_code, again.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.body["id"] == again.body["id"] == str(order.id)
    assert Order.objects.filter(idempotency_key="key-1").count() == 1
    assert names(heard(asha, order)).count("order_created") == 1
    assert names(heard(balu, order)).count("new_broadcast") == 1
    assert Wave.objects.filter(order=order).count() == 1


@pytest.mark.django_db(transaction=True)
def test_05_twenty_confirms_with_the_same_key_at_once_all_name_the_same_order(asha):
    results = race(*(lambda: confirm(asha, wish(), "key-1") for _ in range(20)))
    assert {str(result.order["id"]) for result in results} == {str(Order.objects.get().id)}
    assert sum(not result.replayed for result in results) == 1
    assert names(heard(asha)) == ["order_created"]


def test_06_the_same_key_with_another_body_is_refused_and_of_another_customer_independent(
    asha, phone
):
    first = phone(asha).post("orders", body(), **KEY)
    assert first.status_code == 201
    before = list(Order.objects.values()), heard(asha)
    for other in (body(2), body(goods={"category": "steel"}), body(pickup=body()["drop"])):
        answer = phone(asha).post("orders", other, **KEY)
        assert (answer.status_code, answer.body["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (list(Order.objects.values()), heard(asha)) == before
    ravi = new_customer()
    independent = phone(ravi).post("orders", body(2), **KEY)
    assert independent.status_code == 201
    assert "Idempotency-Replayed" not in independent.headers
    assert Order.objects.get(customer=ravi).id != Order.objects.get(customer=asha).id


# --- 10: what Redis still holds ---------------------------------------------------------------


def test_10_locks_and_presence_of_yesterday_in_redis_block_nobody_and_offer_no_ghost(
    asha, balu, phone, client
):
    chitra = make_captain("+919000000003", "Chitra", is_online=False)
    stale = make_captain("+919000000004", "Farid")
    now_ms = to_ms(database_now())
    here = Point(*CENTRE)
    unheard_of = [(Member(uuid4()), here, now_ms), (Member(uuid4(), uuid4()), here, now_ms)]
    yesterday = [
        (Member(fleet.id, vehicle_id), here, now_ms - DAY_MS)
        for fleet in (chitra, stale)
        for vehicle_id in (None, fleet.vehicles.get().id)
    ]
    index.refill({"open-17-ft": [*unheard_of, *yesterday, (Member(chitra.id), here, now_ms)]})
    with guarded() as redis:
        lock = f"lock:confirm:{asha.id}"
        redis.set(lock, "0" * 32 + ":" + "f" * 64, px=DAY_MS)
        assert redis.zcard("presence:geo:open-17-ft") == 6
    stand(balu, 1000)
    made = phone(asha).post("orders", body(), **KEY)
    assert made.status_code == 201, made.body
    order = Order.objects.get()
    look()
    assert told(order) == ["Balu"]
    phone(asha).post(f"orders/{order.id}/cancel")
    with guarded() as redis:
        redis.persist(lock)
    assert phone(asha).post("orders", body(), **{"Idempotency-Key": "key-2"}).status_code == 201


# --- 26: one row is one vehicle type ------------------------------------------------------------


PAPERS = dict.fromkeys(("rc", "permit", "fitness", "insurance", "puc"), "2040-01-01")


def truck(slug, number):
    return {"registration": f"KA01T{number:04}", "vehicle_type": slug, "papers": PAPERS}


def register(phone, number, category, slugs):
    """A captain with one vehicle of each type comes to be and goes online, all over HTTP.

    Returns his phone, and the vehicle's id by type."""
    user = make_customer(f"+9181{number:08}", category)
    line = phone(user)
    line.post("transporter", {"business_name": category, "pan": f"ABCDE{number:04}F"})
    kyc.decide(Transporter.objects.get(owner=user).id, Kyc.VERIFIED)
    made = [line.post("vehicles", truck(slug, number * 100 + n)) for n, slug in enumerate(slugs)]
    assert [answer.status_code for answer in made] == [201] * len(slugs)
    assert line.put("availability", {"online": True}).status_code == 200
    seen = line.post("positions", {"lat": CENTRE[0], "lng": CENTRE[1]})
    assert seen.body["accepted"] == 1
    return line, {answer.body["vehicle_type"]: answer.body["id"] for answer in made}


def test_26_what_is_offered_can_be_accepted_for_every_vehicle_type_that_ships(db, phone):
    load()
    types = {shipped.slug: shipped.category for shipped in VEHICLE_TYPES}
    by_category = {c: [s for s, of in types.items() if of == c] for c in types.values()}
    captains = {c: register(phone, n, c, slugs) for n, (c, slugs) in enumerate(by_category.items())}
    orders = {slug: make_order(new_customer(), vehicle_type=slug) for slug in types}
    while look():
        pass
    assert len(types) == 65
    assert {slug: told(order) for slug, order in orders.items()} == {s: [types[s]] for s in types}
    for line, vehicles in captains.values():
        offers = {o["order_id"]: o for o in line.get("offers").body["results"]}
        assert len(offers) == len(vehicles)
        for slug, vehicle_id in vehicles.items():
            offer = offers[str(orders[slug].id)]
            assert [wanted["vehicle_type"] for wanted in offer["trucks"]] == [slug]
            assert [offered["id"] for offered in offer["your_vehicles"]] == [vehicle_id]
            won = line.post(f"offers/{offer['offer_id']}/accept", {"vehicle_ids": [vehicle_id]})
            assert won.status_code == 200, (slug, won.body)
            assert won.body["trips"][0]["vehicle"]["vehicle_type"] == slug


@pytest.mark.parametrize(
    "spelling",
    ["OPEN-17-FT", "Open 17 ft", "open_17_ft", "open-17ft", "open-17-feet", "truck-17-ft", "17-ft"],
)
def test_26_an_old_or_foreign_spelling_of_a_vehicle_type_is_refused_everywhere(
    asha, balu, phone, spelling
):
    registered = phone(balu).post("vehicles", truck(spelling, 1))
    assert (registered.status_code, registered.body["code"]) == (400, "INVALID")
    assert registered.body["errors"][0]["pointer"] == "/vehicle_type"
    made = phone(asha).post("orders", body(vehicle_type=spelling), **KEY)
    assert (made.status_code, made.body["code"]) in {
        (400, "INVALID"),
        (422, "UNKNOWN_VEHICLE_TYPE"),
    }
    assert not Order.objects.exists()
    assert balu.vehicles.count() == 1


# --- 35: the fare ---------------------------------------------------------------------------------

WAY = {"pickup": "12.9716,77.5946", "drop": "13.05,77.7"}


def set_clock(hour):
    """Move the city to where it is this hour now: PostgreSQL's clock stays."""
    east = (hour - database_now().hour + 12) % 24 - 12
    City.objects.update(timezone=f"Etc/GMT{-east:+}")
    cache.clear()


NOON, RUSH = 13, 9


def option_of(client, slug="open-17-ft", **query):
    found = client.get("/api/v1/search", {**WAY, **query}).json()["options"]
    return next(option for option in found if option["vehicle_type"]["slug"] == slug)


def confirm_at(phone, who, quote=None, **fields):
    line = {"vehicle_type": "open-17-ft", "quantity": 2, "quote": quote, **fields}
    return phone(who).post("orders", body([line]))


@pytest.mark.parametrize("asked", [{}, {"load_kg": 5000}], ids=["full", "5 t"])
@pytest.mark.parametrize(("searched", "confirmed"), [(NOON, RUSH), (RUSH, NOON)])
def test_35_across_a_rush_hour_edge_the_quoted_fare_is_paid_and_never_changed_silently(
    asha, phone, client, searched, confirmed, asked
):
    set_clock(searched)
    quoted = option_of(client, **asked)
    set_clock(confirmed)
    now = option_of(client, **asked)["fare_paise"]
    assert (now > quoted["fare_paise"]) == (confirmed == RUSH) and now != quoted["fare_paise"]
    kept = confirm_at(phone, asha, quoted["quote"], **asked)
    assert [t["fare_paise"] for t in kept.body["trucks"]] == [quoted["fare_paise"]] * 2
    assert kept.body["fare_paise"] == 2 * quoted["fare_paise"]
    without = confirm_at(phone, new_customer(), **asked)
    assert [t["fare_paise"] for t in without.body["trucks"]] == [now] * 2


def stale(client):
    at = database_now() - timedelta(minutes=5, seconds=1)
    found = search(Haul(Point(*CENTRE), Point(*DROP)), at).options
    return next(o.quote for o in found if o.vehicle_type.slug == "open-17-ft")


def altered(client):
    fare, rest = option_of(client)["quote"].split(".", 1)
    return f"{int(fare) - 100_00}.{rest}"


BAD_QUOTES = {
    "stale": stale,
    "altered": altered,
    "of another way": lambda client: option_of(client, drop="13.06,77.7")["quote"],
    "of another vehicle type": lambda client: option_of(client, "mini-tata-ace")["quote"],
    "of another load": lambda client: option_of(client, load_kg=5000)["quote"],
    "of nobody": lambda client: "1.2.x",
}


@pytest.mark.parametrize("bad", BAD_QUOTES.values(), ids=BAD_QUOTES)
def test_35_a_stale_or_foreign_quote_is_refused_with_the_fare_of_now(asha, phone, client, bad):
    set_clock(NOON)
    quote = bad(client)
    set_clock(RUSH)
    now = option_of(client)["fare_paise"]
    refused = confirm_at(phone, asha, quote)
    assert (refused.status_code, refused.body["code"]) == (409, "QUOTE_INVALID")
    assert refused.body["fare_paise"] == now
    assert not Order.objects.exists()
    paid = confirm_at(phone, asha)
    assert paid.body["fare_paise"] == 2 * now
    assert Order.objects.get().status == OrderStatus.BROADCASTING

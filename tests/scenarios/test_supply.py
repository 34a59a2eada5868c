"""Where the captains are: what counts as a position, who is near, and how that survives Redis."""

import json
import math
import random
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import transaction

from orders.models import Order
from tests.dispatch.drive import north, shift
from tests.orders.clock import without_triggers
from tests.people import (
    CENTRE,
    POLICY,
    make_captains,
    make_city,
    make_order,
    place,
    vehicle_ids,
)
from tests.running import running
from tests.scenarios.story import new_customer, tell_beside_a_loop, until, win
from transporters import presence
from transporters.geo import EARTH_RADIUS_M, Point, metres
from transporters.models import CurrentPosition, PositionHistory, Transporter
from transporters.presence.seen import Member
from weelo.cities.india import in_india
from weelo.cities.models import DispatchPolicy, RateCard

CAPTAINS = 16
FULL_AGAIN_S = 8.0  # whoever looks, the loop or a process that takes positions, does every 5 s


@pytest.fixture(scope="module")
def site(own_valkey):
    own = {"REDIS_URL": own_valkey.url, "SECRET_KEY": settings.SECRET_KEY}
    with running(own, ("http", "live", "loop")) as site:
        yield site


@pytest.fixture
def index(valkey):
    """Who stands in the index of a vehicle type: `{member's name: (lat, lng)}`."""

    def read(slug):
        with valkey.client() as client:
            names = client.zrange(f"presence:geo:{slug}", 0, -1)
            places = client.geopos(f"presence:geo:{slug}", *names) if names else []
        return {name.decode(): (lat, lng) for name, (lng, lat) in zip(names, places, strict=True)}

    return read


def ago(seconds):
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def point(metres_north, **fields):
    lat, lng = north(metres_north)
    return {"lat": lat, "lng": lng, **fields}


def nearby(line, slug, at=CENTRE):
    """What a search shows of a vehicle type: how many are near, and how far the nearest is."""
    query = {"pickup": f"{at[0]},{at[1]}", "drop": "13.05,77.7"}
    options = line.get("search", **query).json()["options"]
    (option,) = [o for o in options if o["vehicle_type"]["slug"] == slug]
    return option["nearby"], option["nearest_km"]


def first_wave(line, slug, **fields):
    """Confirm an order, and the first wave that the loop sends of it."""
    made = line.confirming("key-1", vehicle_type=slug, **fields)()
    assert made.status_code == 201, made.text
    order = Order.objects.get(id=made.json()["id"])
    return wave_of(order, 1)


def wave_of(order, number):
    """This wave of an order, once the loop has sent it."""
    until(lambda: order.waves.filter(number=number, part=0).exists())
    return order.waves.get(number=number, part=0)


def wait_until_full(valkey):
    """Until the index says that it holds what PostgreSQL knew."""
    with valkey.client() as client:
        until(lambda: client.exists("presence:filled"))


def told(wave):
    return [one["transporter"] for one in wave.told]


def counted(accepted=0, stale=0, duplicate=0, invalid=0):
    return {"accepted": accepted, "stale": stale, "duplicate": duplicate, "invalid": invalid}


# --- 24: coming and going ----------------------------------------------------------------------


def test_24_who_went_off_stays_off_whatever_position_comes_late(dial, listen, index):
    slug, (balu,) = "trailer-8-11-t", make_captains(1, vehicle_type="trailer-8-11-t")
    line, ear = dial(balu), listen(balu)
    line.stand(1000)
    ear.stand(1010)  # this process, too, has seen him online just now
    assert index(slug).keys() == {balu.id.hex}
    assert line.put("availability", {"online": False}).json()["online"] is False
    assert index(slug) == {}
    for _ in range(3):
        time.sleep(0.6)
        ear.ask("position", **point(1020))
        line.post("positions", point(1030))
    assert index(slug) == {}
    assert told(first_wave(dial(new_customer()), slug)) == []
    assert Transporter.objects.get(id=balu.id).is_online is False
    assert line.put("availability", {"online": True}).json()["needs_position"] is True
    time.sleep(1)  # what came while he was off counts among the two points of a second
    line.stand(1040)
    assert index(slug).keys() == {balu.id.hex}


def test_24_without_a_position_for_the_ttl_a_captain_leaves_the_index(dial, index):
    slug, (silent, awake) = "trailer-12-15-t", make_captains(2, vehicle_type="trailer-12-15-t")
    ttl_s = settings.POSITION_TTL.total_seconds()
    customer = dial(new_customer())
    dial(silent).stand(1000, at=ago(ttl_s - 3))
    dial(awake).stand(2000, at=ago(ttl_s - 60))
    assert index(slug).keys() == {silent.id.hex, awake.id.hex}
    assert nearby(customer, slug) == (2, pytest.approx(1, abs=0.01))
    time.sleep(3.2)
    assert nearby(customer, slug) == (1, pytest.approx(2, abs=0.01))
    assert index(slug).keys() == {awake.id.hex}
    assert told(first_wave(customer, slug)) == [str(awake.id)]


@pytest.mark.parametrize("loss", ["flushed", "started anew"])
def test_24_a_fresh_redis_fills_again_by_itself(dial, index, valkey, loss):
    slug = {"flushed": "trailer-16-19-t", "started anew": "trailer-20-22-t"}[loss]
    fleets = make_captains(3, vehicle_type=slug)
    for n, fleet in enumerate(fleets, 1):
        dial(fleet).stand(1000 * n)
    known = CurrentPosition.objects.filter(transporter__in=fleets)
    until(lambda: known.count() == len(fleets))
    customers = [dial(new_customer()) for _ in range(2)]
    before, ids = index(slug), [str(fleet.id) for fleet in fleets]
    if loss == "flushed":
        with valkey.client() as client:
            client.flushall()
    else:
        with valkey.killed():
            pass
    lost_at = time.monotonic()
    assert index(slug) == {}
    wave = first_wave(customers[0], slug)  # nobody is forgotten meanwhile
    assert (wave.source, told(wave)) == ("postgres", ids)
    until(lambda: index(slug).keys() == before.keys(), FULL_AGAIN_S)
    assert time.monotonic() - lost_at < FULL_AGAIN_S
    wait_until_full(valkey)
    wave = first_wave(customers[1], slug)
    assert (wave.source, told(wave)) == ("redis", ids)


# --- 25: the nearest -----------------------------------------------------------------------------

# Point, radius, and a vehicle type of their own. 11.25° and 78.75° are edges of geohash cells at
# every level from the sixth bit on.
PLACES = {
    "in a city": (Point(12.30, 76.65), 5_000, "tipper-9-11-t"),
    "at the corner of a cell": (Point(11.25, 78.75), 500, "tipper-15-17-t"),
    "where equator and meridian cross": (Point(0.0, 0.0), 40_000, "tipper-18-19-t"),
    "at the antimeridian": (Point(-17.0, 180.0), 80_000, "tipper-25-t"),
    "as near a pole as phones go": (Point(84.9, 20.0), 500_000, "tipper-26-28-t"),
}
NAGPUR = Point(21.15, 79.09)
SECOND_WAVE_S = 12


def open_city(name, centre, slug, radius_m):
    """A city for one vehicle type, with two waves of the same radius and no looks between."""
    city = make_city(name, centre=centre)
    waves = [{"after_s": after_s, "radius_m": radius_m} for after_s in (0, SECOND_WAVE_S)]
    policy = {**POLICY, "waves": waves, "newcomers_every_s": 60}
    DispatchPolicy.objects.filter(city=city).update(values=policy)
    RateCard.objects.filter(city=city).update(multipliers={slug: "1.0"})


def settle(dial, slug, points):
    """Captains who say that they are there: their fleets' ids, with the points."""
    fleets = make_captains(len(points), vehicle_type=slug)
    for fleet, at in zip(fleets, points, strict=True):
        answer = dial(fleet).post("positions", {"lat": at.lat, "lng": at.lng})
        assert answer.json()["accepted"] == 1, answer.text
    return list(zip(points, (str(fleet.id) for fleet in fleets), strict=True))


def scattered(chance, centre, radius_m):
    """A point within 1.3 times the radius, as exact as intake keeps it."""
    way, angle = 1.3 * radius_m * chance.random(), 2 * math.pi * chance.random()
    lat = centre.lat + math.degrees(way * math.cos(angle) / EARTH_RADIUS_M)
    lat = max(-85.0, min(85.0, lat))
    east = way * math.sin(angle) / EARTH_RADIUS_M / math.cos(math.radians(lat))
    return Point(round(lat, 7), round((centre.lng + math.degrees(east) + 540) % 360 - 180, 7))


def move_on(order, pickup):
    """As if the pickup were there, where nobody can make an order, and the second wave due."""
    place = json.dumps({"lat": pickup.lat, "lng": pickup.lng})
    with transaction.atomic(durable=True):
        with without_triggers() as cursor:
            cursor.execute(
                "UPDATE orders_order SET pickup = pickup || %s WHERE id = %s", [place, order.id]
            )
        shift(order, SECOND_WAVE_S)


def test_25_who_is_told_equals_brute_force_by_haversine_nearest_first_wherever_it_is(dial, valkey):
    wait_until_full(valkey)
    seed = random.randrange(100_000)
    chance = random.Random(seed)
    settled = {
        where: settle(dial, slug, [scattered(chance, centre, radius_m) for _ in range(CAPTAINS)])
        for where, (centre, radius_m, slug) in PLACES.items()
    }
    for n, (where, (centre, radius_m, slug)) in enumerate(PLACES.items()):
        served = in_india(*centre)
        office = centre if served else Point(NAGPUR.lat, NAGPUR.lng + n / 2)
        open_city(f"city-{n}", office, slug, radius_m)
        wave = first_wave(dial(new_customer()), slug, pickup=place(*office))
        if not served:
            assert told(wave) == [], "they are on the other side of the earth"
            move_on(wave.order, centre)
            wave = wave_of(wave.order, 2)
        away = sorted((metres(centre, at), id_) for at, id_ in settled[where])
        nearest = [(id_, m) for m, id_ in away if m <= radius_m][: POLICY["wave_min"]]
        case = f"{where}, seed {seed}"
        assert len(nearest) > 1, case
        assert told(wave) == [id_ for id_, _ in nearest], case
        said = [one["distance_m"] for one in wave.told]
        assert said == pytest.approx([m for _, m in nearest], abs=1.5), case
        assert wave.source == "redis", case


def test_25_after_a_first_wave_that_found_nobody_the_second_still_runs(dial):
    slug, centre = "tipper-29-t", Point(15.35, 75.13)
    open_city("empty", centre, slug, 5_000)
    first = first_wave(dial(new_customer()), slug, pickup=place(*centre))
    assert (first.number, first.told) == (1, [])
    ((_, balu),) = settle(dial, slug, [Point(15.36, 75.13)])
    with transaction.atomic(durable=True):
        shift(first.order, SECOND_WAVE_S)
    assert told(wave_of(first.order, 2)) == [balu]


# --- 33: what is no position ------------------------------------------------------------------


def stored(valkey, slug, fleets):
    """All that Redis and PostgreSQL hold of these fleets' places."""
    words = [slug.encode(), *(fleet.id.hex.encode() for fleet in fleets)]
    with valkey.client() as client:
        keys = [key for key in client.keys("presence:*") if any(word in key for word in words)]
        redis = {key: client.dump(key) for key in keys}
    rows = (
        table.objects.filter(transporter__in=fleets).order_by("id").values_list("lat", "lng")
        for table in (CurrentPosition, PositionHistory)
    )
    return redis, [list(found) for found in rows]


def test_33_what_is_no_position_of_ones_own_is_refused_counted_and_not_stored(dial, listen, valkey):
    slug = "tanker-8-11-t"
    balu, chitra = fleets = make_captains(2, vehicles=2, vehicle_type=slug)
    line, ear = dial(balu), listen(balu)
    # One truck is known to the one process, one to the other.
    by_http, by_socket = ({"vehicle_id": str(id_)} for id_ in vehicle_ids(balu))
    line.stand(1000, **by_http)
    ear.stand(1000, **by_socket)
    known = CurrentPosition.objects.filter(transporter=balu)
    until(lambda: known.count() == 2)
    before = stored(valkey, slug, fleets)

    strangers = [str(vehicle_ids(chitra)[0]), str(uuid4())]
    nowhere = [{"lat": 999}, {"lng": -181}, {"lat": "NaN"}]
    for ask, own in ((post_position(line), by_http), (say_position(ear), by_socket)):
        bad = [point(1000, vehicle_id=stranger) for stranger in strangers]
        bad += [{**point(1000, **own), **fault} for fault in nowhere]
        bad += [point(401_000, **own)]
        time.sleep(1)  # so that the jump is refused as a jump, not as the third in a second
        assert ask({"points": bad}) == counted(invalid=len(bad))
        assert [ask(one) for one in bad] == [counted(invalid=1)] * len(bad)
    # NaN as such is no JSON, and is refused before it is looked at.
    nan = '{"type": "position", "lat": NaN, "lng": 77.6}'
    answer = line.http.post("positions", content=nan, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_JSON")
    listen(balu).line.send(nan)
    assert stored(valkey, slug, fleets) == before

    # Nor was it kept for later: both processes write what they have, and it is only this.
    line.stand(1010, **by_http)
    ear.stand(1010, **by_socket)
    here = north(1010)
    until(lambda: list(known.values_list("lat", "lng")) == [rounded(here)] * 2)
    _, (current, history) = stored(valkey, slug, fleets)
    assert set(current) == {rounded(here)}
    assert history == before[1][1]


def rounded(place):
    """As exact as intake keeps it."""
    return tuple(round(degrees, 7) for degrees in place)


def post_position(line):
    """Report by HTTP; what was counted."""

    def ask(body):
        answer = line.post("positions", body)
        assert answer.status_code == 202, answer.text
        return answer.json()

    return ask


def say_position(ear):
    """Report by socket, also what the document forbids; what was counted."""

    def ask(body):
        ear.line.send(json.dumps({"type": "position", "ref": "r1", **body}))
        return ear.next("reply")["data"]

    return ask


# --- 36: a buffer is sent ---------------------------------------------------------------------


def test_36_a_hundred_buffered_positions_count_right_and_the_live_one_does_not_jump_back(
    dial, listen, valkey
):
    slug, ravi = "tanker-12-15-t", new_customer()
    (balu,) = make_captains(1, vehicle_type=slug)
    line, ear, screen = dial(balu), listen(balu), listen(ravi)
    order = make_order(ravi, vehicle_type=slug)
    tell_beside_a_loop(order, [balu])
    win(order, balu)
    ended = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=2)
    track = [
        point(20 * n, at=(ended - timedelta(seconds=2 * (49 - n))).isoformat()) for n in range(50)
    ]
    sent = track * 2
    random.Random(36).shuffle(sent)
    newest = rounded(north(20 * 49))

    assert line.post("positions", {"points": sent}).json() == counted(accepted=50, duplicate=50)
    shown = screen.next("live")["data"]
    assert (shown["lat"], shown["lng"]) == newest
    # The same again, by this process and by one that knows nothing of it yet.
    assert line.post("positions", {"points": sent}).json() == counted(stale=49, duplicate=51)
    for part in (sent[:50], sent[50:]):
        repeats = sum(one["at"] == track[-1]["at"] for one in part)
        times = len({one["at"] for one in part})
        assert say_position(ear)({"points": part}) == counted(
            stale=times - bool(repeats), duplicate=50 - times + bool(repeats)
        )
    with pytest.raises(TimeoutError):
        screen.next("live", 1.2)
    (seen,) = presence.last_seen([Member(balu.id)]).values()
    assert (rounded(seen.point), seen.at) == (newest, ended)
    # And what comes next moves it on.
    ear.stand(20 * 50)
    assert screen.next("live")["data"]["lat"] == pytest.approx(north(20 * 50)[0], abs=1e-6)


# --- 44: a fleet in several places ------------------------------------------------------------


def test_44_a_fleet_of_ten_trucks_in_four_places_is_ranked_and_shown_by_where_they_are(
    dial, listen, index
):
    slug = "bulker-20-22-t"
    (fleet,) = make_captains(1, vehicles=10, vehicle_type=slug)
    nearer, farther = make_captains(2, vehicle_type=slug)
    line, ear = dial(fleet), listen(fleet)
    line.stand(10)  # the office, next to the pickup
    stands = [2_000] * 3 + [9_000] * 3 + [30_000] * 2 + [400_000] * 2
    trucks = dict(zip(vehicle_ids(fleet), stands, strict=True))
    for vehicle_id, metres_north in trucks.items():
        line.stand(metres_north, vehicle_id=str(vehicle_id))
    dial(nearer).stand(1_500)
    dial(farther).stand(2_500)
    assert fleet.id.hex not in index(slug)
    assert len(index(slug)) == 12
    until(lambda: CurrentPosition.objects.filter(vehicle__in=trucks).count() == 10)

    customer = dial(new_customer())
    assert nearby(customer, slug) == (8, pytest.approx(1.5, abs=0.01))  # within 20 km
    wave = first_wave(customer, slug)
    assert told(wave) == [str(one.id) for one in (nearer, fleet, farther)]
    card = ear.hear("new_broadcast")["data"]
    assert card["pickup_distance_km"] == pytest.approx(2, abs=0.01)
    shown = [(v["id"], v["distance_km"]) for v in card["your_vehicles"]]
    assert shown == [
        (str(id_), pytest.approx(metres_north / 1000, rel=0.005))
        for id_, metres_north in sorted(trucks.items(), key=lambda one: (one[1], one[0]))
    ]
    # A pickup where the fleet has two trucks and no office.
    there = north(29_000)
    wave = first_wave(dial(new_customer()), slug, pickup=place(*there))
    assert told(wave) == [str(fleet.id)]
    assert wave.told[0]["distance_m"] == pytest.approx(1_000, abs=2)

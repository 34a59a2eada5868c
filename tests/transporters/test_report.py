"""Positions come in."""

import math
import random
import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from tests.people import CENTRE, CHITRA, make_captain, make_vehicle
from tests.transporters.conftest import forget_process
from transporters import fleet as fleets
from transporters import presence
from transporters.geo import Point
from transporters.models import CurrentPosition, PositionHistory
from transporters.presence import buffer, reports, twin
from weelo.lib.redis import guarded

pytestmark = pytest.mark.django_db
TYPE = "open-17-ft"
HERE = Point(*CENTRE)
STEP = 0.0001  # about 11 m of latitude


@pytest.fixture
def balu(town):
    return make_captain()


def point(lat=CENTRE[0], lng=CENTRE[1], **fields):
    return {"lat": lat, "lng": lng, **fields}


def at(seconds_ago, now):
    return (now - timedelta(seconds=seconds_ago)).isoformat()


def send(captain, *points, now=None):
    return presence.report(fleets.of_captain(captain.owner_id), points, now).as_payload()


def counts(accepted=0, stale=0, duplicate=0, invalid=0):
    return {"accepted": accepted, "stale": stale, "duplicate": duplicate, "invalid": invalid}


def seen(radius_m=5000, limit=10):
    answer = presence.nearest(HERE, vehicle_types=[TYPE], radius_m=radius_m, limit=limit)
    return answer.seen


def test_a_captain_who_reports_is_found_at_once(balu):
    assert send(balu, point()) == counts(accepted=1)
    (one,) = seen()
    assert (one.transporter_id, one.vehicle_id) == (balu.id, None)


def test_taking_positions_runs_no_sql(balu, django_assert_num_queries):
    fleet = fleets.of_captain(balu.owner_id)
    with django_assert_num_queries(0):
        presence.report(fleet, [point()])
        presence.report(fleet, [point(CENTRE[0] + STEP)], timezone.now() + timedelta(seconds=9))


def test_what_cannot_be_is_refused_and_counted_and_nothing_is_stored(balu):
    now = timezone.now()
    foreign = make_captain(CHITRA, "Chitra").vehicles.get()
    bad = [
        point(999),
        point(math.nan),
        point(lng=math.inf),
        point(lat="12"),
        point(lat=True),
        point(at="yesterday"),
        point(at="2026-01-01T00:00:00"),
        point(at=at(-61, now)),
        point(vehicle_id=str(foreign.id)),
        point(vehicle_id=str(uuid.uuid4())),
        point(vehicle_id="mine"),
        "here",
        None,
    ]
    assert send(balu, *bad, now=now) == counts(invalid=len(bad))
    presence.write_back()
    assert seen() == []
    assert not CurrentPosition.objects.exists() and not PositionHistory.objects.exists()


def test_a_jump_of_400_km_is_refused_and_the_truck_stays_where_it_was(balu):
    now = timezone.now()
    send(balu, point(at=at(10, now)), now=now)
    assert send(balu, point(CENTRE[0] + 3.6, at=at(0, now)), now=now) == counts(invalid=1)
    assert seen()[0].distance_m < 1


def test_a_jump_is_seen_by_a_process_that_never_saw_the_truck(balu):
    now = timezone.now()
    send(balu, point(at=at(10, now)), now=now)
    forget_process()
    assert send(balu, point(CENTRE[0] + 3.6, at=at(0, now)), now=now) == counts(invalid=1)


def test_the_third_point_within_a_second_is_not_taken(balu):
    now = timezone.now()
    points = [point(CENTRE[0] + i * STEP / 10, at=at(2 - i * 0.3, now)) for i in range(4)]
    assert send(balu, *points, now=now) == counts(accepted=2, invalid=2)


def test_a_hundred_buffered_points_out_of_order_and_doubled_are_counted_right(balu):
    now = timezone.now()
    points = [point(CENTRE[0] + i * STEP, at=at(100 - 2 * i, now)) for i in range(50)] * 2
    random.Random(3).shuffle(points)
    assert send(balu, *points, now=now) == counts(accepted=50, duplicate=50)
    newest = CENTRE[0] + 49 * STEP
    assert abs(seen()[0].point.lat - newest) < 1e-5
    assert send(balu, *points, now=now) == counts(stale=49, duplicate=51)
    assert abs(seen()[0].point.lat - newest) < 1e-5


@pytest.mark.parametrize("same_process", [True, False])
def test_the_live_position_never_jumps_back(balu, same_process):
    now = timezone.now()
    send(balu, point(CENTRE[0] + STEP, at=at(5, now)), now=now)
    if not same_process:
        forget_process()
    assert send(balu, point(at=at(30, now)), now=now) == counts(stale=1)
    assert abs(seen()[0].point.lat - CENTRE[0] - STEP) < 1e-5


def test_points_kept_in_a_tunnel_are_history_though_too_old_to_be_live(balu):
    now = timezone.now()
    old = settings.POSITION_TTL.total_seconds() + 60
    assert send(balu, point(at=at(old, now)), now=now) == counts(stale=1)
    presence.write_back()
    assert seen() == [] and PositionHistory.objects.count() == 1


def test_history_takes_a_point_every_15_s_or_75_m(balu):
    now = timezone.now()
    still = [point(at=at(60 - i, now)) for i in range(31)]
    send(balu, *still, now=now)
    presence.write_back()
    assert PositionHistory.objects.count() == 3
    moving = [point(CENTRE[0] + i * STEP * 4, at=at(20 - i, now)) for i in range(1, 5)]
    send(balu, *moving, now=now)
    presence.write_back()
    assert PositionHistory.objects.count() == 5


def test_a_position_older_than_the_ttl_leaves_both_stores(balu, monkeypatch):
    now = timezone.now()
    send(balu, point(at=at(60, now)), now=now)
    presence.write_back()
    assert len(seen()) == 1
    monkeypatch.setattr(settings, "POSITION_TTL", timedelta(seconds=30))
    assert seen() == []
    with guarded() as redis:
        assert redis.zcard(f"presence:geo:{TYPE}") == 0
        redis.flushdb()
    assert seen() == []


def test_a_flushed_index_loses_nobody_and_fills_again(balu):
    send(balu, point())
    presence.write_back()
    with guarded() as redis:
        redis.flushdb()
    assert [one.transporter_id for one in seen()] == [balu.id]
    assert presence.refill() == 1
    assert presence.refill() == 0
    answer = presence.nearest(HERE, vehicle_types=[TYPE], radius_m=50, limit=1)
    assert (answer.source, len(answer.seen)) == ("redis", 1)


def test_a_flushed_index_fills_from_the_next_position_too(balu):
    send(balu, point())
    with guarded() as redis:
        redis.flushdb()
    later = timezone.now() + timedelta(seconds=5)
    assert send(balu, point(), now=later) == counts(accepted=1)
    with guarded() as redis:
        assert redis.zcard(f"presence:geo:{TYPE}") == 1


def test_after_a_flush_the_newer_of_two_points_counts(balu):
    now = timezone.now()
    send(balu, point(at=at(20, now)), now=now)
    presence.write_back()
    with guarded() as redis:
        redis.flushdb()
    send(balu, point(CENTRE[0] + STEP, at=at(5, now)), now=now)
    (one,) = seen()
    assert abs(one.point.lat - CENTRE[0] - STEP) < 1e-5


def test_without_redis_positions_still_reach_postgres(balu, redis_away):
    assert send(balu, point()) == counts(accepted=1)
    presence.write_back()
    answer = presence.nearest(HERE, vehicle_types=[TYPE], radius_m=50, limit=1)
    assert (answer.source, len(answer.seen)) == ("postgres", 1)


def test_a_point_next_to_zero_poisons_no_batch(balu):
    send(balu, point(5e-324, -5e-324))
    assert presence.write_back() == 1
    assert CurrentPosition.objects.get().lat == 0.0


def test_the_captains_point_stands_for_vehicles_without_a_fix_only(balu):
    first, second = balu.vehicles.get(), make_vehicle(balu, TYPE)
    own = [point(vehicle_id=str(vehicle.id)) for vehicle in (first, second)]
    now = timezone.now()
    steps = [
        ([point()], {None}),
        ([own[0]], {None, first.id}),
        (own, {first.id, second.id}),
        ([point()], {first.id, second.id}),
    ]
    for i, (points, expected) in enumerate(steps):
        send(balu, *points, now=now + timedelta(seconds=5 * i))
        presence.write_back()
        assert presence.nearest(HERE, vehicle_types=[TYPE], radius_m=9, limit=1).source == "redis"
        assert {one.vehicle_id for one in seen()} == expected
        assert {one.vehicle_id for one in twin.nearest(HERE, [TYPE], 9)} == expected


@pytest.mark.parametrize("fields", [{"is_online": False}, {"kyc_status": "suspended"}])
def test_who_cannot_be_offered_orders_is_not_listed(balu, fields):
    for name, value in fields.items():
        setattr(balu, name, value)
    balu.save()
    send(balu, point())
    presence.write_back()
    assert seen() == []
    with guarded() as redis:
        redis.flushdb()
    assert seen() == []


def test_what_postgres_refuses_is_not_tried_for_ever(balu, monkeypatch):
    from django.db import DataError

    def refuse(*_):
        raise DataError("underflow")

    send(balu, point())
    monkeypatch.setattr(buffer.twin, "write", refuse)
    with pytest.raises(DataError):
        presence.write_back()
    assert not buffer._newest and not buffer._history


def test_what_postgres_misses_while_it_is_away_is_kept(balu, monkeypatch):
    from django.db import OperationalError

    def away(*_):
        raise OperationalError("gone")

    send(balu, point())
    with monkeypatch.context() as patch:
        patch.setattr(buffer.twin, "write", away)
        with pytest.raises(OperationalError):
            presence.write_back()
    assert presence.write_back() == 1


def test_followers_hear_of_fleets_on_trips_only(balu, monkeypatch):
    heard = []
    monkeypatch.setattr(reports, "_followers", [lambda fleet, newest: heard.append(newest)])
    send(balu, point())
    assert heard == []

"""Processes that die at named lines: a verb was done wholly or not at all, and once in the end."""

import ast
import signal
import time
import uuid
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis
from django.conf import settings

from dispatch.models import Reconciliation
from orders import snapshots
from orders.models import Trip
from orders.verbs.accept import accept
from orders.verbs.steps import Step, step
from tests.faults import crash_points, crashing
from tests.faults.town import Call, Town, everything, is_sound, until
from tests.orders.clock import overdue
from tests.people import make_order, tell_them, vehicle_ids, wish
from tests.running import running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("crash")


@pytest.fixture(scope="module")
def site(folder, django_db_blocker):
    """http and live; the loop is started by those who need it."""
    set_up = {"SECRET_KEY": settings.SECRET_KEY, **crashing.environment(folder)}
    with running(set_up, services=("http", "live")) as site:
        with django_db_blocker.unblock(), site.django():
            yield site
            # On a busy machine the next loop may come so late that its start finds what is overdue.
            runs = Reconciliation.objects.values_list("repairs", flat=True)
            assert {one["repair"] for run in runs for one in run} <= {"overdue_order_expired"}


@pytest.fixture
def crash(folder):
    """Arms a point; whatever was armed has been reached in the end, and the data is sound."""
    crash = crashing.Crash(folder)
    yield crash
    assert crash.is_over()
    assert is_sound()


@pytest.fixture
def town(site):
    town = Town(site)
    yield town
    town.leave()


# --- verbs behind HTTP ----------------------------------------------------------------------------


def a_confirm(town):
    return Call(town, town.asha, "orders", wish(), {"Idempotency-Key": str(uuid.uuid4())})


def a_confirm_over_an_overdue_order(town):
    order = make_order(town.asha)
    tell_them(order, [town.balu, town.chitra])
    overdue(order)
    return a_confirm(town)


def an_accept(town):
    offer, _ = tell_them(make_order(town.asha), [town.balu, town.chitra])
    body = {"vehicle_ids": [str(vehicle) for vehicle in vehicle_ids(town.balu)]}
    return Call(town, town.balu.owner, f"offers/{offer.id}/accept", body)


def won(town, trucks):
    """A trip of Balu's in an order for so many trucks."""
    offer, _ = tell_them(make_order(town.asha, trucks), [town.balu, town.chitra])
    accept(town.balu.owner_id, offer.id, vehicle_ids(town.balu))
    return Trip.objects.get(order_id=offer.order_id)


def a_give_back(town):
    trip = won(town, 1)
    return Call(town, town.balu.owner, f"trips/{trip.id}/give-back", {"reason": "a flat tyre"})


def a_cancel(town):
    return Call(town, town.asha, f"orders/{won(town, 2).order_id}/cancel", {"reason": "rain"})


def a_start(town):
    """The step that also sends an SMS."""
    trip = won(town, 1)
    step(town.balu.owner, trip.id, Step("at_pickup"))
    body = {"status": "in_transit", "start_code": trip.start_code}
    return Call(town, town.balu.owner, f"trips/{trip.id}/status", body)


DEEDS = {
    a_confirm: crash_points.CONFIRM,
    a_confirm_over_an_overdue_order: crash_points.EXPIRE_ONE,
    an_accept: crash_points.ACCEPT,
    a_give_back: crash_points.GIVE_BACK,
    a_cancel: crash_points.CANCEL,
    a_start: crash_points.STEP,
}


def named(deed, point):
    return pytest.param(deed, point, id=f"{deed.__name__}-{point.when}".replace("_", " "))


@pytest.fixture(scope="module")
def undisturbed(site):
    """The story of a deed that nothing disturbs, and its answer."""
    known = {}

    def tell(deed):
        if deed not in known:
            town = Town(site)
            answer = deed(town).send()
            known[deed] = town.story(), shape(answer)
            town.leave()
        return known[deed]

    return tell


def shape(answer):
    """What does not differ between two answers to the same deed."""
    body = answer.json()
    assert answer.is_success, body
    (inner,) = body.get("trips", [body])
    return answer.status_code, sorted(body), inner["status"], sorted(inner)


def ids(answer):
    body = answer.json()
    return [one["id"] for one in body.get("trips", [body])]


@pytest.mark.parametrize(
    ("deed", "point"), [named(deed, point) for deed, points in DEEDS.items() for point in points]
)
def test_a_killed_process_did_all_of_it_or_nothing_and_the_retry_gives_the_same(
    deed, point, town, crash, undisturbed
):
    story, answer = undisturbed(deed)
    call = deed(town)
    before = everything()
    crash.arm(point)
    assert call.send() is None
    crash.wait()
    left = everything()
    assert is_sound()
    if not point.committed:
        assert left == before
    elif deed is a_confirm_over_an_overdue_order:  # the expiry was a transaction of its own
        assert town.story()["orders"] == story["orders"][:1]
    else:
        assert town.story() == story
    first, second = call.retry(), call.send()
    assert shape(first) == shape(second) == answer
    assert ids(first) == ids(second)
    assert town.story() == story
    if deed is a_confirm:
        assert ids(first) == [str(town.orders().get().id)]
        assert ("Idempotency-Replayed" in first.headers) == point.committed


def test_the_courtesy_lock_of_a_killed_confirm_lets_its_own_key_pass_at_once(town, crash, site):
    call = a_confirm(town)
    crash.arm(crash_points.CONFIRM[0])
    assert call.send() is None
    crash.wait()
    assert lock_left(site, town)
    assert call.retry().status_code == 201
    assert lock_left(site, town)


def test_the_courtesy_lock_of_a_killed_confirm_stops_another_key_for_5_s_at_most(town, crash, site):
    crash.arm(crash_points.CONFIRM[0])
    assert a_confirm(town).send() is None
    died = crash.wait()
    other = a_confirm(town)
    refused = other.retry()
    assert (refused.status_code, refused.json()["code"]) == (409, "CONCURRENT_REQUEST")
    assert refused.headers["Retry-After"] == "1"
    until(lambda: not lock_left(site, town))
    assert other.send().status_code == 201
    assert time.monotonic() - died < 5.5
    assert town.orders().count() == 1


def lock_left(site, town):
    with redis.Redis.from_url(site.environment["REDIS_URL"]) as client:
        return bool(client.exists(f"lock:confirm:{town.asha.id}"))


# --- verbs of the loop ----------------------------------------------------------------------------


@pytest.fixture
def loop(site):
    """A running loop; the test starts it again after it was killed."""
    if not site.runs("loop"):
        start_again(site)
        site.wait()


def start_again(site):
    site.stop("loop")  # what is left of it
    site.start("loop")


@contextmanager
def frozen(site):
    """The loop stands still meanwhile."""
    site.kill("loop", signal.SIGSTOP)
    try:
        yield
    finally:
        site.kill("loop", signal.SIGCONT)


def a_wave(town):
    town.stand_near()
    make_order(town.asha)


def an_expiry(town):
    """Of one truck of two: the other was won."""
    overdue(won(town, 2).order)


def an_expiry_of_all(town):
    """Of an order that two captains were told of."""
    order = make_order(town.asha, trucks=2)
    tell_them(order, [town.balu, town.chitra])
    overdue(order)


def look_twice(site, town):
    """Until the loop had looked at her order again, and at one that came after it."""
    at = town.orders().get().next_wave_at
    until(lambda: town.orders().get().next_wave_at != at or at is None)
    later = Town(site)
    with frozen(site):  # or it may be told of before it is overdue
        overdue(make_order(later.asha))
    until(lambda: not later.orders().get().trucks_searching)


@pytest.mark.parametrize(
    ("deed", "point"),
    [named(a_wave, point) for point in crash_points.TELL]
    + [named(an_expiry, point) for point in crash_points.EXPIRE_WON]
    + [named(an_expiry_of_all, point) for point in crash_points.EXPIRE_UNWON],
)
def test_a_killed_loop_did_all_of_it_or_nothing_and_the_next_one_does_it_once(
    deed, point, site, town, loop, crash
):
    story = undisturbed_by_the_loop(site, deed)
    with frozen(site):
        deed(town)
        before = everything(but=["next_wave_at"])  # a lease is taken before the wave
        crash.arm(point)
    crash.wait()
    left = everything(but=["next_wave_at"])
    assert is_sound()
    if point.committed:
        assert town.story() == story
    else:
        assert left == before
    seen = snapshots.order_payload(town.asha.id, town.orders().get().id)
    assert seen["seeking"] == (deed is a_wave)
    start_again(site)
    until(lambda: town.story() == story)
    if point.committed:
        look_twice(site, town)
        assert town.story() == story


_stories = {}


def undisturbed_by_the_loop(site, deed):
    """The story of a deed that nothing disturbs."""
    if deed not in _stories:
        town = Town(site)
        with frozen(site):
            deed(town)
            before = town.story()
        _stories[deed] = until(lambda: town.story() != before and town.story())
        town.leave()
    return _stories[deed]


# --- what captains hear ---------------------------------------------------------------------------


@pytest.fixture
def balus_phone(town):
    town.stand_near()
    phone = town.socket(town.balu.owner, "captain")
    yield phone
    phone.close()


def hear(town, phone, since):
    """The order comes within 2 s."""
    assert phone.next("event", timeout=2)["name"] == "new_broadcast"
    assert time.monotonic() - since < 2
    assert phone.events[0]["order_id"] == str(town.orders().get().id)


def hear_no_more(town, phone):
    """The loop has looked again, and the next to come is the order's end."""
    look_twice(town.site, town)
    town.leave()
    phone.next("event")
    assert [event["name"] for event in phone.events] == ["new_broadcast", "broadcast_dismissed"]


def test_a_broadcast_goes_out_once_within_2_s_though_the_confirm_died_after_its_commit(
    loop, town, crash, balus_phone
):
    call = a_confirm(town)
    crash.arm(next(point for point in crash_points.CONFIRM if point.committed))
    assert call.send() is None
    hear(town, balus_phone, crash.wait())
    hear_no_more(town, balus_phone)


def test_a_broadcast_is_heard_once_within_2_s_though_the_loop_died_after_its_commit(
    site, loop, town, crash, balus_phone
):
    with frozen(site):
        make_order(town.asha)
        crash.arm(next(point for point in crash_points.TELL if point.committed))
    hear(town, balus_phone, crash.wait())
    start_again(site)
    hear_no_more(town, balus_phone)


# --- the points -----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", sorted({point.place for point in crash_points.ALL}))
def test_a_point_is_one_line_of_the_product_and_would_be_missed(place):
    point = next(point for point in crash_points.ALL if point.place == place)
    source = Path(find_spec(point.module).origin).read_text()
    _, line = crashing.statement(ast.parse(source), source, point)
    assert source.splitlines()[line.lineno - 1].strip().startswith(point.line)
    for changed in ({"line": "no such line"}, {"function": "no_such_function"}):
        with pytest.raises(LookupError):
            crashing.statement(ast.parse(source), source, replace(point, **changed))

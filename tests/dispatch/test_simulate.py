"""The simulation: its pure parts, and a small town over the real processes."""

import json
import random
import re
import time

import httpx
import pytest

from dispatch.simulation import road
from dispatch.simulation.api import Phone, SignedOut, client
from dispatch.simulation.people import COMMON_TYPES, DEMO_TYPES, Account
from dispatch.simulation.report import Tally, gini, live_line, quantile, summary, total
from tests.running import running
from transporters.geo import Point, metres
from transporters.presence.track import MOST_SPEED_MPS

HERE, THERE = Point(12.97, 77.59), Point(13.00, 77.62)


# --- the report ---------------------------------------------------------------------------------


def test_gini_is_0_when_all_are_asked_alike_and_near_1_when_one_gets_everything():
    assert gini([3, 3, 3]) == pytest.approx(0)
    assert gini([0] * 99 + [5]) == pytest.approx(0.99)
    assert gini([1, 2, 3, 4]) == pytest.approx(0.25)
    assert gini([]) == gini([0, 0]) == 0


def test_a_quantile_is_one_of_the_values():
    waits = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    assert (quantile(waits, 0.5), quantile(waits, 0.9), quantile([4.0], 0.9)) == (5.0, 9.0, 4.0)


def test_the_summary_counts_captains_who_were_never_asked():
    tally = Tally(seconds_to_accept=[9.0, 3.0, 5.0])
    for what, number in {
        "orders": 5,
        "filled": 3,
        "cancelled while seeking": 1,
        "accepted": 3,
    }.items():
        tally.count(what, number)
    tally.offers.update({"a": 6})
    text = "\n".join(summary(tally, ["a", "b"]))
    assert "fill rate          75.0 %" in text
    assert "p50 5.0  p90 9.0" in text
    assert "offers per accept  2.0" in text
    assert "Gini of offers     0.50" in text


def test_the_tallies_of_several_processes_add_up():
    one, other = Tally(sockets=2), Tally(sockets=3)
    one.count("orders", 2)
    other.count("orders", 3)
    other.fault("GET orders: 500")
    assert live_line(total([one, other])) == (
        "orders 5  told 0  accepted 0  completed 0  expired 0  sockets 5  errors 1"
    )


# --- the road -------------------------------------------------------------------------------


def test_trucks_never_drive_faster_than_the_server_believes():
    assert road.speed_mps(1) == pytest.approx(8.3)
    assert road.speed_mps(1000) == road.MOST_SPEED_MPS < MOST_SPEED_MPS


def test_a_truck_comes_nearer_and_then_stands_at_its_goal():
    step = road.toward(HERE, THERE, 100)
    assert metres(HERE, step) == pytest.approx(100, abs=1)
    assert metres(HERE, THERE) - metres(step, THERE) == pytest.approx(100, abs=1)
    assert road.toward(HERE, THERE, 1e6) == THERE


def test_a_stroll_is_as_long_as_it_says():
    rng = random.Random(1)
    for _ in range(20):
        assert metres(HERE, road.wander(HERE, 20, rng)) == pytest.approx(20, abs=1)


def test_heading_is_clockwise_from_north():
    north, east = Point(13.07, 77.59), Point(12.97, 77.69)
    assert road.heading(HERE, north) == 0
    assert road.heading(HERE, east) == 90


def test_the_demo_leaves_the_walk_throughs_type_alone():
    assert "open-17-ft" in COMMON_TYPES
    assert "open-17-ft" not in DEMO_TYPES


# --- the phone --------------------------------------------------------------------------------


class Server:
    """Answers calls from a list, the last one for ever, and remembers them."""

    def __init__(self, *answers):
        self.answers, self.calls = list(answers), []

    def __call__(self, request):
        self.calls.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def phone(monkeypatch):
    monkeypatch.setattr("dispatch.simulation.api.PAUSES_S", (0.0, 0.0))

    def make(server, ttl_s=900):
        account = Account(
            *("customer", "+916920000000", "u", "access", "refresh", time.time() + ttl_s),
            *((), None, *HERE),
        )
        line = httpx.AsyncClient(transport=httpx.MockTransport(server), base_url="http://api/")
        return Phone(account, line, Tally())

    return make


def refusal(status, code, **headers):
    return httpx.Response(status, json={"code": code}, headers=headers)


RENEWED = httpx.Response(200, json={"access": "a2", "refresh": "r2", "expires_in": 900})


async def test_a_refusal_that_is_reckoned_with_is_no_error(phone):
    one = phone(Server(refusal(409, "TRUCK_TAKEN")))
    answer = await one.post("offers/x/accept", but={"TRUCK_TAKEN"})
    assert answer.code == "TRUCK_TAKEN"
    assert not one._tally.faults
    assert one._tally.refusals.total() == 1


@pytest.mark.parametrize(
    "answer", [refusal(409, "OTHER"), httpx.Response(500), httpx.Response(404)]
)
async def test_any_other_refusal_is_an_error(phone, answer):
    one = phone(Server(answer))
    await one.post("offers/x/accept", but={"TRUCK_TAKEN"})
    assert one._tally.faults.total() == 1


async def test_a_call_without_an_answer_is_repeated(phone):
    server = Server(httpx.ReadError("cut"), refusal(503, "TRY_AGAIN"), httpx.Response(200, json={}))
    one = phone(server)
    assert (await one.post("orders", {"a": 1}, key="k")).ok
    assert [call.headers["Idempotency-Key"] for call in server.calls] == ["k"] * 3
    assert not one._tally.faults


async def test_tokens_are_renewed_before_they_run_out(phone):
    server = Server(RENEWED, httpx.Response(200, json={}))
    await phone(server, ttl_s=-1).get("me")
    assert [call.url.path for call in server.calls] == ["/auth/token/refresh", "/me"]
    assert server.calls[1].headers["Authorization"] == "Bearer a2"


async def test_a_token_that_holds_no_more_is_renewed_once(phone):
    server = Server(refusal(401, "NOT_SIGNED_IN"), RENEWED, httpx.Response(200, json={}))
    assert (await phone(server).get("me")).ok
    assert len(server.calls) == 3


async def test_an_ended_session_is_told(phone):
    with pytest.raises(SignedOut):
        await phone(Server(refusal(401, "NOT_SIGNED_IN"))).get("me")


def test_a_client_asks_below_the_version():
    assert str(client("http://127.0.0.1:8000/").base_url) == "http://127.0.0.1:8000/api/v1/"


# --- a town ------------------------------------------------------------------------------------


def test_a_town_of_captains_and_customers_lives_by_the_public_contract_alone():
    small = ("--spread", 0.25, "--haul", 0.25, "--processes", 2, "--captains", 10)
    with running({"ORDER_TTL": "15", "ACCESS_TTL": "15"}) as site:
        done = site.manage(
            *("simulate", "--api", site.api, "--orders-per-minute", 90, "--minutes", 0.1, *small)
        )
        text = done.stdout
        counts = {n: int(c) for n, c in re.findall(r"(\w+) (\d+)", last_live_line(text))}
        assert counts["orders"] >= counts["completed"] > 0
        assert counts["told"] >= counts["accepted"] > 0
        assert (counts["errors"], counts["sockets"]) == (0, 0)
        assert re.search(r"\d+ tokens renewed", text)
        assert re.search(r"fill rate +\d", text)
        assert "trips completed" in text
        assert "left unfinished" not in text
        assert not re.search(r"positions (invalid|stale)", text)
        with site.database() as database:
            sms = database.execute("SELECT count(*) FROM accounts_smsmessage").fetchone()
            online = database.execute(
                "SELECT count(*) FROM transporters_transporter WHERE is_online"
            ).fetchone()
        assert (sms, online) == ((0,), (0,))
        site.manage("audit")


def last_live_line(text):
    return [line for line in text.splitlines() if line.startswith("orders ")][-1]


def test_the_demos_captains_take_real_orders_and_outlive_a_restart_of_the_server(tmp_path):
    with running() as site:
        site.beside("captains", "simulate", "--demo", "--api", site.api)
        site.manage("seed", "--customers", 1, "--city", "bengaluru", "--out", tmp_path / "asha")
        (asha,) = map(json.loads, (tmp_path / "asha").read_text().splitlines())
        assert until(lambda: site.log("captains").count("captain online") == 6)
        site.stop("live")
        site.start("live")
        site.wait()
        with httpx.Client(
            base_url=f"{site.api}/api/v1/", headers={"Authorization": f"Bearer {asha['access']}"}
        ) as line:
            places = {"pickup": here(), "drop": here(0.05)}
            trucks = [{"vehicle_type": DEMO_TYPES[0], "quantity": 1}]
            payment = {"mode": "cash", "paid_by": "sender"}
            order = line.post("orders", json={**places, "trucks": trucks, "payment": payment})
            assert order.status_code == 201
            path = f"orders/{order.json()['id']}"
            assert until(lambda: line.get(path).json()["trucks_filled"] == 1), site.log("captains")
            trip = line.get(path).json()["trucks"][0]["trip"]
            assert trip["captain"]["phone"].startswith("+9169")
            cancelled = line.post(f"{path}/cancel", json={"reason": "the test is over"})
            assert cancelled.json()["status"] == "cancelled"
        site.stop("captains")
        with site.database() as database:
            online = "SELECT count(*) FROM transporters_transporter WHERE is_online"
            assert database.execute(online).fetchone() == (0,)


def here(east=0.0):
    return {"lat": 12.9783, "lng": 77.5722 + east, "address": "12 MG Road"}


def until(look, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.25)
    return found

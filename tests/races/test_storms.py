"""Storms over HTTP on two web processes, small: `make soak` runs them ten times as large."""

import json

import pytest

from tests.running import running
from tests.soak.figures import tally
from tests.soak.site import accounts, broken
from tests.soak.storm_of_captains import race, trips
from tests.soak.storm_of_one_key import SETTINGS, confirm_at_once, ids, is_replay, orders

CAPTAINS, TRUCKS, CONFIRMS = 100, 5, 100


@pytest.fixture(scope="module")
def site():
    with running(SETTINGS, services=("http",)) as site:
        yield site


@pytest.fixture(scope="module")
def people(site):
    return accounts(site, customers=2, captains=CAPTAINS)


def statuses(answers):
    return tally([answer["status"] for answer in answers])


def test_a_hundred_captains_race_for_five_trucks_on_two_processes_and_five_win(site, people):
    (asha, _), fleet = people
    order_id, answers = race(site, asha, fleet, TRUCKS, patient=True)
    assert statuses(answers) == f"{TRUCKS} × 200, {CAPTAINS - TRUCKS} × 409"
    lost = [json.loads(answer["body"])["code"] for answer in answers if answer["status"] == 409]
    assert set(lost) == {"TRUCK_TAKEN"}
    assert trips(site, order_id) == TRUCKS
    assert broken(site) == []


def test_a_hundred_confirms_with_one_key_at_once_name_one_order(site, people):
    (_, ravi), _ = people
    answers = confirm_at_once(site, ravi, ["the same tap"] * CONFIRMS)
    assert statuses(answers) == f"{CONFIRMS} × 201"
    assert sum(not is_replay(answer) for answer in answers) == 1
    assert len(ids(answers)) == len(orders(site, ravi)) == 1
    assert broken(site) == []

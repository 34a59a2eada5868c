"""The OpenAPI document holds: generated calls, sound and broken, by everybody, of a fixed seed."""

import pytest

from tests.contract.fuzzing import CALLERS, fuzz, fuzzed_site, server_errors

SEED = 5
CASES = {  # the captain is a customer too, and knows every route but one
    "captain": {"examples": 5},
    "customer": {"examples": 3, "phases": ("fuzzing", "stateful")},
    "driver": {"examples": 3, "phases": ("fuzzing", "stateful")},
    "staff": {"examples": 3, "phases": ("fuzzing", "stateful")},
    "nobody": {"examples": 3, "phases": ("fuzzing",)},
}
LEAST = 3000
made = {}


@pytest.fixture(scope="module")
def town():
    with fuzzed_site() as (site, town):
        yield site, town


@pytest.mark.parametrize("caller", CALLERS)
def test_every_answer_is_documented_and_none_is_a_fault_of_ours(town, caller):
    found = fuzz(*town, caller, seed=SEED, **CASES[caller])
    faults = "\n\n".join(f"{what}\n{how}" for what, how in found["faults"].items())
    assert not faults, faults
    assert server_errors(found["statuses"]) == 0, found["statuses"]
    made[caller] = found["cases"].total()


def test_there_were_three_thousand_cases_and_some_of_everybody():
    assert sum(made.values()) >= LEAST and min(made.values()) >= 100, made

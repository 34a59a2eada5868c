"""The OpenAPI document by schemathesis: sound and broken calls of everybody, alone and chained."""

from collections import Counter

from tests.contract.fuzzing import CALLERS, fuzz, fuzzed_site, server_errors
from tests.soak.figures import at_least, exactly, tally, told

EXAMPLES = 60  # of each operation in a round, besides those that cover its schema


def fuzz_everything(say, *, seed, cases=50_000):
    """Rounds of all callers, each with a seed of its own, until there were enough. Figures."""
    made, statuses, faults, rounds = Counter(), Counter(), [], 0
    with fuzzed_site() as (site, town):
        while made.total() < cases:
            caller = CALLERS[rounds % len(CALLERS)]
            found = fuzz(site, town, caller, seed=seed + rounds, examples=EXAMPLES)
            rounds += 1
            assert found["cases"].total(), f"no case as {caller}"
            made += found["cases"]
            statuses += found["statuses"]
            for what, how in found["faults"].items():
                faults.append(f"as {caller}, seed {seed + rounds - 1}: {what}")
                say(f"FAULT {faults[-1]}\n{how}")
            say(f"fuzz: {made.total():,} of {cases:,} cases, {len(faults)} faults")
    done = f"{rounds} rounds as {', '.join(CALLERS)} in turn, seeds {seed} and on"
    phases = ", ".join(f"{number:,} {phase}" for phase, number in sorted(made.items()))
    return [
        at_least("cases", f"{done}: {phases}", cases, made.total()),
        exactly("answers 5xx, or none", done, 0, server_errors(statuses)),
        exactly("answers that the document does not allow", done, 0, len(faults)),
        told("answers", done, tally(statuses.elements())),
    ]

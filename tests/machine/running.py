"""Runs many histories as one test, and asks at the end what they met."""

import faulthandler
import gc
import logging
import os

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.internal.conjecture import engine, providers
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.coverage import Coverage
from tests.machine.guiding import Guide
from tests.machine.machine import Histories
from tests.machine.town import Town

# Of both files of histories together; each runs half of them.
HISTORIES = int(os.environ.get("HISTORIES", "900"))
SEED = os.environ.get("HISTORIES_SEED", "")
RULES = 22
# Of every cell and refusal, of both files together, once the run is as long as `make test` has it.
LEAST_HITS, ENOUGH_FOR_THAT = 20, 900
# Hits of each that histories are guided to; without such a goal left they wander, and are short.
GOAL = 18 if HISTORIES <= ENOUGH_FOR_THAT else HISTORIES // 25
LEAST_STEPS = 20
SHRINKING_SECONDS = int(os.environ.get("SHRINK", "60"))


def run_histories(name, openings, monkeypatch):
    """Half of the histories; asserts that together with the other half they met everything."""
    # Each try to shorten a history is a history; five minutes of them, as is the default, would
    # meet the run's time limit for one test, which a long run must not know either.
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", SHRINKING_SECONDS)
    # Five of six histories would be copies of another with a few changes.
    monkeypatch.setattr(engine.ConjectureRunner, "generate_mutations_from", lambda *_: None)
    # One choice of twenty would be a number that stands in some module that is loaded: the
    # histories would change with code that has nothing to do with them.
    monkeypatch.setattr(providers.HypothesisProvider, "_maybe_draw_constant", lambda *_, **__: None)
    faulthandler.cancel_dump_traceback_later()
    coverage = Coverage(name)
    kind = type(
        "Histories",
        (Histories,),
        {
            "town": Town(),
            "guide": Guide(coverage, GOAL),
            "openings": openings,
        },
    )
    if SEED:
        kind = seed(int(SEED))(kind)
    options = settings(
        max_examples=HISTORIES // 2,
        stateful_step_count=RULES,
        derandomize=not SEED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    thresholds = gc.get_threshold()
    logging.disable(logging.WARNING)
    gc.set_threshold(50_000, 20, 50)
    try:
        run_state_machine_as_test(kind, settings=options)
    finally:
        gc.set_threshold(*thresholds)
        logging.disable(logging.NOTSET)
        if coverage.lengths:
            coverage.write()
    assert coverage.surprises() == []
    assert len(coverage.lengths) >= HISTORIES // 2
    assert coverage.median_steps() >= LEAST_STEPS
    share = LEAST_HITS // 2 if HISTORIES >= ENOUGH_FOR_THAT else 0
    rare = coverage.rare(share)
    assert not rare, f"met less than {share} times:\n" + "\n".join(rare)

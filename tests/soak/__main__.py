"""`python -m tests.soak [--only part,…] [--minutes 30] [--seed N]`.

Runs the parts, shows figures as they come, and writes docs/RELIABILITY.md. Exit code 1 when a goal
is missed.
"""

import argparse
import os
import sys
import time
from contextlib import ExitStack
from functools import partial

from tests.servers import start_servers

PARTS = (
    "storm_of_captains",
    "storm_of_one_key",
    "storm_of_keys",
    "streams",
    "sockets",
    "histories",
    "fuzz",
    "crashes_under_load",
)
LEAST_MINUTES = 5.0  # of crashes, however long the rest took


def arguments(words):
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__.split("\n\n")[1]
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--minutes", type=float, default=30.0, help="for all parts together")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of chance")
    parser.add_argument("--writes", type=int, default=100_000, help="to be acknowledged")
    parser.add_argument("--crashes", type=int, default=50, help="at least")
    parser.add_argument("--events", type=int, default=1_000_000, help="to be told")
    parser.add_argument("--histories", type=int, default=10_000, help="of the state machine")
    parser.add_argument("--cases", type=int, default=50_000, help="of the fuzz")
    asked = parser.parse_args(words)
    asked.parts = [part for part in PARTS if part in asked.only.split(",")]
    if unknown := set(asked.only.split(",")) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return asked


def runners(asked, began):
    """Each part as a function of `say`; imported late, since it needs the run's servers."""
    from tests.soak.crashes_under_load import crashes_under_load
    from tests.soak.fuzz import fuzz_everything
    from tests.soak.histories import histories
    from tests.soak.sockets import sockets
    from tests.soak.storm_of_captains import storm_of_captains
    from tests.soak.storm_of_keys import storm_of_keys
    from tests.soak.storm_of_one_key import storm_of_one_key
    from tests.soak.streams import streams

    def crash(say):
        left = asked.minutes - (time.monotonic() - began) / 60
        return crashes_under_load(
            say,
            seed=asked.seed,
            writes=asked.writes,
            crashes=asked.crashes,
            minutes=max(LEAST_MINUTES, left),
        )

    return {
        "storm_of_captains": storm_of_captains,
        "storm_of_one_key": storm_of_one_key,
        "storm_of_keys": storm_of_keys,
        "streams": partial(streams, seed=asked.seed, events=asked.events),
        "sockets": sockets,
        "histories": partial(histories, seed=asked.seed, number=asked.histories),
        "fuzz": partial(fuzz_everything, seed=asked.seed, cases=asked.cases),
        "crashes_under_load": crash,
    }


def say(line):
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


def main(words):
    """Run the parts that were asked for; the number of goals that were missed."""
    asked, began = arguments(words), time.monotonic()
    missed = 0
    with ExitStack() as stack:
        start_servers(stack.callback)
        os.environ["DJANGO_SETTINGS_MODULE"] = "weelo.settings"
        from tests.soak import report

        say(f"seed {asked.seed}; parts: {', '.join(asked.parts)}")
        for part in asked.parts:
            measure = partial(runners(asked, began)[part], say)
            about = sys.modules[f"tests.soak.{part}"].__doc__.strip()
            run = report.run_of(part, about, measure)
            report.keep(run)
            for figure in run.figures:
                mark = "" if not figure.goal else " met" if figure.met else " MISSED"
                say(f"{part}: {figure.name}: {figure.value} (goal {figure.goal or 'none'}){mark}")
            missed += sum(not figure.met for figure in run.figures)
    say(f"{missed} goals missed" if missed else "every goal met")
    return missed


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)

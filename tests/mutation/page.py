"""What the mutants met: kept in .build/mutation, and told in docs/MUTATION.md."""

import json
import os
import sys
import tomllib
from collections import Counter
from pathlib import Path

from tests.mutation import targets

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / ".build" / "mutation"
EXPLAINED = Path(__file__).with_name("explained.toml")
HEAD = """# Mutation testing

Would the tests notice if the heart were a little wrong? Each *mutant* is one of these modules with
one small change: an operator, a number, a word, a condition turned round, a decorator taken away
(the operators of mutmut 2), or one call or refusal left out (our own). It is *killed* when a test
fails or never ends. `make mutate` repeats all of it; the goal is 90 %.

- A mutant meets the tests that reach its line: the module's own, and of the others short ones, up
  to a budget of seconds. So a score is a lower bound: a longer test may kill a survivor.
- Races run only where no other test gets to, and have to fail twice: their waits run out on a
  loaded machine. Whoever killed has to pass on the module as it is, in the same database.
- Counted apart and not run, since no test should hold them: mutants inside log calls, in the
  sentence of a refusal (its code and fields do count), and in types. Docstrings are not mutated.
- A survivor *killed since* met its new test alone, after the run; the score does not count it.
- mutmut 3 leaves decorated functions alone (every verb is one) and data outside of functions (every
  machine), so mutmut 2 makes the mutants; it lives in `.build/mutate-venv`, apart from `.venv`.

"""


def progress(text):
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def keep(path, found):
    _file(path).write_text(json.dumps(found))


def result(path):
    """What the last run of a module found, or None."""
    return json.loads(_file(path).read_text()) if _file(path).exists() else None


def _file(path):
    return RESULTS / (path.removesuffix(".py").replace("/", ".") + ".json")


def write():
    """The page, of whatever modules have been run."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "weelo.settings"
    import django

    django.setup()
    from bench import page

    results = [found for path in targets.MODULES if (found := result(path))]
    page.write("MUTATION.md", HEAD + table(results) + f"\n{page.where()}\n\n" + survivors(results))


def table(results):
    lines = ["| module | mutants | killed | survived | score | apart | minutes |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    total = Counter()
    for found in results:
        counts = Counter(mutant["apart"] or mutant["outcome"] for mutant in found["mutants"])
        counts["took_s"] = found["took_s"]
        total += counts
        lines.append(row(f"`{found['path']}`", counts))
    run = {found["path"] for found in results}
    missing = [f"| `{path}` | not run | | | | | |" for path in targets.MODULES if path not in run]
    return "\n".join([*lines, *missing, row("all that were run", total), ""])


def row(name, counts):
    killed = counts["killed"] + counts["timeout"]
    all_ = killed + counts["survived"]
    apart = counts["log"] + counts["sentence"] + counts["annotation"]
    score = f"{100 * killed / all_:.1f} %" if all_ else "-"
    minutes = f"{counts['took_s'] / 60:.1f}"
    cells = (name, all_, killed, counts["survived"], score, apart, minutes)
    return f"| {' | '.join(map(str, cells))} |"


def survivors(results):
    explained = {
        (module, one["before"], one["after"]): one["why"]
        for module, several in tomllib.loads(EXPLAINED.read_text()).items()
        for one in several
    }
    parts = ["## Survivors\n"]
    for found in results:
        left = [m for m in found["mutants"] if m.get("outcome") == "survived" and not m["apart"]]
        if left:
            parts.append(f"`{found['path']}`\n")
        for mutant in left:
            why = explained.get((found["path"], mutant["before"], mutant["after"]), "**open**")
            change = f"`{mutant['before']}` → `{mutant['after'] or '(gone)'}`"
            parts.append(f"- {mutant['line']}: {change}: {why}")
        if left:
            parts.append("")
    return "\n".join(parts)

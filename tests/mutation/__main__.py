"""Mutation testing: would the tests notice if the transactional heart were a little wrong?

`make mutate` traces every test and runs every module of targets.py, and writes docs/MUTATION.md.
ARGS may name modules, and test files to trace anew; --again runs only what survived the last time.
Each mutant meets the tests that reach its lines, in a child forked from a process that has the
libraries in memory, on a database of its own; two run at a time.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from psycopg import sql

from tests.mutation import one_run, page, targets

ROOT = page.ROOT
PYTHON = ROOT / ".build" / "mutate-venv" / "bin" / "python"
REACH = page.RESULTS / "reach.json"
SLOTS = int(os.environ.get("MUTATION_SLOTS", "2"))
TEMPLATE = "mutation_ready"
LEAST_LIMIT_S = 60
TIMES_NORMAL = 10
# Of many tests that reach a line: the module's own, and the shortest that fit in so many seconds.
BUDGET_S = float(os.environ.get("MUTATION_BUDGET_S", "40"))
# Who killed lately runs first: neighbouring lines mostly fall to the same tests.
LIKELY = 12
# Whose outcome is a matter of time, on a loaded machine: only a second kill counts.
RACES = "tests/races/"


class Slot:
    """One place where tests run: a forked child, a database and a Redis database."""

    def __init__(self, number):
        self.number, self.pid, self.log = number, None, page.RESULTS / f"slot-{number}.log"
        self.fresh()

    def fresh(self):
        name = sql.Identifier(f"mutation_{self.number}")
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(copy.format(name, sql.Identifier(TEMPLATE)))

    def start(self, limit_s, work, *arguments):
        self.began, self.limit_s = time.monotonic(), limit_s
        self.pid = os.fork()
        if not self.pid:
            address = os.environ["DATABASE_URL"].replace("/weelo?", f"/mutation_{self.number}?")
            os.environ["DATABASE_URL"] = address
            os.environ["REDIS_URL"] = os.environ["REDIS_URL"].replace("db=0", f"db={self.number}")
            work(*arguments)

    def poll(self):
        """None while it runs; then its exit code, or "timeout"."""
        done, status = os.waitpid(self.pid, os.WNOHANG)
        self.seconds = time.monotonic() - self.began
        if not done and self.seconds < self.limit_s:
            return None
        if not done:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.fresh()
        self.pid = None
        return os.waitstatus_to_exitcode(status) if done else "timeout"


def make_template():
    """A database with every migration, of which each slot gets a copy."""
    if not (child := os.fork()):
        import django

        os.environ["DJANGO_SETTINGS_MODULE"] = "weelo.settings"
        django.setup()
        from django.db import connection

        connection.settings_dict["TEST"]["NAME"] = TEMPLATE
        connection.creation.create_test_db(verbosity=0, serialize=False)
        connection.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def trace(slot, tests):
    """What each of the tests reaches, beside what is known of the others; all must pass."""
    known = json.loads(REACH.read_text()) if REACH.exists() else {}
    part = page.RESULTS / "traced.json"
    slot.start(3600, one_run.trace, targets.MODULES, tests, slot.log, part)
    while (code := slot.poll()) is None:
        time.sleep(0.1)
    assert code == one_run.PASSED, slot.log.read_text()
    REACH.write_text(json.dumps(known | json.loads(part.read_text())))


def mutants_of(path):
    """Where the operators live, another Python reads the file; see mutants.py."""
    command = [PYTHON, Path(__file__).with_name("mutants.py"), ROOT / path]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def reaching(reach, path, lines, killers):
    """The tests that reach one of the lines: who killed lately, the module's own, then short ones.

    Of these as many as fit into the budget; races where no other test gets to. `lines`: first and
    last; None when they are not in a function but run at import, which every test does.
    """
    wanted = set(range(lines[0], lines[1] + 1)) if lines else None
    found = {
        name: seen["seconds"]
        for name, seen in reach.items()
        if wanted is None or not wanted.isdisjoint(seen["lines"].get(path, ()))
    }
    # A verb that refuses a transaction around it does so before any line of its own.
    found |= {n: seen["seconds"] for n, seen in reach.items() if n.startswith(targets.OF_VERBS)}
    own = [name for name in found if name.startswith(targets.own_tests(path))]
    races = [name for name in found if name.startswith(RACES)]
    left_s, others = BUDGET_S, []
    for name in sorted(found, key=found.get):
        left_s -= found[name]
        if left_s > 0 and name not in races:
            others.append(name)
    first = [name for name in killers if name in found]
    names = list(dict.fromkeys([*first, *sorted(own, key=found.get), *others]))
    return names or races


def run_all(slots, reach, path, mutants):
    """Run these mutants, as many at a time as there are slots; what they met is written in them."""
    waiting, killers, running = list(mutants), [], {}
    while waiting or running:
        assert os.getppid() == PARENT, "the servers are gone"
        for slot in slots:
            if slot.pid and (code := slot.poll()) is not None:
                mutant = running.pop(slot)
                mutant |= met(slot, code)
                if mutant["by"].startswith(RACES) and mutant["by"] not in mutant["doubted"]:
                    mutant["doubted"].append(mutant["by"])
                    waiting.insert(0, mutant)
                elif "::" in mutant["by"] and not mutant["by"].startswith(RACES):
                    killers = [k for k in killers if k != mutant["by"]]
                    killers = [mutant["by"], *killers][:LIKELY]
                said = f"{mutant['outcome']:9}{mutant['seconds']:6} s {mutant['line']:4}"
                page.progress(f"{said} {mutant['after'][:80]} | {mutant['by'][-60:]}")
            if not slot.pid and waiting:
                mutant = waiting.pop(0)
                doubted = mutant.setdefault("doubted", [])
                first = [*doubted, *killers]
                names = mutant.get("names") or reaching(reach, path, mutant["lines"], first)
                mutant["tests"] = len(names)
                if not names:
                    mutant |= {"outcome": "survived", "by": "", "seconds": 0}
                    continue
                normal_s = sum(reach[name]["seconds"] for name in names)
                limit_s = max(LEAST_LIMIT_S, TIMES_NORMAL * normal_s)
                slot.start(limit_s, one_run.run, path, mutant["text"], names, slot.log)
                running[slot] = mutant
        time.sleep(0.02)


def met(slot, code):
    """How a mutant ended. A signal, such as of a recursion without end, is noticed as well."""
    said = slot.log.read_text(errors="replace")
    assert code != one_run.BROKEN, said
    outcomes = {one_run.PASSED: "survived", "timeout": "timeout"}
    by = said.rsplit("\n", 1)[-1] if code == one_run.FAILED else ""
    return {"outcome": outcomes.get(code, "killed"), "by": by, "seconds": round(slot.seconds, 1)}


def mutate(slots, reach, path, *, again):
    began = time.monotonic()
    mutants = mutants_of(path)
    counted = [mutant for mutant in mutants if not mutant["apart"]]
    took_s = 0
    if again and (last := page.result(path)):
        took_s = last["took_s"]
        known = {mutant["text"]: mutant for mutant in last["mutants"]}
        for mutant in counted:
            mutant |= {"by": "", **known.get(mutant["text"], {}), "lines": mutant["lines"]}
    run_all(slots, reach, path, [m for m in counted if m.get("outcome", "survived") == "survived"])
    check_the_killers(slots[0], reach, path, counted)
    took_s += round(time.monotonic() - began)
    page.keep(path, {"path": path, "took_s": took_s, "mutants": mutants})
    left = sum(mutant["outcome"] == "survived" for mutant in counted)
    page.progress(f"{path}: {len(counted) - left} of {len(counted)} killed in {took_s} s")


def check_the_killers(slot, reach, path, mutants):
    """Whoever killed must pass on the module as it is, after all of that, in the same database.

    A race that does not, on a machine so loaded, has killed nothing.
    """
    source = (ROOT / path).read_text()
    killers = [name for name in dict.fromkeys(m["by"] for m in mutants) if name in reach]
    races = [name for name in killers if name.startswith(RACES)]
    for names in ([name for name in killers if name not in races], *([race] for race in races)):
        as_it_is = {"line": 0, "after": "as it is", "text": source, "names": names}
        run_all([slot], reach, path, [as_it_is] if names else [])
        if names and as_it_is["outcome"] != "survived":
            assert names[0] in races, slot.log.read_text()
            for mutant in mutants:
                if mutant["by"] in names:
                    mutant |= {"outcome": "survived", "by": ""}


def main(arguments):
    again = "--again" in arguments
    named = [one for one in arguments if one.startswith("orders/")]
    tests = [one for one in arguments if one.startswith("tests/")]
    page.RESULTS.mkdir(parents=True, exist_ok=True)
    make_template()
    one_run.preload(targets.TESTS)
    slots = [Slot(number) for number in range(1, SLOTS + 1)]
    if tests or not REACH.exists() or not (again or named):
        trace(slots[0], tests or targets.TESTS)
    reach = json.loads(REACH.read_text())
    for path in named or targets.MODULES:
        mutate(slots, reach, path, again=again)
    page.write()


if __name__ == "__main__":
    PARENT = os.getppid()
    main(sys.argv[1:])

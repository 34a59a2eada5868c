"""The OpenAPI document against a running site, by schemathesis: `python -m tests.contract.fuzz`.

Reads a plan from its input, as `fuzzing.py` writes it: the site, who calls, the ids that there
are, and how much. Writes how many cases there were, which statuses came, and every fault. It is a
process of its own, since schemathesis and Hypothesis keep their hooks and settings globally.
"""

import json
import sys
import zlib
from collections import Counter
from uuid import UUID

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

# A sound body that is refused all the same, for what no schema can say: whether a phone exists,
# whose cursor it is, that two keys differ, that degrees are on the map, how many trucks in all,
# and what our reader of JSON leaves out (NUL, numbers beyond 2**53, in fields nobody asked for).
# By the code of the error, or by its field.
UNSAYABLE = {"phone", "cursor", "key", "range", "max_trucks", "vehicle_type", "BAD_JSON"}
# A number where text is asked for, and the reverse, as schemathesis tells of it.
TAKEN = {
    "Incorrect type",
    "(was string, became integer)",
    "(was string, became number)",
    "(was integer, became string)",
    "(was number, became string)",
}
POSITIVE = ["2xx", "304", "401", "403", "404", "409", "410", "414", "422"]
NEGATIVE = [*POSITIVE[2:], "400", "405", "406", "413", "415", "431"]


def configuration(plan):
    """What schemathesis is to do; a plan's `phases` are those of its own that are wanted."""
    phases = ("examples", "coverage", "fuzzing", "stateful")
    positions = {"include-path": "/api/v1/positions"}  # bad ones are counted, not refused
    return SchemathesisConfig.from_dict(
        {
            "seed": plan["seed"],
            "base-url": plan["api"],
            "continue-on-failure": True,
            "request-timeout": 20,
            "suppress-health-check": ["all"],
            "generation": {
                "max-examples": plan["examples"],
                "no-shrink": True,
                "database": "none",
            },
            "phases": {phase: {"enabled": phase in plan["phases"]} for phase in phases},
            "checks": {
                "positive_data_acceptance": {"expected-statuses": POSITIVE},
                "negative_data_rejection": {"expected-statuses": NEGATIVE},
            },
            "operations": [
                {**positions, "checks": {"negative_data_rejection": {"enabled": False}}}
            ],
        }
    )


def sign_in(tokens):
    """Call with the first of the tokens; with the next when a call has ended that session."""
    left = iter(tokens)

    @schemathesis.auth(refresh_interval=86_400)
    class Bearer:
        def get(self, _case, _context):
            return next(left)

        def set(self, case, token, _context):
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}


def is_id(value):
    """Whether it is a UUID as text."""
    try:
        return bool(UUID(str(value)))
    except ValueError:
        return False


def use_ids(ids):
    """Four in five ids in a path or body are of something that there is; a pure function of what
    was generated, so that a seed always makes the same calls. What is no id stays broken."""

    def real(name, value):
        known, number = ids.get(name), zlib.crc32(str(value).encode())
        return known[number % len(known)] if known and number % 5 and is_id(value) else value

    @schemathesis.hook
    def map_path_parameters(_context, path_parameters):
        return {name: real(name, value) for name, value in (path_parameters or {}).items()}

    @schemathesis.hook
    def map_body(_context, body):
        if isinstance(body, dict) and isinstance(body.get("vehicle_ids"), list):
            found = [real("vehicle_id", each) for each in body["vehicle_ids"]]
            return {**body, "vehicle_ids": found}
        return body


def expected(failure, response):
    """Whether a failed check is none: see UNSAYABLE, and what DRF reads as text and the reverse."""
    if failure.title == "Schema-valid request rejected" and response.status_code == 400:
        problem = json.loads(response.content)
        errors = problem.get("errors") or [{"code": problem["code"], "pointer": ""}]
        return all({e["code"], e["pointer"].rpartition("/")[2]} & UNSAYABLE for e in errors)
    return failure.title == "Schema-violating request accepted" and any(
        taken in failure.message for taken in TAKEN
    )


def run(plan):
    """All cases of a plan; returns what came of them."""
    schema = schemathesis.openapi.from_url(
        f"{plan['api']}/api/schema/?format=json", config=configuration(plan)
    )
    cases, statuses, faults = Counter(), Counter(), {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            faults[f"error in the run: {event!r}"] = str(getattr(event, "info", event))
        if isinstance(event, events.ScenarioFinished):
            cases[event.phase.value] += len(event.recorder.cases)
            for interaction in event.recorder.interactions.values():
                answer = interaction.response
                statuses[answer.status_code if answer else "no answer"] += 1
            faults |= faults_of(event.recorder)
    return {"cases": cases, "statuses": statuses, "faults": faults}


def faults_of(recorder):
    """`{what failed, where: how to see it again}` of one scenario."""
    found = {}
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if (info := check.failure_info) is None:
                continue
            answer = recorder.interactions[case_id].response
            if answer is None or not expected(info.failure, answer):
                where = recorder.cases[case_id].value.operation.label
                said = answer.content[:500].decode(errors="replace") if answer else ""
                what = f"{where}: {check.name}: {info.failure.message}"
                found[what] = f"{info.code_sample[:1000]}\n{said}"
    return found


def main():
    plan = json.load(sys.stdin)
    if plan["tokens"]:
        sign_in(plan["tokens"])
    use_ids(plan["ids"])
    json.dump(run(plan), sys.stdout)


if __name__ == "__main__":
    main()

"""Who may call what, over HTTP: every route and method by every person on every object.

The expected answers stand in `access_table.HTTP`; the routes are read from the URLconf.
"""

import logging
from datetime import timedelta

import pytest
from django.db import transaction

from tests.contract import access_routes
from tests.contract.access_routes import METHODS
from tests.contract.access_scene import MISSING, Scene, call, told
from tests.contract.access_table import PEOPLE, http_rows
from weelo.lib.problems import MEDIA_TYPE

ROWS = http_rows()
ROUTES = {route.path: route for route in access_routes.routes()}
OURS = {path: route for path, route in ROUTES.items() if not route.is_djangos}
OPEN_TO_ALL = {"/admin/login/", "/admin/logout/", "/admin/jsi18n/"}  # of Django's
THEIRS = [path for path, route in ROUTES.items() if route.is_djangos and path not in OPEN_TO_ALL]
CODES = {401: "NOT_SIGNED_IN", 403: "WRONG_ROLE", 404: "NOT_FOUND"}
SIGN_IN_PAGE = "/admin/login/"


@pytest.fixture
def scene(db, settings):
    settings.ORDER_TTL = timedelta(hours=1)
    settings.LIMIT_CUSTOMER = settings.LIMIT_CAPTAIN = 100_000
    settings.LIMIT_ORDERS = settings.LIMIT_OTP_ADDRESS = 100_000
    logging.disable(logging.WARNING)  # a thousand lines that nobody reads
    yield Scene()
    logging.disable(logging.NOTSET)


def test_every_route_and_method_stands_in_the_table():
    known = {path for _, path in ROWS}
    missing = [
        f"{method} {path}"
        for path, route in OURS.items()
        for method in route.methods or (["GET"] if path not in known else [])
        if (method, path) not in ROWS
    ]
    assert not missing, (
        "Say who may call them: add a row for each to HTTP in tests/contract/access_table.py, and"
        f" a body to BODIES in access_scene.py if it takes one: {missing}"
    )


def test_every_row_of_the_table_is_a_route():
    gone = [
        str(row)
        for row in ROWS.values()
        if row.path not in OURS or row.method not in (OURS[row.path].methods or METHODS)
    ]
    assert not gone, f"Take these rows out of HTTP in tests/contract/access_table.py: {gone}"


def test_everybody_gets_what_the_table_says_and_no_word_more(scene):
    faults, cells = [], 0
    for row in ROWS.values():
        for name in PEOPLE:
            answers = answers_to(scene, row.method, row.path, name)
            faults += faults_of(scene, row, name, answers)
            cells += len(answers)
    assert not faults, "\n".join(faults)
    assert cells > 1300, "the table was walked through"


def answers_to(scene, method, path, name):
    """What the person gets for each object that there is, and for a missing one."""
    objects = scene.objects(name, path, OURS[path].parameters)
    return {which: try_out(scene, name, method, path, ids) for which, ids in objects.items()}


def try_out(scene, *words):
    """A call of which nothing stays."""
    mark = transaction.savepoint()
    try:
        return call(scene, *words)
    finally:
        transaction.savepoint_rollback(mark)


def faults_of(scene, row, name, answers):
    """What is wrong with the answers to one person, in words."""
    for which, answer in answers.items():
        here = f"{row} as {name} ({which}): "
        expected = status_of(row, name, which)
        if answer.status_code != expected:
            said = answer.content[:200].decode().replace("\n", " ")
            yield f"{here}{answer.status_code} instead of {expected}: {said}"
        yield from (here + fault for fault in faults_of_refusal(row, answer))
        yield from (here + f"tells {each}" for each in leaks(scene, row, name, answer))
        missing = answers.get(f"missing{which.removeprefix('foreign')}") or answers.get("missing")
        is_hidden = which.startswith("foreign") and answer.status_code == 404
        if is_hidden and told(answer) != told(missing):
            yield f"{here}{told(answer)} is not {told(missing)}"


def status_of(row, name, which):
    """What the table says that this person gets for this object."""
    cell = row.cells[name]
    if cell == "ok":
        return row.success
    if cell not in ("own", "any"):
        return int(cell)
    is_there = which == "own" or (cell == "any" and which.startswith("foreign-"))
    return row.success if is_there else 404


def faults_of_refusal(row, answer):
    """A refusal is a problem that says why; in the admin it is the way to the sign-in page."""
    is_refused = answer.status_code != row.success
    if row.path.startswith("/admin/"):
        there = answer.headers.get("Location", SIGN_IN_PAGE)
        if is_refused and not there.startswith(SIGN_IN_PAGE):
            yield f"sent to {there}"
    elif answer.status_code >= 400:
        code = answer.body["code"] if answer.body else ""
        if answer.headers["Content-Type"] != MEDIA_TYPE:
            yield f"refused as {answer.headers['Content-Type']}"
        elif is_refused and code != CODES.get(answer.status_code):
            yield f"refused with {code}"


def leaks(scene, row, name, answer):
    """Ids and phones of the world that is not the person's, in an answer to anybody but staff."""
    if row.cells[name] == "any" or row.path.startswith("/admin/"):
        return []
    text = answer.content.decode().replace(answer.request["PATH_INFO"], "")
    return [each for each in scene.secrets_from(name) if each in text]


@pytest.mark.parametrize(
    ("method", "path", "parameter", "body"),
    [
        (
            "POST",
            "offers/{offer_id}/accept",
            "vehicle_id",
            lambda each, own: {"vehicle_ids": [each]},
        ),
        (
            *("POST", "offers/{offer_id}/accept", "driver_id"),
            lambda each, own: {"vehicle_ids": [own["vehicle_id"]], "driver_ids": [each]},
        ),
        ("PUT", "trips/{trip_id}/driver", "driver_id", lambda each, own: {"driver_id": each}),
    ],
)
def test_an_id_in_a_body_that_is_somebody_elses_is_refused_like_one_of_nothing(
    scene, method, path, parameter, body
):
    own, foreign = scene.worlds["A"].ids(path), scene.worlds["R"].ids(path)
    own = {key: str(value) for key, value in own.items()}
    refusals = []
    for each in (str(foreign[parameter]), MISSING):
        mark = transaction.savepoint()
        answer = scene.phone("balu").call(method, path.format(**own), body(each, own))
        transaction.savepoint_rollback(mark)
        refusals.append((answer.status_code, told(answer)[0].replace(each, "…")))
    assert refusals[0] == refusals[1]
    assert refusals[0][0] in (404, 409)


def test_a_method_that_is_not_in_the_table_is_refused_to_everybody(scene):
    let_in = []
    for path, route in OURS.items():
        for method in set(METHODS) - {method for method, known in ROWS if known == path}:
            for name in ("nobody", "asha", "balu", "desk"):
                objects = scene.objects(name, path, route.parameters)
                ids = objects.get("missing", objects.get("own"))
                answer = try_out(scene, name, method, path, ids)
                refused = (302, 404, 405) if path.startswith("/admin/") else (401, 403, 405)
                if answer.status_code not in refused:
                    let_in.append(f"{method} {path} as {name}: {answer.status_code}")
    assert not let_in, "\n".join(let_in)


@pytest.mark.parametrize("name", ["nobody", "blocked", "balu"])
def test_the_rest_of_the_admin_sends_everybody_but_staff_to_the_sign_in_page(scene, name):
    let_in = []
    for path in THEIRS:
        for method in ("GET", "POST"):
            answer = try_out(scene, name, method, access_routes.address(path), {})
            if not answer.headers.get("Location", "").startswith(SIGN_IN_PAGE):
                let_in.append(f"{method} {path}: {answer.status_code}")
    assert not let_in, "\n".join(let_in)
    assert len(THEIRS) > 100, "the admin was walked through"

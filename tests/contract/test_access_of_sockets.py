"""Who may say what on which socket, and about whose objects: every frame by every person.

The expected answers stand in `access_table.SOCKETS`; the frames are read from the consumers.
"""

import contextlib
import inspect
import json
import re

import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed

from dispatch.consumers import CaptainConsumer, CustomerConsumer
from dispatch.ops import OpsConsumer
from tests.contract.access_scene import MISSING, WORLDS, Scene
from tests.contract.access_table import PEOPLE, socket_rows
from tests.events.live import Phone
from tests.people import CENTRE
from tests.running import running
from weelo.asgi import application
from weelo.events.connection import Connection
from weelo.events.consumers import BaseConsumer

ROWS = socket_rows()
SETTINGS = {"ORDER_TTL": "3600", "LIMIT_CAPTAIN": "100000", "LIMIT_CUSTOMER": "100000"}
PHONES = {f"/ws/{kind.role}/": kind for kind in (CaptainConsumer, CustomerConsumer)}
SOCKETS = {**PHONES, "/ws/ops/": OpsConsumer}


def frames_of(consumer):
    """The types of frame that a socket takes."""
    if consumer is OpsConsumer:
        return {"hello", "ping"}
    sources = inspect.getsource(BaseConsumer.take) + inspect.getsource(Connection._take)
    common = set(re.findall(r'kind == "(\w+)"', sources))
    assert {"hello", "ping", "ack", "position"} <= common, "the search finds what is there"
    taken = common | {*consumer.commands}
    return taken if consumer.takes_positions else taken - {"position"}


@pytest.fixture(scope="module")
def site():
    with running({**SETTINGS, "SECRET_KEY": settings.SECRET_KEY}, services=("live",)) as site:
        yield site


@pytest.fixture(scope="module")
def scene(site, django_db_blocker):
    with django_db_blocker.unblock(), site.django():
        yield Scene(has_city=True)


def test_every_socket_and_frame_stands_in_the_table():
    assert set(SOCKETS) == set(application.paths), "a socket that SOCKETS of this test lacks"
    taken = {(kind, path) for path, consumer in SOCKETS.items() for kind in frames_of(consumer)}
    assert taken == set(ROWS), (
        "Say who may send it: SOCKETS in tests/contract/access_table.py needs a row, or has one"
        f" too many: {sorted(taken ^ set(ROWS))}"
    )


@pytest.mark.parametrize("path", SOCKETS)
def test_everybody_is_answered_as_the_table_says_and_no_word_more(site, scene, path):
    faults, cells = [], 0
    for name in PEOPLE:
        with Line(site, scene, path, name) as line:
            for row in (row for row in ROWS.values() if row.path == path):
                answers = {
                    which: line.ask(row.method, fields)
                    for which, fields in objects(scene, name, row.method).items()
                }
                faults += faults_of(scene, row, name, answers)
                cells += len(answers)
    assert not faults, "\n".join(faults)
    assert cells >= 2 * len(PEOPLE), "the table was walked through"


@pytest.mark.parametrize("path", PHONES)
def test_a_frame_that_is_not_in_the_table_closes_4400(site, scene, path):
    others = {kind for kind, _ in ROWS} - {kind for kind, known in ROWS if known == path}
    for kind in (*sorted(others), "no_such_frame"):
        with Line(site, scene, path, "balu") as line:
            fields = objects(scene, "balu", kind)
            assert line.ask(kind, fields.get("own", {})) == {"closed": 4400}, kind


class Line:
    """One person's socket, greeted if it is let in. What is asked is answered by a frame, or by
    `{"closed": code}` once the server has closed it."""

    def __init__(self, site, scene, path, name):
        session = scene.sessions[name][0] if name in scene.sessions else None
        role = path.split("/")[2]
        self._phone = Phone(site.socket, session, role, hello=False, document=False)
        self._closed = None
        self.welcome = self.ask("hello", {"epoch": None, "after": None})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._phone.close()

    def ask(self, kind, fields):
        """What comes back for a frame; a ping tells that one without an answer was taken."""
        if self._closed is not None:
            return self._closed
        try:
            with contextlib.suppress(ConnectionClosed):
                self._phone.send(type=kind, ref="r1", **fields)
                if kind == "ack":
                    self._phone.send(type="ping")
            while (frame := json.loads(self._phone.line.recv(timeout=5)))["type"] in SENT_BY_ITSELF:
                pass
        except ConnectionClosed as end:
            self._closed = frame = {"closed": end.rcvd.code if end.rcvd else None}
        return frame


SENT_BY_ITSELF = ("event", "live")
POINT = {"lat": CENTRE[0], "lng": CENTRE[1]}
PLAIN = {"ack": {"seq": 0}, "position": POINT, "availability": {"online": True}}


def objects(scene, name, kind):
    """`{which: fields}` of a frame: about each object that there is, and about a missing one."""
    if kind not in ABOUT:
        return {"own": PLAIN.get(kind, {})}
    parameter, more = ABOUT[kind]
    mine = WORLDS.get(name)
    found = {
        "own" if key == mine else f"foreign-{key}": str(world.ids(kind)[parameter])
        for key, world in scene.worlds.items()
    }
    own = scene.worlds[mine or "A"]
    ids = {"missing": MISSING, **{key: found[key] for key in sorted(found)}}
    return {which: {parameter: each, **more(own)} for which, each in ids.items()}


ABOUT = {
    "accept": ("offer_id", lambda own: {"vehicle_ids": [str(own.vehicle_ids[3])]}),
    "decline": ("offer_id", lambda own: {"reason": "a test"}),
    "seen": ("offer_id", lambda own: {}),
    "status": ("trip_id", lambda own: {"status": "at_drop"}),
}
ANSWERS = {"hello": "welcome", "ping": "pong", "ack": "pong"}


def faults_of(scene, row, name, answers):
    """What is wrong with the answers to one person, in words."""
    for which, answer in answers.items():
        here, cell = f"{row} as {name} ({which})", row.cells[name]
        wanted = {"ok": 200, "own": 200 if which == "own" else 404}.get(cell) or int(cell)
        if outcome(row, answer) != wanted:
            yield f"{here}: {answer} instead of {wanted}"
        if "problem" in answer and answer["problem"]["code"] not in ("NOT_FOUND", "WRONG_ROLE"):
            yield f"{here}: refused with {answer['problem']['code']}"
        for each in scene.secrets_from(name):
            if each in json.dumps(answer) and each not in MISSING:
                yield f"{here}: tells {each}"
        if which.startswith("foreign") and plain(answer) != plain(answers["missing"]):
            yield f"{here}: {plain(answer)} is not {plain(answers['missing'])}"


def outcome(row, answer):
    """The close code, the reply's status, or 200 for the frame that answers this one."""
    if "closed" in answer:
        return answer["closed"]
    if answer["type"] == ANSWERS.get(row.method):
        return 200
    return answer.get("status")


def plain(answer):
    """A refusal without what differs from reply to reply."""
    problem = {k: v for k, v in answer.get("problem", {}).items() if k != "request_id"}
    return {**answer, "problem": problem}

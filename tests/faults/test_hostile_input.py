"""What no honest phone sends, to the real services: refused in documented words; nobody dies."""

import contextlib
import json
import socket
import struct
import threading
import time

import httpx
import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed

from tests.contract.access_scene import Scene
from tests.events.live import Phone
from tests.running import running
from tests.scenarios.story import until
from weelo.accounts import tokens
from weelo.events.socket import Code
from weelo.http_worker import READ_SECONDS
from weelo.lib.problems import MEDIA_TYPE

HUGE = 17 * 2**20
THREADS = 4  # of the site's http process
DIGITS = b"9" * 5000
BODIES = {
    "17 MB": (b" " * HUGE, 413),
    "100,000 deep": (b"[" * 100_000, 413),
    "60,000 deep": (b'{"a":' + b"[" * 60_000, 400),
    "bad UTF-8": (b'{"phone": "\xff\xfe"}', 400),
    "a surrogate in UTF-8": (b'{"phone": "\xed\xa0\x80"}', 400),
    "half a surrogate": (rb'{"phone": "\ud800"}', 400),
    "NUL by an escape": (rb'{"phone": "\u0000"}', 400),
    "NUL": (b'{"phone": "\x00"}', 400),
    "NaN": (b'{"phone": NaN}', 400),
    "Infinity": (b'{"phone": -Infinity}', 400),
    "5,000 digits": (b'{"phone": ' + DIGITS + b"}", 400),
    "5,000 digits of a fraction": (b'{"phone": 0.' + DIGITS + b"}", 400),
    "an endless string": (b'{"phone": "', 400),
}
PLACES = (
    *("search?pickup=%00&drop=%ff", "search?pickup=1,1&drop=1,1&load_kg=" + DIGITS.decode()),
    *(
        "orders?limit=" + DIGITS.decode(),
        "orders?cursor=%ed%a0%80%00",
        "events?after=1e999&role=%00",
    ),
    *(
        "orders/%00",
        "orders/%ff%fe",
        "trips/00000000-0000-4000-8000-000000000000/stops/" + "9" * 400,
    ),
)
HEADERS = {
    "Authorization": b"Bearer \xff\xfe",
    "Idempotency-Key": b"\xff" * 300,
    "X-Request-ID": b"\xff\x01",
    "traceparent": b"\xff",
    "Content-Type": b"\xff/\xff; charset=\xff",
    "Accept": b"*/*;q=\xff",
    "If-None-Match": b"\xff",
    "X-Forwarded-For": b"\xff, 999.1.1.1",
    "Content-Length": DIGITS,
}


@pytest.fixture(scope="module")
def site():
    set_up = {
        "SECRET_KEY": settings.SECRET_KEY,
        "LIMIT_CUSTOMER": "100000",
        "HTTP_THREADS": str(THREADS),
    }
    with running(set_up, services=("http", "live")) as site:
        before = {name: site.workers(name) for name in ("http", "live")}
        yield site
        assert {name: site.workers(name) for name in before} == before, "a process died"
        assert "our fault" not in site.log().lower() and "request failed" not in site.log()


@pytest.fixture(scope="module")
def asha(site, django_db_blocker):
    """Her session."""
    with django_db_blocker.unblock(), site.django():
        yield Scene(has_city=True).sessions["asha"][0]


def raw(site, head, body=b"", *, patience_s=20):
    """The status and problem that come back for these bytes."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=patience_s) as line:
        try:
            line.sendall(b"\r\n".join([*head, b"Host: 127.0.0.1", b"Connection: close", b"", b""]))
            line.sendall(body)
        except OSError:
            pass  # refused before all of it was sent
        answer = b""
        try:
            while more := line.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
    return answer


def is_refused(answer):
    """Whether it is an HTTP answer 4xx, as a problem."""
    head, _, body = answer.partition(b"\r\n\r\n")
    problem = body[body.find(b"{") : body.rfind(b"}") + 1]  # without the marks of chunks
    return head[9:10] == b"4" and MEDIA_TYPE.encode() in head and json.loads(problem)["code"]


@pytest.mark.parametrize("what", BODIES)
def test_a_hostile_body_is_a_problem(site, what):
    body, status = BODIES[what]
    answer = httpx.post(
        f"{site.api}/api/v1/auth/otp",
        content=body,
        headers={"Content-Type": "application/json"},
        timeout=20,
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, MEDIA_TYPE)
    assert answer.json()["code"] == {413: "BODY_TOO_LARGE", 400: "BAD_JSON"}[status]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "auth/logout"), ("GET", "me"), ("DELETE", "devices/current")]
)
def test_a_body_that_nobody_would_read_is_too_large_all_the_same(site, asha, method, path):
    headers = {"Authorization": f"Bearer {tokens.access(asha)}"}
    answer = httpx.request(
        method, f"{site.api}/api/v1/{path}", content=b"x" * HUGE, headers=headers, timeout=20
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_address_is_a_problem(site, asha, place):
    token = tokens.access(asha).encode()
    request = [b"GET /api/v1/" + place.encode() + b" HTTP/1.1", b"Authorization: Bearer " + token]
    assert is_refused(raw(site, request)), place


@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_header_is_refused_or_left_unread(site, name):
    head = [b"GET /api/v1/vehicle-types HTTP/1.1", name.encode() + b": " + HEADERS[name]]
    answer = raw(site, head)
    assert is_refused(answer) or answer.startswith(b"HTTP/1.1 200"), answer[:200]


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ([b"GET /api/v1/orders?limit=" + DIGITS + b" HTTP/1.1"], "URI_TOO_LONG"),
        ([b"GET /api/v1/me HTTP/1.1", b"Cookie: " + DIGITS * 2], "HEADERS_TOO_LARGE"),
        ([b"GET /api/v1/me HTTP/1.1", *(b"A%d: 1" % n for n in range(200))], "HEADERS_TOO_LARGE"),
        ([b"GET /api/v1/me HTTP/1.1", b"no field at all"], "BAD_REQUEST"),
        ([b"GET /api/v1/me HTTP/1.1", b"Transfer-Encoding: gzip"], "BAD_REQUEST"),
        ([b"Hello."], "BAD_REQUEST"),
    ],
)
def test_what_is_no_request_is_a_problem_with_an_id_of_its_own(site, head, code):
    answer = raw(site, head)
    assert is_refused(answer) == code, answer
    fields, _, body = answer.partition(b"\r\n\r\n")
    request_id = json.loads(body)["request_id"]
    assert f"X-Request-ID: {request_id}".encode() in fields
    until(lambda: f"request_id={request_id}" in site.log())
    assert httpx.get(f"{site.api}{json.loads(body)['type']}").json()["code"] == code


def test_a_chunk_that_is_none_is_refused(site):
    head = [b"POST /api/v1/auth/otp HTTP/1.1", b"Transfer-Encoding: chunked"]
    head += [b"Content-Type: application/json"]
    assert is_refused(raw(site, head, b"zz\r\nxx"))
    assert is_refused(raw(site, head, b"FFFFFF\r\n" + b" " * 0xFFFFFF + b"\r\n0\r\n\r\n"))


@pytest.mark.parametrize("what", [what for what in BODIES if "UTF-8" not in what])
def test_a_hostile_frame_closes_with_a_documented_code(site, asha, what):
    body, _ = BODIES[what]
    phone = Phone(site.socket, asha, "customer")
    with contextlib.suppress(ConnectionClosed):
        phone.line.send(body.decode())
    wanted = Code.TOO_BIG if len(body) > settings.FRAME_LIMIT else Code.BAD_FRAME
    # Who still sends megabytes may find the line cut before reading the code.
    assert phone.code() in ({wanted, None} if len(body) == HUGE else {wanted})
    phone.close()


@pytest.mark.parametrize("payload", [b'{"type": "ping", "x": "\xff"}', b'"\xed\xa0\x80"'])
def test_a_text_frame_that_is_no_utf8_closes_1007(site, asha, payload):
    phone = Phone(site.socket, asha, "customer")
    mask = b"\0\0\0\0"
    phone.line.socket.sendall(struct.pack("!BB", 0x81, 0x80 | len(payload)) + mask + payload)
    assert phone.code() == Code.NOT_UTF8
    phone.close()


def test_half_sent_requests_hold_up_nobody_for_long(site):
    """Slow loris: more unfinished requests than there are threads, a byte a second."""
    slow = []
    for _ in range(THREADS + 2):
        line = socket.create_connection(("127.0.0.1", site.port), timeout=20)
        line.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        slow.append(line)
    try:
        began = time.monotonic()
        dripping = threading.Thread(target=drip, args=(slow, began + 2 * READ_SECONDS))
        dripping.start()
        assert httpx.get(f"{site.api}/livez", timeout=4 * READ_SECONDS).status_code == 200
        assert time.monotonic() - began < 2 * READ_SECONDS
    finally:
        for line in slow:
            line.close()
        dripping.join()


def drip(lines, until):
    while time.monotonic() < until:
        for line in lines:
            with contextlib.suppress(OSError):
                line.sendall(b"x")
        time.sleep(1)


def test_half_a_handshake_holds_up_no_socket(site, asha):
    port = site.port + 1
    slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(50)]
    for line in slow:
        line.sendall(b"GET /ws/customer/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgr")
    phone = Phone(site.socket, asha, "customer")
    assert phone.welcome
    phone.close()
    for line in slow:
        line.close()

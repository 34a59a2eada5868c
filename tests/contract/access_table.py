"""Who may call what: every HTTP route and every frame of a socket, in two tables to be read.

A row of `HTTP` is a method, a path, the status of success and one cell for each person:

    own   the person's own object answers with the status of success, anybody else's with 404
    any   every object that exists answers with the status of success, to this person
    ok    there is no object in the path, or it does not matter: the status of success
    404…  this status, whatever the object

A missing object answers 404 to `own` and `any`, and a foreign one exactly as a missing one. Who
gets 401 is told NOT_SIGNED_IN, who gets 403 is told WRONG_ROLE. In the admin 302 is the way to the
sign-in page. What is not in a route's rows is refused to everybody.

The people: `nobody` sends no token; `blocked` sends one of before; Asha and Ravi are customers;
Balu carries for Asha, Chitra for Ravi; Dinesh drives for Balu; Devi is `staff` without any
permission; the `desk` has all of them.
"""

from dataclasses import dataclass

PEOPLE = ("nobody", "blocked", "asha", "ravi", "balu", "chitra", "dinesh", "staff", "desk")

HTTP = """
#                                              ok  nobody blocked asha ravi balu chit dine staf desk

/
GET                                            302     ok ok  ok  ok  ok  ok  ok  ok  ok
GET    livez                                   200     ok ok  ok  ok  ok  ok  ok  ok  ok
GET    readyz                                  200     ok ok  ok  ok  ok  ok  ok  ok  ok
GET    metrics                                 200     ok ok  ok  ok  ok  ok  ok  ok  ok

/api/
GET    schema/                                 200     ok ok  ok  ok  ok  ok  ok  ok  ok
GET    docs/                                   200     ok ok  ok  ok  ok  ok  ok  ok  ok
GET    realtime/                               200     ok ok  ok  ok  ok  ok  ok  ok  ok
GET    realtime/asyncapi.yaml                  200     ok ok  ok  ok  ok  ok  ok  ok  ok
GET    problems/                               200     ok ok  ok  ok  ok  ok  ok  ok  ok
GET    problems/{code}                         200     ok ok  ok  ok  ok  ok  ok  ok  ok

/api/v1/
POST   auth/otp                                202     ok ok  ok  ok  ok  ok  ok  ok  ok
POST   auth/token                              401     ok ok  ok  ok  ok  ok  ok  ok  ok
POST   auth/firebase                           404     ok ok  ok  ok  ok  ok  ok  ok  ok
POST   auth/token/refresh                      401     ok ok  ok  ok  ok  ok  ok  ok  ok
POST   auth/logout                             204    401 401 ok  ok  ok  ok  ok  ok  ok
GET    sessions                                200    401 401 ok  ok  ok  ok  ok  ok  ok
DELETE sessions/{session_id}                   204    401 401 own own own own own own own
GET    me                                      200    401 401 ok  ok  ok  ok  ok  ok  ok
PATCH  me                                      200    401 401 ok  ok  ok  ok  ok  ok  ok
PUT    devices/current                         204    401 401 ok  ok  ok  ok  ok  ok  ok
DELETE devices/current                         204    401 401 ok  ok  ok  ok  ok  ok  ok
GET    vehicle-types                           200     ok ok  ok  ok  ok  ok  ok  ok  ok
GET    events                                  200    401 401 ok  ok  ok  ok  ok  ok  ok
POST   socket-ticket                           201    401 401 ok  ok  ok  ok  ok  ok  ok

GET    transporter                             200    401 401 404 404 ok  ok  404 404 404
POST   transporter                             201    401 401 ok  ok  200 200 ok  ok  ok
PATCH  transporter                             200    401 401 404 404 ok  ok  404 404 404
GET    vehicles                                200    401 401 403 403 ok  ok  403 403 403
POST   vehicles                                201    401 401 403 403 ok  ok  403 403 403
GET    vehicles/{vehicle_id}                   200    401 401 403 403 own own 403 403 403
PATCH  vehicles/{vehicle_id}                   200    401 401 403 403 own own 403 403 403
DELETE vehicles/{vehicle_id}                   204    401 401 403 403 own own 403 403 403
GET    drivers                                 200    401 401 403 403 ok  ok  403 403 403
POST   drivers                                 201    401 401 403 403 ok  ok  403 403 403
GET    drivers/{driver_id}                     200    401 401 403 403 own own 403 403 403
PATCH  drivers/{driver_id}                     200    401 401 403 403 own own 403 403 403
DELETE drivers/{driver_id}                     204    401 401 403 403 own own 403 403 403
PUT    availability                            200    401 401 403 403 ok  ok  403 403 403
POST   positions                               202    401 401 403 403 ok  ok  ok  403 403

GET    search                                  200     ok 401 ok  ok  ok  ok  ok  ok  ok
GET    orders                                  200    401 401 ok  ok  ok  ok  ok  ok  ok
POST   orders                                  201    401 401 ok  ok  ok  ok  ok  ok  ok
GET    orders/active                           200    401 401 ok  ok  ok  ok  ok  ok  ok
GET    orders/{order_id}                       200    401 401 own own 404 404 404 404 404
GET    orders/{order_id}/timeline              200    401 401 own own 404 404 404 404 404
GET    orders/{order_id}/waves                 200    401 401 403 403 403 403 403 any any
POST   orders/{order_id}/cancel                200    401 401 own own 404 404 404 404 404
POST   orders/{order_id}/trucks/{truck_id}/cancel 200 401 401 own own 404 404 404 404 404

GET    offers                                  200    401 401 403 403 ok  ok  403 403 403
GET    offers/{offer_id}                       200    401 401 403 403 own own 403 403 403
POST   offers/{offer_id}/seen                  200    401 401 403 403 own own 403 403 403
POST   offers/{offer_id}/accept                200    401 401 403 403 own own 403 403 403
POST   offers/{offer_id}/decline               200    401 401 403 403 own own 403 403 403

GET    trips                                   200    401 401 403 403 ok  ok  ok  403 403
GET    trips/{trip_id}                         200    401 401 403 403 own own own 403 403
POST   trips/{trip_id}/status                  200    401 401 403 403 own own own 403 403
POST   trips/{trip_id}/stops/{number}          200    401 401 403 403 own own own 403 403
POST   trips/{trip_id}/give-back               200    401 401 403 403 own own 403 403 403
PUT    trips/{trip_id}/driver                  200    401 401 403 403 own own 403 403 403
POST   trips/{trip_id}/rating                  200    401 401 own own 404 404 404 404 404
POST   trips/{trip_id}/dispute                 201    401 401 own own 404 404 404 404 404

/admin/
GET    authenticator/                          200    302 302 302 302 302 302 302 ok  ok
POST   authenticator/                          200    302 302 302 302 302 302 302 ok  ok
GET    authenticator/qr.svg                    200    302 302 302 302 302 302 302 ok  ok
GET    cities/dispatchpolicy/of/{slug}/        200    302 302 302 302 302 302 302 403 ok
POST   ops/ticket                              201    302 302 302 302 302 302 302 ok  ok
GET    transporters/transporter/{transporter_id}/kyc/{to}/ 200 302 302 302 302 302 302 302 403 any
POST   transporters/transporter/{transporter_id}/kyc/{to}/ 302 302 302 302 302 302 302 302 403 any
GET    orders/order/{pk}/cancel/               200    302 302 302 302 302 302 302 403 any
POST   orders/order/{pk}/cancel/               302    302 302 302 302 302 302 302 403 any
GET    orders/truckrequest/{pk}/cancel/        200    302 302 302 302 302 302 302 403 any
POST   orders/truckrequest/{pk}/cancel/        302    302 302 302 302 302 302 302 403 any
GET    orders/trip/{pk}/fail/                  200    302 302 302 302 302 302 302 403 any
POST   orders/trip/{pk}/fail/                  302    302 302 302 302 302 302 302 403 any
GET    orders/trip/{pk}/new-start-code/        200    302 302 302 302 302 302 302 403 any
POST   orders/trip/{pk}/new-start-code/        302    302 302 302 302 302 302 302 403 any
GET    orders/trip/{pk}/new-drop-code/         200    302 302 302 302 302 302 302 403 any
POST   orders/trip/{pk}/new-drop-code/         302    302 302 302 302 302 302 302 403 any
GET    orders/dispute/{pk}/settle/             200    302 302 302 302 302 302 302 403 any
POST   orders/dispute/{pk}/settle/             302    302 302 302 302 302 302 302 403 any
"""

# The cells: `ok` the frame is taken, `own` as above with a reply instead of an answer, 403 a reply
# that says WRONG_ROLE, 44xx the code that the socket is closed with. These are sockets opened with
# access tokens: /ws/ops/ takes only tickets of the admin (tests/dispatch/test_ops_socket.py).
SOCKETS = """
#                    nobody blocked asha ravi balu chit dine staf desk

/ws/customer/
hello                  4401 4403   ok   ok   ok   ok   ok   ok   ok
ack                    4401 4403   ok   ok   ok   ok   ok   ok   ok
ping                   4401 4403   ok   ok   ok   ok   ok   ok   ok

/ws/captain/
hello                  4401 4403 4403 4403   ok   ok   ok 4403 4403
ack                    4401 4403 4403 4403   ok   ok   ok 4403 4403
ping                   4401 4403 4403 4403   ok   ok   ok 4403 4403
position               4401 4403 4403 4403   ok   ok   ok 4403 4403
accept                 4401 4403 4403 4403  own  own  403 4403 4403
decline                4401 4403 4403 4403  own  own  403 4403 4403
seen                   4401 4403 4403 4403  own  own  403 4403 4403
status                 4401 4403 4403 4403  own  own  own 4403 4403
availability           4401 4403 4403 4403   ok   ok  403 4403 4403

/ws/ops/
hello                  4401 4401 4401 4401 4401 4401 4401 4401 4401
ping                   4401 4401 4401 4401 4401 4401 4401 4401 4401
"""


@dataclass(frozen=True)
class Row:
    """What a route (or a frame of a socket) answers to whom."""

    method: str
    path: str
    success: int
    cells: dict

    def __str__(self):
        return f"{self.method} {self.path}"


def http_rows():
    """The rows of HTTP, by method and path."""
    rows = {}
    for base, words in lines(HTTP):
        method, *words = words
        *path, success = words[: -len(PEOPLE)]
        cells = dict(zip(PEOPLE, words[-len(PEOPLE) :], strict=True))
        row = Row(method, base + "".join(path), int(success), cells)
        assert (row.method, row.path) not in rows, f"{row} stands twice"
        rows[row.method, row.path] = row
    return rows


def socket_rows():
    """The rows of SOCKETS, by type of frame and path."""
    rows = {}
    for path, (kind, *words) in lines(SOCKETS):
        rows[kind, path] = Row(kind, path, 200, dict(zip(PEOPLE, words, strict=True)))
    return rows


def lines(table):
    """Each row's words with the path that stands above it."""
    base = ""
    for line in table.splitlines():
        if line.startswith("/"):
            base = line
        elif line and not line.startswith("#"):
            yield base, line.split()

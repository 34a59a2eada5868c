"""The people of the access matrix, what belongs to whom, and a call as each of them.

There are two worlds that must not see each other: Asha, Balu who carries for her, and Dinesh who
drives for Balu; Ravi, and Chitra who carries for him. Everybody else has nothing but sessions.
"""

import copy
import json
from datetime import timedelta

from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from orders.models import Dispute
from orders.states import TripStatus
from orders.verbs.accept import accept
from orders.verbs.rate import dispute
from orders.verbs.steps import Step, step
from tests import people
from tests.accounts.doors import HANDLER, Phone
from weelo.accounts import sessions, tokens
from weelo.accounts.models import Session

RAVI, DINESH, BHIM = "+919000000011", "+919000000004", "+919000000005"
WORLDS = {"asha": "A", "balu": "A", "dinesh": "A", "ravi": "R", "chitra": "R"}
MISSING = "00000000-0000-4000-8000-000000000000"


class World:
    """What one customer and one fleet have with each other; ids by the names the routes use."""

    def __init__(self, customer, fleet, spare_driver, on_trip=()):
        self.customer, self.fleet = customer, fleet
        customer.max_active_orders = 9
        customer.save()
        (self.vehicle_ids, self.spare) = people.vehicle_ids(fleet), spare_driver
        self.told, self.offer = self._told()
        self.declined = self._told()[1]  # told too; to be declined
        self.early = self._won(0)
        self.late = self._won(1, *on_trip)
        self._drive(self.late, TripStatus.IN_TRANSIT)
        self.done = self._won(2)
        self._drive(self.done, TripStatus.COMPLETED)
        opened = dispute(customer.id, self.done.id, "late", "")
        self.dispute = Dispute.objects.get(id=opened["id"])

    def _told(self):
        order = people.make_order(self.customer, **PLACES)
        return order, people.tell_them(order, [self.fleet])[0]

    def _won(self, number, *drivers):
        order, offer = self._told()
        accept(self.fleet.owner_id, offer.id, [self.vehicle_ids[number]], [d.id for d in drivers])
        return order.trips.get()

    def _drive(self, trip, last):
        way = ("en_route_pickup", "at_pickup", "in_transit", "at_drop", "completed")
        for status in way[: way.index(last) + 1]:
            proof = {"kind": "code", "code": trip.drop_code}
            step(self.fleet.owner, trip.id, Step(status, trip.start_code, proof))

    def ids(self, path):
        """What the parameters of a path are for this world's own objects."""
        truck = self.told.trucks.get()
        trip = self.early if path.endswith(("give-back", "driver", "code/")) else self.late
        trip = self.done if path.endswith(("rating", "dispute")) else trip
        row = {
            "/order/": self.told,
            "/truckrequest/": truck,
            "/trip/": trip,
            "/dispute/": self.dispute,
        }
        return {
            "order_id": self.told.id,
            "truck_id": truck.id,
            "offer_id": (self.declined if path.endswith("decline") else self.offer).id,
            "trip_id": trip.id,
            "vehicle_id": self.vehicle_ids[3],
            "driver_id": self.spare.id,
            "transporter_id": self.fleet.id,
            "pk": next((each.id for name, each in row.items() if name in path), None),
        }

    def secrets(self):
        """What the people of the other world, and nobody at all, may ever read."""
        rows = [
            self.told,
            self.early.order,
            self.offer,
            self.declined,
            self.early,
            self.late,
            self.done,
        ]
        rows += [self.told.trucks.get(), self.early.truck, self.fleet, self.spare, self.dispute]
        phones = [self.customer.phone, self.fleet.owner.phone, self.spare.phone]
        return {str(row.id) for row in rows} | {*map(str, self.vehicle_ids), *phones}


class Scene:
    """Both worlds, and a signed-in client for each person."""

    def __init__(self, *, has_city=False):
        if not has_city:
            people.make_city()
        balu, chitra = (people.make_captain(phone, name, vehicles=4) for phone, name in FLEETS)
        asha, ravi = people.make_customer(), people.make_customer(RAVI, "Ravi")
        dinesh = people.make_driver(balu, DINESH)
        self.worlds = {
            "A": World(asha, balu, people.make_driver(balu, "+919000000006", "Esha"), [dinesh]),
            "R": World(ravi, chitra, people.make_driver(chitra, "+919000000007", "Farid")),
        }
        blocked = people.make_customer(BHIM, "Bhim")
        desk = people.make_dispatcher("desk")
        desk.user_permissions.set(Permission.objects.all())
        self.users = {
            "blocked": blocked,
            "asha": asha,
            "ravi": ravi,
            "balu": balu.owner,
            "chitra": chitra.owner,
            "dinesh": dinesh.user,
            "staff": people.make_dispatcher(),
            "desk": desk,
        }
        until = timezone.now() + timedelta(days=1)
        # Each person's first session is used, the second is there to be ended.
        self.sessions = {
            name: [Session.objects.create(user=user, expires_at=until) for _ in range(2)]
            for name, user in self.users.items()
        }
        self._cookies = {name: self._sign_in(user) for name, user in self.users.items()}
        sessions.block(blocked, by=desk)

    def phone(self, name):
        """The person's phone; nobody's sends no token."""
        opened = self.sessions.get(name)
        return Phone(tokens.access(opened[0]) if opened else "")

    def browser(self, name):
        """The person's browser, with a session of the admin if the person ever had one."""
        client = Client()
        client.handler = HANDLER
        client.cookies = copy.copy(self._cookies.get(name, client.cookies))
        return client

    def _sign_in(self, user):
        """The cookies of a signed-in browser."""
        client = Client()
        client.handler = HANDLER
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client.cookies

    def objects(self, name, route_path, parameters):
        """`{which: ids}` for a path: each object that there is, and one that is missing.

        `own` is the person's own, `foreign-…` is somebody else's.
        """
        known = {"number": 1, "to": "suspended", "code": "INVALID", "slug": "bengaluru"}
        fixed = {each: known[each] for each in parameters if each in known}
        open_ones = [each for each in parameters if each not in known]
        if not open_ones:
            return {"own": fixed}
        found = {}
        for world, ids in self._ids(name, route_path).items():
            which = "own" if world == WORLDS.get(name, name) else f"foreign-{world}"
            found[which] = fixed | {each: ids[each] for each in open_ones}
        found["missing"] = fixed | dict.fromkeys(open_ones, MISSING)
        if len(open_ones) > 1 and "own" in found:
            foreign = next(ids for which, ids in found.items() if which.startswith("foreign"))
            last = open_ones[-1]
            found["foreign-within-own"] = found["own"] | {last: foreign[last]}
            found["missing-within-own"] = found["own"] | {last: MISSING}
        return found

    def _ids(self, name, route_path):
        if "{session_id}" in route_path:
            other = "ravi" if name == "asha" else "asha"
            opened = {WORLDS.get(who, who): who for who in (other, name) if who in self.sessions}
            return {w: {"session_id": self.sessions[who][1].id} for w, who in opened.items()}
        return {key: world.ids(route_path) for key, world in self.worlds.items()}

    def secrets_from(self, name):
        """What this person must never read, whatever is called."""
        mine = WORLDS.get(name)
        return set().union(*(w.secrets() for key, w in self.worlds.items() if key != mine))

    def body(self, path, ids, name):
        """A sound body for a call of this path about these objects."""
        own = self.worlds[WORLDS.get(name, "A")]
        return BODIES.get(path.removeprefix("/api/v1/"), lambda *_: None)(own, ids)


_DOOR = people.place(name="Ganga", phone="+919000000012")  # who has nothing to do with anybody
PLACES = {"pickup": _DOOR, "drop": {**_DOOR, "lat": 13.05}, "stops": [_DOOR]}
FLEETS = ((people.BALU, "Balu"), (people.CHITRA, "Chitra"))
PAPERS = dict.fromkeys(("rc", "permit", "fitness", "insurance", "puc"), "2040-01-01")
LICENCE = {"number": "KA0120110012345", "expires_on": "2040-01-01"}
PUSH = {"push_token": "token", "platform": "android"}
SIGN_IN = {"phone": "+919000000008", "code": "000000"}
NEW_DRIVER = {"name": "Gita", "phone": "+919000000010", "licence": LICENCE}
NEW_VEHICLE = {"registration": "KA05AB1234", "vehicle_type": "open-17-ft", "papers": PAPERS}
REASON = {"reason": "a test"}
BODIES = {
    "auth/otp": lambda *_: {"phone": "+919000000008"},
    "auth/token": lambda *_: SIGN_IN,
    "auth/firebase": lambda *_: {"id_token": "x"},
    "auth/token/refresh": lambda *_: {"refresh": "x"},
    "me": lambda *_: {"name": "Somebody"},
    "devices/current": lambda *_: PUSH,
    "transporter": lambda *_: {"business_name": "New Transport"},
    "vehicles": lambda *_: NEW_VEHICLE,
    "vehicles/{vehicle_id}": lambda *_: {"in_service": True},
    "drivers": lambda *_: NEW_DRIVER,
    "drivers/{driver_id}": lambda *_: {"name": "Somebody"},
    "availability": lambda *_: {"online": True},
    "positions": lambda *_: {"lat": people.CENTRE[0], "lng": people.CENTRE[1]},
    "orders": lambda *_: people.wish(**PLACES),
    "orders/{order_id}/cancel": lambda *_: REASON,
    "orders/{order_id}/trucks/{truck_id}/cancel": lambda *_: REASON,
    "offers/{offer_id}/accept": lambda own, ids: {"vehicle_ids": [str(own.vehicle_ids[3])]},
    "offers/{offer_id}/decline": lambda *_: REASON,
    "trips/{trip_id}/status": lambda *_: {"status": "at_drop"},
    "trips/{trip_id}/stops/{number}": lambda *_: {"state": "arrived"},
    "trips/{trip_id}/give-back": lambda *_: REASON,
    "trips/{trip_id}/driver": lambda *_: {"driver_id": None},
    "trips/{trip_id}/rating": lambda *_: {"stars": 5},
    "trips/{trip_id}/dispute": lambda *_: {"reason": "broken", "notes": ""},
}
QUERIES = {
    "/api/v1/events": lambda name: (
        "role=captain" if name in ("balu", "chitra") else "role=customer"
    ),
    "/api/v1/search": lambda name: "pickup=12.9716,77.5946&drop=13.05,77.70",
}
FORM = {"reason": "a test", "settlement": "Paid."}


def call(scene, name, method, path, ids):
    """One call as this person; `answer.body` is its JSON, if it is any."""
    address = path.format(**ids)
    if path.startswith("/admin/"):
        answer = scene.browser(name).generic(method, address, **form(method))
        answer.body = None
        return answer
    query = QUERIES.get(path, lambda name: "")(name)
    content = None if method == "GET" else scene.body(path, ids, name)
    phone = scene.phone(name)
    return phone.raw(method, f"{address}?{query}" if query else address, content)


def form(method):
    """The form of an intervention, as a browser sends it."""
    sent = "&".join(f"{key}={value}" for key, value in FORM.items())
    kind = "application/x-www-form-urlencoded"
    return {"data": sent, "content_type": kind} if method == "POST" else {}


def told(answer):
    """What a refusal says, without what differs from call to call."""
    body = {**answer.body} if isinstance(answer.body, dict) else {"text": answer.content.decode()}
    for passing in ("instance", "request_id"):
        body.pop(passing, None)
    headers = {
        key: value
        for key, value in answer.headers.items()
        if key not in ("X-Request-ID", "RateLimit", "Content-Length")
    }
    return json.dumps(body, sort_keys=True), headers, answer.status_code

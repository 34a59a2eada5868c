"""What the parts of the soak do with a running site: make accounts, tell captains, fire requests.

Everything that needs the site's own Django runs in a process of its own, since the tests' Django
may be bound to another database.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

from tests.running import ROOT
from tests.soak.wishes import VEHICLE_TYPE

CITY = "bengaluru"
AT_ONCE = 100  # captains in one wave, the policy's most


@dataclass(frozen=True)
class Account:
    """Somebody signed in, as `manage.py seed` made him."""

    role: str
    phone: str
    user_id: str
    access: str
    vehicle_ids: list
    vehicle_type: str | None
    lat: float
    lng: float

    @property
    def point(self):
        return self.lat, self.lng


def accounts(site, *, customers=0, captains=0, vehicle_types=(VEHICLE_TYPE,), online=True):
    """Signed-in customers, and captains who are verified and free, with the types in turn."""
    asked = repr((customers, captains, tuple(vehicle_types)))
    done = site.manage("shell", "-c", f"from tests.soak.site import seed; seed(*{asked})")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    made = [Account(**json.loads(line)) for line in lines]
    if online:
        with site.database() as database:
            database.execute("UPDATE transporters_transporter SET is_online = true")
    by_role = {role: [one for one in made if one.role == role] for role in ("customer", "captain")}
    return by_role["customer"], by_role["captain"]


def seed(customers, captains, vehicle_types):
    """Inside the site's Django: make the accounts and tell them, a JSON line each."""
    from dispatch.simulation.accounts import Crowd, area_of, make
    from dispatch.simulation.people import block_of

    crowd = Crowd(block_of(1), area_of(CITY), customers, captains, vehicle_types)
    for some in make(crowd):
        for account in some:
            sys.stdout.write(json.dumps(account.line()) + "\n")


def tell(site, order_id):
    """Tell every captain there is of an order, through the real verb, in waves of 100."""
    script = f"from tests.soak.site import tell_all; tell_all({str(order_id)!r})"
    site.manage("shell", "-c", script)


def tell_all(order_id):
    """Inside the site's Django: waves of at most 100 until all were told."""
    from orders.models import Order
    from tests.people import tell_them
    from transporters.models import Transporter

    order = Order.objects.get(id=order_id)
    fleets = list(Transporter.objects.order_by("id").prefetch_related("vehicles"))
    for first in range(0, len(fleets), AT_ONCE):
        tell_them(order, fleets[first : first + AT_ONCE])


def offers(site, order_id):
    """The offers of an order: `{captain's user id: offer id}`."""
    with site.database() as database:
        rows = database.execute(
            "SELECT fleet.owner_id, offer.id FROM orders_offer offer"
            " JOIN transporters_transporter fleet ON fleet.id = offer.transporter_id"
            " WHERE offer.order_id = %s",
            [order_id],
        )
        return {str(owner): str(offer) for owner, offer in rows}


def request(site, method, path, account, body=None, key=""):
    """The bytes of a call, as text."""
    text = json.dumps(body or {})
    head = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{site.port}",
        f"Authorization: Bearer {account.access}",
        "Content-Type: application/json",
        f"Content-Length: {len(text)}",
    ]
    head += [f"Idempotency-Key: {key}"] if key else []
    return "\r\n".join([*head, "", text])


def fire(site, requests, *, within_s=0.0):
    """All requests from one process of their own; their answers in the same order."""
    asked = {"port": site.port, "path": "/livez", "requests": requests, "within_s": within_s}
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak.volley"],
        cwd=ROOT,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def broken(site):
    """The names of the invariants that the audit found broken."""
    found = json.loads(site.manage("audit", "--json", check=False).stdout)
    return [one["name"] for one in found["invariants"] if one["violations"]]

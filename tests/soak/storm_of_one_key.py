"""A phone gone wild: a thousand confirms of one customer with the same key within a second."""

import json
import uuid

from tests.running import running
from tests.soak.figures import exactly, percentile, tally, told
from tests.soak.site import accounts, broken, fire, request
from tests.soak.wishes import wish

SETTINGS = {
    "HTTP_WORKERS": "2",
    "ORDER_TTL": "600",
    "ACCESS_TTL": "3600",
    "LIMIT_CUSTOMER": "100000",
    "LIMIT_ORDERS": "100000",
}


def storm_of_one_key(say, confirms=1000):
    """One order, and every answer names it. Returns Figures."""
    with running(SETTINGS, services=("http",), durable=True) as site:
        (customer,), _ = accounts(site, customers=1)
        say(f"storm of one key: {confirms} confirms")
        answers = confirm_at_once(site, customer, [str(uuid.uuid4())] * confirms, within_s=1.0)
        done = f"one customer sends {confirms:,} confirms with one key within 1 s"
        seconds = [answer["seconds"] for answer in answers]
        statuses, named = tally([answer["status"] for answer in answers]), ids(answers)
        said = tally(["replayed" if is_replay(answer) else "made" for answer in answers])
        return [
            exactly("answers", done, f"{confirms:,} × 201", statuses),
            exactly("orders in the database", done, 1, len(orders(site, customer))),
            exactly("orders named in the answers", done, 1, len(named)),
            exactly("first and replays", done, f"1 × made, {confirms - 1} × replayed", said),
            exactly("invariants broken", done, 0, len(broken(site))),
            told(
                "answer time, p50 and the last",
                done,
                f"{percentile(seconds, 50):.2f} s, {max(seconds):.2f} s",
            ),
        ]


def confirm_at_once(site, customer, keys, within_s=0.0):
    """One confirm of the same wish for each key; the answers."""
    calls = [
        request(site, "POST", "/api/v1/orders", customer, wish(customer.point), key) for key in keys
    ]
    return fire(site, calls, within_s=within_s)


def is_replay(answer):
    return answer["headers"].get("Idempotency-Replayed") == "true"


def ids(answers):
    """The orders that the answers name."""
    return {json.loads(a["body"])["id"] for a in answers if a["status"] == 201}


def orders(site, customer):
    """The customer's orders in the database: `(id, status)`."""
    with site.database() as database:
        return database.execute(
            "SELECT id, status FROM orders_order WHERE customer_id = %s", [customer.user_id]
        ).fetchall()

"""One customer confirms two hundred times at one instant, each time as something new."""

import json
import uuid

from tests.running import running
from tests.soak.figures import exactly, tally
from tests.soak.site import accounts, broken
from tests.soak.storm_of_one_key import SETTINGS, confirm_at_once, orders

REFUSALS = {"ACTIVE_ORDER_EXISTS", "CONCURRENT_REQUEST"}


def storm_of_keys(say, confirms=200):
    """One order comes into being, the others are refused for it. Returns Figures."""
    with running(SETTINGS, services=("http",), durable=True) as site:
        (customer,), _ = accounts(site, customers=1)
        say(f"storm of keys: {confirms} confirms")
        keys = [str(uuid.uuid4()) for _ in range(confirms)]
        answers = confirm_at_once(site, customer, keys)
        done = f"one customer sends {confirms} confirms with as many keys at one instant"
        statuses = tally([answer["status"] for answer in answers])
        codes = {json.loads(a["body"])["code"] for a in answers if a["status"] == 409}
        return [
            exactly("answers", done, f"1 × 201, {confirms - 1} × 409", statuses),
            exactly("other reasons of the 409s", done, 0, len(codes - REFUSALS)),
            exactly("orders in the database", done, 1, len(orders(site, customer))),
            exactly("invariants broken", done, 0, len(broken(site))),
        ]

"""A thousand captains accept the same order at one instant, over HTTP, on two web processes."""

import uuid

from tests.running import running
from tests.soak.figures import at_most, exactly, percentile, tally, told
from tests.soak.site import accounts, broken, fire, offers, request, tell
from tests.soak.wishes import wish

SETTINGS = {"HTTP_WORKERS": "2", "ORDER_TTL": "600", "ACCESS_TTL": "3600"}
TRUCKS = (1, 5, 20)
P50_S, P99_S = 0.4, 2.0
SPREAD_S = 10.0


def storm_of_captains(say, captains=1000, trucks=TRUCKS):
    """Race for 1, 5 and 20 trucks of one order each. Returns Figures."""
    with running(SETTINGS, services=("http",), durable=True) as site:
        customers, fleet = accounts(site, customers=len(trucks) + 1, captains=captains)
        found = []
        for customer, number in zip(customers, trucks, strict=False):
            say(f"storm of captains: {captains} captains, {number} trucks")
            found += _race(site, customer, fleet, number)
            _free(site)
        found += _floors(site, fleet)
        say(f"storm of captains: {captains} captains, 1 truck, within {SPREAD_S:.0f} s")
        return [*found, _spread(site, customers[-1], fleet)]


def _race(site, customer, fleet, trucks):
    order_id, answers = race(site, customer, fleet, trucks)
    done = f"{len(fleet):,} captains accept at one instant, {trucks} of them can win"
    statuses = [answer["status"] for answer in answers]
    wanted = tally([200] * trucks + [409] * (len(fleet) - trucks))
    seconds = [answer["seconds"] for answer in answers]
    name = f"{trucks} truck{'s' * (trucks > 1)}"
    return [
        exactly(f"{name}: answers", done, wanted, tally(statuses)),
        exactly(f"{name}: trips in the database", done, trucks, trips(site, order_id)),
        exactly(f"{name}: invariants broken", done, 0, len(broken(site))),
        at_most(f"{name}: answer time, p50", done, P50_S, percentile(seconds, 50), "s"),
        at_most(f"{name}: answer time, p99", done, P99_S, percentile(seconds, 99), "s"),
    ]


def _floors(site, fleet):
    """What this machine takes for as many answers that decide nothing: the floor of the above."""
    return [_floor(site, fleet, "/livez"), _floor(site, fleet, "/api/v1/me")]


def _floor(site, fleet, path):
    answers = fire(site, [request(site, "GET", path, captain) for captain in fleet])
    seconds = [answer["seconds"] for answer in answers]
    return told(
        f"{path}: answers, answer time p50 and p99",
        f"{len(fleet):,} captains ask for {path} at one instant",
        f"{tally([answer['status'] for answer in answers])};"
        f" {percentile(seconds, 50):.2f} s, {percentile(seconds, 99):.2f} s",
    )


def _spread(site, customer, fleet):
    """The same as people would do it: each at a moment of his own."""
    _, answers = race(site, customer, fleet, 1, within_s=SPREAD_S)
    seconds = [answer["seconds"] for answer in answers]
    return told(
        "1 truck: answers, answer time p50 and p99",
        f"{len(fleet):,} captains accept within {SPREAD_S:.0f} s",
        f"{tally([answer['status'] for answer in answers])};"
        f" {percentile(seconds, 50):.2f} s, {percentile(seconds, 99):.2f} s",
    )


def race(site, customer, fleet, trucks, *, within_s=0.0, patient=False):
    """One order of so many trucks, of which all are told and which all accept within some seconds.

    Returns its id and the answers; who is `patient` asks again when told to (503), as phones do.
    """
    (made,) = fire(
        site,
        [
            request(
                site,
                "POST",
                "/api/v1/orders",
                customer,
                wish(customer.point, trucks),
                str(uuid.uuid4()),
            )
        ],
    )
    assert made["status"] == 201, made
    order_id = made["headers"]["Location"].rsplit("/", 1)[1]
    tell(site, order_id)
    offered = offers(site, order_id)
    assert len(offered) == len(fleet), f"{len(offered)} of {len(fleet)} captains were told"
    calls = [
        request(
            site,
            "POST",
            f"/api/v1/offers/{offered[captain.user_id]}/accept",
            captain,
            {"vehicle_ids": captain.vehicle_ids},
        )
        for captain in fleet
    ]
    answers = fire(site, calls, within_s=within_s)
    while patient and (again := [i for i, one in enumerate(answers) if one["status"] == 503]):
        assert all("Retry-After" in answers[i]["headers"] for i in again)
        for i, answer in zip(again, fire(site, [calls[i] for i in again]), strict=True):
            answers[i] = answer
    return order_id, answers


def trips(site, order_id):
    """How many trips an order has in the database."""
    with site.database() as database:
        rows = database.execute("SELECT count(*) FROM orders_trip WHERE order_id = %s", [order_id])
        return rows.fetchone()[0]


def _free(site):
    """The winners' vehicles are free again for the next race: the customers cancel."""
    script = (
        "from orders.change import SYSTEM; from orders.models import Order;"
        "from orders.verbs.cancel import cancel;"
        "[cancel(SYSTEM, order.id) for order in Order.objects.exclude(status='cancelled')]"
    )
    site.manage("shell", "-c", script)

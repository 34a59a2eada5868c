"""What was acknowledged, judged against PostgreSQL: every promise is there, or it is named."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

ENDED = {"completed", "cancelled", "expired", "failed"}


@dataclass
class Verdict:
    """Acknowledged writes by kind, those that PostgreSQL does not know, and what else came."""

    acknowledged: Counter = field(default_factory=Counter)
    lost: list = field(default_factory=list)
    unknown: int = 0
    refused: Counter = field(default_factory=Counter)
    faults: Counter = field(default_factory=Counter)  # 5xx that are not 503

    @property
    def number(self):
        """Of all acknowledged writes."""
        return self.acknowledged.total()


def read(paths):
    """The entries of the books of all client processes, each book in its order."""
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def judge(database, entries):
    """A Verdict on the entries; a write that was sent and acknowledged twice counts once."""
    verdict, stored = Verdict(), Stored(database)
    promises = {}
    for entry in entries:
        if entry["result"] == "ok":
            for promise in promises_of(entry):
                promises[promise] = entry["what"]
        elif entry["result"] == "unknown":
            verdict.unknown += 1
            if entry["status"] not in (0, 503):
                verdict.faults[entry["what"], entry["status"]] += 1
        else:
            verdict.refused[entry["what"], str(entry["code"])] += 1
    for promise, what in promises.items():
        verdict.acknowledged[what] += 1
        if not stored.keeps(promise):
            verdict.lost.append((what, promise))
    for captain, wanted in switched(entries).items():
        kept = common_start(wanted, stored.switches[captain])
        verdict.acknowledged["availability"] += len(wanted)
        verdict.lost += [("availability", captain, place) for place in range(kept, len(wanted))]
    return verdict


def switched(entries):
    """What each captain was told that his switch is, in order."""
    switches = defaultdict(list)
    for entry in entries:
        if entry["what"] == "availability" and entry["result"] == "ok":
            switches[entry["who"]].append(entry["said"]["online"])
    return switches


def common_start(one, other):
    """How many items two lists share from the start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def promises_of(entry):
    """What an acknowledgement promised, as tuples that `Stored` has when it was kept."""
    what, said = entry["what"], entry["said"]
    if what == "confirm":
        return [("order", entry["who"], entry["key"], said["order"])]
    if what == "accept":
        return [("trip", trip, vehicle) for trip, vehicle in said["trips"].items()]
    if what == "decline" and said["state"] == "declined":
        return [("declined", said["offer"])]
    if what in ("step", "give back"):
        return [("step", said["trip"], said["status"])]
    if what == "cancel":
        ended = {truck: status for truck, status in said["trucks"].items() if status in ENDED}
        return [("cancel", said["order"], tuple(sorted(ended.items())))]
    if what == "rate":
        return [("stars", said["trip"], said["stars"])]
    return []


class Stored:
    """What PostgreSQL holds, as promises; and each captain's switches in their order."""

    QUERIES = {
        "order": "SELECT customer_id, idempotency_key, id FROM orders_order",
        "trip": "SELECT id, vehicle_id FROM orders_trip",
        "declined": "SELECT subject_id FROM orders_fact"
        " WHERE subject = 'offer' AND to_status = 'declined'",
        "step": "SELECT subject_id, to_status FROM orders_fact WHERE subject = 'trip'",
        "stars": "SELECT trip_id, stars FROM orders_rating",
    }

    def __init__(self, database):
        self.promises = {
            (kind, *(one if isinstance(one, int | str) else str(one) for one in row))
            for kind, query in self.QUERIES.items()
            for row in database.execute(query)
        }
        trucks = database.execute("SELECT id, status FROM orders_truckrequest")
        self.trucks = {str(truck): status for truck, status in trucks}
        self.switches = defaultdict(list)
        for user, online in database.execute(
            "SELECT stream.user_id, (event.data ->> 'online')::boolean FROM events_event event"
            " JOIN events_stream stream ON stream.id = event.stream_id"
            " WHERE event.name = 'availability_changed' ORDER BY stream.id, event.seq"
        ):
            self.switches[str(user)].append(online)

    def keeps(self, promise):
        """Whether a promise was kept. A truck that has ended stays as it was told to be."""
        if promise[0] == "cancel":
            return all(self.trucks.get(truck) == status for truck, status in promise[2])
        return promise in self.promises

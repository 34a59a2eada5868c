"""Where the supply is: the only code that knows the presence keys, and its PostgreSQL twin.

It answers who is near; whether they are busy is for others to know.
"""

from transporters.presence.buffer import refill, start_write_back, write_back
from transporters.presence.gone import admit, forget, unlist
from transporters.presence.nearby import counts, last_seen, nearest, nearest_of_each
from transporters.presence.reports import Report, follow, report
from transporters.presence.seen import Ask, Count, Fix, Member, Nearby, Seen
from transporters.presence.twin import supply

__all__ = [
    "Ask",
    "Count",
    "Fix",
    "Member",
    "Nearby",
    "Report",
    "Seen",
    "admit",
    "counts",
    "follow",
    "forget",
    "last_seen",
    "nearest",
    "nearest_of_each",
    "refill",
    "report",
    "start_write_back",
    "supply",
    "unlist",
    "write_back",
]

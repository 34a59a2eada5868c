"""What the simulated people of one process share."""

from dataclasses import dataclass

import httpx

from dispatch.simulation.api import Phone
from dispatch.simulation.codes import Codes
from dispatch.simulation.feed import Feed, Hear
from dispatch.simulation.people import Account
from dispatch.simulation.report import Tally


@dataclass(frozen=True)
class World:
    """The line to the server, the address of its sockets, what people tell each other, counts."""

    line: httpx.AsyncClient
    sockets: str
    codes: Codes
    tally: Tally

    def phone(self, account: Account) -> Phone:
        """Somebody's phone."""
        return Phone(account, self.line, self.tally)

    def feed(self, phone: Phone, role: str, hear: Hear) -> Feed:
        """The socket of a phone."""
        return Feed(phone, self.sockets, role, hear, self.tally)

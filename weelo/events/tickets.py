"""Tickets let a browser, which cannot send an Authorization header, open one socket.

A ticket lives in Redis for 30 s and is taken out by the first who shows it. Without Redis nothing
could keep it from being used twice, so none is given (503 TRY_AGAIN) and none can be judged; apps
that send `Authorization: Bearer` are not concerned.
"""

import hashlib
import secrets
from typing import Any

from django.conf import settings

from weelo.lib.problems import TryAgain
from weelo.lib.redis import RedisAway, guarded

TTL_SECONDS = 30
# Whose tickets there are: of a phone's session, of a dispatcher's.
SESSION, STAFF = "session:", "staff:"


def offer(kind: str, bearer: object) -> dict[str, Any]:
    """The answer that carries a new ticket, of a phone or of a dispatcher. Raises TryAgain."""
    return {
        "ticket": issue(f"{kind}{bearer}"),
        "socket_url": settings.SOCKET_URL,
        "expires_in": TTL_SECONDS,
    }


def issue(bearer: str) -> str:
    """A new ticket for this bearer, such as `session:<id>`. Raises TryAgain (503) while Redis is
    away."""
    ticket = secrets.token_urlsafe(24)
    try:
        with guarded() as redis:
            redis.set(_key(ticket), bearer, ex=TTL_SECONDS)
    except RedisAway as fault:
        raise TryAgain(
            "No tickets for the moment. Ask again in a second, or open the socket with your access "
            "token in the Authorization header."
        ) from fault
    return ticket


def redeem(ticket: str) -> str | None:
    """The bearer of a ticket, once; None when it is unknown, used or older than 30 s.

    Raises TryAgain (503) while Redis is away.
    """
    try:
        with guarded() as redis:
            found = redis.getdel(_key(ticket))
    except RedisAway as fault:
        raise TryAgain(
            "Tickets cannot be read for the moment. Connect again in a second."
        ) from fault
    return found.decode() if isinstance(found, bytes) else None


def _key(ticket: str) -> str:
    # Hashed, so that whoever can read Redis cannot open sockets.
    return "ticket:" + hashlib.sha256(ticket.encode()).hexdigest()

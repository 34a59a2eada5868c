"""Who may open a socket: origin, access token or ticket, session, role."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from weelo.accounts import sessions, tokens
from weelo.accounts.models import Session
from weelo.events import tickets
from weelo.events.socket import Code
from weelo.lib.problems import TryAgain

SUBPROTOCOL = "weelo.v1"
_TICKET = "ticket."


class Closed(Exception):
    """The socket is to be closed with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def subprotocol(scope: dict[str, Any]) -> str | None:
    """The subprotocol to answer with: ours when it was offered, never the ticket."""
    return SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None


def headers_of(scope: dict[str, Any]) -> dict[bytes, bytes]:
    """The handshake's headers by lower-case name. Raises Closed 4403 for a foreign Origin."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1") not in settings.ALLOWED_ORIGINS:
        raise Closed(Code.NOT_ALLOWED)
    return headers


def admit(scope: dict[str, Any]) -> Session:
    """The live session of who knocks, with its user. Raises Closed: 4401, 4403, 1013."""
    named = _session_of(scope, headers_of(scope))
    if named is None:
        raise Closed(Code.NOT_SIGNED_IN)
    session_id, until = named
    found = sessions.find(session_id)
    if found is None:
        raise Closed(Code.NOT_SIGNED_IN)
    session, now = found
    if not session.user.is_active:
        raise Closed(Code.NOT_ALLOWED)
    if not session.is_live(now) or now >= until:
        raise Closed(Code.NOT_SIGNED_IN)
    return session


def bearer_of(scope: dict[str, Any], kind: str) -> str | None:
    """What the handshake's ticket stands for, without its kind; None without such a ticket.

    Raises Closed 1013 while Redis is away.
    """
    for offered in scope.get("subprotocols", ()):
        if offered.startswith(_TICKET):
            try:
                bearer = tickets.redeem(offered.removeprefix(_TICKET))
            except TryAgain as fault:
                raise Closed(Code.OVERLOAD) from fault
            if bearer is not None and bearer.startswith(kind):
                return bearer.removeprefix(kind)
            return None
    return None


def _session_of(scope: dict[str, Any], headers: dict[bytes, bytes]) -> tuple[UUID, datetime] | None:
    """The session that the handshake names, by its token or else by its ticket, and until when
    on the database's clock. (A ticket that can be redeemed holds.)"""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme:
        return tokens.session_of_access(token.strip()) if scheme.lower() == "bearer" else None
    bearer = bearer_of(scope, tickets.SESSION)
    return (UUID(bearer), datetime.max.replace(tzinfo=UTC)) if bearer else None

"""Access and refresh tokens: signed, not stored; what they open is decided by the session row."""

from uuid import UUID

from django.conf import settings
from django.core import signing

from weelo.accounts.models import Session

_ACCESS = "weelo.access"
_REFRESH = "weelo.refresh"


def access(session: Session) -> str:
    """A token that names the session for `settings.ACCESS_TTL`."""
    return signing.TimestampSigner(salt=_ACCESS).sign(session.pk.hex)


def refresh(session: Session) -> str:
    """A token for the next refresh: it names the session and its present generation."""
    return signing.Signer(salt=_REFRESH).sign(f"{session.pk.hex}.{session.generation}")


def session_of_access(token: str) -> UUID | None:
    """The session that an access token names, or None when it is altered or too old."""
    try:
        value = signing.TimestampSigner(salt=_ACCESS).unsign(token, max_age=settings.ACCESS_TTL)
    except signing.BadSignature:
        return None
    return UUID(hex=value)


def session_of_refresh(token: str) -> tuple[UUID, int] | None:
    """The session and generation that a refresh token names, or None when it is altered."""
    try:
        session, generation = signing.Signer(salt=_REFRESH).unsign(token).split(".")
    except signing.BadSignature:
        return None
    return UUID(hex=session), int(generation)

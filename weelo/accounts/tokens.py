"""Access and refresh tokens: signed, not stored; what they open is decided by the session row."""

from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from django.core import signing

from weelo.accounts.models import Session
from weelo.lib import clock

_ACCESS = "weelo.access"
_REFRESH = "weelo.refresh"


class _Stamped(signing.TimestampSigner):
    """Stamps with the database's time: another process reads it, whose clock may differ."""

    def timestamp(self) -> str:
        return signing.b62_encode(int(clock.now().timestamp()))


def access(session: Session) -> str:
    """A token that names the session for `settings.ACCESS_TTL`."""
    return _Stamped(salt=_ACCESS).sign(session.pk.hex)


def refresh(session: Session) -> str:
    """A token for the next refresh: it names the session and its present generation."""
    return signing.Signer(salt=_REFRESH).sign(f"{session.pk.hex}.{session.generation}")


def session_of_access(token: str) -> tuple[UUID, datetime] | None:
    """The session that an access token names and the time on the database's clock until which it
    does, or None when the token is altered."""
    try:
        session, stamp = signing.Signer(salt=_ACCESS).unsign(token).split(":")
    except signing.BadSignature:
        return None
    signed_at = datetime.fromtimestamp(signing.b62_decode(stamp), UTC)
    return UUID(hex=session), signed_at + settings.ACCESS_TTL


def session_of_refresh(token: str) -> tuple[UUID, int] | None:
    """The session and generation that a refresh token names, or None when it is altered."""
    try:
        session, generation = signing.Signer(salt=_REFRESH).unsign(token).split(".")
    except signing.BadSignature:
        return None
    return UUID(hex=session), int(generation)

"""Sessions: opened by a code or by Firebase, one per device; refreshed, ended, blocked."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from weelo.accounts import otp, tokens
from weelo.accounts.models import Device, Session, User
from weelo.lib import clock
from weelo.lib.clock import database_now
from weelo.lib.compiled import compiled
from weelo.lib.hints import hint
from weelo.lib.problems import NotFound, Refusal
from weelo.lib.retries import verb
from weelo.lib.turns import take_turn

log = structlog.get_logger(__name__)


class NotSignedIn(Refusal):
    """No session: the token is missing, altered, too old, or its session has ended.

    Refresh the access token; when that is refused too, sign in again.
    """

    code = "NOT_SIGNED_IN"
    status = 401
    title = "Not signed in"

    def __init__(self, detail: str = "Sign in, and send the access token you get.") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Blocked(Refusal):
    """The account was blocked by staff.

    Write to us; nothing that the app does can change it.
    """

    code = "BLOCKED"
    status = 403
    title = "Account blocked"


@dataclass(frozen=True)
class SignedIn:
    """A session with fresh tokens for its device."""

    session: Session
    access: str
    expires_in: timedelta
    refresh: str

    @classmethod
    def of(cls, session: Session) -> "SignedIn":
        access, refresh = tokens.access(session), tokens.refresh(session)
        return cls(session, access, settings.ACCESS_TTL, refresh)


@compiled
def _named(session_id: UUID) -> QuerySet[Session]:
    # The transporter by its name only: accounts knows nothing of the floors above.
    sessions = Session.objects.select_related("user__transporter")
    return sessions.filter(pk=session_id).annotate(now=Now())


def find(session_id: UUID) -> tuple[Session, datetime] | None:
    """A session, ended or not, and the database's time now; None when there is none.

    One query, which also brings `session.user` and, if there is one, `session.user.transporter`.
    """
    for session in _named(session_id):
        return session, clock.heard(session.now)  # type: ignore[attr-defined]
    return None


def sign_in_by_code(phone: str, code: str, device_name: str = "") -> SignedIn:
    """Open a session for the owner of `phone` (E.164), whose account is made at the first time.

    Raises OtpWrong, OtpExpired, Blocked.
    """
    verdict, session = _judge_and_open(phone, code, device_name)
    # Refused out here: raised inside, it would roll back the count of the guess.
    if not verdict.right:
        log.info("sign-in refused", phone=phone, tries_left=verdict.tries_left)
        raise verdict.refusal()
    return _welcome(session)


def sign_in_by_phone(phone: str, device_name: str = "") -> SignedIn:
    """Open a session for a phone (E.164) that somebody we trust has verified. Raises Blocked."""
    return _welcome(_open(phone, device_name))


def refresh(token: str) -> SignedIn:
    """Fresh tokens for the token of the last refresh, which counts once.

    An older one means that two hold the family: the session ends for both. Raises NotSignedIn.
    """
    named = tokens.session_of_refresh(token)
    if named is None:
        raise NotSignedIn("That is not a refresh token of ours. Sign in again.")
    session = _rotate(*named)
    if session is None:
        raise NotSignedIn("The session has ended. Sign in again.")
    return SignedIn.of(session)


@verb
def end(user: User, session_id: UUID, reason: str = "signed out") -> None:
    """End one session of the user, also one that has ended already. Raises NotFound."""
    own = user.sessions.filter(pk=session_id)
    if not own.exists():
        raise NotFound("There is no session of yours with this id.")
    _revoke(own, reason)


@verb
def block(user: User, by: User) -> None:
    """Shut the user out at once: sessions and devices go, and no new session opens."""
    User.objects.filter(pk=user.pk).update(is_active=False)
    ended = _revoke(user.sessions.all(), "blocked")
    log.warning("user blocked", user_id=user.pk, by=by.pk, sessions_ended=ended)


@verb
def unblock(user: User, by: User) -> None:
    """Let the user sign in again."""
    User.objects.filter(pk=user.pk).update(is_active=True)
    log.info("user unblocked", user_id=user.pk, by=by.pk)


@verb
def bind_device(session: Session, push_token: str, platform: str) -> None:
    """Send the session's pushes to this token, which then belongs to no other session."""
    take_turn(f"push:{push_token}")
    Device.objects.filter(push_token=push_token).exclude(session=session).delete()
    values = {"push_token": push_token, "platform": platform, "updated_at": Now()}
    Device.objects.update_or_create(session=session, defaults=values)


@verb
def drop_device(session: Session) -> None:
    """Send the session no more pushes."""
    Device.objects.filter(session=session).delete()


@verb
def _judge_and_open(phone: str, code: str, device_name: str) -> tuple[otp.Verdict, Session | None]:
    verdict = otp.judge(phone, code)
    return verdict, _new(phone, device_name) if verdict.right else None


@verb
def _open(phone: str, device_name: str) -> Session | None:
    return _new(phone, device_name)


def _new(phone: str, device_name: str) -> Session | None:
    """A session in the caller's transaction; None when the account is blocked."""
    user = User.objects.of_phone(phone)
    # Locked, so that a block that happens now sees this session, or this one sees the block.
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not user.is_active:
        return None
    expires_at = database_now() + settings.REFRESH_TTL
    return Session.objects.create(user=user, device_name=device_name, expires_at=expires_at)


def _welcome(session: Session | None) -> SignedIn:
    if session is None:
        raise Blocked("This account is blocked. Write to support.")
    log.info("signed in", user_id=session.user_id, session_id=session.pk)
    return SignedIn.of(session)


@verb
def _rotate(session_id: UUID, generation: int) -> Session | None:
    session = (
        Session.objects.select_for_update(no_key=True, of=("self",))
        .select_related("user")
        .filter(pk=session_id)
        .first()
    )
    now = database_now()
    if session is None or not session.is_live(now) or not session.user.is_active:
        return None
    if generation != session.generation:
        _revoke(Session.objects.filter(pk=session_id), "refresh token used twice")
        log.warning("refresh token used twice", session_id=session_id, user_id=session.user_id)
        return None
    session.generation += 1
    session.expires_at, session.last_seen_at = now + settings.REFRESH_TTL, now
    session.save(update_fields=["generation", "expires_at", "last_seen_at"])
    return session


def _revoke(sessions: QuerySet[Session], reason: str) -> int:
    """End those that still live; how many."""
    Device.objects.filter(session__in=sessions).delete()
    live = sessions.filter(revoked_at__isnull=True)
    ended = live.update(revoked_at=Now(), revoke_reason=reason)
    hint("hint:sessions", "ended")  # their sockets close at once; without it within 15 s
    return ended

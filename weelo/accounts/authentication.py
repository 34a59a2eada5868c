"""Who is calling: from a Bearer token to the session and its user, in one query."""

import structlog
from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from weelo.accounts import sessions, tokens
from weelo.accounts.models import Session, User
from weelo.accounts.sessions import NotSignedIn
from weelo.lib import limits


class BearerAuthentication(BaseAuthentication):
    """DRF's `request.user` is the User, `request.auth` the Session.

    A call with a valid token is counted against the general limit of its user right here, before
    permissions are looked at and the body is parsed, so that no refusal is free of it.
    """

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        """None without a token. Raises NotSignedIn (401) and RateLimited (429)."""
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if not scheme:
            return None
        session = authenticate_token(token) if scheme.lower() == "bearer" else None
        if session is None:
            raise NotSignedIn("The access token does not hold any more. Refresh it or sign in.")
        structlog.contextvars.bind_contextvars(user_id=str(session.user_id))
        limits.charge(request._request, general_limit(session.user), session.user_id.hex)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def user_of(request: Request) -> User:
    """Who called a view that lets only signed-in people in."""
    assert isinstance(request.user, User)
    return request.user


def session_of(request: Request) -> Session:
    """The session of the call's token, in a view that lets only signed-in people in."""
    assert isinstance(request.auth, Session)
    return request.auth


def authenticate_token(token: str) -> Session | None:
    """The live session of an access token, or None: altered, too old, ended, or user blocked.

    One query, as `sessions.find`.
    """
    named = tokens.session_of_access(token)
    if named is None:
        return None
    session_id, until = named
    found = sessions.find(session_id)
    if found is None:
        return None
    session, now = found
    opens = session.user.is_active and session.is_live(now) and now < until
    return session if opens else None


def general_limit(user: User) -> limits.Limit:
    """How many calls a user may make in any 60 s."""
    if hasattr(user, "transporter"):
        return limits.Limit("captain", settings.LIMIT_CAPTAIN)
    return limits.Limit("customer", settings.LIMIT_CUSTOMER)

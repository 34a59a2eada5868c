"""The other door: a Firebase phone sign-in, proven by its ID token.

firebase-admin is imported at the first use, because it takes long and most processes never need
it. It only fetches Google's public keys (kept as long as their headers allow), so it works
without a service account.
"""

import functools
import os
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings

from weelo.accounts import phones
from weelo.lib.breaker import Breaker
from weelo.lib.problems import Refusal, TryAgain

if TYPE_CHECKING:
    import firebase_admin

log = structlog.get_logger(__name__)
TIMEOUT_S = 3  # firebase-admin itself would wait for 120
CLOCK_SKEW_S = 10  # a token that Google's clock has just made may lie in our future

breaker = Breaker("firebase", failures=5, window_s=30, open_s=60)


class FirebaseOff(Refusal):
    """This installation has no Firebase project.

    Sign in with a code by SMS.
    """

    code = "FIREBASE_OFF"
    status = 404
    title = "No Firebase here"

    def __init__(self) -> None:
        super().__init__("Firebase sign-in is not set up here. Sign in with a code by SMS.")


class IdTokenWrong(Refusal):
    """The ID token is altered, too old, of another project, or of a sign-in without a phone.

    Let Firebase sign the phone in again and send the fresh ID token.
    """

    code = "ID_TOKEN_WRONG"
    status = 401
    title = "Wrong ID token"


def verified_phone(id_token: str) -> str:
    """The phone (E.164) that Firebase verified for the holder of the token.

    Raises FirebaseOff, IdTokenWrong, and TryAgain when Google's keys cannot be had.
    """
    if not settings.FIREBASE_PROJECT:
        raise FirebaseOff()
    if not breaker.allows():
        raise TryAgain("Firebase does not answer. Try again, or sign in with a code by SMS.")
    phone = _claims(id_token).get("phone_number", "")
    try:
        return phones.e164(str(phone))
    except phones.BadPhone as fault:
        raise IdTokenWrong(f"The phone of this Firebase account: {fault}") from fault


def _claims(id_token: str) -> dict[str, Any]:
    from firebase_admin import auth  # noqa: PLC0415

    try:
        claims: dict[str, Any] = auth.verify_id_token(
            id_token, app=_app(), clock_skew_seconds=CLOCK_SKEW_S
        )
    except auth.CertificateFetchError as fault:
        breaker.failed()
        log.warning("firebase keys not fetched", reason=str(fault)[:200])
        raise TryAgain("Firebase does not answer. Try again in a moment.") from fault
    except (auth.InvalidIdTokenError, ValueError) as fault:
        breaker.succeeded()
        raise IdTokenWrong("Firebase's token does not hold. Sign in there again.") from fault
    breaker.succeeded()
    return claims


@functools.cache
def _app() -> "firebase_admin.App":
    import firebase_admin  # noqa: PLC0415
    from firebase_admin import credentials  # noqa: PLC0415
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415

    if "FIREBASE_AUTH_EMULATOR_HOST" in os.environ:
        # With it firebase-admin takes unsigned tokens, that is, anybody for anybody.
        raise RuntimeError("FIREBASE_AUTH_EMULATOR_HOST is set. Unset it and start again.")

    class NoAccount(credentials.Base):  # type: ignore[misc]
        def get_credential(self) -> AnonymousCredentials:
            return AnonymousCredentials()  # type: ignore[no-untyped-call]

    options = {"projectId": settings.FIREBASE_PROJECT, "httpTimeout": TIMEOUT_S}
    return firebase_admin.initialize_app(NoAccount(), options, name="sign-in")

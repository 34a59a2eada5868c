"""How a push leaves: through FCM's HTTP v1 API, or, without credentials, into the log.

firebase-admin is imported at the first use, because it takes long and only the loop needs it.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings

from weelo.events.models import PushOutcome
from weelo.lib import clock, service_account
from weelo.lib.breaker import Breaker
from weelo.lib.retries import retry_after

log = structlog.get_logger(__name__)

TIMEOUT_S = 5.0  # firebase-admin itself would wait for 120
MOST_AT_ONCE = 50

breaker = Breaker("fcm", failures=5, window_s=30, open_s=60)


@dataclass(frozen=True, slots=True)
class Letter:
    """One push to one device: `data` as the phone gets it, `ttl` until it is worth nothing."""

    id: int
    device_id: UUID
    token: str
    order_id: UUID | None
    tries: int
    ttl: timedelta
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a try went: an outcome, or None for not now, to be tried again after `wait` at the
    earliest."""

    outcome: PushOutcome | None
    reason: str = ""
    wait: timedelta = timedelta()


def is_ready() -> bool:
    """Whether it is worth trying: not while FCM's breaker is open."""
    return not settings.FCM_CREDENTIALS or not breaker.is_open


def get_ready() -> int:
    """Load the client and read the credentials, so that the first push waits for neither.

    Raises ValueError for credentials that are none.
    """
    if settings.FCM_CREDENTIALS:
        _app()
    return 0


def send(letters: Sequence[Letter]) -> list[Answer]:
    """Send at most 50 at once, each with an answer at its place. Raises nothing."""
    if not settings.FCM_CREDENTIALS:
        return [_to_log(letter) for letter in letters]
    if not breaker.allows():
        return [Answer(None, "the breaker is open") for _ in letters]
    answers = _to_fcm(letters)
    if any(answer.outcome is not None for answer in answers):
        breaker.succeeded()
    else:
        for _ in answers:
            breaker.failed()
    return answers


def _to_log(letter: Letter) -> Answer:
    log.info("push (no FCM credentials)", device=letter.device_id, **letter.data)
    return Answer(PushOutcome.SENT)


def _to_fcm(letters: Sequence[Letter]) -> list[Answer]:
    from firebase_admin import exceptions, messaging  # noqa: PLC0415

    try:
        batch = messaging.send_each([_message(letter) for letter in letters], app=_app())
    except (exceptions.FirebaseError, ValueError, OSError) as fault:
        log.error("pushes not sent", letters=len(letters), reason=_shortly(fault))
        return [Answer(None, _shortly(fault)) for _ in letters]
    return [_answer(one.exception) for one in batch.responses]


def _message(letter: Letter) -> Any:
    """Data only: the app decides what to show once it has fetched what is true by then."""
    from firebase_admin import messaging  # noqa: PLC0415

    collapse = str(letter.order_id or letter.data["type"])
    until = int((clock.now() + letter.ttl).timestamp())
    message = messaging.Message(
        data={name: str(value) for name, value in letter.data.items()},
        android=messaging.AndroidConfig(priority="high", ttl=letter.ttl, collapse_key=collapse),
        apns=messaging.APNSConfig(
            headers={
                "apns-push-type": "background",
                "apns-priority": "5",  # the highest that Apple takes for content-available
                "apns-expiration": str(until),
                "apns-collapse-id": collapse,
            },
            payload=messaging.APNSPayload(aps=messaging.Aps(content_available=True)),
        ),
    )
    # Not as an argument: firebase-admin wants installation ids there, and phones still send tokens.
    message.token = letter.token
    return message


def _answer(fault: Any) -> Answer:
    from firebase_admin import exceptions, messaging  # noqa: PLC0415

    if fault is None:
        return Answer(PushOutcome.SENT)
    if isinstance(fault, messaging.UnregisteredError | messaging.SenderIdMismatchError):
        return Answer(PushOutcome.DEAD, _shortly(fault))
    if isinstance(fault, exceptions.InvalidArgumentError):
        return Answer(PushOutcome.REFUSED, _shortly(fault))
    answered = fault.http_response
    header = answered.headers.get("Retry-After", "") if answered is not None else ""
    return Answer(None, _shortly(fault), wait=retry_after(header))


def _shortly(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}"[:200]


@functools.cache
def _app() -> Any:
    import firebase_admin  # noqa: PLC0415
    from firebase_admin import credentials, messaging  # noqa: PLC0415
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    account = credentials.Certificate(service_account.load(settings.FCM_CREDENTIALS))
    app = firebase_admin.initialize_app(account, {"httpTimeout": TIMEOUT_S}, name="push")
    # firebase-admin has no words for these two: where FCM is, and that it must not repeat by
    # itself, which would hold the batch for as long as a Retry-After says.
    service = messaging._get_messaging_service(app)
    service._fcm_url = f"{settings.FCM_URL}/v1/projects/{app.project_id}/messages:send"
    adapter = HTTPAdapter(pool_maxsize=MOST_AT_ONCE, max_retries=0)
    for place in ("https://fcm.googleapis.com", settings.FCM_URL):
        service._client.session.mount(place, adapter)
    return app

"""Text messages: rows written with what they tell about, sent later by the dispatch loop.

A message is sent at least once: a crash between the gateway's yes and our note of it repeats it.
"""

from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Now, Replace

from weelo.accounts import sms_backends
from weelo.accounts.models import SmsMessage
from weelo.accounts.sms_backends import NotNow, Undeliverable
from weelo.lib.hints import hint
from weelo.lib.retries import full_jitter, verb

log = structlog.get_logger(__name__)
TRIES = 3
BATCH = 50

# Longer than any backend takes, so that no second loop sends what the first one is sending.
_LEASE = timedelta(seconds=30)
_BACKOFF = timedelta(seconds=2)
_HIDDEN = "••••"


def queue(to: str, template: str, text: str, *, code: str = "", ttl: timedelta) -> SmsMessage:
    """Write a message to `to` (E.164) in the caller's transaction, and wake the loop.

    `template` names what it is (`otp`, `drop_code`) and with it the gateway's template; `code`
    is the secret in `text`, wiped from both once sent. Not sent any more after `ttl`.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A message stands or falls with what it tells about; queue it inside.")
    message = SmsMessage.objects.create(
        to=to, template=template, text=text, code=code, expires_at=Now() + ttl
    )
    hint("hint:loop", "sms")
    return message


def send_due() -> int:
    """Send the messages that are due, at most 50, one after the other; how many left.

    Several loops may do this at once. Each send happens outside of any transaction.
    """
    _give_up_expired()
    sent = 0
    for _ in range(BATCH):
        message = _lease() if sms_backends.is_ready() else None
        if message is None:
            break
        sent += _send(message)
    return sent


@verb
def _lease() -> SmsMessage | None:
    message = (
        SmsMessage.objects.select_for_update(skip_locked=True, no_key=True)
        .filter(
            sent_at=None,
            failed_at=None,
            next_try_at__lte=Now(),
            expires_at__gt=Now(),
        )
        .order_by("next_try_at")
        .first()
    )
    if message is not None:
        message.tries += 1
        SmsMessage.objects.filter(pk=message.pk).update(
            tries=message.tries, next_try_at=Now() + _LEASE
        )
    return message


def _send(message: SmsMessage) -> bool:
    row = SmsMessage.objects.filter(pk=message.pk)
    try:
        sms_backends.send(message)
    except Undeliverable as fault:
        _give_up(row, str(fault))
        log.warning("sms refused by the gateway", sms=message.pk, reason=str(fault))
        return False
    except NotNow as fault:
        _put_back(row, message, fault)
        return False
    _wipe(row, sent_at=Now())
    log.info("sms sent", sms=message.pk, template=message.template, to=message.to)
    return True


def _put_back(row: QuerySet[SmsMessage], message: SmsMessage, fault: NotNow) -> None:
    if fault.tried and message.tries >= TRIES:
        _give_up(row, str(fault))
        log.warning("sms given up", sms=message.pk, tries=message.tries, reason=str(fault))
        return
    row.update(
        next_try_at=Now() + max(full_jitter(_BACKOFF, message.tries), fault.wait),
        tries=message.tries if fault.tried else message.tries - 1,
        error=str(fault)[:200],
    )
    log.info("sms put back", sms=message.pk, tries=message.tries, reason=str(fault))


def _give_up_expired() -> None:
    late = SmsMessage.objects.filter(sent_at=None, failed_at=None, expires_at__lte=Now())
    given_up = _give_up(late, "expired")
    if given_up:
        log.warning("sms expired unsent", messages=given_up)


def _give_up(rows: QuerySet[SmsMessage], error: str) -> int:
    return _wipe(rows, failed_at=Now(), error=error[:200])


def _wipe(rows: QuerySet[SmsMessage], **changes: object) -> int:
    """Note how it ended and take the secret out of the row."""
    # One statement, since a text without its code must never be sent. PostgreSQL replaces
    # nothing where there is no code.
    text = Replace("text", F("code"), Value(_HIDDEN))  # type: ignore[arg-type]
    return rows.update(text=text, code="", **changes)

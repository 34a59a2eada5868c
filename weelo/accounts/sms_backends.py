"""How an SMS leaves: to the console, to a file, or through an HTTP gateway."""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx
from django.conf import settings

from weelo.accounts.models import SmsMessage
from weelo.lib.breaker import Breaker
from weelo.lib.retries import retry_after
from weelo.lib.wire import encode, rfc3339

TIMEOUT_S = 5.0

breaker = Breaker("sms", failures=5, window_s=30, open_s=60)


class Undeliverable(Exception):
    """The gateway says that it will never take this message."""


class NotNow(Exception):
    """Not sent, may be tried again after `wait`; `tried` tells whether the gateway was asked."""

    def __init__(self, reason: str, *, wait: timedelta = timedelta(), tried: bool = True) -> None:
        super().__init__(reason)
        self.wait, self.tried = wait, tried


def is_ready() -> bool:
    """Whether it is worth trying: not while the gateway's breaker is open."""
    return settings.SMS_BACKEND != "http" or not breaker.is_open


def send(message: SmsMessage) -> None:
    """Send by `settings.SMS_BACKEND`. Raises Undeliverable or NotNow."""
    BACKENDS[settings.SMS_BACKEND](message)


def to_console(message: SmsMessage) -> None:
    """For development: a line on standard output."""
    sys.stdout.write(_line(message))
    sys.stdout.flush()


def to_file(message: SmsMessage) -> None:
    """For the demo and tests: append `{"at", "to", "text", "code"}` to sms.jsonl in DATA.

    One write in append mode, so that readers and other loops never see half a line.
    """
    path = settings.DATA / "sms.jsonl"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "wb", buffering=0) as file:
            file.write(_line(message).encode())
    except OSError as fault:
        raise NotNow(f"{path}: {fault.strerror}") from fault


def to_gateway(message: SmsMessage) -> None:
    """POST `settings.SMS_HTTP_BODY`, filled in, to the gateway; a breaker spares it when down."""
    if not breaker.allows():
        raise NotNow("the breaker is open", wait=timedelta(seconds=10), tried=False)
    try:
        answer = httpx.post(
            settings.SMS_HTTP_URL,
            json=_filled(json.loads(settings.SMS_HTTP_BODY), _fields(message)),
            headers={"Authorization": f"Bearer {settings.SMS_HTTP_TOKEN}"},
            timeout=TIMEOUT_S,
        )
    except httpx.HTTPError as fault:
        breaker.failed()
        raise NotNow(type(fault).__name__) from fault
    _judge(answer)


BACKENDS: dict[str, Callable[[SmsMessage], None]] = {
    "console": to_console,
    "file": to_file,
    "http": to_gateway,
}


def _line(message: SmsMessage) -> str:
    at = rfc3339(datetime.now(UTC))
    line = {"at": at, "to": message.to, "text": message.text, "code": message.code}
    return encode(line) + "\n"


def _fields(message: SmsMessage) -> dict[str, str]:
    templates = {
        "otp": settings.SMS_DLT_TEMPLATE_ID,
        "drop_code": settings.SMS_DLT_DROP_TEMPLATE_ID,
    }
    return {
        "{to}": message.to,
        "{text}": message.text,
        "{code}": message.code,
        "{template_id}": templates.get(message.template, ""),
        "{entity_id}": settings.SMS_DLT_ENTITY_ID,
        "{header}": settings.SMS_DLT_HEADER,
    }


def _filled(body: Any, fields: dict[str, str]) -> Any:
    """The body with every placeholder in its strings replaced, so that no text breaks the JSON."""
    if isinstance(body, str):
        for placeholder, value in fields.items():
            body = body.replace(placeholder, value)
        return body
    if isinstance(body, dict):
        return {key: _filled(value, fields) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, fields) for value in body]
    return body


def _judge(answer: httpx.Response) -> None:
    if answer.is_success:
        breaker.succeeded()
        return
    reason = f"the gateway answered {answer.status_code}"
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS or answer.is_server_error:
        breaker.failed()
        raise NotNow(reason, wait=retry_after(answer.headers.get("Retry-After", "")))
    breaker.succeeded()
    raise Undeliverable(reason)

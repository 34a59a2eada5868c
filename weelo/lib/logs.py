"""Structured logs: one line an event, for people on a terminal or as JSON for machines."""

import logging.config
import re
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

_PHONE = re.compile(r"\+\d{6,11}(\d{4})")


def mask_phones(_logger: Any, _method: str, line: str) -> str:
    """The last structlog processor: whole phone numbers in the line become `+…1234`.

    The line and not its fields, since a traceback may quote one: PostgreSQL's faults tell the
    values of a broken constraint.
    """
    return _PHONE.sub(r"+…\1", line)


def plain_values(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A structlog processor: ids and times as people write them."""
    plain = (UUID, datetime)
    return {key: str(v) if isinstance(v, plain) else v for key, v in event.items()}


def configure(options: dict[str, str]) -> None:
    """Django's LOGGING_CONFIG hook; `options` are `level` and `format` (console or json)."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        plain_values,
    ]
    logging.config.dictConfig(_handlers(options["level"], shared, _final(options["format"])))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _final(format_: str) -> list[Any]:
    """What turns an event into a line. Never with local variables: phones, codes and tokens."""
    renderers: list[Any]
    if format_ == "json":
        traceback = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        renderers = [
            structlog.processors.ExceptionRenderer(traceback),
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback
        renderers = [
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=30, exception_formatter=plain)
        ]
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers, mask_phones]


def _handlers(level: str, shared: list[Any], final: list[Any]) -> dict[str, Any]:
    """Everything to stderr, through structlog also what others log; the chatty ones less."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": final,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.server": {"handlers": ["stderr"], "propagate": False},
            "django.request": {"level": "ERROR"},
            "httpx": {"level": "WARNING"},
            # A line for each task sent, received and done; the tasks say themselves what
            # they did.
            "celery.beat": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
        },
    }

"""Structured logs: one line an event, for people on a terminal or as JSON for machines."""

import logging.config
import re
from typing import Any
from uuid import UUID

import structlog

_PHONE = re.compile(r"\+\d{6,11}(\d{4})")


def mask_phones(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A structlog processor: whole phone numbers become `+…1234`."""
    for key, value in event.items():
        if isinstance(value, str) and "+" in value:
            event[key] = _PHONE.sub(r"+…\1", value)
    return event


def plain_ids(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A structlog processor: UUIDs as people write them."""
    return {key: str(v) if isinstance(v, UUID) else v for key, v in event.items()}


def configure(options: dict[str, str]) -> None:
    """Django's LOGGING_CONFIG hook; `options` are `level` and `format` (console or json)."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        plain_ids,
        mask_phones,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if options["format"] == "json"
        else structlog.dev.ConsoleRenderer(
            colors=False,
            pad_event_to=30,
            # The default shows local variables where rich is installed: phones, codes and tokens.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    final = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    if options["format"] == "json":
        final.insert(1, structlog.processors.dict_tracebacks)
    logging.config.dictConfig(
        {
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
            "root": {"handlers": ["stderr"], "level": options["level"]},
            "loggers": {
                "django.server": {"handlers": ["stderr"], "propagate": False},
                "django.request": {"level": "ERROR"},
                "httpx": {"level": "WARNING"},
                # A line for each task sent, received and done; the tasks say themselves what
                # they did.
                "celery.beat": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},
                "daphne": {"level": "WARNING"},
                "asyncio": {"level": "WARNING"},
            },
        }
    )
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

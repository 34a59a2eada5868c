"""Trying again: a verb's transaction when PostgreSQL asks for it, a gateway after a wait."""

import email.utils
import functools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

from django.db import OperationalError, transaction

P = ParamSpec("P")
R = TypeVar("R")

# serialization_failure and deadlock_detected: the transaction left no trace and may be repeated.
_AGAIN = {"40001", "40P01"}
_TRIES = 3
LONGEST_WAIT = timedelta(minutes=15)


def verb(function: Callable[P, R]) -> Callable[P, R]:
    """Run the function in one durable transaction of its own; at most three tries.

    Anything else is raised as it is: a lock timeout (55P03) becomes 503 at the door, and a
    commit that broke off is unknown, so the caller's retry with the same key must decide.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for tries_left in reversed(range(_TRIES)):
            try:
                with transaction.atomic(durable=True):
                    return function(*args, **kwargs)
            except OperationalError as fault:
                if not tries_left or getattr(fault.__cause__, "sqlstate", "") not in _AGAIN:
                    raise
        raise AssertionError("unreachable")

    return run


def full_jitter(base: timedelta, tries: int) -> timedelta:
    """A wait before the next of `tries` so far: of many that failed together, few come back so."""
    return random.uniform(0, 2**tries) * base  # noqa: S311  # nosec B311  # for spreading and play, not for secrets


def retry_after(header: str) -> timedelta:
    """RFC 9110: seconds or a date; nothing readable means no wait, and none is over 15 minutes."""
    try:
        wait = (
            timedelta(seconds=int(header))
            if header.isdigit()
            else email.utils.parsedate_to_datetime(header) - datetime.now(UTC)
        )
    except (ValueError, TypeError, OverflowError):
        return timedelta()
    return min(max(wait, timedelta()), LONGEST_WAIT)

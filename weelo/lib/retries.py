"""One transaction for one verb, tried again when PostgreSQL asks for it."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import OperationalError, transaction

P = ParamSpec("P")
R = TypeVar("R")

# serialization_failure and deadlock_detected: the transaction left no trace and may be repeated.
_AGAIN = {"40001", "40P01"}
_TRIES = 3


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

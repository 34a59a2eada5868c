"""Querysets whose SQL Django makes once, for what every request reads.

To make the SQL of a join takes Django several times as long as PostgreSQL takes to run it.
"""

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import BooleanField, Func, Model, QuerySet, Value
from django.db.models.sql.compiler import SQLCompiler

M = TypeVar("M", bound=Model)


class IsAnyOf(Func):
    """A field has one of a list of values, which is one argument: `IsAnyOf("order_id", ids)`."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = BooleanField()


def compiled(make: Callable[..., QuerySet[M]]) -> Callable[..., list[M]]:
    """A function that makes a queryset of its arguments, as one that gives the rows.

    It is called once, with stand-ins for the arguments, which may stand wherever a database
    function may, and which it must not look at. Arguments go to the database as they are: UUIDs,
    numbers, text, aware times and lists of those.
    """
    kept = functools.cache(lambda: _Kept(make))

    @functools.wraps(make)
    def run(*values: Any) -> list[M]:
        return kept().run(values)

    return run


class _Slot(Value):
    """Stands for one argument, by its index."""

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> Any:
        return "%s", [self]


class _Kept(Generic[M]):
    """A queryset with the compiler that has made its SQL."""

    def __init__(self, make: Callable[..., QuerySet[M]]) -> None:
        self._queryset = make(*map(_Slot, range(len(inspect.signature(make).parameters))))
        self._compiler = self._queryset.query.get_compiler(DEFAULT_DB_ALIAS)
        self._sql, self._parameters = self._compiler.as_sql()

    def run(self, values: tuple[Any, ...]) -> list[M]:
        given = tuple(values[p.value] if isinstance(p, _Slot) else p for p in self._parameters)
        compiler = copy.copy(self._compiler)
        compiler.connection = connections[DEFAULT_DB_ALIAS]  # each thread has its own
        compiler.as_sql = lambda *_, **__: (self._sql, given)
        rows = self._queryset.all()
        rows.query.get_compiler = lambda *_, **__: compiler  # type: ignore[method-assign]
        return list(rows)

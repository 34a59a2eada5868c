"""Several inserts and updates of Django rows in one SQL statement, and so in one round trip."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, models
from django.db.models import sql


def write_together(
    inserts: Iterable[models.Model], updates: Iterable[tuple[models.Model, Iterable[str]]]
) -> None:
    """Insert rows and update the named fields of others, in one statement (data-modifying CTEs).

    All parts see the same snapshot, so a row stands in one part only. Rows of one model with the
    same new values share one UPDATE. Raises IntegrityError as separate statements would.
    """
    parts = [*_inserts(inserts), *_updates(updates)]
    if not parts:
        return
    *heads, (last, _) = parts
    names = ", ".join(f"w{i} AS ({text})" for i, (text, _) in enumerate(heads))
    statement = f"WITH {names} {last}" if heads else last
    with connection.cursor() as cursor:
        cursor.execute(statement, [value for _, values in parts for value in values])


def violated(fault: IntegrityError) -> str:
    """The name of the constraint that refused a write."""
    diagnosis = getattr(fault.__cause__, "diag", None)
    return str(getattr(diagnosis, "constraint_name", None) or "")


Part = tuple[str, tuple[Any, ...]]


def _inserts(rows: Iterable[models.Model]) -> list[Part]:
    by_model: dict[type[models.Model], list[models.Model]] = defaultdict(list)
    for row in rows:
        by_model[type(row)].append(row)
    parts: list[Part] = []
    for model, group in by_model.items():
        fields = [
            field
            for field in model._meta.local_concrete_fields
            if not field.generated and not (field.primary_key and group[0].pk is None)
        ]
        query = sql.InsertQuery(model)
        query.insert_values(fields, group)
        parts += query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        for row in group:
            row._state.adding = False
    return parts


def _updates(rows: Iterable[tuple[models.Model, Iterable[str]]]) -> list[Part]:
    groups: dict[tuple[type[models.Model], str], tuple[dict[str, Any], list[Any]]] = {}
    for row, names in rows:
        values = {name: getattr(row, name) for name in sorted(names)}
        _, keys = groups.setdefault((type(row), repr(values)), (values, []))
        keys.append(row.pk)
    parts: list[Part] = []
    for (model, _), (values, keys) in groups.items():
        query = model._base_manager.filter(pk__in=keys).query.chain(sql.UpdateQuery)
        query.add_update_values(values)  # type: ignore[attr-defined]
        parts.append(query.get_compiler(DEFAULT_DB_ALIAS).as_sql())
    return parts

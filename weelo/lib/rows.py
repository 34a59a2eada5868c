"""Rows of a statement as dicts, where no model describes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

Row = dict[str, Any]


def rows_of(
    statement: str, values: Sequence[Any] | Mapping[str, Any] | None, most: int | None = None
) -> list[Row]:
    """Run the statement; its rows (the first `most` of them) by the names of their columns."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        names = [column.name for column in cursor.description]
        rows = cursor.fetchall() if most is None else cursor.fetchmany(most)
    return [dict(zip(names, row, strict=True)) for row in rows]

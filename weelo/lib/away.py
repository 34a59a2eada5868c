"""Tells a database that is away from one that refused or was slow."""

from django.db import Error, InterfaceError, OperationalError

# Classes 08 (connection), 57P (shutdown, crash, starting up) and 53300 (too many connections).
_AWAY = ("08", "57P", "53300")


def database_is_away(fault: Error) -> bool:
    """Whether a fault means that the connection is gone, rather than one statement refused.

    psycopg gives no SQLSTATE when it is the connection itself that broke.
    """
    if isinstance(fault, InterfaceError):
        return True
    sqlstate = getattr(fault.__cause__, "sqlstate", None)
    if sqlstate is None:
        return isinstance(fault, OperationalError)
    return str(sqlstate).startswith(_AWAY)

"""Addresses of servers, as settings give them and as libraries want them."""

from urllib.parse import parse_qsl

import psycopg
from psycopg.conninfo import conninfo_to_dict


def postgres(address: str) -> dict[str, str]:
    """The parts of PostgreSQL's address, a URL or `host=… dbname=…`. Raises ValueError."""
    try:
        parts = conninfo_to_dict(address)
    except psycopg.Error as fault:
        raise ValueError("is no address of a PostgreSQL") from fault
    if not str(parts.get("port", "5432")).isdigit():
        raise ValueError("has a port that is no number")
    return {name: str(value) for name, value in parts.items() if value is not None}


def celery_broker(redis: str) -> str:
    """Redis' address in Celery's words: it wants `redis+socket://…` for a Unix socket."""
    if not redis.startswith("unix://"):
        return redis
    path, _, options = redis.removeprefix("unix://").partition("?")
    return f"redis+socket://{path}?virtual_host={dict(parse_qsl(options)).get('db', '0')}"

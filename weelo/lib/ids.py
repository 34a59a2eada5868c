"""Ids as people read them out."""

from uuid import UUID


def short_id(id_: UUID) -> str:
    """What lists show of an id that begins with the time (UUIDv7): it, to the millisecond."""
    return str(id_)[:13]

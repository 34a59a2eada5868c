"""The sign of life of a background process: one row by name, read by `/readyz`."""

import uuid

from django.db.models.functions import Now

from dispatch.models import Heartbeat

INSTANCE = uuid.uuid4()


def beat(name: str) -> None:
    """Say that the process `name` (loop, beat) lives; one statement."""
    Heartbeat.objects.bulk_create(
        [Heartbeat(name=name, instance=INSTANCE, at=Now())],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["instance", "at"],
    )

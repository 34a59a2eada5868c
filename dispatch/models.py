"""The traces of the machinery: heartbeats of the loops and runs of reconciliation."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class Heartbeat(models.Model):
    """That a background process lives; `/readyz` reads it."""

    name = models.CharField(primary_key=True, max_length=40, help_text="loop, beat, …")
    instance = models.UUIDField(default=uuid.uuid4)
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.name} at {self.at}"


class Reconciliation(models.Model):
    """One run of the reconciliation job and what it had to repair (normally nothing)."""

    id = models.BigAutoField(primary_key=True)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)
    trigger = models.CharField(max_length=10, help_text="start or beat")
    repairs = models.JSONField(default=list, help_text="[{repair, row, …}]")

    class Meta:
        ordering: ClassVar[list[str]] = ["-started_at"]

    def __str__(self) -> str:
        return f"{len(self.repairs)} repairs at {self.started_at}"

"""Celery's doors: the net below the dispatch loop, and the deletion of old rows. Each says "look
now" and may come twice."""

from celery import shared_task
from django.conf import settings

from dispatch import reconcile as reconciliation
from dispatch import trim as trimming
from dispatch.heartbeat import beat
from orders.verbs.expire import expire_due


@shared_task(ignore_result=True, expires=settings.RECONCILE_EVERY)
def reconcile() -> None:
    """Find and repair what should never be."""
    beat("beat")
    reconciliation.reconcile("beat")


@shared_task(ignore_result=True, expires=settings.SWEEP_EVERY)
def sweep() -> None:
    """Expire what is overdue, should no loop run."""
    beat("beat")
    expire_due()


@shared_task(ignore_result=True)
def trim() -> None:
    """Delete messages, codes, pushes and decisions that are past their age."""
    trimming.trim()

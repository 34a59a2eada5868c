"""Probes: `/livez` (this process), `/readyz` (what it stands on), `/metrics` (the business)."""

import subprocess  # nosec B404  # only our own programs are started
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from dispatch.models import Heartbeat, Reconciliation
from dispatch.reconcile import KINDS
from orders.models import Order, Trip
from orders.states import ORDER_ACTIVE, TRIP_LIVE
from transporters.models import Transporter
from weelo.lib.problems import only_read
from weelo.lib.redis import RedisAway, guarded

VERSION = "0.1.0"
SILENT_AFTER = {
    "loop": timedelta(seconds=10),
    "beat": timedelta(seconds=settings.SWEEP_EVERY * 3),
}


@only_read
def livez(_request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


@only_read
def readyz(_request: HttpRequest) -> HttpResponse:
    """200 when requests can be served; what is merely degraded is told, but still 200.

    Without database or with migrations missing: 503.
    """
    checks = {"database": _database(), "redis": _redis(), **_heartbeats()}
    ready = checks["database"] == "ok"
    degraded = [name for name, state in checks.items() if state != "ok"]
    status = "unavailable" if not ready else "degraded" if degraded else "ok"
    body = {"status": status, "checks": checks, "version": VERSION, "commit": commit()}
    return JsonResponse(body, status=200 if ready else 503)


@only_read
def metrics(_request: HttpRequest) -> HttpResponse:
    """The business in numbers, read from the database, so that every process tells the same."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Business())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


@cache
def commit() -> str:
    """The commit this process runs: from the image (`WEELO_COMMIT`) or from git, or unknown."""
    if settings.COMMIT:
        return str(settings.COMMIT)
    if not (settings.BASE_DIR / ".git").exists():
        return "unknown"
    asked = subprocess.run(  # nosec B603, B607  # git, as found in PATH; no caller's words
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=2,
        check=False,
    )
    return asked.stdout.strip() or "unknown"


def _database() -> str:
    try:
        return "ok" if _is_migrated() else "migrations missing: run manage.py migrate"
    except DatabaseError as fault:
        return f"away: {str(fault).splitlines()[0]}"


_migrated: set[bool] = set()


def _is_migrated() -> bool:
    """Asked of the database until it is so once; afterwards only that the database answers."""
    if True in _migrated:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True
    executor = MigrationExecutor(connection)
    done = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    _migrated.add(done)
    return done


def _redis() -> str:
    try:
        with guarded() as redis:
            redis.ping()
    except RedisAway as fault:
        return f"away: {fault}"
    return "ok"


def _heartbeats() -> dict[str, str]:
    """Whether loop and beat were heard of lately, by the database's clock."""
    try:
        rows = Heartbeat.objects.filter(name__in=SILENT_AFTER).annotate(now=Now())
        ages: dict[str, timedelta] = {row.name: row.now - row.at for row in rows}
    except DatabaseError:
        return dict.fromkeys(SILENT_AFTER, "unknown")
    return {name: _age(ages.get(name), limit) for name, limit in SILENT_AFTER.items()}


def _age(age: timedelta | None, limit: timedelta) -> str:
    if age is None:
        return "never seen"
    return "ok" if age <= limit else f"silent for {round(age.total_seconds())} s"


class _Business:
    """Gauges computed at each scrape."""

    def collect(self) -> Iterator[Metric]:
        yield _by(
            "weelo_active_orders",
            "Active orders by status.",
            Order.objects.filter(status__in=ORDER_ACTIVE),
            "status",
        )
        yield _by(
            "weelo_live_trips",
            "Live trips by status.",
            Trip.objects.filter(status__in=TRIP_LIVE),
            "status",
        )
        online = Transporter.objects.filter(is_online=True).count()
        yield GaugeMetricFamily("weelo_transporters_online", "Fleets online.", value=online)
        flagged = Trip.objects.filter(status__in=TRIP_LIVE).exclude(flagged="")
        yield _by("weelo_flagged_trips", "Live trips to look at, by reason.", flagged, "flagged")
        yield _repairs()


def _repairs() -> Metric:
    """All repairs so far; any growth is something that should never have been."""
    family = CounterMetricFamily(
        "weelo_reconciliation_repairs", "Repairs by reconciliation so far.", labels=["repair"]
    )
    runs = Reconciliation.objects.exclude(repairs=[]).values_list("repairs", flat=True)
    made = Counter(repair["repair"] for repairs in runs for repair in repairs)
    for kind in KINDS:
        family.add_metric([kind.name], made[kind.name])
    return family


def _by(name: str, text: str, rows: Any, column: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[column])
    for value, count in rows.order_by().values_list(column).annotate(Count("pk")):
        family.add_metric([value], count)
    return family

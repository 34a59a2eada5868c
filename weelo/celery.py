"""The timetable of Celery beat, and how workers reach the broker.

Tasks only say "look now": they are idempotent, keep no result and expire with their period. No
deadline hangs on them, hence no ETA and no countdown.
"""

import os
from typing import Any

import structlog
from celery import Celery, signals
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "weelo.settings")

TRIM_EVERY_S = 300  # deletions of old rows

app = Celery("weelo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    beat_schedule={
        "reconcile": {
            "task": "dispatch.tasks.reconcile",
            "schedule": settings.RECONCILE_EVERY,
            "options": {"expires": settings.RECONCILE_EVERY},
        },
        "sweep": {
            "task": "dispatch.tasks.sweep",
            "schedule": settings.SWEEP_EVERY,
            "options": {"expires": settings.SWEEP_EVERY},
        },
        "trim": {
            "task": "dispatch.tasks.trim",
            "schedule": TRIM_EVERY_S,
            "options": {"expires": TRIM_EVERY_S},
        },
    },
    beat_schedule_filename=str(settings.DATA / "beat"),
    # A frozen Redis must not hold beat or a worker for ever.
    broker_transport_options={
        "socket_timeout": 5.0,
        "socket_connect_timeout": 2.0,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "visibility_timeout": 60,
    },
    broker_connection_timeout=2.0,
    broker_connection_max_retries=None,
    # Beat must not wait for a broker that is away: the next tick sends again.
    task_publish_retry=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
)
app.autodiscover_tasks(["dispatch"])


@signals.worker_init.connect
@signals.beat_init.connect
def stand_or_exit(**_options: Any) -> None:
    """No worker and no beat on a PostgreSQL that is not fit for it."""
    from weelo import checks  # noqa: PLC0415  (settings are read by then)

    checks.stand_or_exit()


@signals.setup_logging.connect
def keep_djangos_logging(**_options: Any) -> None:
    """Celery leaves logging alone when somebody listens here: Django's settings hold."""


@signals.task_prerun.connect
def mark_logs(task_id: str, task: Any, **_options: Any) -> None:
    """What a task logs and writes carries its id, as a request's does."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=task_id, task=task.name)


@signals.task_postrun.connect
def unmark_logs(**_options: Any) -> None:
    """The thread goes on without them."""
    structlog.contextvars.clear_contextvars()

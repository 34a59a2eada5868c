"""gunicorn for both services: `WEELO_PROCESS=http gunicorn` and `WEELO_PROCESS=live gunicorn`.

The application is loaded before the workers are forked: they share its memory, and a start
imports it once. Nothing may connect or start a thread at import; workers open their own
connections at their first use. Code is reloaded by a restart, not by SIGHUP.
"""

import gc
import logging
import os

import django
from django.conf import settings
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "weelo.settings")
# Also configures the logs, which gunicorn's own lines go through.
django.setup(set_prefix=False)

from weelo import checks  # noqa: E402


class Lines(Logger):  # type: ignore[misc]
    """gunicorn's and uvicorn's own lines, written like everybody else's."""

    def setup(self, cfg: object) -> None:
        super().setup(cfg)
        self.error_log.handlers = logging.getLogger().handlers


if settings.WEELO_PROCESS == "live":
    wsgi_app = "weelo.asgi:application"
    worker_class = "weelo.live_worker.LiveWorker"
    workers = settings.LIVE_WORKERS
    bind = f"{settings.LISTEN}:{settings.PORT + 1}"
else:
    wsgi_app = "weelo.wsgi:application"
    worker_class = "weelo.http_worker.HttpWorker"
    workers = settings.HTTP_WORKERS
    threads = settings.HTTP_THREADS
    bind = f"{settings.LISTEN}:{settings.PORT}"
    # Each worker accepts for itself, which spreads kept connections evenly.
    reuse_port = True

preload_app = True
logger_class = Lines
accesslog = None  # RequestMiddleware logs what matters
keepalive = 75  # seconds; longer than a proxy in front keeps its own
timeout = 30  # seconds without a sign of life before a worker is replaced
graceful_timeout = 4  # seconds for requests in flight; sockets are told to come back at once
control_socket_disable = True  # its path is shared by every instance of a user


def on_starting(_server: object) -> None:
    """Once, in the parent, which connects to nothing else."""
    checks.stand_or_exit()


def when_ready(_server: object) -> None:
    """Before the first fork: what was loaded lives as long as the workers do, so the garbage
    collector need not look through it again and again; a full look takes 100 ms."""
    gc.collect()
    gc.freeze()

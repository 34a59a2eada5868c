"""manage.py dispatch: the dispatch loop, until SIGTERM or Ctrl-C."""

import signal
import sys
import threading
from typing import Any

from django.core.management.base import BaseCommand

from dispatch import loop
from weelo import checks


class Command(BaseCommand):
    """Runs one copy of the loop; start as many as needed."""

    help = "Expires orders, sends waves and SMS, until stopped. Two or more copies may run."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        checks.stand_or_exit()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if not loop.run(stop):
            sys.exit(1)

"""A circuit breaker: after repeated failures, calls are refused at once for a while."""

import threading
import time
from collections import deque

import structlog

log = structlog.get_logger(__name__)


class Breaker:
    """Opens after `failures` within `window_s`; after `open_s` lets one probe through.

    One per process and dependency; thread-safe. The caller asks `allows()`, then reports
    `succeeded()` or `failed()`.
    """

    def __init__(self, name: str, *, failures: int, window_s: float, open_s: float) -> None:
        self.name = name
        self._limit, self._window_s, self._open_s = failures, window_s, open_s
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._open_until = 0.0
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def allows(self) -> bool:
        """Whether a call may go out now; past the pause, the first caller is the probe."""
        now = time.monotonic()
        with self._lock:
            if self._open_until == 0.0:
                return True
            if now < self._open_until:
                return False
            self._open_until = now + self._open_s
            return True

    def succeeded(self) -> None:
        if self._open_until == 0.0 and not self._failed_at:
            return
        with self._lock:
            if self._open_until:
                log.info("breaker closed", breaker=self.name)
            self._open_until = 0.0
            self._failed_at.clear()

    def failed(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._failed_at.append(now)
            full = len(self._failed_at) == self._limit
            if self._open_until or (full and now - self._failed_at[0] <= self._window_s):
                if not self._open_until:
                    log.warning("breaker opened", breaker=self.name, seconds=self._open_s)
                self._open_until = now + self._open_s

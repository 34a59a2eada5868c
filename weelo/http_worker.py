"""The worker of the http service: gunicorn's threads, which no slow sender may keep."""

import contextlib
import socket
import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

READ_SECONDS = 10.0  # what a whole request may take to arrive, and far more than an answer takes


class HttpWorker(ThreadWorker):  # type: ignore[misc]
    """Stops reading from who is too slow: gunicorn itself would wait for ever, and as many
    half-sent requests as there are threads would be the end of the service."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        """Serve one request, in a thread."""
        self._since[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._since.pop(conn, None)

    def notify(self) -> None:
        """Called by the main thread every second, to say that it lives."""
        super().notify()
        late = time.monotonic() - READ_SECONDS
        for conn, since in list(self._since.items()):
            if since < late:
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)

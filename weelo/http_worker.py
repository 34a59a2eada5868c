"""The worker of the http service: gunicorn's threads, which no slow sender may keep, and which
refuse what is no HTTP in the form of every other refusal."""

import contextlib
import json
import socket
import time
import uuid
from http import HTTPStatus
from typing import Any

import structlog
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from weelo.lib.problems import MEDIA_TYPE, problem

log = structlog.get_logger(__name__)
READ_SECONDS = 10.0  # what a whole request may take to arrive, and far more than an answer takes
# What gunicorn can read, and is more than it takes.
_TOO_LONG = {
    errors.LimitRequestLine: (HTTPStatus.REQUEST_URI_TOO_LONG, "URI_TOO_LONG"),
    errors.LimitRequestHeaders: (
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "HEADERS_TOO_LARGE",
    ),
}


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

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer a problem where gunicorn would send a page; faults of ours are left to it."""
        if not isinstance(exc, errors.ParseException) or isinstance(
            exc, errors.ConfigurationProblem
        ):
            super().handle_error(req, client, addr, exc)
            return
        request_id = uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status, code = _TOO_LONG.get(type(exc), (HTTPStatus.BAD_REQUEST, "BAD_REQUEST"))
        detail = f"{str(exc)[:200]}. Nothing was done. Send it as HTTP asks for it."
        # Not the detail: what is no field of a header may hold a token all the same.
        log.info("refused", code=code, status=status.value, fault=type(exc).__name__)
        body = json.dumps(problem(code, status.value, detail)).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
            f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-ID: {request_id}\r\n\r\n"
        )
        with contextlib.suppress(OSError):  # who sent it may be gone
            client.sendall(head.encode() + body)

    def notify(self) -> None:
        """Called by the main thread every second, to say that it lives."""
        super().notify()
        late = time.monotonic() - READ_SECONDS
        for conn, since in list(self._since.items()):
            if since < late:
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)

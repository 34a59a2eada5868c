"""What is done around every HTTP request: an id, a log line, problem+json for faults."""

import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from weelo.lib import problems
from weelo.lib.safe_json import too_large

log = structlog.get_logger(__name__)
_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
_TRACE = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")


class RequestMiddleware:
    """Takes or makes `X-Request-ID`, binds it to the logs, echoes it, logs the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _ID.match(given) else uuid.uuid4().hex
        trace = request.headers.get("traceparent", "")
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if _TRACE.match(trace):
            structlog.contextvars.bind_contextvars(traceparent=trace)
        started = time.perf_counter()
        response = self._too_large(request) or self.get_response(request)
        response["X-Request-ID"] = request_id
        if _TRACE.match(trace):
            response["traceparent"] = trace
        self._log(request, response, time.perf_counter() - started)
        return response

    def _too_large(self, request: HttpRequest) -> HttpResponse | None:
        """413 for a body that is said to be over the limit, also where no view would read it."""
        said = request.META.get("CONTENT_LENGTH") or "0"
        if not request.path.startswith("/api/") or int(said) <= settings.BODY_LIMIT:
            return None
        return problems.refused(request, too_large(settings.BODY_LIMIT))

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponse | None:
        """Answer 500 under /api/ with nothing but the request id."""
        if not request.path.startswith("/api/"):
            return None
        log.error("request failed", path=request.path, exc_info=exc)
        detail = "This is our fault, and it is logged. Quote the request id when you write to us."
        return problems.response(request, "OUR_FAULT", 500, detail)

    def _log(self, request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
        if request.path.startswith("/api/v1/"):
            log.info(
                "http",
                method=request.method,
                path=request.path,
                status=response.status_code,
                ms=round(seconds * 1000, 1),
            )

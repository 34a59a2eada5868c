"""Refusals, and how they look on the wire: RFC 9457 `application/problem+json`.

A verb raises a `Refusal`; HTTP (`exception_handler`) and sockets (`Refusal.problem`) render the
same object.
"""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, ClassVar, Concatenate, ParamSpec

import structlog
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
P = ParamSpec("P")


class Refusal(Exception):
    """A request that is understood and refused, with a code that phones can act on.

    Subclasses set `code` (a word of the contract), `status` (HTTP) and `title`; `detail` says
    what happened, to what, and what to do next; `extras` are named fields of the problem. The
    first paragraph of a subclass's docstring is the cause and the second the cure, which callers
    read at the problem's `type`.
    """

    code: ClassVar[str] = "REFUSED"
    status: ClassVar[int] = 409
    title: ClassVar[str] = ""

    def __init__(
        self, detail: str, *, headers: dict[str, str] | None = None, **extras: Any
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extras = extras
        self.headers = headers or {}

    def problem(self, instance: str = "") -> dict[str, Any]:
        """The problem as a JSON object; `instance` is the path or the socket command."""
        return problem(
            self.code, self.status, self.detail, title=self.title, instance=instance, **self.extras
        )


class NotFound(Refusal):
    """Missing, or not yours: the two look the same.

    Check the id, and that you are signed in as the one it belongs to; then read the list again.
    """

    code = "NOT_FOUND"
    status = 404
    title = "Not found"


class Invalid(Refusal):
    """Field faults: `errors` is a list of `{"pointer", "code", "detail"}`.

    Correct each field that a `pointer` names and send the request again.
    """

    code = "INVALID"
    status = 400
    title = "Invalid input"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        fields = ", ".join(error["pointer"] for error in errors)
        super().__init__(f"Correct these fields and send again: {fields}.", errors=errors)


class TryAgain(Refusal):
    """Overload, or a database that is away: the same call may succeed in a moment.

    Send the same request again after `Retry-After` seconds, with the same idempotency key.
    """

    code = "TRY_AGAIN"
    status = 503
    title = "Try again"

    def __init__(self, detail: str = "Busy for a moment. Send the same request again.") -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


def problem(
    code: str, status: int, detail: str, *, title: str = "", instance: str = "", **extras: Any
) -> dict[str, Any]:
    """A problem object with the current request id."""
    context = structlog.contextvars.get_contextvars()
    return {
        "type": f"/api/problems/{code}",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "request_id": context.get("request_id", ""),
        **extras,
    }


def invalid(detail: Any, pointer: str = "") -> list[dict[str, str]]:
    """DRF's nested error detail as a flat list of JSON pointers."""
    if isinstance(detail, dict):
        parts = [
            invalid(value, pointer if key == "non_field_errors" else f"{pointer}/{key}")
            for key, value in detail.items()
        ]
    elif isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        parts = [invalid(item, f"{pointer}/{index}") for index, item in enumerate(detail)]
    elif isinstance(detail, list):
        parts = [invalid(item, pointer) for item in detail]
    else:
        code = str(getattr(detail, "code", "invalid"))
        return [{"pointer": pointer or "/", "code": code, "detail": str(detail)}]
    return [error for part in parts for error in part]


_CODES = {
    400: "BAD_REQUEST",
    401: "NOT_SIGNED_IN",
    403: "WRONG_ROLE",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "RATE_LIMITED",
}


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: turns every exception it knows into problem+json; None is a 500."""
    request: Request = context["request"]
    request.accepted_renderer = JSONRenderer()  # also where a view answers in another form
    refusal = as_refusal(exc)
    if refusal is not None:
        body, headers = refusal.problem(request.path), refusal.headers
        log.info("refused", code=refusal.code, status=refusal.status, detail=refusal.detail)
        return Response(body, refusal.status, headers=headers, content_type=MEDIA_TYPE)
    if isinstance(exc, exceptions.APIException):
        code = getattr(exc, "problem_code", None) or _CODES.get(exc.status_code, "REFUSED")
        body = problem(code, exc.status_code, str(exc.detail), instance=request.path)
        headers = {"WWW-Authenticate": "Bearer"} if exc.status_code == 401 else {}
        return Response(body, exc.status_code, headers=headers, content_type=MEDIA_TYPE)
    return None


def as_refusal(exc: Exception) -> Refusal | None:
    """The refusal that an exception means, or None when it is a fault of ours."""
    if isinstance(exc, Refusal):
        return exc
    if isinstance(exc, exceptions.ValidationError):
        return Invalid(invalid(exc.detail))
    if isinstance(exc, Http404):
        return NotFound("There is nothing here that belongs to you.")
    if isinstance(exc, OperationalError | InterfaceError):
        # Lock and statement timeouts, a server without a free connection or away.
        log.warning("database did not answer in time", error=str(exc).split("\n")[0])
        return TryAgain()
    return None


def only_read(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """A page outside DRF for GET and HEAD; other methods are refused as a problem, not as HTML."""

    @csrf_exempt
    @wraps(view)
    def run(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return view(request, *args, **kwargs)
        answer = response(request, "METHOD_NOT_ALLOWED", 405, "This page is only read.")
        answer["Allow"] = "GET, HEAD"
        return answer

    return run


def refused(request: HttpRequest, refusal: Refusal) -> JsonResponse:
    """A refusal outside DRF."""
    body = refusal.problem(request.path)
    return JsonResponse(
        body, status=refusal.status, headers=refusal.headers, content_type=MEDIA_TYPE
    )


def response(request: HttpRequest, code: str, status: int, detail: str) -> JsonResponse:
    """A problem outside DRF: unrouted paths, middleware, 500s."""
    body = problem(code, status, detail, instance=request.path)
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE)

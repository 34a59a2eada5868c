"""What the `type` of a problem leads to: a small page with code, cause and cure, as JSON.

The text comes from the docstrings of the refusals: the first paragraph says why, the second what
to do.
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache

from django.http import HttpRequest, HttpResponse, JsonResponse

from weelo.lib import problems
from weelo.lib.problems import Refusal, only_read


@dataclass(frozen=True)
class Page:
    """One way to meet a code: the HTTP status, why it is answered, and what to do."""

    code: str
    status: int
    title: str
    cause: str
    cure: str


# What frameworks refuse before any verb is asked, and faults of ours.
_WITHOUT_CLASS = (
    Page(
        "BAD_REQUEST",
        400,
        "Bad request",
        "The request cannot be read as HTTP asks for it.",
        "Compare it with the documents at /api/docs/.",
    ),
    Page(
        "METHOD_NOT_ALLOWED",
        405,
        "Method not allowed",
        "The path exists, but not for this method.",
        "Use one of the methods in the `Allow` field.",
    ),
    Page(
        "NOT_ACCEPTABLE",
        406,
        "Not acceptable",
        "The `Accept` field leaves out JSON, which is all there is.",
        "Send `Accept: application/json`, or leave the field out.",
    ),
    Page(
        "URI_TOO_LONG",
        414,
        "URI too long",
        "The path with its query is longer than 4,000 characters.",
        "Ask for less at a time; no call of ours needs so much.",
    ),
    Page(
        "HEADERS_TOO_LARGE",
        431,
        "Header fields too large",
        "The request has more than 100 header fields, or one of more than 8,000 bytes.",
        "Leave out what the documents at /api/docs/ do not name.",
    ),
    Page(
        "UNSUPPORTED_MEDIA_TYPE",
        415,
        "Unsupported media type",
        "The body is not said to be JSON.",
        "Send `Content-Type: application/json`.",
    ),
    Page(
        "REFUSED",
        409,
        "Refused",
        "The request was understood and refused; the detail says why.",
        "Follow the detail.",
    ),
    Page(
        "OUR_FAULT",
        500,
        "Our fault",
        "Something of ours broke; it is logged.",
        "Send the request again later, with the same idempotency key; quote `request_id` to us.",
    ),
)


@cache
def pages() -> Mapping[str, tuple[Page, ...]]:
    """Every code that this service answers, with each way to meet it."""
    found: dict[str, list[Page]] = {page.code: [page] for page in _WITHOUT_CLASS}
    for kind in sorted(_kinds(Refusal), key=lambda kind: (kind.code, kind.__module__)):
        cause, _, cure = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")
        page = Page(kind.code, kind.status, kind.title, _line(cause), _line(cure))
        found.setdefault(kind.code, []).append(page)
    return {code: tuple(ways) for code, ways in sorted(found.items())}


@only_read
def show(request: HttpRequest, code: str) -> HttpResponse:
    """GET /api/problems/<code>"""
    ways = pages().get(code)
    if ways is None:
        return problems.response(
            request, "NOT_FOUND", 404, f"There is no code {code}. /api/problems/ lists all."
        )
    first, *others = (asdict(way) for way in ways)
    return JsonResponse({**first, "also": others} if others else first)


@only_read
def index(_request: HttpRequest) -> HttpResponse:
    """GET /api/problems/: every code with its title and page."""
    listed = [
        {"code": code, "status": ways[0].status, "title": ways[0].title, "page": _path(code)}
        for code, ways in pages().items()
    ]
    return JsonResponse({"problems": listed})


def _path(code: str) -> str:
    return f"/api/problems/{code}"


def _kinds(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _kinds(sub)


def _line(text: str) -> str:
    return " ".join(text.split())

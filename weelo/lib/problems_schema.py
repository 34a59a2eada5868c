"""Refusals in the OpenAPI document."""

from collections import defaultdict
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from weelo.lib.problems import MEDIA_TYPE, Refusal


class FieldError(serializers.Serializer[Any]):
    """What is wrong with one field."""

    pointer = serializers.CharField(help_text="JSON Pointer of the field.")
    code = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """RFC 9457: why a call was refused. Some codes add fields of their own."""

    type = serializers.CharField(help_text="Path of a page that explains the code.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What happened, to what, and what to do.")
    instance = serializers.CharField(help_text="The path that was called.")
    code = serializers.CharField()
    request_id = serializers.CharField(help_text="Quote it when you write to us.")
    errors = FieldError(  # type: ignore[assignment]
        many=True, required=False, help_text="With `INVALID` only."
    )


def refusals(*kinds: type[Refusal]) -> dict[tuple[int, str], OpenApiResponse]:
    """The kinds as `responses` of `extend_schema`: `responses={200: …, **refusals(NotFound)}`."""
    by_status: dict[int, list[type[Refusal]]] = defaultdict(list)
    for kind in kinds:
        by_status[kind.status].append(kind)
    return {
        (status, MEDIA_TYPE): OpenApiResponse(Problem, " · ".join(map(_told, those)))
        for status, those in by_status.items()
    }


def document_everywhere(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook: adds the refusals that any call can meet to every operation."""
    for path in result["paths"].values():
        for method, operation in path.items():
            if isinstance(operation, dict) and "responses" in operation:
                for status in _anywhere(method, operation):
                    operation["responses"].setdefault(str(status), plain(status))
    return result


def _told(kind: type[Refusal]) -> str:
    return f"`{kind.code}`: {(kind.__doc__ or kind.title).splitlines()[0]}"


def _anywhere(method: str, operation: dict[str, Any]) -> Sequence[int]:
    statuses = [400, 406, 413, 414, 429, 431, 503]
    if operation.get("security"):
        statuses.append(401)
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", [])):
        statuses.append(404)
    if method in ("post", "put", "patch"):
        statuses.append(415)
    return statuses


def plain(status: int) -> dict[str, Any]:
    """A refusal as an operation documents it, without its codes."""
    schema = {"$ref": "#/components/schemas/Problem"}
    phrase = HTTPStatus(status).phrase
    return {"description": phrase, "content": {MEDIA_TYPE: {"schema": schema}}}

"""Reading bodies, HTTP's and a socket frame's through the same serializers, and queries."""

from typing import Any

from rest_framework.request import Request
from rest_framework.serializers import Serializer

# As DRF strips it: what patterns call a space, and the marks beside it that Python calls one.
NOT_BLANK = r"[^\s\x1c-\x1f\x85]"


def checked(kind: type[Serializer[Any]], data: Any, *, partial: bool = False) -> dict[str, Any]:
    """The fields of a body. Raises ValidationError, which answers 400 `INVALID`."""
    body = kind(data=data, partial=partial)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


def asked(kind: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """The parameters of a call's query. Raises ValidationError, which answers 400 `INVALID`.

    An empty one is one: to DRF itself a query is a form, in which it would count as left out.
    """
    return checked(kind, request.query_params.dict())


def document_texts(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook: a text that must not be empty must not be blank either, nor may an
    id be empty, whose `format` says nothing to who does not know it."""
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("Request"):
            for field in schema.get("properties", {}).values():
                if field.get("format") == "uuid":
                    field["minLength"] = 32
                elif field.get("minLength") and "pattern" not in field:
                    field["pattern"] = NOT_BLANK
    return result

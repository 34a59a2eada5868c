"""Reading a body: HTTP's and a socket frame's through the same serializers."""

from typing import Any

from rest_framework.serializers import Serializer


def checked(kind: type[Serializer[Any]], data: Any, *, partial: bool = False) -> dict[str, Any]:
    """The fields of a body. Raises ValidationError, which answers 400 `INVALID`."""
    body = kind(data=data, partial=partial)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)

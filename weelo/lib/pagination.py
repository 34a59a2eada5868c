"""Lists in pages: `{"next", "previous", "results"}`, newest first, by a signed cursor."""

from typing import Any, NoReturn

from django.core import signing
from django.db.models import QuerySet
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from weelo.lib.problems import Invalid


class NewestFirst(CursorPagination):
    """DRF's cursor pages by `-created_at, id`; a view may set its own `ordering`.

    The cursor is signed together with the field it counts by: DRF hands the position in it to
    the database as it is, where an altered one would be a fault of ours (500), not the caller's.
    """

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = ("-created_at", "id")

    def get_ordering(
        self, request: Request, queryset: QuerySet[Any], view: APIView
    ) -> tuple[str, ...]:
        return tuple(getattr(view, "ordering", None) or self.ordering)

    def get_page_size(self, request: Request) -> int:
        """What `limit` asks for. Raises Invalid (400) beyond 1 to 200."""
        given = request.query_params.get(self.page_size_query_param, str(self.page_size))
        if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= self.max_page_size):
            _refuse("/limit", f"Send a whole number from 1 to {self.max_page_size}.")
        return int(given)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """The cursor in the query, or None. Raises Invalid (400) when it is not of this list."""
        given = request.query_params.get(self.cursor_query_param)
        if given is None:
            return None
        try:
            return Cursor(*self._signer().unsign_object(given))
        except (signing.BadSignature, ValueError):
            _refuse("/cursor", "Not a cursor of this list. Start without one.")

    def encode_cursor(self, cursor: Cursor) -> str:
        """The address of the page at the cursor."""
        signed = self._signer().sign_object([cursor.offset, cursor.reverse, cursor.position])
        return replace_query_param(self.base_url or "", self.cursor_query_param, signed)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        whole = {"type": "integer", "minimum": 1, "maximum": self.max_page_size}
        texts = {
            self.cursor_query_param: ("From `next` or `previous` of a page.", {"type": "string"}),
            self.page_size_query_param: (f"Rows in a page, {self.page_size} if left out.", whole),
        }
        return [
            {"name": name, "in": "query", "required": False, "description": text, "schema": kind}
            for name, (text, kind) in texts.items()
        ]

    def _signer(self) -> signing.Signer:
        return signing.Signer(salt=f"weelo.cursor.{self.ordering[0]}")


def _refuse(pointer: str, detail: str) -> NoReturn:
    raise Invalid([{"pointer": pointer, "code": "invalid", "detail": detail}])

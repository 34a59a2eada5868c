"""How the OpenAPI document names our way of signing in, and who is let in where."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from weelo.accounts.permissions import RolePermission
from weelo.lib.problems_schema import plain


class RoleSchema(AutoSchema):
    """Documents 403 wherever a role is asked for, so that no view can forget it."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        asked = (kind for kind in self.view.permission_classes if isinstance(kind, type))
        if operation and any(issubclass(kind, RolePermission) for kind in asked):
            operation["responses"].setdefault("403", plain(403))
        return operation


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Bearer <access>`; found by drf-spectacular because it is imported."""

    target_class = "weelo.accounts.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "`access` of `auth/token`."}

"""Roles: what a person is, and which calls are for whom."""

from typing import ClassVar

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from weelo.accounts.models import User
from weelo.lib.problems import Refusal


class WrongRole(Refusal):
    """The call is for people of another role; the detail says which.

    Use the app of the role that the detail names, or become one first.
    """

    code = "WRONG_ROLE"
    status = 403
    title = "Not your role"


def is_captain(user: User) -> bool:
    """Whether the person answers for a transporter; no query after authentication."""
    return hasattr(user, "transporter")


def is_driver(user: User) -> bool:
    """Whether a transporter names the person as an active driver; one query."""
    return user.driver_of.filter(is_active=True).exists()


def roles_of(user: User) -> list[str]:
    """`customer` for everybody, then `captain`, `driver`, `staff` as they apply."""
    having = {
        "customer": True,
        "captain": is_captain(user),
        "driver": is_driver(user),
        "staff": user.is_staff,
    }
    return [role for role, has in having.items() if has]


class RolePermission(BasePermission):
    """Signed in (else 401) and of the role (else 403 `WRONG_ROLE`)."""

    wanted: ClassVar[str]

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.user, User):
            return False
        if not self.has_role(request.user):
            raise WrongRole(f"This call is for {self.wanted}.")
        return True

    def has_role(self, user: User) -> bool:
        raise NotImplementedError


class IsCaptain(RolePermission):
    """Who answers for a transporter."""

    wanted = "captains: register a transporter first"

    def has_role(self, user: User) -> bool:
        return is_captain(user)


class IsDriverOrCaptain(RolePermission):
    """Who answers for a transporter, or drives for one."""

    wanted = "captains and drivers: register a transporter, or ask yours to name you as a driver"

    def has_role(self, user: User) -> bool:
        return is_captain(user) or is_driver(user)


class IsStaff(RolePermission):
    """Dispatchers."""

    wanted = "staff"

    def has_role(self, user: User) -> bool:
        return user.is_staff

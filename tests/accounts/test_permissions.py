import pytest
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from tests.accounts.doors import sign_in
from tests.people import ASHA, BALU, make_captain, make_dispatcher, make_driver
from weelo.accounts import sessions, tokens
from weelo.accounts.models import Session
from weelo.accounts.permissions import IsCaptain, IsDriverOrCaptain, IsStaff

DINESH = "+919000000004"
EVERYBODY = {"nobody", "asha", "balu", "dinesh", "devi"}


@pytest.fixture
def tokens_of(db):
    fleet = make_captain(BALU, vehicles=0)
    make_driver(fleet, DINESH)
    devi = make_dispatcher()
    opened = Session.objects.create(user=devi, expires_at=sign_in(ASHA)[1].session.expires_at)
    return {
        "nobody": "",
        "asha": sign_in(ASHA)[1].access,
        "balu": sign_in(BALU)[1].access,
        "dinesh": sign_in(DINESH)[1].access,
        "devi": tokens.access(opened),
    }


def knock(permission, access):
    class Door(APIView):
        permission_classes = (permission,)

        def get(self, request):
            return Response("in")

    headers = {"Authorization": f"Bearer {access}"} if access else {}
    return Door.as_view()(APIRequestFactory().get("/api/v1/door", headers=headers))


@pytest.mark.parametrize(
    ("permission", "let_in", "for_whom"),
    [
        (IsCaptain, {"balu"}, "captains"),
        (IsDriverOrCaptain, {"balu", "dinesh"}, "captains and drivers"),
        (IsStaff, {"devi"}, "staff"),
    ],
)
def test_a_route_of_another_role_says_whom_it_is_for(tokens_of, permission, let_in, for_whom):
    for name in EVERYBODY - let_in - {"nobody"}:
        answer = knock(permission, tokens_of[name])
        assert (answer.status_code, answer.data["code"]) == (403, "WRONG_ROLE"), name
        assert answer.data["detail"].startswith(f"This call is for {for_whom}")
    for name in let_in:
        assert knock(permission, tokens_of[name]).status_code == 200, name


@pytest.mark.parametrize("permission", [IsCaptain, IsDriverOrCaptain, IsStaff])
def test_without_a_session_every_role_is_asked_to_sign_in(tokens_of, permission):
    answer = knock(permission, "")
    assert (answer.status_code, answer.data["code"]) == (401, "NOT_SIGNED_IN")


def test_a_driver_who_was_let_go_is_no_driver(tokens_of):
    session = Session.objects.get(user__phone=DINESH)
    session.user.driver_of.update(is_active=False)
    assert knock(IsDriverOrCaptain, tokens_of["dinesh"]).status_code == 403


def test_refusals_are_counted_against_the_general_limit_too(tokens_of, settings):
    settings.LIMIT_CUSTOMER = 2
    statuses = [knock(IsStaff, tokens_of["asha"]).status_code for _ in range(3)]
    assert statuses == [403, 403, 429]


def test_a_blocked_captain_is_not_signed_in(tokens_of):
    captain = Session.objects.get(user__phone=BALU).user
    sessions.block(captain, make_dispatcher("dev2"))
    assert knock(IsCaptain, tokens_of["balu"]).status_code == 401

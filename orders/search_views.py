"""Search over HTTP."""

from django.conf import settings
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders.refusals import OutOfArea, Overload
from orders.search import Haul, payload, search
from orders.search_serializers import FoundSerializer, SearchQuerySerializer
from weelo.lib import clock, limits
from weelo.lib.bodies import asked
from weelo.lib.problems import Invalid
from weelo.lib.problems_schema import refusals


class Search(APIView):
    """GET search: fares, quotes and what is near, for anybody."""

    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="search",
        summary="Fares, quotes and trucks nearby",
        parameters=[SearchQuerySerializer],
        responses={
            200: FoundSerializer,
            **refusals(Invalid, OutOfArea, Overload, limits.RateLimited),
        },
    )
    def get(self, request: Request) -> Response:
        """What each vehicle type would cost now; no account needed, nothing is written."""
        if request.auth is None:
            limits.charge_address(request._request, _anonymous())
        haul = Haul(**asked(SearchQuerySerializer, request))
        return Response(payload(search(haul, clock.now())))


def _anonymous() -> limits.Limit:
    return limits.Limit("search", settings.LIMIT_SEARCH_ADDRESS)


urlpatterns = [path("search", Search.as_view(), name="search")]

"""The catalogue over HTTP."""

import hashlib

from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from weelo.cities import cached
from weelo.cities.serializers import VehicleTypePageSerializer
from weelo.lib.wire import encode


class VehicleTypes(APIView):
    """GET vehicle-types: the same for everybody, so nobody has to say who they are."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="vehicle_types",
        summary="The catalogue of vehicle types",
        parameters=[
            OpenApiParameter(
                "If-None-Match", str, OpenApiParameter.HEADER, description="An ETag held."
            ),
            OpenApiParameter("ETag", str, OpenApiParameter.HEADER, response=[200, 304]),
        ],
        responses={
            200: VehicleTypePageSerializer,
            304: OpenApiResponse(description="The catalogue is as the ETag says."),
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Every active vehicle type, in the order of lists; 304 while the ETag holds."""
        page = {"next": None, "previous": None, "results": cached.vehicle_types()}
        body = encode(VehicleTypePageSerializer(page).data)
        etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
        response = HttpResponse(
            body,
            content_type="application/json",
            headers={"ETag": etag, "Cache-Control": f"public, max-age={cached.TTL_S}"},
        )
        return get_conditional_response(request, etag=etag, response=response) or response

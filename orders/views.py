"""The HTTP doors to orders: parse, one verb, serialize."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders import refusals as no
from orders import serializers, snapshots
from orders.change import By
from orders.models import Actor, Order, Wave
from orders.quotes import QuoteInvalid
from orders.verbs.cancel import cancel
from orders.verbs.confirm import confirm
from orders.verbs.expire import expire_due
from orders.verbs.rate import dispute, rate
from orders.whereabouts import placed_payloads
from weelo.accounts.authentication import user_of
from weelo.accounts.permissions import IsStaff, WrongRole
from weelo.lib.bodies import checked
from weelo.lib.clock import database_now
from weelo.lib.problems import Invalid, NotFound
from weelo.lib.problems_schema import refusals
from weelo.lib.wire import rfc3339

_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$"},
    OpenApiParameter.HEADER,
    description="≤ 255 printable characters; the same key and body give the same order.",
)


class OrdersView(ListAPIView[Order]):
    """A customer's orders: all of them, or one more."""

    serializer_class = serializers.OrderAnswer

    def get_queryset(self) -> Any:
        return snapshots.orders_of(user_of(self.request).id)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        assert page is not None
        return self.get_paginated_response(placed_payloads(page))

    @extend_schema(
        parameters=[_KEY],
        request=serializers.ConfirmSerializer,
        responses={
            201: serializers.OrderAnswer,
            **refusals(
                no.ActiveOrderExists,
                no.ConcurrentRequest,
                QuoteInvalid,
                no.KeyReused,
                no.OutOfArea,
                no.UnknownVehicleType,
                no.Overload,
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """Confirm an order."""
        key = idempotency_key(request)
        body = checked(serializers.ConfirmSerializer, request.data)
        confirmed = confirm(user_of(request), body, key)
        headers = {"Location": f"/api/v1/orders/{confirmed.order['id']}"}
        if confirmed.replayed:
            headers["Idempotency-Replayed"] = "true"
        return Response(confirmed.order, status.HTTP_201_CREATED, headers=headers)


class ActiveOrderView(APIView):
    @extend_schema(responses=serializers.ActiveAnswer)
    def get(self, request: Request) -> Response:
        """The customer's active orders, and the newest of them."""
        expire_due(customer_id=user_of(request).id)
        orders = placed_payloads(snapshots.active_orders(user_of(request).id))
        newest = orders[0] if orders else None
        now = rfc3339(database_now())
        return Response({"order": newest, "orders": orders, "server_time": now})


class OrderView(APIView):
    @extend_schema(responses={200: serializers.OrderAnswer, **refusals(NotFound)})
    def get(self, request: Request, order_id: UUID) -> Response:
        """One order of the customer."""
        expire_due(customer_id=user_of(request).id, id=order_id)
        (order,) = placed_payloads([snapshots.order_of(user_of(request).id, order_id)])
        return Response(order)


class TimelineView(APIView):
    @extend_schema(responses={200: serializers.TimelineAnswer(many=True), **refusals(NotFound)})
    def get(self, request: Request, order_id: UUID) -> Response:
        """What happened to an order, oldest first."""
        return Response(snapshots.timeline(user_of(request).id, order_id))


class WavesView(APIView):
    permission_classes = (IsStaff,)

    @extend_schema(
        responses={200: serializers.WaveAnswer(many=True), **refusals(NotFound, WrongRole)}
    )
    def get(self, request: Request, order_id: UUID) -> Response:
        """The decision log of an order: who was told in each wave, who not, and why."""
        if not Order.objects.filter(id=order_id).exists():
            raise NotFound("There is no such order.")
        waves = Wave.objects.filter(order_id=order_id).select_related("policy")
        return Response([_wave(wave) for wave in waves.order_by("number", "part")])


def _wave(wave: Wave) -> dict[str, Any]:
    return {
        "number": wave.number,
        "part": wave.part,
        "at": rfc3339(wave.at),
        "radius_m": wave.radius_m,
        "policy_version": wave.policy.version,
        "source": wave.source,
        "told": wave.told,
        "skipped": wave.skipped,
    }


class CancelOrderView(APIView):
    @extend_schema(
        request=serializers.CancelSerializer,
        responses={
            200: serializers.OrderAnswer,
            **refusals(NotFound, no.CannotCancel, no.ReasonRequired),
        },
    )
    def post(self, request: Request, order_id: UUID, truck_id: UUID | None = None) -> Response:
        """Cancel an order, or one truck of it."""
        body = checked(serializers.CancelSerializer, request.data)
        by = By(Actor.CUSTOMER, user_of(request).id)
        order = cancel(
            by,
            order_id,
            truck_id=truck_id,
            reason=body["reason"],
            customer_id=user_of(request).id,
        )
        return Response(order)


class RatingView(APIView):
    @extend_schema(
        request=serializers.RatingSerializer,
        responses={200: serializers.RatingAnswer, **refusals(NotFound, no.CannotRate)},
    )
    def post(self, request: Request, trip_id: UUID) -> Response:
        """Rate a completed trip."""
        body = checked(serializers.RatingSerializer, request.data)
        return Response(rate(user_of(request).id, trip_id, body["stars"], body["comment"]))


class DisputeView(APIView):
    @extend_schema(
        request=serializers.DisputeSerializer,
        responses={201: serializers.DisputeAnswer, **refusals(NotFound)},
    )
    def post(self, request: Request, trip_id: UUID) -> Response:
        """Open a dispute about a trip."""
        body = checked(serializers.DisputeSerializer, request.data)
        opened = dispute(user_of(request).id, trip_id, body["reason"], body["notes"])
        return Response(opened, status.HTTP_201_CREATED)


def idempotency_key(request: Request) -> str:
    """The key from header or body, or "". Raises Invalid when two differ or one is unusable."""
    body = request.data.get("idempotency_key") if isinstance(request.data, dict) else None
    given = {
        request.headers.get("Idempotency-Key"),
        request.headers.get("X-Idempotency-Key"),
        body if isinstance(body, str) else None,
    } - {None}
    if not given:
        return ""
    key = given.pop()
    assert key is not None
    if given or not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        detail = "Send one key of at most 255 printable characters, in one place."
        raise Invalid([{"pointer": "/idempotency_key", "code": "key", "detail": detail}])
    return key

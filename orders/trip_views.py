"""The HTTP doors to offers and trips: parse, one verb, serialize."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders import refusals as no
from orders import serializers, snapshots
from orders.models import Trip
from orders.receipts import see
from orders.states import TRIP_LIVE
from orders.verbs.accept import accept
from orders.verbs.decline import decline
from orders.verbs.drive import set_driver
from orders.verbs.give_back import give_back
from orders.verbs.steps import Step, check_stop, step
from weelo.accounts.authentication import user_of
from weelo.accounts.permissions import IsCaptain, IsDriverOrCaptain, WrongRole
from weelo.lib.bodies import asked, checked
from weelo.lib.problems import NotFound
from weelo.lib.problems_schema import refusals


class CaptainView(APIView):
    """A door for captains."""

    permission_classes = (IsCaptain,)


class TripDoor(APIView):
    """A door for captains and drivers."""

    permission_classes = (IsDriverOrCaptain,)


class OffersView(CaptainView):
    @extend_schema(
        operation_id="offers_list",
        responses={200: serializers.OffersAnswer, **refusals(WrongRole)},
    )
    def get(self, request: Request) -> Response:
        """The captain's offers whose order still seeks."""
        offers = snapshots.offers_of(user_of(request).id)
        return Response({"next": None, "previous": None, "results": offers})


class OfferView(CaptainView):
    @extend_schema(
        responses={200: serializers.OfferAnswer, **refusals(WrongRole, NotFound)},
    )
    def get(self, request: Request, offer_id: UUID) -> Response:
        """One offer."""
        return Response(snapshots.offer_of(user_of(request).id, offer_id))


class SeenView(CaptainView):
    @extend_schema(
        request=None,
        responses={200: serializers.SeenAnswer, **refusals(WrongRole, NotFound)},
    )
    def post(self, request: Request, offer_id: UUID) -> Response:
        """Say that the captain has looked at an offer."""
        return Response(see(user_of(request).id, offer_id))


class AcceptView(CaptainView):
    @extend_schema(
        request=serializers.AcceptSerializer,
        responses={
            200: serializers.AcceptAnswer,
            **refusals(
                WrongRole,
                NotFound,
                no.NotVerified,
                no.OrderExpired,
                no.OrderCancelled,
                no.OfferClosed,
                no.VehicleBusy,
                no.DriverBusy,
                no.WrongVehicle,
                no.TruckTaken,
            ),
        },
    )
    def post(self, request: Request, offer_id: UUID) -> Response:
        """Take trucks of an order."""
        body = checked(serializers.AcceptSerializer, request.data)
        won = accept(user_of(request).id, offer_id, body["vehicle_ids"], body.get("driver_ids", ()))
        return Response({"trips": won.trips, "trucks_left": won.trucks_left})


class DeclineView(CaptainView):
    @extend_schema(
        request=serializers.ReasonSerializer,
        responses={200: serializers.DeclineAnswer, **refusals(WrongRole, NotFound, no.OfferClosed)},
    )
    def post(self, request: Request, offer_id: UUID) -> Response:
        """Say no to an offer."""
        body = checked(serializers.ReasonSerializer, request.data)
        return Response(decline(user_of(request).id, offer_id, body["reason"]))


class TripsView(ListAPIView[Trip]):
    """The trips of a captain or driver, newest first; `live=true` for those under way."""

    permission_classes = (IsDriverOrCaptain,)
    serializer_class = serializers.TripAnswer
    ordering = ("-won_at", "id")

    def get_queryset(self) -> Any:
        trips = snapshots.trips_of(user_of(self.request).id)
        wanted = asked(serializers.TripsQuery, self.request)
        return trips.filter(status__in=TRIP_LIVE) if wanted["live"] else trips

    @extend_schema(
        parameters=[serializers.TripsQuery],
        responses={200: serializers.TripAnswer(many=True), **refusals(WrongRole)},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        assert page is not None
        return self.get_paginated_response([snapshots.trip_payload(trip) for trip in page])


class TripView(TripDoor):
    @extend_schema(
        responses={200: serializers.TripAnswer, **refusals(WrongRole, NotFound)},
    )
    def get(self, request: Request, trip_id: UUID) -> Response:
        """One trip."""
        trip = snapshots.trips_of(user_of(request).id).filter(id=trip_id).first()
        if trip is None:
            raise NotFound("There is no such trip of yours.")
        return Response(snapshots.trip_payload(trip))


class StepView(TripDoor):
    @extend_schema(
        request=serializers.StepSerializer,
        responses={
            200: serializers.TripAnswer,
            **refusals(WrongRole, NotFound, no.IllegalStep, no.CodeWrong, no.ProofRequired),
        },
    )
    def post(self, request: Request, trip_id: UUID) -> Response:
        """Take a trip one step on."""
        body = checked(serializers.StepSerializer, request.data)
        wanted = Step(body["status"], body["start_code"], body.get("proof"))
        return Response(step(user_of(request), trip_id, wanted))


class StopView(TripDoor):
    @extend_schema(
        request=serializers.StopSerializer,
        responses={200: serializers.TripAnswer, **refusals(WrongRole, NotFound, no.IllegalStep)},
    )
    def post(self, request: Request, trip_id: UUID, number: int) -> Response:
        """Check off a stop on the way."""
        body = checked(serializers.StopSerializer, request.data)
        return Response(check_stop(user_of(request), trip_id, number, body["state"]))


class GiveBackView(CaptainView):
    @extend_schema(
        request=serializers.ReasonSerializer,
        responses={200: serializers.TripAnswer, **refusals(WrongRole, NotFound, no.IllegalStep)},
    )
    def post(self, request: Request, trip_id: UUID) -> Response:
        """Give a won truck back before the pickup is done."""
        body = checked(serializers.ReasonSerializer, request.data)
        return Response(give_back(user_of(request).id, trip_id, body["reason"]))


class TripDriverView(CaptainView):
    @extend_schema(
        request=serializers.TripDriverSerializer,
        responses={
            200: serializers.TripAnswer,
            **refusals(WrongRole, NotFound, no.IllegalStep, no.DriverBusy, no.WrongVehicle),
        },
    )
    def put(self, request: Request, trip_id: UUID) -> Response:
        """Say who drives."""
        body = checked(serializers.TripDriverSerializer, request.data)
        return Response(set_driver(user_of(request).id, trip_id, body["driver_id"]))

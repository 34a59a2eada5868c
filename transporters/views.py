"""The doors of the supply: the fleet, its vehicles and drivers, its switch, its positions."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from transporters import availability, business, drivers, fleet, presence, vehicles
from transporters import serializers as wire
from transporters.models import Driver, Vehicle
from transporters.refusals import DriverOnTrip, RegistrationTaken, VehicleHasTrips
from weelo.accounts.authentication import user_of
from weelo.accounts.permissions import IsCaptain, IsDriverOrCaptain
from weelo.lib.bodies import checked
from weelo.lib.problems import NotFound
from weelo.lib.problems_schema import refusals


class TransporterView(APIView):
    """The own fleet. Any user may become a captain."""

    @extend_schema(responses={200: wire.TransporterSerializer, **refusals(NotFound)})
    def get(self, request: Request) -> Response:
        """The own fleet and how its papers stand."""
        found = business.own(user_of(request).id)
        return Response(wire.TransporterSerializer(found).data)

    @extend_schema(
        request=wire.TransporterSerializer,
        responses={201: wire.TransporterSerializer, 200: wire.TransporterSerializer},
    )
    def post(self, request: Request) -> Response:
        """Become a captain. Who is one already gets 200 with the fleet as it is."""
        body = checked(wire.TransporterSerializer, request.data)
        made, is_new = business.become_captain(user_of(request).id, **body)
        return Response(wire.TransporterSerializer(made).data, 201 if is_new else 200)

    @extend_schema(
        request=wire.TransporterSerializer,
        responses={200: wire.TransporterSerializer, **refusals(NotFound)},
    )
    def patch(self, request: Request) -> Response:
        """Change the name, or send papers in (again)."""
        body = checked(wire.TransporterSerializer, request.data, partial=True)
        changed = business.change(user_of(request).id, **body)
        return Response(wire.TransporterSerializer(changed).data)


class VehiclesView(ListAPIView[Vehicle]):
    """The vehicles of the own fleet."""

    permission_classes = (IsCaptain,)
    serializer_class = wire.VehicleSerializer

    def get_queryset(self) -> QuerySet[Vehicle]:
        return Vehicle.objects.filter(transporter__owner=user_of(self.request))

    @extend_schema(
        request=wire.VehicleSerializer,
        responses={
            201: wire.VehicleSerializer,
            200: wire.VehicleSerializer,
            **refusals(RegistrationTaken),
        },
    )
    def post(self, request: Request) -> Response:
        """Register a vehicle. One that the fleet has already comes back as it is, with 200."""
        body = checked(wire.VehicleSerializer, request.data)
        vehicle, is_new = vehicles.register(user_of(request).id, **body)
        return Response(wire.VehicleSerializer(vehicle).data, 201 if is_new else 200)


class VehicleView(APIView):
    """One vehicle of the own fleet."""

    permission_classes = (IsCaptain,)

    @extend_schema(responses={200: wire.VehicleSerializer, **refusals(NotFound)})
    def get(self, request: Request, vehicle_id: UUID) -> Response:
        """The vehicle."""
        found = vehicles.own(user_of(request).id, vehicle_id)
        return Response(wire.VehicleSerializer(found).data)

    @extend_schema(
        request=wire.VehicleChangeSerializer,
        responses={200: wire.VehicleSerializer, **refusals(NotFound)},
    )
    def patch(self, request: Request, vehicle_id: UUID) -> Response:
        """Renew papers, or take it out of service and back. A trip that it is on goes on."""
        body = checked(wire.VehicleChangeSerializer, request.data, partial=True)
        changed = vehicles.change(user_of(request).id, vehicle_id, **body)
        return Response(wire.VehicleSerializer(changed).data)

    @extend_schema(responses={204: None, **refusals(NotFound, VehicleHasTrips)})
    def delete(self, request: Request, vehicle_id: UUID) -> Response:
        """Delete a vehicle that never drove for us; others are taken out of service."""
        vehicles.remove(user_of(request).id, vehicle_id)
        return Response(status=204)


class DriversView(ListAPIView[Driver]):
    """The drivers of the own fleet."""

    permission_classes = (IsCaptain,)
    serializer_class = wire.DriverSerializer

    def get_queryset(self) -> QuerySet[Driver]:
        return Driver.objects.filter(transporter__owner=user_of(self.request), is_active=True)

    @extend_schema(
        request=wire.DriverSerializer,
        responses={201: wire.DriverSerializer, 200: wire.DriverSerializer},
    )
    def post(self, request: Request) -> Response:
        """Name a driver. One whom the fleet has already comes back as he is, with 200."""
        body = checked(wire.DriverSerializer, request.data)
        driver, is_new = drivers.name(user_of(request).id, **body)
        return Response(wire.DriverSerializer(driver).data, 201 if is_new else 200)


class DriverView(APIView):
    """One driver of the own fleet."""

    permission_classes = (IsCaptain,)

    @extend_schema(responses={200: wire.DriverSerializer, **refusals(NotFound)})
    def get(self, request: Request, driver_id: UUID) -> Response:
        """The driver."""
        found = drivers.own(user_of(request).id, driver_id)
        return Response(wire.DriverSerializer(found).data)

    @extend_schema(
        request=wire.DriverChangeSerializer,
        responses={200: wire.DriverSerializer, **refusals(NotFound)},
    )
    def patch(self, request: Request, driver_id: UUID) -> Response:
        """Change name or licence; another phone is another driver."""
        body = checked(wire.DriverChangeSerializer, request.data, partial=True)
        changed = drivers.change(user_of(request).id, driver_id, **body)
        return Response(wire.DriverSerializer(changed).data)

    @extend_schema(responses={204: None, **refusals(NotFound, DriverOnTrip)})
    def delete(self, request: Request, driver_id: UUID) -> Response:
        """Let a driver go who is on no trip."""
        drivers.release(user_of(request).id, driver_id)
        return Response(status=204)


class AvailabilityView(APIView):
    """The switch."""

    permission_classes = (IsCaptain,)

    @extend_schema(
        request=wire.AvailabilitySerializer, responses={200: wire.AvailabilityStateSerializer}
    )
    def put(self, request: Request) -> Response:
        """Go online or off. A fleet that is not verified may, but is offered nothing yet."""
        body = checked(wire.AvailabilitySerializer, request.data)
        return Response(availability.set_online(user_of(request).id, online=body["online"]))


class PositionsView(APIView):
    """Where the phone is."""

    permission_classes = (IsDriverOrCaptain,)

    @extend_schema(
        request=PolymorphicProxySerializer(
            "Positions", [wire.PointSerializer, wire.PointsSerializer], None
        ),
        responses={202: wire.ReportSerializer},
    )
    def post(self, request: Request) -> Response:
        """Report one position, or up to 100 kept ones in any order. Bad ones are counted."""
        points = wire.read_points(request.data)
        result = presence.report(fleet.remembered(user_of(request)), points)
        return Response(result.as_payload(), 202)

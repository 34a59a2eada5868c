"""Routes of the catalogue, below /api/v1/."""

from django.urls import path

from weelo.cities.views import VehicleTypes

urlpatterns = [path("vehicle-types", VehicleTypes.as_view(), name="vehicle-types")]

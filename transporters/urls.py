"""Routes of the supply, below /api/v1/."""

from django.urls import path

from transporters import views

urlpatterns = [
    path("transporter", views.TransporterView.as_view()),
    path("vehicles", views.VehiclesView.as_view()),
    path("vehicles/<uuid:vehicle_id>", views.VehicleView.as_view()),
    path("drivers", views.DriversView.as_view()),
    path("drivers/<uuid:driver_id>", views.DriverView.as_view()),
    path("availability", views.AvailabilityView.as_view()),
    path("positions", views.PositionsView.as_view()),
]

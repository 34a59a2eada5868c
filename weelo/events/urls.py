"""Routes of events, below /api/v1/."""

from django.urls import path

from weelo.events import views

urlpatterns = [
    path("events", views.EventsView.as_view()),
    path("socket-ticket", views.SocketTicketView.as_view()),
]

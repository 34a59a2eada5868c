"""Routes of accounts, below /api/v1/."""

from django.urls import path

from weelo.accounts import views

urlpatterns = [
    path("auth/otp", views.OtpView.as_view()),
    path("auth/token", views.TokenView.as_view()),
    path("auth/firebase", views.FirebaseView.as_view()),
    path("auth/token/refresh", views.RefreshView.as_view()),
    path("auth/logout", views.LogoutView.as_view()),
    path("sessions", views.SessionsView.as_view()),
    path("sessions/<uuid:session_id>", views.SessionView.as_view()),
    path("me", views.MeView.as_view()),
    path("devices/current", views.DeviceView.as_view()),
]

"""Every HTTP route: `/api/v1/…` for phones, `/admin/` for dispatchers, probes and documents."""

from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
]

"""Every HTTP route: `/api/v1/…` for phones, `/admin/` for dispatchers, probes and documents."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from dispatch.views import ops_ticket
from weelo import health, problem_pages, realtime_page
from weelo.lib import problems

admin.site.site_header = admin.site.site_title = "Weelo"
admin.site.index_title = "Dispatch"
admin.site.site_url = None  # there is no other site than this one

v1 = [
    path("", include("weelo.accounts.urls")),
    path("", include("weelo.cities.urls")),
    path("", include("weelo.events.urls")),
    path("", include("transporters.urls")),
    path("", include("orders.urls")),
]


@csrf_exempt  # its refusal would be HTML; nothing is done here
def unrouted(request: HttpRequest, **_kwargs: str) -> HttpResponse:
    """No HTML under /api/, also for paths that nothing serves."""
    detail = f"Nothing is served at {request.path}. /api/docs/ lists what is."
    return problems.response(request, "NOT_FOUND", 404, detail)


urlpatterns = [
    path("", RedirectView.as_view(url="/api/docs/", http_method_names=("get", "head"))),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("admin/ops/ticket", admin.site.admin_view(ops_ticket)),
    path("admin/", admin.site.urls),
    path("api/v1/", include(v1)),
    path("api/schema/", SpectacularAPIView.as_view(authentication_classes=()), name="schema"),
    path(
        "api/docs/",
        SpectacularSwaggerSplitView.as_view(url_name="schema", authentication_classes=()),
    ),
    path("api/realtime/", realtime_page.show),
    path("api/realtime/asyncapi.yaml", realtime_page.raw, name="asyncapi"),
    path("api/problems/", problem_pages.index),
    path("api/problems/<str:code>", problem_pages.show),
    re_path(r"^api/", unrouted),
]

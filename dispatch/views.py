"""Doors of the console."""

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

from weelo.events import door, tickets
from weelo.lib.problems import TryAgain, response


@require_POST
def ops_ticket(request: HttpRequest) -> JsonResponse:
    """A ticket for `/ws/ops/`, within 30 s and once; the admin has let the dispatcher in."""
    try:
        ticket = tickets.issue(f"{door.STAFF}{request.session.session_key}")
    except TryAgain as fault:
        return response(request, fault.code, fault.status, fault.detail)
    answer = {
        "ticket": ticket,
        "socket_url": settings.SOCKET_URL,
        "expires_in": tickets.TTL_SECONDS,
    }
    return JsonResponse(answer, status=201)

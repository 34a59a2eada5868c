"""Doors of the dispatchers' board."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

from weelo.events import tickets
from weelo.lib.problems import TryAgain, refused


@require_POST
def ops_ticket(request: HttpRequest) -> JsonResponse:
    """A ticket for `/ws/ops/`, within 30 s and once; the admin has let the dispatcher in."""
    try:
        return JsonResponse(tickets.offer(tickets.STAFF, request.session.session_key), status=201)
    except TryAgain as fault:
        return refused(request, fault)

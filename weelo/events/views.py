"""The doors of events over HTTP: the own stream in pages, and tickets for sockets."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from weelo.accounts.models import Session
from weelo.events import mailbox, tickets
from weelo.events.models import Role
from weelo.lib.bodies import asked
from weelo.lib.problems import Invalid, TryAgain
from weelo.lib.problems_schema import refusals
from weelo.lib.wire import encode

PAGE = 200  # events


class EventsQuery(serializers.Serializer[Any]):
    """Where a client stands in which of its streams."""

    role = serializers.ChoiceField(Role.choices, help_text="Drivers read `captain`.")
    epoch = serializers.UUIDField(required=False, help_text="The last one seen; none at first.")
    after = serializers.IntegerField(required=False, min_value=0, help_text="The last seq applied.")


class EventOut(serializers.Serializer[Any]):
    """An event, exactly as a socket sends it; `docs/asyncapi.yaml` describes `data` by `name`."""

    type = serializers.ChoiceField(["event"])
    seq = serializers.IntegerField()
    name = serializers.CharField()
    at = serializers.DateTimeField()
    order_id = serializers.UUIDField(allow_null=True)
    order_version = serializers.IntegerField(allow_null=True)
    data = serializers.DictField()  # type: ignore[assignment]


class EventsOut(serializers.Serializer[Any]):
    """A page of a stream."""

    epoch = serializers.UUIDField(allow_null=True, help_text="Null while nothing was delivered.")
    seq = serializers.IntegerField(help_text="Where this page ends: the next call's `after`.")
    head = serializers.IntegerField(help_text="seq of the newest event.")
    more = serializers.BooleanField(help_text="Whether to call again at once.")
    snapshot_needed = serializers.BooleanField(
        help_text="The events do not join on (another epoch, or trimmed after 24 h): read what you "
        "show anew over HTTP, then go on after `seq`."
    )
    server_time = serializers.DateTimeField()
    events = EventOut(many=True)


class EventsView(APIView):
    """The own stream, for a phone without a socket."""

    @extend_schema(
        operation_id="events",
        parameters=[EventsQuery],
        responses={200: EventsOut, **refusals(Invalid)},
    )
    def get(self, request: Request) -> HttpResponse:
        """At most 200 events after `after`, as the socket would send them."""
        wanted = asked(EventsQuery, request)
        after = wanted.get("after", 0)
        reader = _session(request).user_id
        reading = mailbox.read(reader, Role(wanted["role"]), after=after, limit=PAGE)
        page = _page(reading, wanted.get("epoch"), after)
        return HttpResponse(page, content_type="application/json")


def _session(request: Request) -> Session:
    session = request.auth
    assert isinstance(session, Session)
    return session


def _page(reading: mailbox.Reading, epoch: UUID | None, after: int) -> str:
    joins = reading.continues(epoch, after)
    frames = reading.frames if joins else []
    seq = after + len(frames) if joins else reading.head
    head = {
        "epoch": reading.epoch,
        "seq": seq,
        "head": reading.head,
        "more": seq < reading.head,
        "snapshot_needed": not joins,
        "server_time": reading.server_time,
    }
    return f'{encode(head)[:-1]},"events":[{",".join(frames)}]}}'


class TicketOut(serializers.Serializer[Any]):
    """What opens one socket."""

    ticket = serializers.CharField(help_text="Single use; send it as subprotocol `ticket.<…>`.")
    socket_url = serializers.CharField(help_text="Where the sockets are; add `/ws/customer/` etc.")
    expires_in = serializers.IntegerField(help_text="Seconds.")


class SocketTicketView(APIView):
    """Tickets for clients that cannot send an Authorization header with a socket."""

    @extend_schema(
        operation_id="socket_ticket",
        request=None,
        responses={201: TicketOut, **refusals(TryAgain)},
    )
    def post(self, request: Request) -> Response:
        """A ticket for one socket of this session, within 30 s."""
        return Response(tickets.offer(tickets.SESSION, _session(request).pk), status=201)

"""What a dispatcher does to orders, trips and disputes: pages that ask, then call the verb.

They are views of their own because the admin's form view is already in a transaction, and a verb
owns its own. Each is written down twice: as a fact with the change itself, and in the admin's log.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.views.generic import FormView

from orders.change import By
from orders.models import Actor, Dispute, Order, Trip, TruckRequest
from orders.states import (
    ORDER_ACTIVE,
    TRIP,
    TRIP_BEFORE_PICKUP_DONE,
    TRIP_LIVE,
    TRUCK,
    TripStatus,
)
from orders.verbs.cancel import cancel
from orders.verbs.fail import fail
from orders.verbs.new_code import new_code
from orders.verbs.settle import settle
from weelo.lib.problems import Refusal, as_refusal

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    Asking = FormView[forms.Form]
else:
    ModelAdmin, Asking = admin.ModelAdmin, FormView


class Reason(forms.Form):
    """Why somebody intervenes; both sides may come to read it."""

    reason = forms.CharField(max_length=200, widget=forms.TextInput(attrs={"size": 80}))


class Breakdown(Reason):
    """Why a trip fails, and whether another truck is wanted."""

    replace = forms.BooleanField(
        required=False, initial=True, label="Seek another truck for the same fare"
    )


class Settlement(forms.Form):
    """What customer and fleet agreed on."""

    settlement = forms.CharField(max_length=2000, widget=forms.Textarea)


class Intervention(Asking):
    """A page that says what will happen, asks why, and calls one verb.

    Subclasses name the model, the title (a button's words), what the page explains, and `act`.
    """

    http_method_names = ("get", "post", "head", "options")
    template_name = "admin/orders/intervention.html"
    form_class: type[forms.Form] = Reason
    model: ClassVar[type[Model]]
    word: ClassVar[str]
    title: ClassVar[str]
    explains: ClassVar[str]
    model_admin: ModelAdmin | None = None  # set by `routes`

    @classmethod
    def is_open_for(cls, row: Any) -> bool:
        """Whether the row's page offers it; the verb decides in the end."""
        raise NotImplementedError

    def act(self, by: UUID, row: Any, answers: dict[str, Any]) -> str:
        """Call the verb; returns what was done, for the log. Raises what the verb raises."""
        raise NotImplementedError

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_intervene(request, self.model):
            raise PermissionDenied
        self.row: Any = get_object_or_404(self.model, pk=kwargs["pk"])
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        site = self._admin().admin_site
        page = {"title": self.title, "explains": self.explains, "row": self.row, "back": self.back}
        opts = self.model._meta
        return super().get_context_data(
            **site.each_context(self.request), **page, opts=opts, **kwargs
        )

    def form_valid(self, form: forms.Form) -> HttpResponse:
        by = cast(UUID, self.request.user.pk)
        try:
            done = self.act(by, self.row, form.cleaned_data)
        except (Refusal, OperationalError, InterfaceError) as fault:
            refusal = as_refusal(fault)
            assert refusal is not None
            form.add_error(None, refusal.detail)
            page = self.get_context_data(form=form)
            return self.render_to_response(page, status=refusal.status)
        self._admin().log_change(self.request, self.row, done)
        messages.success(self.request, done)
        return redirect(self.back)

    @property
    def back(self) -> str:
        """The row's own page."""
        return page_of(self.row)

    def _admin(self) -> ModelAdmin:
        assert self.model_admin is not None
        return self.model_admin


class CancelOrder(Intervention):
    """Ends everything of an order that has not ended, without a fee."""

    model, word, title = Order, "cancel", "Cancel the order"
    explains = (
        "All its trucks are cancelled without a fee. Captains on their way hear of it at once, "
        "and their vehicles are free again."
    )

    @classmethod
    def is_open_for(cls, row: Order) -> bool:
        return row.status in ORDER_ACTIVE

    def act(self, by: UUID, row: Order, answers: dict[str, Any]) -> str:
        dispatcher = By(Actor.DISPATCHER, by)
        cancel(dispatcher, row.id, reason=answers["reason"], with_fee=False)
        return f"Cancelled without a fee: {answers['reason']}"


class CancelTruck(Intervention):
    """Ends one truck of an order, without a fee; the others go on."""

    model, word, title = TruckRequest, "cancel", "Cancel this truck"
    explains = "Only this truck is cancelled, without a fee; the others of its order go on."

    @classmethod
    def is_open_for(cls, row: TruckRequest) -> bool:
        return row.status not in TRUCK.terminal

    def act(self, by: UUID, row: TruckRequest, answers: dict[str, Any]) -> str:
        dispatcher, reason = By(Actor.DISPATCHER, by), answers["reason"]
        cancel(dispatcher, row.order_id, truck_id=row.id, reason=reason, with_fee=False)
        return f"Cancelled without a fee: {reason}"


class FailTrip(Intervention):
    """A breakdown with goods on board."""

    model, word, title = Trip, "fail", "Fail the trip"
    form_class = Breakdown
    explains = (
        "For a breakdown with goods on board: the trip ends as failed and its vehicle is free. "
        "A replacement is sought at once for the same fare."
    )

    @classmethod
    def is_open_for(cls, row: Trip) -> bool:
        return TRIP.allows(row.status, TripStatus.FAILED)

    def act(self, by: UUID, row: Trip, answers: dict[str, Any]) -> str:
        fail(by, row.id, answers["reason"], replace=answers["replace"])
        after = "another truck is sought" if answers["replace"] else "no other truck is sought"
        return f"Failed, {after}: {answers['reason']}"


class NewStartCode(Intervention):
    """A new code for the pickup, with all tries."""

    model, word, title = Trip, "new-start-code", "Issue a new start code"
    explains = "The customer sees the new code in the app at once. The captain must not."

    @classmethod
    def is_open_for(cls, row: Trip) -> bool:
        return row.status in TRIP_BEFORE_PICKUP_DONE

    def act(self, by: UUID, row: Trip, answers: dict[str, Any]) -> str:
        new_code(by, row.id, "start_code")
        return f"New start code issued: {answers['reason']}"


class NewDropCode(Intervention):
    """A new code for the delivery, with all tries."""

    model, word, title = Trip, "new-drop-code", "Issue a new drop code"
    explains = (
        "The customer sees the new code in the app at once; once the goods are on their way the "
        "receiver gets it by SMS too."
    )

    @classmethod
    def is_open_for(cls, row: Trip) -> bool:
        return row.status in TRIP_LIVE

    def act(self, by: UUID, row: Trip, answers: dict[str, Any]) -> str:
        new_code(by, row.id, "drop_code")
        return f"New drop code issued: {answers['reason']}"


class Settle(Intervention):
    """Closes a dispute with what was agreed."""

    model, word, title = Dispute, "settle", "Settle the dispute"
    form_class = Settlement
    explains = "Write down what customer and fleet agreed on. It cannot be changed afterwards."

    @classmethod
    def is_open_for(cls, row: Dispute) -> bool:
        return row.settled_at is None

    def act(self, by: UUID, row: Dispute, answers: dict[str, Any]) -> str:
        settle(by, row.id, answers["settlement"])
        return f"Settled: {answers['settlement']}"


ALL: tuple[type[Intervention], ...] = (
    CancelOrder,
    CancelTruck,
    FailTrip,
    NewStartCode,
    NewDropCode,
    Settle,
)


@dataclass(frozen=True)
class Button:
    """A link to an intervention, on the page of its row."""

    title: str
    url: str


def may_intervene(request: HttpRequest, model: type[Model]) -> bool:
    """Whether the caller may change rows of this model, which only the verbs then do."""
    return request.user.has_perm(f"orders.change_{model._meta.model_name}")


def buttons(request: HttpRequest, row: Model) -> list[Button]:
    """What the caller can do to this row now."""
    if not may_intervene(request, type(row)):
        return []
    return [
        Button(kind.title, reverse(f"admin:{_route(kind)}", args=[row.pk]))
        for kind in ALL
        if kind.model is type(row) and kind.is_open_for(row)
    ]


def routes(model_admin: ModelAdmin) -> Iterator[URLPattern]:
    """The routes of the interventions into rows of this admin's model."""
    for kind in ALL:
        if kind.model is model_admin.model:
            view = model_admin.admin_site.admin_view(kind.as_view(model_admin=model_admin))
            yield path(f"<uuid:pk>/{kind.word}/", view, name=_route(kind))


def page_of(row: Model) -> str:
    """The address of a row's page in the admin."""
    return reverse(f"admin:orders_{row._meta.model_name}_change", args=[row.pk])


def _route(kind: type[Intervention]) -> str:
    return f"orders_{kind.model._meta.model_name}_{kind.word.replace('-', '_')}"

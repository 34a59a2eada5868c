"""One order under its lock, and everything that one verb does to it.

A verb takes a `Change`, moves trucks, offers and trips, and calls `finish()`: the order's counters
and status are computed anew, and the rows, the facts and the messages are written in two SQL
statements. Nothing else in the project writes a status, but for `orders.unwon`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Self
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from django.db import connection
from django.db.models import F, QuerySet

from orders import announce, messages
from orders.models import Actor, Fact, FactSubject, Offer, Order, Trip, TruckRequest
from orders.states import (
    OFFER,
    ORDER,
    TRIP,
    TRUCK,
    TRUCK_WON,
    CloseReason,
    Machine,
    OfferState,
    TripStatus,
    TruckStatus,
)
from orders.trucks import (
    born,
    counting,
    held,
    held_trips,
    status_at,
    trucks_of,
)
from transporters.models import Kyc
from weelo.events.deliver import Message, deliver
from weelo.lib.compiled import IsAnyOf, compiled
from weelo.lib.problems import NotFound
from weelo.lib.wire import rfc3339
from weelo.lib.writes import write_together

Row = Order | TruckRequest | Offer | Trip
_SUBJECTS: dict[type[Row], tuple[FactSubject, Machine, str]] = {
    Order: (FactSubject.ORDER, ORDER, "status"),
    TruckRequest: (FactSubject.TRUCK, TRUCK, "status"),
    Offer: (FactSubject.OFFER, OFFER, "state"),
    Trip: (FactSubject.TRIP, TRIP, "status"),
}


class IllegalMove(AssertionError):
    """A verb tried a move that the machine does not have: a fault of ours, never of a caller."""


@dataclass(frozen=True)
class By:
    """Who acts: in which part, and which user (None for the system)."""

    actor: Actor
    user_id: UUID | None = None


SYSTEM = By(Actor.SYSTEM)


@dataclass
class Change:
    """An order with its trucks (each with the trip that holds it) and offers, being changed."""

    order: Order
    trucks: list[TruckRequest]
    offers: list[Offer]
    now: datetime
    by: By
    before: "announce.Before | None"
    close_reason: CloseReason = CloseReason.FILLED
    dropped: list[Trip] = field(default_factory=list)
    expired: list[TruckRequest] = field(default_factory=list)
    former_drivers: dict[UUID, set[UUID]] = field(default_factory=dict)
    more: list[Message] = field(default_factory=list)
    _added: list[Any] = field(default_factory=list)
    _touched: dict[Any, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, by: By, **where: Any) -> Self:
        """Lock one order (`where` filters orders), then read its trucks, trips and offers.

        Three statements; two for an order that nobody was told of, which has no offers and so no
        trips. Raises NotFound. The clock is the database's, read after the lock.
        """
        change = cls.find(by, **where)
        if change is None:
            raise NotFound("There is no such order of yours.")
        read_offers([change])
        return change

    @classmethod
    def find(cls, by: By, **where: Any) -> Self | None:
        """As `of`, or None, and without the offers: `read_offers` comes before any change."""
        return cls.first(by, locked(Order.objects.filter(**where).order_by()))

    @classmethod
    def first(cls, by: By, orders: Iterable[Order]) -> Self | None:
        """As `find`, of orders that are `locked`."""
        return next(iter(cls._read(by, list(orders))), None)

    @classmethod
    def many(cls, by: By, orders: Iterable[Order]) -> list[Self]:
        """As `of` for several orders at once that are `locked`, in as many statements."""
        changes = cls._read(by, list(orders))
        read_offers(changes)
        return changes

    @classmethod
    def _read(cls, by: By, orders: list[Order]) -> list[Self]:
        assert connection.in_atomic_block
        ids = [order.id for order in orders]
        trucks: dict[UUID, list[TruckRequest]] = {id_: [] for id_ in ids}
        for truck in trucks_of(ids, told=any(order.captains_told for order in orders)):
            trucks[truck.order_id].append(truck)
        return [cls._of(by, order, trucks[order.id]) for order in orders]

    @classmethod
    def _of(cls, by: By, order: Order, trucks: list[TruckRequest]) -> Self:
        now: datetime = trucks[0].now  # type: ignore[attr-defined]
        return cls(order, trucks, [], now, by, None)

    @classmethod
    def new(cls, by: By, order: Order, trucks: list[TruckRequest], now: datetime) -> Self:
        """The change that brings an order into being."""
        change = cls(order, trucks, [], now, by, None)
        change._added += [order, *trucks]
        change.note(
            "order_confirmed",
            order,
            to=order.status,
            fare_paise=order.fare_paise,
            expires_at=order.expires_at,
            trucks=[born(truck) for truck in trucks],
        )
        return change

    # --- reading ----------------------------------------------------------------------------

    def searching(self) -> list[TruckRequest]:
        """The trucks that still seek, in the order asked."""
        return [truck for truck in self.trucks if truck.status == TruckStatus.SEARCHING]

    def truck(self, truck_id: UUID) -> TruckRequest:
        """One truck of this order. Raises NotFound."""
        for truck in self.trucks:
            if truck.id == truck_id:
                return truck
        raise NotFound("There is no such truck in this order.")

    def offer(self, offer_id: UUID) -> Offer:
        """One offer of this order. Raises NotFound."""
        for offer in self.offers:
            if offer.id == offer_id:
                return offer
        raise NotFound("There is no such offer to you.")

    def trips(self) -> list[Trip]:
        """The trips that hold a truck, in the order of the trucks."""
        return held_trips(self.trucks)

    def today(self) -> date:
        """The date on the city's clock."""
        return self.now.astimezone(ZoneInfo(self.order.city.timezone)).date()

    # --- writing ----------------------------------------------------------------------------

    def move(self, row: Row, to: str, *, kind: str = "", data: Any = None, **fields: Any) -> None:
        """Move one row along its machine, set `fields` with it, and record the fact.

        The fact's data is `data` and the fields.
        """
        subject, machine, column = _SUBJECTS[type(row)]
        here = getattr(row, column)
        if not machine.allows(here, to):
            raise IllegalMove(f"{subject} {row.pk}: {here} -> {to}")
        setattr(row, column, to)
        told = {**(data or {}), **fields}
        self.note(kind or f"{subject}_{to}", row, here=here, to=to, **told)
        if to in machine.terminal and hasattr(row, "ended_at"):
            fields["ended_at"] = self.now
        self.set(row, **fields)
        self._touched.setdefault(row, set()).add(column)
        if isinstance(row, TruckRequest) and to == TruckStatus.EXPIRED:
            self.expired.append(row)

    def set(self, row: Any, **fields: Any) -> None:
        """Set fields that are not a status."""
        changed = {name for name, value in fields.items() if getattr(row, name) != value}
        for name in changed:
            setattr(row, name, fields[name])
        if changed:
            self._touched.setdefault(row, set()).update(changed)

    def add(self, row: Any) -> None:
        """Insert a row together with the rest."""
        self._added.append(row)

    def add_trip(self, truck: TruckRequest, trip: Trip) -> None:
        """A vehicle wins a truck."""
        self.move(truck, TruckStatus.ASSIGNED, data={"trip_id": trip.id})
        truck.held = trip  # type: ignore[attr-defined]
        self.add(trip)
        self.note(
            "trip_assigned",
            trip,
            to=trip.status,
            truck_id=truck.id,
            vehicle_id=trip.vehicle_id,
            transporter_id=trip.transporter_id,
            driver_id=trip.driver_id,
        )

    def drop_trip(self, truck: TruckRequest, reason: str) -> Trip:
        """End a trip before the pickup is done; its vehicle and driver are free again."""
        trip = held(truck)
        assert trip is not None
        self.step_trip(trip, TripStatus.CANCELLED, reason=reason)
        truck.held = None  # type: ignore[attr-defined]
        self.dropped.append(trip)
        return trip

    def replace(self, truck: TruckRequest) -> TruckRequest:
        """Seek another truck in place of one that broke down, for the same fare."""
        new = TruckRequest(
            order=self.order,
            position=max(t.position for t in self.trucks) + 1,
            vehicle_type_id=truck.vehicle_type_id,
            load_kg=truck.load_kg,
            fare_paise=truck.fare_paise,
            payout_paise=truck.payout_paise,
            replaces=truck,
        )
        self.trucks.append(new)
        self.add(new)
        self.note("truck_replacement", new, to=new.status, replaces=truck.id, **born(new))
        return new

    def step_trip(self, trip: Trip, to: str, **fields: Any) -> None:
        """Move a trip and remember the step's time."""
        self.move(trip, to, **fields)
        self.set(trip, steps=[*trip.steps, {"status": str(to), "at": rfc3339(self.now)}])

    def seek_for(self, ttl: timedelta) -> None:
        """The order seeks (again): at least `ttl` from now, the next wave at once."""
        self.set(
            self.order,
            expires_at=max(self.order.expires_at, self.now + ttl),
            seeking_since=self.now,
            next_wave_at=self.now,
        )
        self.note("order_seeks_again", self.order, expires_at=self.order.expires_at)

    def note(self, kind: str, row: Row, *, here: str = "", to: str = "", **data: Any) -> None:
        """Record a fact: what happened to which row, from what to what."""
        context = structlog.contextvars.get_contextvars()
        self._added.append(
            Fact(
                order_id=self.order.id,
                order_version=self.order.version,
                at=self.now,
                kind=kind,
                subject=_SUBJECTS[type(row)][0],
                subject_id=row.pk,
                from_status=here,
                to_status=to,
                by=self.by.actor,
                by_user_id=self.by.user_id,
                request_id=context.get("request_id", ""),
                data=data,
            )
        )

    def expire_overdue(self) -> list[TruckRequest]:
        """Past the deadline, what still searches is expired, whichever verb noticed it.

        Time did it: the facts say so, not who acts.
        """
        if self.now < self.order.expires_at:
            return []
        overdue = self.searching()
        actor, self.by = self.by, SYSTEM
        for truck in overdue:
            self.move(truck, TruckStatus.EXPIRED)
        self.by = actor
        if overdue:
            self.close_reason = CloseReason.EXPIRED
        return overdue

    def finish(self) -> None:
        """Compute the order anew, then write rows and facts, then messages: two statements."""
        finish_all([self])

    def _settle(self) -> None:
        assert self.before is not None or self.order in self._added, "its offers were not read"
        self._count()
        self._reopen_or_close_offers()
        self._raise_version()

    def _raise_version(self) -> None:
        """A new version whenever the customer sees the order, a truck or a trip changed."""
        if self.before is None or not any(map(_is_seen, self._touched.items())):
            return
        self.set(self.order, version=self.order.version + 1)
        for row in self._added:
            if isinstance(row, Fact):
                row.order_version = self.order.version

    def _count(self) -> None:
        won = [truck for truck in counting(self.trucks) if truck.status in TRUCK_WON]
        searching = self.searching()
        self.set(
            self.order,
            trucks_filled=len(won),
            trucks_searching=len(searching),
            payable_paise=sum(truck.fare_paise for truck in won),
        )
        if not searching:
            self.set(self.order, next_wave_at=None)
        told = {"reason": messages.expiry_reason(self.order)} if self.expired else {}
        # The overdue was expired before, so that reading at any time gives the stored status.
        status = status_at(self.order, self.trucks, self.order.created_at)
        if status != self.order.status:
            self.move(self.order, status, **told)
        elif told:
            self.note("deadline_passed", self.order, **told)
            self.set(self.order, **told)

    def _reopen_or_close_offers(self) -> None:
        seeking = self.order.trucks_searching > 0
        for offer in self.offers:
            if not seeking and offer.state == OfferState.OPEN:
                self.move(offer, OfferState.CLOSED, close_reason=self.close_reason)
            elif seeking and offer.state == OfferState.CLOSED and _may_be_asked(offer):
                self.move(offer, OfferState.OPEN, close_reason="", again=True, told_at=self.now)


def locked(orders: QuerySet[Order]) -> QuerySet[Order]:
    """These orders, each with its city, under the lock that every verb takes first."""
    return orders.select_related("city").select_for_update(no_key=True, of=("self",))


@compiled
def _offers_of(order_ids: list[UUID]) -> QuerySet[Offer]:
    offers = Offer.objects.filter(IsAnyOf("order_id", order_ids)).order_by("id")
    fleet = {"captain_id": F("transporter__owner_id"), "kyc_status": F("transporter__kyc_status")}
    return offers.annotate(**fleet)


def read_offers(changes: Sequence[Change]) -> None:
    """Read whom the orders were told to, and keep what everybody sees before the change.

    One statement, or none when nobody was told.
    """
    by_order = {change.order.id: change for change in changes if change.order.captains_told}
    for offer in _offers_of(list(by_order)) if by_order else ():
        by_order[offer.order_id].offers.append(offer)
    for change in changes:
        change.before = announce.Before.of(change.order, change.trucks, change.offers)


def _may_be_asked(offer: Offer) -> bool:
    """Whether its fleet's papers are in order, as read by `read_offers`: if not, a closed offer
    waits for `orders.verbs.withdraw.reinstate`."""
    status: str = offer.kyc_status  # type: ignore[attr-defined]
    return status == Kyc.VERIFIED


def finish_all(changes: Sequence[Change]) -> None:
    """`Change.finish` for several orders at once, in the same two statements."""
    for change in changes:
        change._settle()
    write_together(
        [row for change in changes for row in change._added],
        [update for change in changes for update in _updates(change)],
    )
    deliver([m for change in changes for m in (*announce.announce(change), *change.more)])


def _updates(change: Change) -> Iterator[tuple[Any, set[str]]]:
    inserted = set(map(id, change._added))
    return ((row, names) for row, names in change._touched.items() if id(row) not in inserted)


def _is_seen(touched: tuple[Any, set[str]]) -> bool:
    """Whether the customer sees these fields of this row."""
    row, fields = touched
    return not isinstance(row, Offer) and fields != {"flagged"}

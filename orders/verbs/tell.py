"""One wave: the chosen captains are told of an order, and the decision is written down."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from orders.change import SYSTEM, Change
from orders.models import Offer, Order, Wave
from orders.states import OfferState
from transporters.models import Kyc, Transporter
from weelo.lib.retries import verb


@dataclass(frozen=True)
class Told:
    """A transporter to be told; `vehicles` is `[{id, registration, distance_km}]`."""

    transporter_id: UUID
    distance_m: int
    vehicles: list[dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """One wave as matching decided it; `told` in rank order, `part` > 0 for newcomers.

    `number` and `part` must follow the order's last ones, or the plan is stale. `skipped` is
    `[{transporter, distance_m, reason}]`, nearest first; `next_wave_at` is the next look.
    """

    order_id: UUID
    number: int
    part: int
    radius_m: int
    policy_id: int
    told: list[Told]
    skipped: list[dict[str, Any]]
    source: str
    next_wave_at: datetime | None


@verb
def tell(plan: Plan) -> bool:
    """Write a wave and its offers, and tell its captains.

    False when the order seeks no more, or when another loop was first: then nothing is written.
    """
    change = Change.of(SYSTEM, id=plan.order_id)
    order = change.order
    if not order.is_seeking(change.now) or not _is_next(plan, order):
        return False
    known = {offer.transporter_id for offer in change.offers}
    wanted = [told.transporter_id for told in plan.told if told.transporter_id not in known]
    captains = _captains(wanted)
    told = [one for one in plan.told if one.transporter_id in captains]
    for one in told:
        offer = _offer(plan, one, change)
        offer.captain_id = captains[one.transporter_id]
        change.offers.append(offer)
        change.add(offer)
        change.note(
            "captain_told",
            offer,
            to=OfferState.OPEN,
            transporter_id=one.transporter_id,
            wave=plan.number,
            distance_m=one.distance_m,
        )
    change.add(_wave(plan, told, change.now))
    change.set(
        order,
        wave=plan.number,
        radius_m=plan.radius_m,
        next_wave_at=plan.next_wave_at,
        captains_told=order.captains_told + len(told),
    )
    change.finish()
    return True


def _is_next(plan: Plan, order: Order) -> bool:
    """Whether no other loop sent this wave (or this part of it) before.

    Only for newcomers it takes a statement: the order itself says which wave was the last.
    """
    if plan.number != order.wave:
        return plan.number > order.wave
    sent = order.waves.filter(number=plan.number).order_by("-part")
    last = sent.values_list("part", flat=True).first()
    return last is None or plan.part > last


def _captains(fleet_ids: list[UUID]) -> dict[UUID, UUID]:
    """The captain of each of these fleets that may be told now."""
    if not fleet_ids:
        return {}
    fleets = Transporter.objects.filter(
        id__in=fleet_ids, kyc_status=Kyc.VERIFIED, is_online=True, owner__is_active=True
    )
    return dict(fleets.values_list("id", "owner_id"))


def _offer(plan: Plan, one: Told, change: Change) -> Offer:
    return Offer(
        order=change.order,
        transporter_id=one.transporter_id,
        wave=plan.number,
        distance_m=one.distance_m,
        vehicles=one.vehicles,
        told_at=change.now,
    )


def _wave(plan: Plan, told: list[Told], now: datetime) -> Wave:
    return Wave(
        order_id=plan.order_id,
        number=plan.number,
        part=plan.part,
        at=now,
        radius_m=plan.radius_m,
        policy_id=plan.policy_id,
        told=[
            {"transporter": str(one.transporter_id), "distance_m": one.distance_m, "rank": rank}
            for rank, one in enumerate(told, 1)
        ],
        skipped=plan.skipped,
        source=plan.source,
    )

"""Cancelling an order, or one truck of it, with the fee of its stage."""

from typing import Any
from uuid import UUID

import structlog

from orders import announce, fees, messages, pricing
from orders.change import By, Change
from orders.models import Trip, TruckRequest
from orders.refusals import CannotCancel, ReasonRequired
from orders.states import TRUCK, CloseReason, OrderStatus, TruckStatus
from orders.trucks import held
from weelo.lib.retries import verb

log = structlog.get_logger(__name__)


@verb
def cancel(
    by: By,
    order_id: UUID,
    *,
    truck_id: UUID | None = None,
    reason: str = "",
    with_fee: bool = True,
    **scope: Any,
) -> dict[str, Any]:
    """Cancel what has not ended of an order, or one truck; returns the order.

    `scope` narrows the orders that the caller may touch (`customer_id=…`). Cancelled before: the
    same success. A dispatcher cancels `with_fee=False`. Raises NotFound, CannotCancel (ended,
    or the goods are on board), ReasonRequired (a truck waits at the pickup).
    """
    change = Change.of(by, id=order_id, **scope)
    change.expire_overdue()
    trucks = [change.truck(truck_id)] if truck_id else change.trucks
    open_trucks = [truck for truck in trucks if truck.status not in TRUCK.terminal]
    if not open_trucks:
        return _already(change, trucks)
    trips = [trip for truck in open_trucks if (trip := held(truck))]
    terms = fees.terms(change.order, trips, change.now)
    if not terms.allowed:
        raise CannotCancel(
            "The goods are on board. Open a dispute on the trip instead.", order_id=str(order_id)
        )
    if terms.reason_required and not reason.strip():
        raise ReasonRequired("A truck waits at the pickup: send a reason to cancel it.")
    _cancel_trucks(change, open_trucks, reason)
    _charge(change, trips, terms.fee_paise if with_fee else 0, reason)
    change.close_reason = CloseReason.CANCELLED
    change.finish()
    log.info("order cancelled", order_id=order_id, trucks=len(open_trucks), trips=len(trips))
    return messages.order_payload(change.order, change.trucks, change.now)


def _already(change: Change, trucks: list[TruckRequest]) -> dict[str, Any]:
    if any(truck.status == TruckStatus.CANCELLED for truck in trucks):
        return messages.order_payload(change.order, change.trucks, change.now)
    if change.expired:
        raise CannotCancel("The order ran out by itself; there is nothing left to cancel.")
    status = OrderStatus(change.order.status).label.lower()
    raise CannotCancel(f"The order is {status}; there is nothing left to cancel.")


def _cancel_trucks(change: Change, trucks: list[TruckRequest], reason: str) -> None:
    for truck in trucks:
        if held(truck):
            change.drop_trip(truck, reason[:200])
        change.move(truck, TruckStatus.CANCELLED)


def _charge(change: Change, trips: list[Trip], fee_paise: int, reason: str) -> None:
    """Record the fee (nothing is collected) and tell the captains who had won."""
    order = change.order
    share = pricing.payout_paise(fee_paise, order.city.commission_percent)
    if fee_paise:
        sums: dict[str, Any] = {
            "cancel_fee_paise": order.cancel_fee_paise + fee_paise,
            "captain_share_paise": order.captain_share_paise + share,
        }
        change.set(order, **sums)
        change.note("cancel_fee_recorded", order, **sums)
    change.more += announce.cancelled_trips(change, trips, reason, fee_paise, share)

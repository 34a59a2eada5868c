"""The refusals of the order verbs, with the code that the contract names; `quotes` has its own."""

from weelo.lib.problems import Refusal


class ActiveOrderExists(Refusal):
    """The customer has no free place for another active order.

    Open the order named in `order_id`; wait for its end or cancel it, then confirm again.
    """

    code = "ACTIVE_ORDER_EXISTS"
    title = "You already have an active order"


class ConcurrentRequest(Refusal):
    """Another confirm of the same customer, with another key, is being worked on.

    Wait a second, look at the active order, and confirm again only if there is none.
    """

    code = "CONCURRENT_REQUEST"
    title = "Another order is being confirmed"


class KeyReused(Refusal):
    """The idempotency key belongs to another body.

    Make a new key for each new wish; repeat a key only with the same body.
    """

    code = "IDEMPOTENCY_KEY_REUSED"
    status = 422
    title = "This key was used for something else"


class OutOfArea(Refusal):
    """The pickup is in no open city, or the drop is not in India.

    Choose a pickup in a city that we serve, and a drop in India.
    """

    code = "OUT_OF_AREA"
    status = 422
    title = "We do not operate there"


class UnknownVehicleType(Refusal):
    """A vehicle type that is not in the catalogue of the city.

    Choose a vehicle type from the catalogue or the search.
    """

    code = "UNKNOWN_VEHICLE_TYPE"
    status = 422
    title = "Unknown vehicle type"


class Overload(Refusal):
    """More load than the vehicle type carries.

    Choose a larger vehicle type, or spread the load over more trucks.
    """

    code = "LOAD_OVER_CAPACITY"
    status = 422
    title = "Too heavy for this vehicle type"


class CannotCancel(Refusal):
    """The goods are on board, or the order has ended.

    With goods on board open a dispute on the trip; an ended order needs no cancel.
    """

    code = "CANNOT_CANCEL"
    title = "This can no longer be cancelled"


class ReasonRequired(Refusal):
    """A truck waits at the pickup: cancelling needs a reason.

    Send `reason` with the cancel.
    """

    code = "REASON_REQUIRED"
    status = 422
    title = "Say why"


class NotVerified(Refusal):
    """The transporter's papers are not verified, or it is suspended.

    Send the papers for review, or write to us when you are suspended.
    """

    code = "NOT_VERIFIED"
    status = 403
    title = "Not verified"


class OrderExpired(Refusal):
    """The order's time is over.

    Take the card away and wait for the next broadcast.
    """

    code = "ORDER_EXPIRED"
    status = 410
    title = "Too late: the order expired"


class OrderCancelled(Refusal):
    """The order was cancelled.

    Take the card away and wait for the next broadcast.
    """

    code = "ORDER_CANCELLED"
    status = 410
    title = "The order was cancelled"


class OfferClosed(Refusal):
    """The offer was withdrawn or given back.

    Take the card away; it comes back by itself if the offer opens again.
    """

    code = "OFFER_CLOSED"
    status = 410
    title = "This offer is closed"


class TruckTaken(Refusal):
    """All trucks are taken.

    Wait: if a truck of this order is given back, you hear of it again.
    """

    code = "TRUCK_TAKEN"
    title = "Somebody else was first"


class VehicleBusy(Refusal):
    """A vehicle is on a live trip.

    Choose free vehicles instead of those in `vehicle_ids`.
    """

    code = "VEHICLE_BUSY"
    title = "Vehicle on another trip"


class DriverBusy(Refusal):
    """A driver is on a live trip.

    Choose a driver without a live trip, or none to drive yourself.
    """

    code = "DRIVER_BUSY"
    title = "Driver on another trip"


class WrongVehicle(Refusal):
    """A vehicle or driver that cannot serve: not yours, not in service, papers or type wrong.

    Choose vehicles of a wanted type, in service, with valid papers; `vehicle_ids` names the
    others.
    """

    code = "WRONG_VEHICLE"
    title = "This vehicle or driver cannot take it"


class IllegalStep(Refusal):
    """The trip's machine has no such step from here; `allowed` lists those it has.

    Read the trip again and take one of the steps in `allowed`.
    """

    code = "ILLEGAL_MOVE"
    title = "Not from here"


class CodeWrong(Refusal):
    """A start or drop code that does not fit; `tries_left` says how many remain.

    Ask for the code once more; when no tries are left, call the dispatcher for a new one.
    """

    code = "CODE_WRONG"
    title = "Wrong code"


class ProofRequired(Refusal):
    """A delivery needs the drop code, or a photo where the city allows it.

    Ask the receiver for the 4-digit drop code and send it as proof.
    """

    code = "PROOF_REQUIRED"
    status = 422
    title = "Proof of delivery is missing"


class CannotRate(Refusal):
    """Only a finished trip is rated, and only once.

    Wait until the trip is completed; a rating given stays as it is.
    """

    code = "CANNOT_RATE"
    title = "This trip cannot be rated"


class AlreadySettled(Refusal):
    """The dispute was settled before, in other words.

    Read the dispute again; a new complaint is a new dispute.
    """

    code = "ALREADY_SETTLED"
    title = "Settled before"

"""What the verbs of the supply refuse, with the codes of the contract."""

from weelo.lib.problems import Refusal


class RegistrationTaken(Refusal):
    """The registration belongs to another fleet.

    Check the number; when the truck is yours, write to us.
    """

    code = "REGISTRATION_TAKEN"
    title = "Registered by another fleet"


class VehicleHasTrips(Refusal):
    """A vehicle that drove for us stays in the books: take it out of service instead.

    Set `in_service` to false.
    """

    code = "VEHICLE_HAS_TRIPS"
    title = "This vehicle has trips"


class DriverOnTrip(Refusal):
    """The driver is on a live trip: give the trip another driver first.

    Set another driver on the trip, or wait for its end.
    """

    code = "DRIVER_BUSY"
    title = "This driver is on a trip"


class KycMoveRefused(Refusal):
    """The papers are not in a state from which that decision can be taken.

    Read the state again and take a decision that it allows.
    """

    code = "ILLEGAL_MOVE"
    title = "Not from this state"

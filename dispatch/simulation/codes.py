"""What customers tell captains at the kerb: the start and drop codes of their trips."""

import asyncio
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

LOOK_S = 0.5

# trip id → start code and drop code; shared by all processes of a simulation.
Codes = MutableMapping[str, tuple[str, str]]


def tell(codes: Codes, trips: Iterable[Mapping[str, Any]]) -> None:
    """Pass on the codes that the customer's own API shows."""
    for trip in trips:
        told = (trip["start_code"], trip["drop_code"])
        if codes.get(trip["id"]) != told:
            codes[trip["id"]] = told


async def ask(codes: Codes, trip_id: str, patience_s: float) -> tuple[str, str] | None:
    """Both codes of a trip; None when nobody has come with them for so long."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while (told := codes.get(trip_id)) is None:
        if asyncio.get_running_loop().time() >= deadline:
            return None
        await asyncio.sleep(LOOK_S)
    return told

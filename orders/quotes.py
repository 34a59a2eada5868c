"""Signed quotes: a fare that search promises and confirm keeps, for a few minutes.

A quote carries its fare and its end; the signature also covers what was asked for, so that it
fits that one wish and no other. Nothing is stored.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.core.signing import BadSignature, Signer

from transporters.geo import Point
from weelo.lib.problems import Refusal

_FORM = re.compile(r"(\d{1,18})\.(\d{1,12})\.[A-Za-z0-9_-]{1,100}", re.ASCII)


class QuoteInvalid(Refusal):
    """A quote that is over, for something else, or altered; `fare_paise` is the fare of now.

    Show the customer the fare of now, or search again, and confirm with the new quote.
    """

    code = "QUOTE_INVALID"
    status = 409
    title = "Quote not valid"


@dataclass(frozen=True)
class Wish:
    """What a quote is for: pickup, stops and drop in order, one truck, and by which prices."""

    points: Sequence[Point]
    vehicle_type: str
    load_kg: int | None
    city: str
    rate_card_version: int

    def __str__(self) -> str:
        points = ";".join(f"{point.lat:.6f},{point.lng:.6f}" for point in self.points)
        load = "full" if self.load_kg is None else f"{self.load_kg} kg"
        return f"{points}|{self.vehicle_type}|{load}|{self.city}|{self.rate_card_version}"


def sign(wish: Wish, fare_paise: int, expires_at: datetime) -> str:
    """A quote for one truck of the wish at this fare, good before `expires_at` (whole seconds)."""
    promise = f"{fare_paise}.{int(expires_at.timestamp())}"
    return f"{promise}.{_signer().signature(f'{wish}|{promise}')}"


def check(quote: str, wish: Wish, *, now: datetime, fare_now_paise: int) -> int:
    """The fare in paise that a quote promises for the wish.

    `now`: the database's clock; `fare_now_paise`: what the wish costs without a quote.
    Raises QuoteInvalid with that fare.
    """
    fare_paise = _promised(quote, wish, now)
    if fare_paise is None:
        raise QuoteInvalid(
            f"The quote for {wish.vehicle_type} is over or was made for another order. The fare "
            f"now is {fare_now_paise} paise: search again, or confirm without a quote.",
            vehicle_type=wish.vehicle_type,
            fare_paise=fare_now_paise,
        )
    return fare_paise


def _promised(quote: str, wish: Wish, now: datetime) -> int | None:
    form = _FORM.fullmatch(quote)
    if form is None:
        return None
    promise, signature = quote.rsplit(".", 1)
    try:
        _signer().unsign(f"{wish}|{promise}:{signature}")
    except BadSignature:
        return None
    return int(form[1]) if now < datetime.fromtimestamp(int(form[2]), UTC) else None


def _signer() -> Signer:
    return Signer(salt="orders.quotes")

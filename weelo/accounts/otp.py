"""One-time codes: six digits by SMS, five minutes, five tries, once."""

import math
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import Count, Min, Q
from django.db.models.functions import Now
from django.utils.crypto import constant_time_compare, salted_hmac

from weelo.accounts import sms
from weelo.accounts.models import OneTimeCode
from weelo.lib import limits
from weelo.lib.clock import database_now
from weelo.lib.problems import Refusal
from weelo.lib.retries import verb
from weelo.lib.turns import take_turn

log = structlog.get_logger(__name__)
TRIES = 5  # also a constraint of the table

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


class OtpWrong(Refusal):
    """Not the code that was sent; `tries_left` says how often one may still guess.

    Type the code of the newest SMS; when no tries are left, ask for a new one.
    """

    code = "OTP_WRONG"
    status = 401
    title = "Wrong code"


class OtpExpired(Refusal):
    """No code of this number is waiting: none was asked for, or it is old, used or used up.

    Ask for a new code.
    """

    code = "OTP_EXPIRED"
    status = 401
    title = "No valid code"


@dataclass(frozen=True)
class Asked:
    """The answer to a request for a code: how long it holds, when another may be asked for."""

    expires_in: timedelta
    resend_in: timedelta


@dataclass(frozen=True)
class Verdict:
    """What a guess was worth."""

    right: bool
    tries_left: int = 0
    code_waits: bool = True

    def refusal(self) -> Refusal:
        """What to answer to a guess that was not right."""
        if not self.code_waits:
            return OtpExpired("No code of this number is valid now. Ask for a new one.")
        return OtpWrong("That is not the code we sent. Check the SMS.", tries_left=self.tries_left)


@verb
def send_code(phone: str) -> Asked:
    """Write a code for `phone` (E.164) and the SMS that carries it; the loop sends it.

    Says nothing about whether the number has an account. Within 30 s of the last code nothing
    new is sent. Raises RateLimited when a cap is used up.
    """
    take_turn(f"otp:{phone}")
    now = database_now()
    last = OneTimeCode.objects.filter(phone=phone).order_by("-created_at").first()
    if last and last.created_at > now - settings.OTP_RESEND:
        return Asked(last.expires_at - now, last.created_at + settings.OTP_RESEND - now)
    _refuse_over_phone_caps(phone, now)
    # The other caps are shared by all numbers, so their turn comes last and is held shortly.
    take_turn("otp")
    _refuse_over_shared_caps(phone, now)
    code = f"{secrets.randbelow(10**6):06}"
    OneTimeCode.objects.create(
        phone=phone, code_hash=_hashed(phone, code), expires_at=Now() + settings.OTP_TTL
    )
    minutes = settings.OTP_TTL // timedelta(minutes=1)
    text = f"{code} is your Weelo code. It holds {minutes} minutes. Tell it to nobody."
    sms.queue(phone, "otp", text, code=code, ttl=settings.OTP_TTL)
    log.info("one-time code made", phone=phone)
    return Asked(settings.OTP_TTL, settings.OTP_RESEND)


def judge(phone: str, code: str) -> Verdict:
    """Count one guess against the newest code of `phone`, inside the caller's transaction.

    The row lock lets guesses in one by one, and the caller commits also a wrong one.
    """
    newest = (
        OneTimeCode.objects.select_for_update(no_key=True)
        .filter(phone=phone)
        .order_by("-created_at")
        .first()
    )
    now = database_now()
    if newest is None or newest.used_at or newest.expires_at <= now or newest.tries >= TRIES:
        return Verdict(right=False, code_waits=False)
    newest.tries += 1
    right = constant_time_compare(newest.code_hash, _hashed(phone, code))
    newest.used_at = now if right else None
    newest.save(update_fields=["tries", "used_at"])
    return Verdict(right=right, tries_left=TRIES - newest.tries)


def _hashed(phone: str, code: str) -> str:
    # A keyed hash is enough, and a slow one would add nothing: there are only a million codes,
    # a code lives five minutes, and who steals the table does not hold the key.
    return salted_hmac("weelo.otp", f"{phone}:{code}", algorithm="sha256").hexdigest()


def _refuse_over_phone_caps(phone: str, now: datetime) -> None:
    made = OneTimeCode.objects.filter(phone=phone, created_at__gt=now - _DAY)
    this_hour = Q(created_at__gt=now - _HOUR)
    counts = made.aggregate(
        hour=Count("id", filter=this_hour),
        oldest_of_hour=Min("created_at", filter=this_hour),
        day=Count("id"),
        oldest_of_day=Min("created_at"),
    )
    if counts["day"] >= settings.OTP_PER_DAY:
        raise _over("codes-per-phone-and-day", counts["oldest_of_day"] + _DAY - now)
    if counts["hour"] >= settings.OTP_PER_HOUR:
        raise _over("codes-per-phone-and-hour", counts["oldest_of_hour"] + _HOUR - now)


def _refuse_over_shared_caps(phone: str, now: datetime) -> None:
    neighbours = Q(phone__startswith=phone[:-4])
    counts = OneTimeCode.objects.filter(created_at__gt=now - _HOUR).aggregate(
        prefix=Count("id", filter=neighbours),
        oldest_of_prefix=Min("created_at", filter=neighbours),
        all=Count("id"),
        oldest=Min("created_at"),
    )
    if counts["prefix"] >= settings.OTP_PREFIX_PER_HOUR:
        raise _over("codes-per-prefix-and-hour", counts["oldest_of_prefix"] + _HOUR - now)
    if counts["all"] >= settings.SMS_PER_HOUR:
        log.error("the hourly budget of SMS is used up", budget=settings.SMS_PER_HOUR)
        raise _over("codes-per-hour", counts["oldest"] + _HOUR - now)


def _over(name: str, wait: timedelta) -> limits.RateLimited:
    return limits.refusal(name, math.ceil(wait.total_seconds()))

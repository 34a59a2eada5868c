"""Phone numbers: any common form in, E.164 out."""

from typing import Any

import phonenumbers
from django.conf import settings
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from rest_framework import serializers

LONGEST = 32  # characters of the longest common form; E.164 itself has at most 16

_MOBILE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)


class BadPhone(ValueError):
    """Not a phone number that can be used here; the text says why and what to send."""


def e164(text: str, *, mobile: bool = True) -> str:
    """The number as E.164, such as +919000000001.

    Without a country code it is read as one of the first country in `settings.COUNTRIES`, and
    it has to be of one of them. `mobile` refuses landlines, which take no SMS. Raises BadPhone.
    """
    try:
        number = phonenumbers.parse(text[: LONGEST + 1], settings.COUNTRIES[0])
    except phonenumbers.NumberParseException as fault:
        raise BadPhone("Not a phone number. Send it like +919000000001.") from fault
    if len(text) > LONGEST or number.extension or not phonenumbers.is_valid_number(number):
        raise BadPhone("Not a phone number that exists. Send it like +919000000001.")
    if phonenumbers.region_code_for_number(number) not in settings.COUNTRIES:
        raise BadPhone(f"Only numbers of these countries: {', '.join(settings.COUNTRIES)}.")
    if mobile and phonenumbers.number_type(number) not in _MOBILE:
        raise BadPhone("A landline takes no SMS. Send a mobile number.")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


class PhoneField(serializers.CharField):
    """A serializer field that takes any common form and gives E.164."""

    def __init__(self, *, mobile: bool = True, **options: Any) -> None:
        self.mobile = mobile
        super().__init__(max_length=LONGEST, **options)

    def to_internal_value(self, data: Any) -> str:
        try:
            return e164(super().to_internal_value(data), mobile=self.mobile)
        except BadPhone as fault:
            raise serializers.ValidationError(str(fault), code="phone") from fault

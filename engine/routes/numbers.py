"""What routes ask of a phone number: its country, its kind, its digits.

phonenumbers (Google's libphonenumber) decides, as for `engine.messages.phone`. It is asked only
where a rule has to know, and what it said is kept, bounded: it is a function of the number.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType, carrier

from engine import limits

MOBILE: Final = "mobile"
FIXED_LINE: Final = "fixed_line"
# The library cannot tell the two apart everywhere; where it cannot, a number counts as both.
_KINDS: Final[dict[int, tuple[str, ...]]] = {
    PhoneNumberType.MOBILE: (MOBILE,),
    PhoneNumberType.FIXED_LINE: (FIXED_LINE,),
    PhoneNumberType.FIXED_LINE_OR_MOBILE: (MOBILE, FIXED_LINE),
    PhoneNumberType.TOLL_FREE: ("toll_free",),
    PhoneNumberType.PREMIUM_RATE: ("premium_rate",),
    PhoneNumberType.SHARED_COST: ("shared_cost",),
    PhoneNumberType.VOIP: ("voip",),
    PhoneNumberType.PERSONAL_NUMBER: ("personal",),
    PhoneNumberType.PAGER: ("pager",),
    PhoneNumberType.UAN: ("uan",),
    PhoneNumberType.VOICEMAIL: ("voicemail",),
}
KINDS: Final = tuple(sorted({kind for kinds in _KINDS.values() for kind in kinds}))
COUNTRIES: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)


class NumberFacts(NamedTuple):
    """What is known of a number; nothing of what is no number.

    Attributes:
        country: Its region as ISO 3166 has it: `US`, `GB`.
        code: Its country's calling code: 1, 44; 0 if it is no number.
        kinds: Some of `KINDS`.
        e164: It in international form.
    """

    country: str
    code: int
    kinds: tuple[str, ...]
    e164: str


@lru_cache(maxsize=limits.PHONE_NUMBERS)
def facts_of(written: str) -> NumberFacts:
    """What is known of a number as it was written. Cost: 0.1 µs if it is kept, else 100 µs."""
    try:
        number = phonenumbers.parse(written, None)
    except phonenumbers.NumberParseException:
        return NumberFacts("", 0, (), "")
    return NumberFacts(
        phonenumbers.region_code_for_number(number) or "",
        number.country_code or 0,
        _KINDS.get(phonenumbers.number_type(number), ()),
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
    )


@lru_cache(maxsize=limits.PHONE_NUMBERS)
def network_of(written: str) -> str:
    """The network that a number's block was given to, such as `Vodafone`; empty if none is known.

    Who has taken the number along to another network is not known here.

    Cost: 0.1 µs if it is kept, else 100 µs.
    """
    try:
        return carrier.name_for_number(phonenumbers.parse(written, None), "en")
    except phonenumbers.NumberParseException:
        return ""

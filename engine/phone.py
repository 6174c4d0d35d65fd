"""Phone numbers: what was written becomes a number that a carrier can be given, or a reason.

phonenumbers (Google's libphonenumber) decides. Its parser costs several times what the rest of a
send does, so a number that is already in international form is looked up in its metadata directly,
and what was found is kept, bounded, by number. The shortcut only ever says yes: it takes a number
only where the parser could not have read it in another way (no leading zero, nothing that looks
like a national prefix), and everything else goes to the parser. A test holds both against each
other on the library's own examples.
"""

import re
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumber, PhoneNumberType

from engine import limits
from engine.reasons import Reason

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")

# Kinds of number that no text reaches. A number that may be a mobile one is not among them.
_NO_TEXTS: Final = {
    PhoneNumberType.FIXED_LINE: "a fixed line",
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.VOICEMAIL: "a voicemail access number",
}


class Phone(NamedTuple):
    """What a written number is.

    Attributes:
        e164: The number in international form; empty if it is invalid.
        country_code: 1 for North America, 44 for Britain; 0 if it is invalid.
        reason: ACCEPTED, INVALID_NUMBER, or UNROUTABLE_NUMBER for a real number that cannot take
            a text.
        why: In words, if it is not accepted.
    """

    e164: str
    country_code: int
    reason: Reason
    why: str = ""


class Phones:
    """Reads numbers, and remembers the newest ones.

    Args:
        capacity: How many answers it keeps; past it the oldest go.
    """

    __slots__ = ("_capacity", "_known", "_prefixes")

    def __init__(self, capacity: int = limits.FRAUD_NUMBERS) -> None:
        self._capacity = capacity
        self._known: dict[str, Phone] = {}
        self._prefixes: dict[int, re.Pattern[str] | None] = {}

    def read(self, written: str) -> Phone:
        """What a written number is; it is in international form, with or without spaces.

        Cost: 0.1 µs for a known number, about 15 µs for a new one in E.164, 70 µs for others.
        """
        phone = self._known.get(written)
        if phone is None:
            phone = self._shortcut(written) or _parse(written)
            if len(self._known) >= self._capacity:
                del self._known[next(iter(self._known))]
            self._known[written] = phone
        return phone

    def _shortcut(self, written: str) -> Phone | None:
        if _E164.fullmatch(written) is None:
            return None
        for digits in (1, 2, 3):
            country_code = int(written[1 : 1 + digits])
            if country_code in COUNTRY_CODE_TO_REGION_CODE:
                break
        else:
            return None
        national = written[1 + digits :]
        prefix = self._national_prefix(country_code)
        if national.startswith("0") or prefix is None or prefix.match(national):
            return None
        kind = phonenumbers.number_type(
            PhoneNumber(country_code=country_code, national_number=int(national))
        )
        if kind == PhoneNumberType.UNKNOWN:
            return None
        return _judged(written, country_code, kind)

    def _national_prefix(self, country_code: int) -> re.Pattern[str] | None:
        """What the parser would strip from a national number; None if it must be asked."""
        if country_code not in self._prefixes:
            region = COUNTRY_CODE_TO_REGION_CODE[country_code][0]
            metadata = PhoneMetadata.metadata_for_region_or_calling_code(country_code, region)
            pattern = None
            if metadata is not None:
                pattern = re.compile(metadata.national_prefix_for_parsing or r"(?!)")
            self._prefixes[country_code] = pattern
        return self._prefixes[country_code]


def _parse(written: str) -> Phone:
    try:
        number = phonenumbers.parse(written, None)
    except phonenumbers.NumberParseException as error:
        why = f"{written[:40]!r} is not a phone number: {error}"
        if not written.lstrip().startswith("+"):
            why = f"{written[:40]!r} is not in international form, such as +12025550123"
        return Phone("", 0, Reason.INVALID_NUMBER, why)
    if not phonenumbers.is_valid_number(number):
        why = f"{written[:40]!r} has the form of a phone number, but no network has such numbers"
        return Phone("", 0, Reason.INVALID_NUMBER, why)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return _judged(e164, number.country_code or 0, phonenumbers.number_type(number))


def _judged(e164: str, country_code: int, kind: int) -> Phone:
    why = _NO_TEXTS.get(kind)
    if why is None:
        return Phone(e164, country_code, Reason.ACCEPTED)
    return Phone(e164, country_code, Reason.UNROUTABLE_NUMBER, f"{e164} is {why}")

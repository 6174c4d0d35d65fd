"""Phone numbers: what was written becomes a number that a carrier can be given, or a reason.

phonenumbers (Google's libphonenumber) decides. Its parser costs several times what the rest of a
send does, so a number that is already in international form is looked up in its metadata directly,
and what was found is kept, bounded, by number. The shortcut only ever says yes: it takes a number
only where the parser could not have read it in another way (no leading zero, nothing that looks
like a national prefix), and everything else goes to the parser. A test holds both against each
other on the library's own examples.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import phonenumbers
from msgspec import Struct
from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    PhoneMetadata,
    PhoneNumberDesc,
    PhoneNumberType,
)

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


class Phone(Struct, frozen=True, gc=False):
    """What a written number is.

    Attributes:
        e164: The number in international form; empty if it is invalid.
        country_code: 1 for North America, 44 for Britain; 0 if it is invalid.
        reason: ACCEPTED, INVALID_NUMBER, or UNROUTABLE_NUMBER for a real number that cannot take
            a text.
        why: In words, if it is not accepted.
        kind: Its `phonenumbers.PhoneNumberType`; -1 if it is invalid.
    """

    e164: str
    country_code: int
    reason: Reason
    why: str = ""
    kind: int = -1


class Phones:
    """Reads numbers, and remembers the newest ones.

    Args:
        capacity: How many answers it keeps; past it the oldest go.
    """

    __slots__ = ("_capacity", "_known", "_plans")

    def __init__(self, capacity: int = limits.PHONE_NUMBERS) -> None:
        self._capacity = capacity
        # Of a dict the oldest key is found slowly, once many before it were deleted.
        self._known: OrderedDict[str, Phone] = OrderedDict()
        self._plans: dict[int, _Plan] = {}

    def read(self, written: str) -> Phone:
        """What a written number is; it is in international form, with or without spaces.

        Cost: 0.1 µs for a known number, about 5 µs for a new one in E.164, 70 µs for others.
        """
        phone = self._known.get(written)
        if phone is None:
            phone = self._shortcut(written) or _parse(written)
            if len(self._known) >= self._capacity:
                self._known.popitem(last=False)
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
        plan = self._plans.get(country_code)
        if plan is None:
            plan = self._plans[country_code] = _Plan(country_code)
        kind = plan.kind(written[1 + digits :])
        return _judged(written, country_code, kind) if kind is not None else None


class _Plan:
    """The numbers of a country code, from the library's metadata."""

    __slots__ = ("_prefix", "_regions")

    def __init__(self, country_code: int) -> None:
        codes = COUNTRY_CODE_TO_REGION_CODE[country_code]
        found = [
            PhoneMetadata.metadata_for_region_or_calling_code(country_code, code) for code in codes
        ]
        regions = [metadata for metadata in found if metadata is not None]
        prefix = regions[0].national_prefix_for_parsing if regions else None
        self._prefix = re.compile(prefix or r"(?!)")
        self._regions = [_Region(metadata, alone=len(codes) == 1) for metadata in regions]

    def kind(self, national: str) -> int | None:
        """The kind of a valid number; None if it is not, or the parser must be asked."""
        if national.startswith("0") or self._prefix.match(national):
            return None
        for region in self._regions:
            if region.leading is not None:
                if region.leading.match(national):
                    return region.kind(national)
            elif (kind := region.kind(national)) is not None:
                return kind
        return None


class _Region:
    """The patterns of one region, in the order in which the library tries them."""

    __slots__ = ("_fixed", "_general", "_mobile", "_seldom", "_special", "leading")

    def __init__(self, metadata: PhoneMetadata, alone: bool) -> None:
        digits = None if alone else metadata.leading_digits
        self.leading = re.compile(digits) if digits is not None else None
        special = [
            (PhoneNumberType.PREMIUM_RATE, metadata.premium_rate),
            (PhoneNumberType.TOLL_FREE, metadata.toll_free),
            (PhoneNumberType.SHARED_COST, metadata.shared_cost),
            (PhoneNumberType.VOIP, metadata.voip),
            (PhoneNumberType.PERSONAL_NUMBER, metadata.personal_number),
            (PhoneNumberType.PAGER, metadata.pager),
            (PhoneNumberType.UAN, metadata.uan),
            (PhoneNumberType.VOICEMAIL, metadata.voicemail),
        ]
        patterns = [(kind, _pattern(description)) for kind, description in special]
        found = [(kind, pattern) for kind, pattern in patterns if pattern is not None]
        self._special = [(kind, re.compile(pattern).fullmatch) for kind, pattern in found]
        # Few numbers are of a special kind: all of these are ruled out with one look.
        self._seldom = re.compile("|".join(pattern for _, pattern in found) or r"(?!)").fullmatch
        self._general = _matcher(metadata.general_desc)
        self._fixed = _matcher(metadata.fixed_line)
        same = metadata.same_mobile_and_fixed_line_pattern
        self._mobile = self._fixed if same else _matcher(metadata.mobile)

    def kind(self, national: str) -> int | None:
        """The kind of a national number; None if no network of the region has such numbers."""
        if self._general is None or not self._general(national):
            return None
        if self._seldom(national):
            for kind, matches in self._special:
                if matches(national):
                    return kind
        fixed, mobile = self._fixed, self._mobile
        if fixed is not None and fixed(national):
            if mobile is fixed or (mobile is not None and mobile(national)):
                return PhoneNumberType.FIXED_LINE_OR_MOBILE
            return PhoneNumberType.FIXED_LINE
        if mobile is not None and mobile(national):
            return PhoneNumberType.MOBILE
        return None


def _matcher(description: PhoneNumberDesc | None) -> Callable[[str], object] | None:
    """Matches a description's numbers, of the lengths it allows; None if it has none."""
    pattern = _pattern(description)
    return re.compile(pattern).fullmatch if pattern is not None else None


def _pattern(description: PhoneNumberDesc | None) -> str | None:
    if description is None or not description.national_number_pattern:
        return None
    lengths = "|".join(f".{{{length}}}" for length in description.possible_length if length > 0)
    first = f"(?=(?:{lengths})$)" if lengths else ""
    if description.possible_length == (-1,):
        return None
    return f"{first}(?:{description.national_number_pattern})"


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
        return Phone(e164, country_code, Reason.ACCEPTED, kind=kind)
    return Phone(e164, country_code, Reason.UNROUTABLE_NUMBER, f"{e164} is {why}", kind)

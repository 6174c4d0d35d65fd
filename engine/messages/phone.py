"""Phone numbers: what was written becomes a number that a carrier can be given, or a reason.

phonenumbers (Google's libphonenumber) decides. Its parser costs several times what the rest of a
send does, so a number that is already in international form is looked up in its metadata directly,
and what was found is kept, bounded, by number. The shortcut only ever says yes: it takes a number
only where the parser could not have read it in another way (no leading zero, nothing that looks
like a national prefix), and everything else goes to the parser. A test holds both against each
other on the library's own examples.

Networks get numbers by the block, so nearly all numbers that differ in their last four digits alone
are of one kind. So the shortcut looks up the whole block, with an `x` for each of these digits, and
looks at the number itself only where the metadata tells some of a block apart. For that each
pattern of the library is made into two: in one an `x` stands only where any digit may, so what it
matches is matched with every digit; in the other it may stand everywhere, so what it does not match
is matched with none. This is sound because the library's patterns of numbers never say "not".
"""

import re
from collections.abc import Callable, Iterable
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
from engine.fraud.newest import Newest
from engine.reasons import Reason

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_ACCEPTED: Final = Reason.ACCEPTED  # a member is found slowly
_ANY_FOUR: Final = "xxxx"
_MIXED: Final = -1  # of a block: its numbers are of several kinds, or not all are valid
# What stands for a digit in the library's patterns; a repetition such as {4} is no digit.
_DIGIT = re.compile(r"\\d|\[([0-9-]+)\]|\{[^}]*\}|([0-9])")

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
        capacity: How many answers it keeps, and of how many blocks; past it the oldest go.
    """

    __slots__ = ("_blocks", "_known", "_plans")

    def __init__(self, capacity: int = limits.PHONE_NUMBERS) -> None:
        self._known: Newest[str, Phone] = Newest(capacity)
        self._blocks: Newest[str, tuple[int, int]] = Newest(capacity)  # country code and kind
        self._plans: dict[int, _Plan] = {}

    def read(self, written: str) -> Phone:
        """What a written number is; it is in international form, with or without spaces.

        Cost: 0.1 µs for a known number, 1.5 µs for a new one in E.164 of a known block, 7 µs of a
        new block, 70 µs for others.
        """
        known = self._known
        phone = known.young.get(written) or known.get(written)
        if phone is None:
            phone = self._shortcut(written) or _parse(written)
            known.put(written, phone)
        return phone

    def _shortcut(self, written: str) -> Phone | None:
        if _E164.fullmatch(written) is None:
            return None
        block = written[:-4]
        blocks = self._blocks
        found = blocks.young.get(block) or blocks.get(block)
        if found is None:
            found = self._of_block(block)
            blocks.put(block, found)
        country_code, kind = found
        if kind == _MIXED:
            plan = self._plan(country_code)
            alone = plan.kind(written[1 + len(str(country_code)) :]) if plan is not None else None
            if alone is None:
                return None
            kind = alone
        return _judged(written, country_code, kind)

    def _of_block(self, block: str) -> tuple[int, int]:
        """A block's country code (0: it has none), and the kind of all of its numbers."""
        for digits in (1, 2, 3):
            country_code = int(block[1 : 1 + digits])
            plan = self._plan(country_code)
            if plan is not None:
                try:
                    kind = plan.kind(block[1 + digits :] + _ANY_FOUR)
                except _Mixed:
                    kind = None
                return country_code, _MIXED if kind is None else kind
        return 0, _MIXED

    def _plan(self, country_code: int) -> "_Plan | None":
        plan = self._plans.get(country_code)
        if plan is None and country_code in COUNTRY_CODE_TO_REGION_CODE:
            plan = self._plans[country_code] = _Plan(country_code)
        return plan


class _Mixed(Exception):
    """Some numbers of a block match, and others do not."""


class _Pattern:
    """One of the library's patterns; see the module's text. Compiled when it is first asked for.

    Args:
        pattern: The pattern.
        lengths: The lengths that a number may have; none means any.
    """

    __slots__ = ("_compiled", "_lengths", "_pattern")

    def __init__(self, pattern: str, lengths: Iterable[int] = ()) -> None:
        self._pattern = pattern
        self._compiled: tuple[re.Pattern[str], re.Pattern[str]] | None = None
        self._lengths = frozenset(lengths)

    def begins(self, national: str) -> bool:
        """Whether a number, or each of a block, begins like this; of some: `_Mixed`."""
        every, some = self._compiled or self._compile()
        return _all(every.match(national), some.match(national))

    def matches(self, national: str) -> bool:
        """Whether a number, or each of a block, is like this; of some: `_Mixed`."""
        if self._lengths and len(national) not in self._lengths:
            return False
        every, some = self._compiled or self._compile()
        return _all(every.fullmatch(national), some.fullmatch(national))

    def _compile(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        every = re.compile(_DIGIT.sub(_every_digit, self._pattern))
        some = re.compile(_DIGIT.sub(_some_digit, self._pattern))
        self._compiled = every, some
        return self._compiled


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
        self._prefix = _Pattern(prefix) if prefix else None
        self._regions = [_Region(metadata, alone=len(codes) == 1) for metadata in regions]

    def kind(self, national: str) -> int | None:
        """The kind of a valid number, or of all of a block; None: ask the parser.

        Raises:
            _Mixed: Only for a block: ask for each of its numbers.
        """
        if national.startswith("0") or (self._prefix and self._prefix.begins(national)):
            return None
        for region in self._regions:
            if region.leading is not None:
                if region.leading.begins(national):
                    return region.kind(national)
            elif (kind := region.kind(national)) is not None:
                return kind
        return None


class _Region:
    """The patterns of one region, in the order in which the library tries them."""

    __slots__ = ("_fixed", "_general", "_mobile", "_special", "leading")

    def __init__(self, metadata: PhoneMetadata, alone: bool) -> None:
        digits = None if alone else metadata.leading_digits
        self.leading = _Pattern(digits) if digits is not None else None
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
        self._special = [(kind, _matcher(description)) for kind, description in special]
        self._general = _matcher(metadata.general_desc)
        self._fixed = _matcher(metadata.fixed_line)
        same = metadata.same_mobile_and_fixed_line_pattern
        self._mobile = self._fixed if same else _matcher(metadata.mobile)

    def kind(self, national: str) -> int | None:
        """The kind of a national number; None if no network of the region has such numbers."""
        if not self._general(national):
            return None
        for kind, matches in self._special:
            if matches(national):
                return kind
        if self._fixed(national):
            if self._mobile is self._fixed or self._mobile(national):
                return PhoneNumberType.FIXED_LINE_OR_MOBILE
            return PhoneNumberType.FIXED_LINE
        return PhoneNumberType.MOBILE if self._mobile(national) else None


def _matcher(description: PhoneNumberDesc | None) -> Callable[[str], bool]:
    """Matches a description's numbers, of the lengths it allows."""
    if description is None or not description.national_number_pattern:
        return _never
    lengths = description.possible_length
    if lengths == (-1,):
        return _never
    return _Pattern(
        description.national_number_pattern, [length for length in lengths if length > 0]
    ).matches


def _never(national: str) -> bool:
    return False


def _all(every: object, some: object) -> bool:
    if some is not None and every is None:
        raise _Mixed
    return every is not None


def _every_digit(found: re.Match[str]) -> str:
    """Where any digit may stand, so may an `x`."""
    return r"[\dx]" if found[0] == r"\d" else found[0]


def _some_digit(found: re.Match[str]) -> str:
    """Where some digit may stand, so may an `x`."""
    if found[0].startswith("{"):
        return found[0]
    return f"[{found[1] or found[2] or '0-9'}x]"


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
        return Phone(e164, country_code, _ACCEPTED, "", kind)
    return Phone(e164, country_code, Reason.UNROUTABLE_NUMBER, f"{e164} is {why}", kind)

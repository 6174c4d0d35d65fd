"""Numbers as people write them, and the shortcut against the library."""

import random
import re

import phonenumbers
import pytest

from engine.messages.phone import Phones, _parse
from engine.reasons import Reason


@pytest.mark.parametrize(
    ("written", "e164", "country_code", "reason"),
    [
        ("+12025550123", "+12025550123", 1, Reason.ACCEPTED),
        ("+1 (202) 555-0123", "+12025550123", 1, Reason.ACCEPTED),
        ("+447400123456", "+447400123456", 44, Reason.ACCEPTED),
        ("+44 (0)7400 123456", "+447400123456", 44, Reason.ACCEPTED),
        ("+4407400123456", "+447400123456", 44, Reason.ACCEPTED),
        ("+15005550006", "+15005550006", 1, Reason.ACCEPTED),
        ("+390612345678", "+390612345678", 39, Reason.UNROUTABLE_NUMBER),
        ("+442071838750", "+442071838750", 44, Reason.UNROUTABLE_NUMBER),
        ("+19002345678", "+19002345678", 1, Reason.UNROUTABLE_NUMBER),
        ("2025550123", "", 0, Reason.INVALID_NUMBER),
        ("+15551234567", "", 0, Reason.INVALID_NUMBER),
        ("+1202555012", "", 0, Reason.INVALID_NUMBER),
        ("+99912345678", "", 0, Reason.INVALID_NUMBER),
        ("+1202555012345678901234", "", 0, Reason.INVALID_NUMBER),
        ("ann@example.com", "", 0, Reason.INVALID_NUMBER),
        ("", "", 0, Reason.INVALID_NUMBER),
    ],
)
def test_what_a_number_is(written: str, e164: str, country_code: int, reason: Reason) -> None:
    phone = Phones().read(written)
    assert (phone.e164, phone.country_code, phone.reason) == (e164, country_code, reason)
    assert bool(phone.why) == (reason is not Reason.ACCEPTED)


def test_a_number_that_is_not_international_is_told_so() -> None:
    assert "international form" in Phones().read("2025550123").why


def test_the_shortcut_says_what_the_library_says() -> None:
    phones, checked = Phones(), 0
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in phonenumbers.PhoneNumberType.values():
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            for written in (
                e164,
                e164[:-1] + "7",
                e164[:-1],
                e164 + "1",
                e164[:5] + "0" + e164[6:],
            ):
                assert phones.read(written) == _parse(written), written
                checked += 1
    assert checked > 5_000


def test_the_shortcut_says_what_the_library_says_of_random_numbers() -> None:
    phones, dice, valid = Phones(), random.Random(11), 0
    codes = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    for _ in range(20_000):
        digits = "".join(dice.choices("0123456789", k=dice.randint(6, 11)))
        written = f"+{dice.choice([1, 7, 44, 39, 52, 54, 599, dice.choice(codes)])}{digits}"
        phone = phones.read(written)
        assert phone == _parse(written), written
        valid += phone.reason is not Reason.INVALID_NUMBER
    assert valid > 1_000


def test_numbers_of_one_block_are_told_apart_where_the_library_does() -> None:
    phones, dice, kinds = Phones(), random.Random(12), set()
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in phonenumbers.PhoneNumberType.values():
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None or not dice.randrange(3):
                continue
            e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            block = [f"{e164[:-4]}{dice.randrange(10_000):04}" for _ in range(5)]
            found = [phones.read(written) for written in block]
            assert found == [_parse(written) for written in block], block
            kinds.add(len({phone.kind for phone in found}))
    assert kinds >= {1, 2}


def test_no_pattern_of_the_library_says_what_a_number_must_not_be() -> None:
    """What the shortcut finds out about whole blocks rests on that."""
    known = re.compile(r"(\\d|\[[0-9-]+\]|\{\d+(,\d+)?\}|[0-9]|\(\?:|\(|[|)?$])*")
    checked = 0
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions:
            data = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            assert data is not None
            kinds = [data.general_desc, data.fixed_line, data.mobile, data.premium_rate]
            kinds += [data.toll_free, data.shared_cost, data.voip, data.personal_number]
            kinds += [data.pager, data.uan, data.voicemail]
            patterns = [kind.national_number_pattern for kind in kinds if kind is not None]
            patterns += [data.leading_digits, data.national_prefix_for_parsing]
            for pattern in filter(None, patterns):
                assert known.fullmatch(pattern), (region, pattern)
                checked += 1
    assert checked > 1_000


def test_it_keeps_no_more_than_its_capacity() -> None:
    phones = Phones(capacity=10)
    for last in range(100):
        phones.read(f"+120255501{last:02d}")
        phones.read(f"+120255{100 + last}0123")
        assert len(phones._known) <= 10
        assert len(phones._blocks) <= 10
    assert len(phones._known) >= 5
    assert phones.read("+12025550199").reason is Reason.ACCEPTED

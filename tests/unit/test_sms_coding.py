"""The bytes of SMS parts, by GSM 03.38 and 3GPP TS 23.040, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.content import sms, sms_coding
from engine.content.sms import BASIC, EXTENSION

ABCXYZ = b"abcxyz\x7b\x7c\x7d\x7e\x7f"
GSM_TEXTS = st.text(st.sampled_from(BASIC + EXTENSION), max_size=500)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("@£$¥èéùìòÇ\nØø\rÅå", bytes(range(16))),
        ("Δ_ΦΓΛΩΠΨΣΘΞ", bytes(range(0x10, 0x1B))),
        ("ÆæßÉ !\"#¤%&'()*+,-./", bytes(range(0x1C, 0x30))),
        ("¡ABCXYZÄÖÑÜ§¿abcxyzäöñüà", bytes.fromhex("4041424358595a5b5c5d5e5f60") + ABCXYZ),
        ("\f^{}\\[~]|€", bytes.fromhex("1b0a1b141b281b291b2f1b3c1b3d1b3e1b401b65")),
    ],
)
def test_the_alphabet_as_bytes(text: str, octets: bytes) -> None:
    assert sms_coding.to_gsm(text) == octets
    assert sms_coding.from_gsm(octets) == text


@given(GSM_TEXTS | st.text(max_size=300), st.integers(0, 1_000))
def test_parts_are_read_back_as_the_text(text: str, reference: int) -> None:
    parts = sms_coding.encode(text, reference)
    assert len(parts) == sms.parts(text) == sms.segments(text).parts
    if len(parts) <= sms_coding.MOST_PARTS:
        for number, part in enumerate(parts, 1):
            assert len(part.header + part.body) <= (160 if part.data_coding == 0 else 140)
            if len(parts) > 1:
                told = sms_coding.header_of(part.header + part.body)
                assert told == (6, reference & 0xFF, len(parts), number)
    whole = "".join(sms_coding.decode(part.data_coding, part.body) for part in parts)
    assert whole == text


@given(st.integers(0, 255), st.binary(max_size=300), st.sampled_from(["gsm", "latin1"]))
def test_whatever_a_carrier_brings_is_some_text(coding: int, body: bytes, default: str) -> None:
    assert isinstance(sms_coding.decode(coding, body, default), str)


@given(st.binary(max_size=200))
def test_no_header_is_fatal(payload: bytes) -> None:
    end, _, parts, number = sms_coding.header_of(payload)
    assert 0 <= end <= len(payload)
    assert number <= parts


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("050003070302", (6, 7, 3, 2)),
        ("06080401020302", (7, 0x0102, 3, 2)),
        ("0b05040b8423f0000301 0201", (12, 1, 2, 1)),
        ("0605040b8423f0", (7, 0, 0, 0)),
        ("050003070304", (6, 0, 0, 0)),
        ("050003070300", (6, 0, 0, 0)),
        ("ff", (0, 0, 0, 0)),
        ("", (0, 0, 0, 0)),
    ],
)
def test_headers(header: str, told: tuple[int, int, int, int]) -> None:
    assert sms_coding.header_of(bytes.fromhex(header)) == told


@pytest.mark.parametrize(
    ("coding", "octets", "text"),
    [
        (0xF1, b"\x00", "@"),
        (0xF5, b"\x00", "00"),
        (1, b"A", "A"),
        (6, "да".encode("iso8859_5"), "да"),
        (8, b"\x04\x34\x04", "д\ufffd"),
        (2, b"\x01\x02", "0102"),
        (0, b"\x1b\x41", "A"),
        (0, b"\xff\x1b", "\ufffd"),
    ],
)
def test_codings(coding: int, octets: bytes, text: str) -> None:
    assert sms_coding.decode(coding, octets) == text


def test_look_alikes_are_folded_only_where_it_helps() -> None:
    assert sms_coding.fold("“It’s 5 – 6…”\u200b") == '"It\'s 5 - 6..."'
    assert sms_coding.fold("“привет”") == "“привет”"
    assert sms_coding.fold("a`b") == "a'b"
    assert sms_coding.fold("plain") == "plain"


@given(st.text(max_size=200))
def test_folding_never_costs_more_parts(text: str) -> None:
    assert sms.parts(sms_coding.fold(text)) <= sms.parts(text)


@given(GSM_TEXTS)
def test_a_latin_1_carrier_gets_as_many_parts(text: str) -> None:
    parts = sms_coding.latin1_parts(text)
    if parts is not None:
        assert len(parts) == sms.parts(text)
        assert b"".join(part.body for part in parts).decode("latin-1") == text

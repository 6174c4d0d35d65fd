"""SMS parts, by GSM 03.38 and 03.40."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.content.sms import BASIC, EXTENSION, GSM7, UCS2, parts, segments, split

EURO, SMILE = "€", "😀"


def test_the_alphabet_has_127_basic_characters_and_10_extended_ones() -> None:
    assert len(set(BASIC)) == len(BASIC) == 127
    assert len(set(EXTENSION)) == 10
    assert not set(BASIC) & set(EXTENSION)


@pytest.mark.parametrize(
    ("text", "encoding", "units", "parts"),
    [
        ("", GSM7, 0, 1),
        ("a" * 160, GSM7, 160, 1),
        ("a" * 161, GSM7, 161, 2),
        ("a" * 306, GSM7, 306, 2),
        ("a" * 307, GSM7, 307, 3),
        ("a" * 459, GSM7, 459, 3),
        ("a" * 460, GSM7, 460, 4),
        (EURO * 80, GSM7, 160, 1),
        ("a" + EURO * 80, GSM7, 161, 2),
        # 152 septets, then a euro that does not fit into the last one: it moves to the next part.
        ("a" * 152 + EURO + "a" * 151, GSM7, 305, 2),
        ("a" * 152 + EURO + "a" * 152, GSM7, 306, 3),
        ("я" * 70, UCS2, 70, 1),
        ("я" * 71, UCS2, 71, 2),
        ("я" * 134, UCS2, 134, 2),
        ("я" * 135, UCS2, 135, 3),
        (SMILE * 35, UCS2, 70, 1),
        (SMILE * 36, UCS2, 72, 2),
        # 33 pairs and one unit are 67 units, but 34 pairs are 68: no pair is cut.
        (SMILE * 66, UCS2, 132, 2),
        (SMILE * 67, UCS2, 134, 3),
        ("a`", UCS2, 2, 1),
        ("ç", UCS2, 1, 1),
        ("Ç", GSM7, 1, 1),
        ("line\nbreak\r\f", GSM7, 13, 1),
    ],
)
def test_parts_by_the_book(text: str, encoding: str, units: int, parts: int) -> None:
    assert segments(text) == (encoding, units, parts)


@given(st.text(st.characters(max_codepoint=127), max_size=170))
def test_the_quick_count_is_the_count(text: str) -> None:
    assert parts(text) == segments(text).parts


texts = st.text(
    st.one_of(st.sampled_from(BASIC), st.sampled_from(EXTENSION), st.sampled_from("я😀𝒳e`")),
    max_size=700,
) | st.text(st.sampled_from("ab" + EXTENSION), max_size=700)


@given(texts)
def test_parts_are_full_and_never_too_long(text: str) -> None:
    encoding, units, counted = segments(text)
    assert parts(text) == counted
    pieces = split(text)
    assert "".join(pieces) == text
    assert len(pieces) == counted

    def size(piece: str) -> int:
        if encoding == GSM7:
            return len(piece) + sum(character in EXTENSION for character in piece)
        return len(piece.encode("utf-16-le")) // 2

    assert sum(map(size, pieces)) == units
    single, room = (160, 153) if encoding == GSM7 else (70, 67)
    if counted == 1:
        assert units <= single
    else:
        assert units > single
        for piece, following in itertools.pairwise(pieces):
            assert size(piece) <= room < size(piece + following[0])
        assert size(pieces[-1]) <= room

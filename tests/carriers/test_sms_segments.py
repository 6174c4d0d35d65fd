"""Our segments are those of Twilio's own calculator, which has other authors and another language.

It keeps what a person sees as one character together (a family of emoji, a letter and its accent),
beyond what the book asks; so the texts here hold no such clusters.
"""

import json
import random
import unicodedata

from engine.content import sms, sms_coding
from engine.content.sms import BASIC, EXTENSION
from tests.support import peers

SEED = 20_261_122
ODD = "я漢😀𝒳`ç\u00a0“”‘’—…•½¼«»‚！（）：？＠‼\u200b⁄·№"


def answers(texts: list[str], smart: bool = False) -> list[dict[str, object]]:
    peers.need("sms-segments-calculator")
    lines = "".join(json.dumps([text, smart]) + "\n" for text in texts)
    printed = peers.run(peers.script("sms_segments.js"), lines.encode())
    return [json.loads(line) for line in printed.splitlines()]


def nasty_texts() -> list[str]:
    """Random texts, and texts whose ends fall beside escapes and pairs."""
    draw = random.Random(SEED)
    alphabets = ("ab ", BASIC, BASIC + EXTENSION, EXTENSION, "a€", BASIC + ODD, "я😀", "😀", ODD)
    texts = ["", "\n", "\r", "\f", "€"]
    texts += list(BASIC + EXTENSION + ODD)
    for _ in range(1_500):
        alphabet = draw.choice(alphabets)
        length = draw.choice((draw.randrange(8), draw.randrange(60, 75), draw.randrange(700)))
        texts.append("".join(draw.choices(alphabet, k=length)))
    for edge in (67, 70, 134, 153, 160, 306, 459):
        for before in range(edge - 3, edge + 2):
            for double in "€😀":
                for after in (0, 1, 67, 153, 154):
                    texts.append("a" * before + double + "b" * after)
                    texts.append("я" * before + double + "b" * after)
    # "\r\n" is one character to it.
    return [text.replace("\r\n", "\n") for text in texts]


def test_parts_are_cut_where_twilio_cuts_them() -> None:
    texts = nasty_texts()
    for text, told in zip(texts, answers(texts), strict=True):
        ours = sms.segments(text)
        assert {sms.GSM7: "GSM-7", sms.UCS2: "UCS-2"}[ours.encoding] == told["encoding"], text
        assert ours.parts == sms.parts(text) == told["parts"], text
        assert sms.split(text) == told["text"], text
        encoded = sms_coding.encode(text, 7)
        bits = [8 * len(each.body) for each in encoded]
        if ours.encoding == sms.GSM7:
            bits = [7 * each // 8 for each in bits]
        assert bits == told["bits"], text
        assert len(encoded) == 1 or {each.header[:5] for each in encoded} == {
            bytes((5, 0, 3, 7, len(encoded)))
        }


def test_what_we_fold_twilio_folds_to_the_same() -> None:
    folded = [chr(code) for code in sms_coding._FOLDED]
    told = answers([f"a{character}b" for character in folded], smart=True)
    # It makes two spaces of one, and leaves these as they are.
    ours_alone = {"‑", "‒", "−", "″", "′"}
    for character, answer in zip(folded, told, strict=True):
        if character in ours_alone:
            continue
        (text,) = answer["text"]  # type: ignore[misc]
        ours = sms_coding.fold(f"a{character}b")
        assert " ".join(ours.split()) == " ".join(str(text).split()), unicodedata.name(character)
        assert answer["encoding"] == "GSM-7"

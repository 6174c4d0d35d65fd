"""The header of a mail: what somebody typed stands in it as typed, and writes nothing else."""

import base64
import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.policy import default
from typing import Any

import pytest
from aiosmtplib.email import quote_address
from hypothesis import given
from hypothesis import strategies as st

from actors.carriers.base import CarrierMessage
from actors.mail.compose import BadAddress, address_in, compose
from actors.mail.headers import BadHeader, check_block, plain_line
from tests.unit.test_mail import NOW, message


def encoded(text: str) -> str:
    """An encoded word (RFC 2047), as somebody types it who wants it to be read."""
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


EVIL = (
    encoded("Hi\r\nBcc: eve@example.org\r\nReply-To: eve@example.org\r\n\r\nEve's own words"),
    "=?utf-8?q?x=0D=0ABcc:_eve@example.org?= tail",
    encoded(encoded("\r\nBcc: eve@example.org")),
    "=?utf-8?q?=0A?=\r\n =?utf-8?q?Bcc:_e@e.org?=",
)
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "List-Id", "Reply-To"]
BODY_HEADERS = ["Content-Type", "Content-Transfer-Encoding", "MIME-Version"]


def read(raw: bytes) -> Any:
    """A composed mail as another reads it, once it is certain that it has only our headers."""
    head = raw.partition(b"\r\n\r\n")[0]
    assert b"\0" not in head
    for line in head.split(b"\r\n"):
        assert re.match(rb"[!-9;-~]+:|[ \t]+[^ \t]", line), line
        assert not re.search(rb"[\r\n]", line)
        assert len(line) <= 998
    mail = message_from_bytes(raw, policy=default)
    assert mail.keys()[: len(HEADERS)] == HEADERS
    assert sorted(mail.keys()[len(HEADERS) :]) == sorted(BODY_HEADERS)
    assert not mail.is_multipart()
    assert mail.defects == []
    return mail


def name_in(raw: bytes, header: str) -> str:
    """The name before an address; Python's newer reader puts spaces between encoded words."""
    phrase = message_from_bytes(raw)[header].replace("\r\n", "").rpartition("<")[0]
    return str(make_header(decode_header(phrase.strip())))


def composed(one: CarrierMessage) -> bytes:
    sender, to = address_in(one.sender), address_in(one.to)
    headers: dict[str, str | Address] = {"List-Id": "x", "Reply-To": sender}
    return compose(one, sender, to, f"{one.id}@mail.example.org", NOW, headers)


@pytest.mark.parametrize("evil", EVIL)
def test_an_encoded_word_that_somebody_typed_is_shown_as_typed(evil: str) -> None:
    shown = re.sub(r"[\r\n]+", " ", evil)
    one = message(
        subject=f"Your order, {evil}", to=f'"Ann {evil}" <ann@example.org>',
        sender=f'"{evil}" <news@mail.example.org>',
    )  # fmt: skip
    raw = composed(one)
    mail = read(raw)
    assert mail["Subject"] == f"Your order, {shown}"
    assert mail["To"].addresses[0].addr_spec == "ann@example.org"
    assert name_in(raw, "To") == f"Ann {shown}"
    assert name_in(raw, "From") == shown
    assert mail.get_content().split() == ["Dear", "Ann,", ".", "Ä", "word."]


@pytest.mark.parametrize("evil", EVIL)
def test_an_encoded_word_is_no_part_of_an_address(evil: str) -> None:
    for text in (f"{evil}@example.org", f"Ann <{evil}@example.org>", f"ann@{evil}.org"):
        with pytest.raises(BadAddress):
            address_in(text)


PIECES = st.sampled_from(
    [*EVIL, "=?", "?=", "=?utf-8?q?", "=?x?b?", "\r\n", "\n", "\r", " ", "  ", "Bcc: e@e.org", "ä",
     "\u2028", "\x85", "\0", "a" * 100, '"', "\\", "<", ">", "(", ",", "😀"]
)  # fmt: skip
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=12).map("".join)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_whatever_a_mail_says_it_has_our_headers_and_one_body(
    subject: str, name: str, sender: str, body: str
) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    one = message(
        subject=subject, to=f'"{escaped}" <ann@example.org>', sender=f"{sender} <news@e.org>",
        body=body,
    )  # fmt: skip
    try:
        raw = composed(one)
    except ValueError:
        return
    mail = read(raw)
    assert mail["To"].addresses[0].addr_spec == "ann@example.org"
    said = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", subject).strip()
    assert mail["Subject"] == said
    assert mail.get_content().splitlines() == (body + "\n").splitlines()


@given(st.lists(st.one_of(PIECES, st.sampled_from(["@", "ann", "example.org"])), max_size=6))
def test_an_address_that_is_taken_is_the_one_that_a_server_hears(parts: list[str]) -> None:
    try:
        found = address_in("".join(parts))
    except BadAddress:
        return
    assert quote_address(found.addr_spec) == f"<{found.addr_spec}>"
    assert "=?" not in found.addr_spec


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ('"Acme, \\"Ltd\\"" <a@e.org>', 'Acme, "Ltd"', "a@e.org"),
        ("Acme (Germany) <a@e.org>", "Acme (Germany)", "a@e.org"),
        ("a@e.org (Ann)", "Ann", "a@e.org"),
        ("a@straße.example", "", "a@xn--strae-oqa.example"),
        ("ä@日本.example", "", "ä@xn--wgv71a.example"),
        ("a@[192.0.2.1]", "", "a@[192.0.2.1]"),
    ],
)
def test_the_forms_of_an_address(text: str, name: str, address: str) -> None:
    found = address_in(text)
    assert (found.display_name, found.addr_spec) == (name, address)
    assert read(composed(message(to=text)))["To"].addresses[0].display_name == name


def test_a_header_block_that_holds_more_is_not_sent() -> None:
    check_block("A: b\r\n c\r\nD: e\r\n", ["A", "D"])
    for head in (
        "A: b\r\nD: e\r\nX: y\r\n",
        "A: b\nX: y\r\nD: e\r\n",
        "A: b\rX: y\r\nD: e\r\n",
        "A: b\r\n\r\nD: e\r\n",
        "A: b\r\n \r\nD: e\r\n",
        "D: e\r\nA: b\r\n",
        "A: b\r\nD: e",
    ):
        with pytest.raises(BadHeader):
            check_block(head, ["A", "D"])
    with pytest.raises(BadHeader):
        plain_line("Message-ID", "<a@b.c>\r\nBcc: x")


@pytest.mark.parametrize(
    "text",
    ["", "ann", "ann@", "@example.org", "a b@example.org", "ann@ex\nample.org", "a@b@c", "<>",
     "ann@example.org, eve@example.org", "x" * 65 + "@example.org", "Ann", "a@b>c", "a@b.c>",
     "é" * 33 + "@example.org", "a@b..c", "a@-b.c", "a@" + "b" * 64 + ".c", "a@" + "b." * 130 + "c",
     "\ud800@b.c", "a@\ud800.c", "Eve <e@e.org>, Ann <a@b.c>", '"Eve" <e@e.org>, "Ann" <a@b.c>'],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        address_in(text)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = address_in(text)
    except BadAddress:
        return
    assert re.fullmatch(r"[^\s<>\x00-\x1f]+@[^\s<>\x00-\x1f]+", found.addr_spec)

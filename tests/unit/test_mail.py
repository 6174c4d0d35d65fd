"""E-mail: what a mail looks like, who signed it, the way out of it, and what comes back."""

import asyncio
import base64
import json
import re
from collections.abc import Sequence
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from actors.carriers import registry
from actors.carriers.base import Callback, CarrierMessage, CarrierReceipt, Outcome
from actors.carriers.smtp import SmtpCarrier
from actors.clock import ManualClock
from actors.mail.bounces import receipts_in
from actors.mail.compose import address_in, compose
from actors.mail.dkim import Signer, relaxed_body
from actors.mail.tokens import TOKEN_HEADER, MailTokens
from engine import limits
from engine.lanes.definition import lane_from
from engine.reasons import Reason
from tests.carriers.subject_smtp import sink
from tests.support.peers import Peer, free_port, need, run, script

ID = "0123456789abcdef0123456789abcdef"
TOKENS = MailTokens(b"secret")
NOW = 1_700_000_000_000


def message(**fields: Any) -> CarrierMessage:
    plain: dict[str, Any] = {
        "id": ID, "channel": "email", "sender": "Acme Ünlimited <news@mail.example.org>",
        "to": "ann@example.org", "subject": "Hällo, Ann", "body": "Dear Ann,\n\n.\nÄ word. \n",
        "units": 1, "attempt": 0, "purpose": "marketing", "key": "w/user/ann",
    }  # fmt: skip
    return CarrierMessage(**{**plain, **fields})


def mail_of(one: CarrierMessage, **headers: str) -> bytes:
    sender, to = address_in(one.sender), address_in(one.to)
    return compose(one, sender, to, f"{one.id}@mail.example.org", NOW, headers)


def pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def record(key: Any, kind: str) -> str:
    encoding = serialization.Encoding
    if kind == "rsa":
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        raw = key.public_key().public_bytes(encoding.DER, form)
    else:
        raw = key.public_key().public_bytes(encoding.Raw, serialization.PublicFormat.Raw)
    return f"v=DKIM1; k={kind}; p={base64.b64encode(raw).decode()}"


# The form.


def test_a_mail_says_what_it_should_in_words_and_in_html() -> None:
    raw = mail_of(message(content=json.dumps({"html": "<p>Ä</p>"})), **{"List-Id": "x"})
    mail = message_from_bytes(raw, policy=default)
    assert mail["From"].addresses[0].display_name == "Acme Ünlimited"
    assert (mail["Subject"], mail["To"], mail["List-Id"]) == ("Hällo, Ann", "ann@example.org", "x")
    assert mail["Message-ID"] == f"<{ID}@mail.example.org>"
    text, html = mail.iter_parts()
    assert text.get_content().split() == ["Dear", "Ann,", ".", "Ä", "word."]
    assert html.get_content().strip() == "<p>Ä</p>"
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_no_text_makes_a_header_of_its_own() -> None:
    raw = mail_of(
        message(subject="a\r\nBcc: eve@example.org", sender="Eve\r\nX: y <a@example.org>")
    )
    mail = message_from_bytes(raw, policy=default)
    assert mail["Bcc"] is None
    assert mail["X"] is None


# The signature.


def test_the_body_of_rfc_6376_is_canonical() -> None:
    assert relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n") == b" C\r\nD E\r\n"  # 3.4.5
    assert relaxed_body(b"\r\n\r\n") == b""
    assert relaxed_body(b"a") == b"a\r\n"


def verdicts(mails: Sequence[bytes], records: dict[str, str]) -> list[list[dict[str, Any]]]:
    """What an independent verifier says of the signatures of each mail."""
    need("mailauth")
    packed = json.dumps([base64.b64encode(raw).decode() for raw in mails]).encode()
    told = run(script("verify_mail.js", json.dumps(records)), packed)
    found: list[list[dict[str, Any]]] = json.loads(told)
    return found


BODIES = (
    "hi", "", "\n\n", "a \t b  \n\n\n", "Ä" * 2_000, "x" * 2_000, ".\n..\n", "tab\tend\t\n x\n",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_an_independent_verifier_finds_the_signatures_good(kind: str) -> None:
    key: Any = (
        rsa.generate_private_key(65_537, 2_048)
        if kind == "rsa"
        else ed25519.Ed25519PrivateKey.generate()
    )
    signer = Signer("mail.example.org", "s1", pem(key))
    records = {"s1._domainkey.mail.example.org": record(key, kind)}
    headers = {
        "List-Unsubscribe": "<https://e.org/u>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    mails = []
    for body in BODIES:
        content = json.dumps({"html": f"<p>{body}</p>"})
        raw = mail_of(message(body=body, content=content), **headers)
        mails.append(signer.sign(raw, NOW // 1_000) + raw)
    for (found,) in verdicts(mails, records):
        assert found["result"] == "pass", found
        assert found["algorithm"] == f"{kind}-sha256"
        signed = found["headers"].lower().replace(" ", "").split(":")
        assert {"from", "list-unsubscribe", "list-unsubscribe-post"}.issubset(signed)
    changed = mails[0].replace(b"Subject: ", b"Subject: New ")
    added = b"From: eve@example.org\r\n" + mails[0]
    for (found,) in verdicts([changed, added], records):
        assert found["result"] != "pass", found


def test_a_key_that_is_too_short_or_none_is_refused() -> None:
    with pytest.raises(ValueError, match="PEM"):
        Signer("e.org", "s", b"no key")
    with pytest.raises(ValueError, match="neither RSA nor Ed25519"):
        Signer("e.org", "s", pem(ec.generate_private_key(ec.SECP256R1())))


# What comes back.


def bounce(action: str = "failed", original: str = "", to: str = "bounces@example.org") -> bytes:
    return f"""\
From: MAILER-DAEMON@relay.example.org
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Sorry.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example.org

Final-Recipient: rfc822; ann@example.org
Action: {action}
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b
Content-Type: text/rfc822-headers

{original}
Subject: Hello

--b--
""".replace("\n", "\r\n").encode()


def test_a_bounce_is_found_by_its_return_path() -> None:
    raw = bounce(to=f"bounces+{TOKENS.reference(ID)}@mail.example.org")
    assert receipts_in(raw, TOKENS, NOW) == [
        CarrierReceipt(ID, Reason.UNDELIVERED, NOW, "5.1.1", "smtp; 550 5.1.1 no such user", ID)
    ]


def test_a_bounce_is_found_by_the_mail_that_it_returns_however_late() -> None:
    token = TOKENS.token("w/user/ann", "email", ID)
    (receipt,) = receipts_in(bounce(original=f"{TOKEN_HEADER}: {token}"), TOKENS, NOW)
    assert (receipt.key, receipt.reference) == ("w/user/ann", ID)


@pytest.mark.parametrize(
    ("action", "reason"),
    [("delivered", Reason.DELIVERED), ("delayed", None), ("relayed", None), ("nonsense", None)],
)
def test_other_notices_say_what_they_say(action: str, reason: Reason | None) -> None:
    raw = bounce(action, to=f"b+{TOKENS.reference(ID)}@e.org")
    assert [one.reason for one in receipts_in(raw, TOKENS, NOW)] == ([reason] if reason else [])


def test_a_complaint_is_one() -> None:
    token = TOKENS.token("w/user/ann", "email", ID)
    raw = f"""\
From: <abuse@isp.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is a complaint.

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1

--b
Content-Type: message/rfc822

From: news@mail.example.org
{TOKEN_HEADER}: {token}

spam
--b--
""".replace("\n", "\r\n").encode()
    (receipt,) = receipts_in(raw, TOKENS, NOW)
    assert (receipt.reason, receipt.code, receipt.key) == (Reason.COMPLAINED, "abuse", "w/user/ann")


def test_nobody_makes_up_a_bounce() -> None:
    other = MailTokens(b"another")
    for raw in (
        bounce(to=f"bounces+{other.reference(ID)}@mail.example.org"),
        bounce(original=f"{TOKEN_HEADER}: {other.token('w/user/ann', 'email', ID)}"),
        bounce(to=f"bounces+{ID}-000000000000@mail.example.org"),
    ):
        assert receipts_in(raw, TOKENS, NOW) == []


@given(st.binary(max_size=400), st.integers(0, 900))
def test_no_mail_breaks_the_reader(noise: bytes, at: int) -> None:
    whole = bounce(to=f"b+{TOKENS.reference(ID)}@e.org")
    for raw in (noise, whole[:at] + noise + whole[at:], whole[:at]):
        assert len(receipts_in(raw, TOKENS, NOW)) <= 1


@given(st.text(max_size=100))
def test_no_text_is_a_token_but_ours(text: str) -> None:
    assert TOKENS.read(text) is None
    assert TOKENS.find_reference(text) == ""


# The carrier.


class Lane:
    """A carrier beside a sink that keeps what it gets."""

    def __init__(self, port: int, **options: Any) -> None:
        lane = lane_from(
            {"lane": "mail", "channel": "email", "carrier": "smtp",
             "sender": "news@mail.example.org",
             "options": {"host": "127.0.0.1", "port": port, "tls": "none", **options}}
        )  # fmt: skip
        secrets = {"hook": "s3cret", "dkim": pem(ed25519.Ed25519PrivateKey.generate()).decode()}
        url = "https://acme.example/v1/carriers/w/mail/"
        carrier = registry.make(
            registry.CarrierSetup(lane, "w/mail", ManualClock(NOW), 7, url, secrets, b"secret")
        )
        assert isinstance(carrier, SmtpCarrier)
        self.carrier = carrier
        self.receipts: list[CarrierReceipt] = []

    async def deliver(self, receipts: Sequence[CarrierReceipt]) -> None:
        self.receipts += receipts


def test_what_leaves_is_signed_names_itself_and_has_a_way_out(tmp_path: Path) -> None:
    async def send() -> None:
        lane = Lane(
            port, bounces="bounces@mail.example.org", messages_per_connection=2, connections=2,
            dkim=[{"domain": "mail.example.org", "selector": "s", "key": {"secret": "dkim"}}],
        )  # fmt: skip
        await lane.carrier.start(lane.deliver, None)  # type: ignore[arg-type]
        batch = [message(id=f"{n:032x}") for n in range(9)] + [message(purpose="transactional")]
        results = await lane.carrier.submit(batch)
        assert [one.outcome for one in results] == [Outcome.ACCEPTED] * 10
        assert lane.carrier.status()["connections"] >= 5
        assert lane.carrier.status()["open"] <= 2
        await lane.carrier.stop()

    port = free_port()
    command = sink("-d", f"{tmp_path}/%H%M%S.", f"127.0.0.1:{port}", "64")
    with Peer(command, port):
        asyncio.run(send())
    mails = [message_from_bytes(path.read_bytes(), policy=default) for path in tmp_path.iterdir()]
    assert len(mails) == 10
    marketing = [mail for mail in mails if mail["List-Unsubscribe"]]
    assert len(marketing) == 9
    for mail in marketing:
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        (url,) = re.findall(
            r"<(https://acme\.example/v1/unsubscribe/\S+)>", mail["List-Unsubscribe"]
        )
        token = TOKENS.read(url.rpartition("/")[2])
        assert token is not None
        assert token[:2] == ("w/user/ann", "email")
        assert mail["DKIM-Signature"].startswith("v=1; a=ed25519-sha256;")
        assert TOKENS.find_reference(mail["X-Mail-Args"]) == token[2]


def test_a_mail_that_cannot_be_written_is_refused_and_the_others_leave() -> None:
    async def send() -> list[Outcome]:
        lane = Lane(port)
        bad = message(to="nobody")
        results = await lane.carrier.submit([message(), bad, message(body="\ud800"), message()])
        await lane.carrier.stop()
        assert results[1].code == "bad_address"
        return [one.outcome for one in results]

    port = free_port()
    with Peer(sink(f"127.0.0.1:{port}", "64"), port):
        outcomes = asyncio.run(send())
    assert outcomes == [
        Outcome.ACCEPTED, Outcome.REJECTED, Outcome.REJECTED, Outcome.ACCEPTED,
    ]  # fmt: skip


def test_the_door_believes_nobody_without_the_token() -> None:
    async def call() -> None:
        lane = Lane(1, callback_secret={"secret": "hook"})
        await lane.carrier.start(lane.deliver, None)  # type: ignore[arg-type]
        raw = bounce(to=f"b+{TOKENS.reference(ID)}@e.org")
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "s3cret"}):
            reply = await lane.carrier.callback(Callback("POST", "", "bounce", headers, raw))
            assert reply.status == 403
        assert lane.receipts == []
        good = {"authorization": "Bearer s3cret"}
        reply = await lane.carrier.callback(Callback("POST", "", "bounce", good, raw))
        assert (reply.status, [one.reason for one in lane.receipts]) == (200, [Reason.UNDELIVERED])
        reply = await Lane(1).carrier.callback(Callback("POST", "", "bounce", good, raw))
        assert reply.status == 403

    asyncio.run(call())


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_no_end_of_a_line_in_a_subject_makes_a_header_or_refuses_the_mail(end: str) -> None:
    mail = message_from_bytes(mail_of(message(subject=f"Hi{end}Bcc: eve@x.org")), policy=default)
    assert mail["Subject"] == "Hi Bcc: eve@x.org"
    assert mail["Bcc"] is None


@pytest.mark.parametrize("at", [0, 1])
def test_the_beginning_of_a_long_bounce_says_whose_it_is(at: int) -> None:
    token = TOKENS.token("w/user/ann", "email", ID)
    whole = (
        bounce(original=f"{TOKEN_HEADER}: {token}")
        if at
        else bounce(to=f"b+{TOKENS.reference(ID)}@e.org")
    )
    long = whole.replace(b"Subject: Hello", b"Subject: Hello\r\n\r\n" + b"x" * 200_000)
    (receipt,) = receipts_in(long[: limits.CALLBACK_BYTES], TOKENS, NOW)
    assert (receipt.reference, receipt.reason) == (ID, Reason.UNDELIVERED)

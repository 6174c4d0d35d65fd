"""SMPP beside an SMSC made of npm's `smpp`: dialects, parts, breaks, and what people send."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from actors.carriers.base import CarrierMessage, CarrierReceipt, Outcome
from actors.carriers.registry import CarrierSetup
from actors.carriers.smpp import adapter as smpp
from engine.lanes.definition import Lane
from engine.reasons import Reason
from tests.carriers.subject import SENDER, Fate, Running, Subject
from tests.support.smsc import Smsc

TO = "+12025550001"
LONG = "0123456789" * 16 + "!"  # two parts


class Plain(Subject):
    carrier: ClassVar[str] = "smpp"

    def setup(self, lane: Lane) -> CarrierSetup:
        return super().setup(lane)._replace(secrets={"smsc": "right"})


def text(body: str, number: int = 1, to: str = TO) -> CarrierMessage:
    plain = Plain().message(number, Fate.TAKEN)
    fields = {name: getattr(plain, name) for name in plain.__struct_fields__}
    return CarrierMessage(**{**fields, "to": to, "body": body})


def texts(count: int) -> list[CarrierMessage]:
    return [text(f"number {number}", number, f"+1202555{number:04d}") for number in range(count)]


def lane(smsc: Smsc, **options: Any) -> Running:
    return Running(Plain(), smsc.options(**options))


async def wait_for(smsc: Smsc, event: str, count: int = 1) -> dict[str, Any]:
    return await asyncio.to_thread(smsc.wait, event, count)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    ("ids", "receipt_ids", "dialect"),
    [
        ("counter", "same", "same"),
        ("padded", "stripped", "same"),
        ("name", "upper", "same"),
        ("upper", "same", "same"),
        ("hex", "decimal", "hex_to_decimal"),
        ("upper", "decimal", "hex_to_decimal"),
        ("counter", "hex", "decimal_to_hex"),
    ],
)
@pytest.mark.parametrize("told", [False, True])
async def test_receipts_find_their_messages_in_every_way_of_writing_ids(
    ids: str, receipt_ids: str, dialect: str, early: bool, told: bool
) -> None:
    settings = {"ids": ids, "receipt_ids": receipt_ids, "first": 70}
    messages = texts(60)
    # All but one arrive, so a receipt that is taken for another message's is seen.
    plan = {messages[33].to[1:]: {"receipt": {"stat": "UNDELIV", "err": "011", "early": early}}}
    with Smsc(plan=plan, receipt={"early": early}, **settings) as smsc:
        async with lane(smsc, receipt_ids=dialect if told else "auto") as running:
            results = await running.submit(messages)
            await running.until(lambda: len(running.receipts) == 60)
            for number, (message, result) in enumerate(zip(messages, results, strict=True)):
                (receipt,) = running.told(message, result)
                wanted = Reason.UNDELIVERED if number == 33 else Reason.DELIVERED
                assert receipt.reason is wanted, number
                assert receipt.code == ("011" if number == 33 else "")
            assert running.carrier.status()["receipt_ids"] == dialect


async def test_ids_that_could_be_of_two_messages_are_not_guessed() -> None:
    with Smsc(ids="hex", first=15) as smsc:  # 10, 11 … and 1a; written in one way or in the other
        async with lane(smsc) as running:
            await running.submit([text("one"), text("two", 2)])
            fields = {"source_addr": "13035550000", "destination_addr": "1", "esm_class": 4}
            note = "id:10 sub:001 dlvrd:001 submit date:1 done date:1 stat:DELIVRD err:000 text:"
            smsc.order(order="deliver", fields={**fields, "short_message": note})
            await wait_for(smsc, "confirmed")
            assert running.receipts == []


@pytest.mark.parametrize("tlv", [True, "only"])
async def test_receipts_may_be_parameters(tlv: object) -> None:
    receipt = {"tlv": tlv, "state": 5, "network_error_code": "030022"}
    with Smsc(receipt=receipt) as smsc:
        async with lane(smsc) as running:
            (result,) = await running.submit([text("hi")])
            await running.until(lambda: bool(running.receipts))
            assert running.receipts[0].provider_id == result.provider_id
            assert running.receipts[0].reason is Reason.UNDELIVERED
            assert running.receipts[0].code == "34"


@pytest.mark.parametrize(
    ("body", "coding"), [(LONG, 0), ("€" * 100, 0), ("я" * 100, 8), ("😀" * 60, 8)]
)
async def test_a_long_text_goes_in_parts_and_has_one_receipt(body: str, coding: int) -> None:
    with Smsc(receipt={}) as smsc:
        async with lane(smsc) as running:
            (result,) = await running.submit([text(body)])
            await running.until(lambda: bool(running.receipts))
            assert result.provider_id == "1,2"
            assert [each.reason for each in running.receipts] == [Reason.DELIVERED]
            assert running.receipts[0].provider_id == "1,2"
            await wait_for(smsc, "confirmed", 2)
    first, second = smsc.submits()
    assert [first["udh"][0][-4:], second["udh"][0][-4:]] == ["0201", "0202"]
    assert first["udh"][0][:-2] == second["udh"][0][:-2]
    assert {first["esm_class"], first["data_coding"]} == {0x40, coding}
    assert first["text"] + second["text"] == body


@pytest.mark.parametrize("way", ["sar", "payload"])
async def test_a_long_text_may_go_in_other_ways(way: str) -> None:
    with Smsc() as smsc:
        async with lane(smsc, long_messages=way) as running:
            (result,) = await running.submit([text(LONG * 2)])
            assert result.outcome is Outcome.ACCEPTED
    seen = smsc.submits()
    if way == "payload":
        assert [each["payload"] for each in seen] == [LONG * 2]
    else:
        assert [each["sar"][1:] for each in seen] == [[1, 3], [2, 3], [3, 3]]
        assert len({each["sar"][0] for each in seen}) == 1
        assert "".join(each["text"] for each in seen) == LONG * 2
        assert not any(each["esm_class"] for each in seen)


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ([{"receipt": {}}, {"receipt": {"stat": "EXPIRED"}}], Reason.PARTIALLY_DELIVERED),
        ([{"receipt": {"stat": "REJECTD"}}] * 2, Reason.UNDELIVERED),
        ([{"receipt": {"times": 3}}, {"receipt": {"early": True}}], Reason.DELIVERED),
    ],
)
async def test_receipts_of_parts_are_one_receipt(plan: list[Any], reason: Reason) -> None:
    with Smsc(plan={TO[1:]: plan}) as smsc:
        async with lane(smsc) as running:
            (result,) = await running.submit([text(LONG)])
            await running.until(lambda: bool(running.receipts))
            (receipt,) = [each for each in running.receipts if each.provider_id == "1,2"]
            assert (receipt.reason, receipt.provider_id) == (reason, result.provider_id)
            assert bool(receipt.code) == (reason is not Reason.DELIVERED)


async def test_a_part_that_was_throttled_goes_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpp, "_RETRY_S", 0)
    with Smsc(plan={TO[1:]: [{}, {"status": 0x58}, {"status": 0x14}, {}]}) as smsc:
        async with lane(smsc) as running:
            (result,) = await running.submit([text(LONG)])
            assert result.outcome is Outcome.ACCEPTED
    assert [each["udh"][0][-2:] for each in smsc.submits()] == ["01", "02", "02", "02"]


async def test_of_a_message_that_was_taken_in_part_the_outcome_is_unknown() -> None:
    plan = [{"receipt": {}}, {"status": 0x0B}]
    with Smsc(plan={TO[1:]: plan}) as smsc:
        async with lane(smsc) as running:
            message = text(LONG)
            (result,) = await running.submit([message])
            assert (result.outcome, result.code) == (Outcome.UNKNOWN, "11")
            await running.until(lambda: bool(running.receipts))
            (receipt,) = running.told(message, result)
            assert receipt.reason is Reason.PARTIALLY_DELIVERED


async def test_nothing_more_of_a_rejected_message_is_sent() -> None:
    with Smsc(plan={TO[1:]: [{"status": 0x0B}, {}]}) as smsc:
        async with lane(smsc, window=1) as running:
            (result,) = await running.submit([text(LONG * 3)])
            assert result.outcome is Outcome.REJECTED
    assert len(smsc.submits()) == 1


async def test_after_a_break_what_was_out_is_unknown_and_the_rest_is_sent() -> None:
    messages = texts(50)
    with Smsc(plan={messages[15].to[1:]: {"close": True}}) as smsc:
        async with lane(smsc, window=10) as running:
            results = await running.submit(messages)
            outcomes = [result.outcome for result in results]
    assert set(outcomes[:15]) <= {Outcome.ACCEPTED, Outcome.UNKNOWN}
    assert outcomes[15] is Outcome.UNKNOWN
    assert 1 <= outcomes.count(Outcome.UNKNOWN) <= 10
    assert outcomes[25:] == [Outcome.ACCEPTED] * 25
    seen = [each["to"] for each in smsc.submits()]
    assert len(seen) == len(set(seen))  # nothing went twice
    for message, outcome in zip(messages, outcomes, strict=True):
        if outcome is Outcome.ACCEPTED:
            assert message.to[1:] in seen


async def test_what_never_left_has_failed_for_now() -> None:
    messages = texts(5)
    with Smsc(plan={messages[1].to[1:]: {"drop": True}}) as smsc:
        async with lane(smsc, window=1, wait_ms=500, reconnect_ms=[60_000, 60_000]) as running:
            await wait_for(smsc, "bound")
            task = asyncio.create_task(running.submit(messages))
            await wait_for(smsc, "submit", 2)
            smsc.order(order="close")
            outcomes = [result.outcome for result in await task]
    assert outcomes == [Outcome.ACCEPTED, Outcome.UNKNOWN] + [Outcome.FAILED] * 3


async def test_an_answer_that_comes_late_makes_the_unknown_known() -> None:
    message = text("hi")
    with Smsc(plan={TO[1:]: {"park": True}}) as smsc:
        async with lane(smsc, response_ms=300, receipt_ids="same") as running:
            (result,) = await running.submit([message])
            assert result.outcome is Outcome.UNKNOWN
            smsc.order(order="release")
            await running.until(lambda: bool(running.receipts))
            (receipt,) = running.told(message, result)
            assert (receipt.reason, receipt.provider_id) == (Reason.SENT, "1")
            deliver(smsc, receipt_text("1"), esm_class=4)
            await running.until(lambda: len(running.receipts) == 2)
            assert running.receipts[1].reason is Reason.DELIVERED
            assert running.receipts[1].reference == message.id


async def test_a_carrier_that_is_too_slow_gets_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpp, "_SUBMIT_S", 1.0)
    messages = [*texts(3), text(LONG, 3), text("last", 4)]
    with Smsc(plan={messages[2].to[1:]: {"park": True}}) as smsc:
        async with lane(smsc, window=1, receipt_ids="same") as running:
            await wait_for(smsc, "bound")
            results = await running.submit(messages)
            assert [result.outcome.name for result in results] == [
                "ACCEPTED", "ACCEPTED", "UNKNOWN", "THROTTLED", "THROTTLED",
            ]  # fmt: skip
            smsc.order(order="release")
            await running.until(lambda: bool(running.receipts))
            assert running.told(messages[2], results[2])[0].reason is Reason.SENT
    assert len(smsc.submits()) == 3


async def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    messages = texts(3)
    with Smsc(plan={messages[0].to[1:]: {"park": True}}) as smsc:
        async with lane(smsc, window=1) as running:
            task = asyncio.create_task(running.submit(messages))
            await wait_for(smsc, "submit")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            smsc.order(order="release")
            (result,) = await running.submit([text("later", 9)])
            assert result.outcome is Outcome.ACCEPTED
            # That of the first is known after all.
            assert [each.reference for each in running.receipts] == [messages[0].id]
    assert [each["text"] for each in smsc.submits()] == ["number 0", "later"]


@pytest.mark.parametrize(("ids", "body"), [("upper", "hi"), ("name", LONG)])
async def test_a_message_without_a_receipt_is_asked_about(ids: str, body: str) -> None:
    with Smsc(ids=ids, first=0xAB, query_state=1) as smsc:
        async with lane(smsc, query_ms=20) as running:
            (result,) = await running.submit([text(body)])
            assert (await wait_for(smsc, "query", 3))["id"] in {
                "000000AC",
                "Msg-172-Ab",
                "Msg-173-Ab",
            }
            smsc.order(order="set", settings={"query_state": 5})
            await running.until(lambda: bool(running.receipts))
            (receipt,) = running.receipts
            assert receipt.provider_id == result.provider_id
            assert (receipt.reason, receipt.code) == (Reason.UNDELIVERED, "UNDELIV")


async def test_a_bind_that_is_refused_is_tried_again() -> None:
    with Smsc(refuse=3) as smsc:
        async with lane(smsc) as running:
            (result,) = await running.submit([text("hi")])
            assert result.outcome is Outcome.ACCEPTED
            assert running.carrier.status()["binds"][0]["binds"] == 1
        assert len(smsc.seen("refused")) == 3


async def test_a_wrong_password_is_told_and_sends_nothing() -> None:
    with Smsc(password="right", refuse_status=14) as smsc:
        async with lane(smsc, wait_ms=1_000) as running:
            (result,) = await running.submit([text("hi")])
            assert (result.outcome, result.code) == (Outcome.FAILED, "not_bound")
            error = running.carrier.status()["binds"][0]["error"]
            assert "password" in error
        async with lane(smsc, password={"secret": "smsc"}) as running:
            (result,) = await running.submit([text("hi")])
            assert result.outcome is Outcome.ACCEPTED
    assert "right" not in str(running.carrier.status())


@pytest.mark.parametrize("name", ["localhost", "elsewhere"])
async def test_a_connection_may_be_encrypted(name: str, tmp_path: Path) -> None:
    certificate, key = made_certificate("localhost")
    authority = tmp_path / "ca.pem"
    authority.write_text(certificate)
    with Smsc(tls={"cert": certificate, "key": key}) as smsc:
        tls = {"tls": True, "tls_ca": str(authority), "tls_name": name, "wait_ms": 2_000}
        async with lane(smsc, **tls) as running:
            (result,) = await running.submit([text("hi")])
            wanted = Outcome.ACCEPTED if name == "localhost" else Outcome.FAILED
            assert result.outcome is wanted, running.carrier.status()


def made_certificate(name: str) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, form, plain)
    return certificate.public_bytes(pem).decode(), secret.decode()


@pytest.mark.parametrize("order", ["close", "unbind"])
async def test_a_session_that_ends_is_followed_by_another(order: str) -> None:
    with Smsc() as smsc:
        async with lane(smsc) as running:
            await running.submit([text("one")])
            smsc.order(order=order)
            await wait_for(smsc, "bound", 2)
            (result,) = await running.submit([text("two")])
            assert result.outcome is Outcome.ACCEPTED


async def test_whoever_is_silent_is_asked_and_then_left() -> None:
    with Smsc(deaf=True) as smsc:
        async with lane(smsc, enquire_ms=200, response_ms=200):
            await wait_for(smsc, "enquired")
            await wait_for(smsc, "bound", 2)


async def test_whoever_asks_has_an_answer() -> None:
    with Smsc() as smsc:
        async with lane(smsc):
            await wait_for(smsc, "bound")
            smsc.order(order="enquire")
            await wait_for(smsc, "answered")


@pytest.mark.parametrize(
    "garbage",
    [
        "00000000000000000000000000000000",
        "ffffffff000000050000000000000001",
        "0000000f" + "00" * 12,
        "485454502f312e3120343030204261640d0a0d0a",
    ],
)
async def test_garbage_ends_the_session_and_nothing_else(garbage: str) -> None:
    with Smsc() as smsc:
        async with lane(smsc) as running:
            await wait_for(smsc, "bound")
            smsc.order(order="raw", hex=garbage)
            await wait_for(smsc, "bound", 2)
            (result,) = await running.submit([text("hi")])
            assert result.outcome is Outcome.ACCEPTED


async def test_senders_and_receivers_may_be_binds_of_their_own() -> None:
    with Smsc(receipt={}) as smsc:
        async with lane(smsc, bind="separate", binds=2) as running:
            await wait_for(smsc, "bound", 4)
            binds = sorted(each["bind"] for each in smsc.seen("bound"))
            assert binds == ["bind_receiver"] * 2 + ["bind_transmitter"] * 2
            (result,) = await running.submit([text("hi")])
            deliver(smsc, receipt_text(result.provider_id), esm_class=4)
            await running.until(lambda: bool(running.receipts))


@pytest.mark.parametrize("status", [0x14, 0x58])
async def test_the_carrier_wants_less(status: int) -> None:
    with Smsc(plan={TO[1:]: {"status": status}}) as smsc:
        async with lane(smsc) as running:
            (result,) = await running.submit([text("hi")])
            assert (result.outcome, result.code) == (Outcome.THROTTLED, str(status))


async def test_a_carriers_own_statuses_mean_what_the_lane_says() -> None:
    plan = {"12025550001": {"status": 0x401}, "12025550002": {"status": 0x402}}
    with Smsc(plan={**plan, "12025550003": {"status": 0x403}, "12025550004": {"nack": 3}}) as smsc:
        async with lane(smsc, rejects=[0x401], throttles=[0x402]) as running:
            results = await running.submit(texts(5)[1:])
            assert [result.outcome for result in results] == [
                Outcome.REJECTED, Outcome.THROTTLED, Outcome.FAILED, Outcome.REJECTED,
            ]  # fmt: skip


async def test_kinds_of_numbers_validity_and_receipts_are_told() -> None:
    with Smsc() as smsc:
        async with lane(smsc) as running:
            await running.submit([text("hi")])
        async with lane(smsc, dest_ton=2, dest_npi=8, receipts=False, validity="none") as running:
            plain = text("hi")
            fields = {name: getattr(plain, name) for name in plain.__struct_fields__}
            for sender in ("Denrei", "77777"):
                await running.submit([CarrierMessage(**{**fields, "sender": sender})])
    first, second, third = smsc.submits()
    assert (first["from"], first["to"], first["ton"]) == (SENDER[1:], TO[1:], [1, 1, 1, 1])
    assert (second["from"], second["ton"]) == ("Denrei", [5, 0, 2, 8])
    assert (third["from"], third["ton"]) == ("77777", [3, 1, 2, 8])
    assert [each["registered_delivery"] for each in (first, second)] == [1, 0]
    assert first["validity_period"]
    assert not second["validity_period"]


async def test_look_alikes_are_folded_if_the_lane_says_so() -> None:
    body = "“It’s…” " + "a" * 100
    with Smsc() as smsc:
        async with lane(smsc, fold=True) as running:
            await running.submit([text(body), text("“я”", 2)])
    assert [(each["text"], each["data_coding"]) for each in smsc.submits()] == [
        ('"It\'s..." ' + "a" * 100, 0), ("“я”", 8),
    ]  # fmt: skip


async def test_a_latin_1_carrier_gets_latin_1() -> None:
    with Smsc() as smsc:
        async with lane(smsc, alphabet="latin1") as running:
            long = text("é" * 161, 3)
            fields = {name: getattr(long, name) for name in long.__struct_fields__}
            results = await running.submit([
                text("é@£"), text("10 €", 2), CarrierMessage(**{**fields, "units": 2}),
                text("€" * 71, 4),
            ])  # fmt: skip
            assert [each.outcome.name for each in results] == ["ACCEPTED"] * 3 + ["REJECTED"]
    seen = [(each["text"], each["data_coding"]) for each in smsc.submits()]
    assert seen == [("é@£", 3), ("10 €", 8), ("é" * 153, 3), ("é" * 8, 3)]


# What the carrier brings.


def receipt_text(message_id: str, stat: str = "DELIVRD") -> str:
    return (
        f"id:{message_id} sub:001 dlvrd:001 submit date:2611220611 done date:2611220612 "
        f"stat:{stat} err:000 text:hello"
    )


def deliver(smsc: Smsc, note: str | None = None, **fields: Any) -> None:
    given = {"source_addr": TO[1:], "destination_addr": SENDER[1:], **fields}
    smsc.order(order="deliver", fields={**given, **({"short_message": note} if note else {})})


async def test_a_text_like_a_receipt_from_a_telephone_is_a_message() -> None:
    with Smsc() as smsc:
        async with lane(smsc, receipt_ids="same") as running:
            (result,) = await running.submit([text("hi")])
            forged = receipt_text(result.provider_id)
            deliver(smsc, forged)
            await running.until(lambda: bool(running.inbound))
            assert [each.body for each in running.inbound] == [forged]
            assert running.receipts == []


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"short_message": "STOP"}, "STOP"),
        ({"hex": "47727e1e65201b281b651b29", "data_coding": 0}, "Grüße {€}"),
        ({"short_message": "да 😀", "data_coding": 8}, "да 😀"),
        ({"hex": "e9a3", "data_coding": 3}, "é£"),
        ({"hex": "", "message_payload": "x" * 300}, "x" * 300),
        ({"hex": "00ff", "data_coding": 4}, "00ff"),
        ({"hex": "0605040b8423f0616263", "esm_class": 0x40, "data_coding": 3}, "abc"),
    ],
)
async def test_what_people_send_is_read_and_confirmed_when_it_is_journaled(
    fields: dict[str, Any], body: str
) -> None:
    with Smsc() as smsc:
        async with lane(smsc) as running:
            await wait_for(smsc, "bound")
            deliver(smsc, **fields)
            await running.until(lambda: bool(running.inbound))
            (message,) = running.inbound
            assert (message.sender, message.to, message.body) == (TO, SENDER, body)
            assert (await wait_for(smsc, "confirmed"))["status"] == 0


async def test_parts_of_what_people_send_are_put_together() -> None:
    def part(number: int, reference: int, body: str) -> dict[str, Any]:
        header = bytes((5, 0, 3, reference, 3, number)).hex()
        return {"hex": header + body.encode("utf-16-be").hex(), "esm_class": 0x40, "data_coding": 8}

    with Smsc() as smsc:
        async with lane(smsc) as running:
            await wait_for(smsc, "bound")
            for number in (3, 1):
                deliver(smsc, **part(number, 7, f"<{number}я>"))
                deliver(smsc, **part(number, 8, f"[{number}]"))
            deliver(smsc, **part(3, 7, "<3я>"))  # again
            smsc.order(order="count")
            counts = await wait_for(smsc, "counts")
            assert counts["confirmed"] == 0
            deliver(smsc, **part(2, 7, "<2я>"))
            await running.until(lambda: bool(running.inbound))
            assert [each.body for each in running.inbound] == ["<1я><2я><3я>"]
            await wait_for(smsc, "confirmed", 4)  # of the other message none
            deliver(smsc, **part(2, 8, "[2]"))
            await running.until(lambda: len(running.inbound) == 2)
            assert running.inbound[1].body == "[1][2][3]"


async def test_what_cannot_be_journaled_is_to_come_again() -> None:
    class Broken(Running):
        async def _deliver(self, receipts: Sequence[CarrierReceipt]) -> None:
            raise ConnectionError("no shard")

    with Smsc(receipt={}) as smsc:
        async with Broken(Plain(), smsc.options()) as running:
            await running.submit([text("hi")])
            assert (await wait_for(smsc, "confirmed"))["status"] == 0x64

"""What SMPP's receipts, ids, statuses and parts mean, and that nothing that arrives is fatal."""

import asyncio
import random

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from smpp34 import DeliverSm, SmppError, Tlv, decode

from actors.carriers.base import CarrierMessage, Outcome, SubmitResult, accepted, unknown
from actors.carriers.smpp import pdu
from actors.carriers.smpp.options import SmppOptions
from actors.carriers.smpp.parts import Group, Groups
from actors.carriers.smpp.receipts import Ids, Told, is_receipt, plain, read
from actors.carriers.smpp.session import Session
from actors.carriers.smpp.submits import Batch, Job, SubmitWriter
from actors.carriers.smpp.tracking import Tracking
from actors.clock import ManualClock
from engine import limits
from engine.content.sms_coding import Part
from engine.reasons import Reason
from tests.support.docs import ROOT, table

TEXT = "id:{} sub:001 dlvrd:001 submit date:2611220600 done date:2611220601 stat:{} err:{} text:hi"


def deliver(text: str = "", esm_class: int = 4, tlvs: list[Tlv] | None = None) -> DeliverSm:
    message = DeliverSm(
        "12025550123", "12345", text.encode("latin-1"), esm_class=esm_class, tlvs=tlvs or [],
        sequence_number=1,
    )  # fmt: skip
    made = decode(message.encode())
    assert isinstance(made, DeliverSm)
    return made


# Receipts.


@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        ("DELIVRD", Reason.DELIVERED, ""),
        ("UNDELIV", Reason.UNDELIVERED, "UNDELIV"),
        ("EXPIRED", Reason.UNDELIVERED, "EXPIRED"),
        ("DELETED", Reason.UNDELIVERED, "DELETED"),
        ("REJECTD", Reason.UNDELIVERED, "REJECTD"),
        ("ACCEPTD", Reason.SENT, "ACCEPTD"),
        ("ENROUTE", Reason.SENT, "ENROUTE"),
        ("UNKNOWN", Reason.SENT, "UNKNOWN"),
        ("delivrd", Reason.DELIVERED, ""),
        ("DELIVERED", Reason.DELIVERED, ""),
        ("UNDELIVERABLE", Reason.UNDELIVERED, "UNDELIV"),
        ("FAILED", Reason.UNDELIVERED, "UNDELIV"),
    ],
)
def test_states_of_receipts(state: str, reason: Reason, code: str) -> None:
    told = read(deliver(TEXT.format("42", state, "000")))
    assert told is not None
    assert (told.id, told.reason, told.code, told.recipient) == ("42", reason, code, "12025550123")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEXT.format("00A1", "UNDELIV", "034"), ("00A1", Reason.UNDELIVERED, "034")),
        ("id:7 stat:DELIVRD", ("7", Reason.DELIVERED, "")),
        ("ID:7 SUB:1 STAT:EXPIRED ERR:5 TEXT:", ("7", Reason.UNDELIVERED, "5")),
        ("stat:UNDELIV err:12 id:7 text:id:8 stat:DELIVRD", ("7", Reason.UNDELIVERED, "12")),
        # The text of the message itself is nothing that the carrier says.
        ("id:7 text:stat:DELIVRD err:000 id:9", None),
        ("id:7 sub:001 text:x stat:DELIVRD err:000 ", None),
        ("stat:DELIVRD err:000", None),
        ("id: stat:DELIVRD err:000", None),
        ("id:7 stat:SOMEWHERE err:000", None),
        ("id:" + "9" * 66 + " stat:DELIVRD", None),
        ("", None),
    ],
)
def test_texts_of_receipts(text: str, told: tuple[str, Reason, str] | None) -> None:
    found = read(deliver(text))
    assert (found and (found.id, found.reason, found.code)) == told


def test_parameters_count_more_than_the_text() -> None:
    tlvs = [
        Tlv(pdu.RECEIPTED_MESSAGE_ID, b"0B5\0"),
        Tlv(pdu.MESSAGE_STATE, b"\x05"),
        Tlv(pdu.NETWORK_ERROR_CODE, b"\x03\x00\x22"),
    ]
    told = read(deliver(TEXT.format("7", "DELIVRD", "000"), tlvs=tlvs))
    assert told is not None
    assert (told.id, told.reason, told.code) == ("0B5", Reason.UNDELIVERED, "34")
    assert is_receipt(deliver(esm_class=0, tlvs=tlvs))


def test_only_what_the_carrier_marks_is_a_receipt() -> None:
    text = TEXT.format("7", "DELIVRD", "000")
    assert is_receipt(deliver(text, esm_class=0x04))
    assert is_receipt(deliver(text, esm_class=0x20))
    for esm_class in (0, 0x08, 0x10, 0x18, 0x40, 0x01, 0x80):
        assert not is_receipt(deliver(text, esm_class=esm_class))
    # An id alone may be that of the message that a person has sent.
    assert not is_receipt(deliver(text, 0, [Tlv(pdu.RECEIPTED_MESSAGE_ID, b"7\0")]))


# Ids.


@pytest.mark.parametrize(
    ("one", "other"), [("00AB", "ab"), (" 7 ", "007"), ("0", "000"), ("", "0")]
)
def test_ids_are_compared_in_a_plain_form(one: str, other: str) -> None:
    assert plain(one) == plain(other)


def told_of(message_id: str, recipient: str = "12025550123") -> Told:
    return Told(message_id, Reason.DELIVERED, "", "", recipient)


@given(st.integers(1, 2**63), st.booleans())
def test_known_dialects_are_translated(number: int, upper: bool) -> None:
    written = f"{number:X}" if upper else f"{number:08x}"
    assert Ids("hex_to_decimal").find(told_of(str(number))) == plain(written)
    assert Ids("decimal_to_hex").find(told_of(written)) == plain(str(number))
    assert Ids("same").find(told_of(written)) == plain(written)


@given(
    st.sampled_from(["same", "hex_to_decimal", "decimal_to_hex"]),
    st.integers(0, 5_000),
    st.integers(0, 2**32),
)
def test_a_learned_dialect_never_finds_another_message(dialect: str, first: int, seed: int) -> None:
    sent_as, told_as = {
        "same": ("{}", "{}"), "hex_to_decimal": ("{:x}", "{}"), "decimal_to_hex": ("{}", "{:x}"),
    }[dialect]  # fmt: skip
    numbers = list(range(first, first + 200))
    ids = Ids("auto")
    of = {plain(sent_as.format(number)): f"1202555{number % 10_000:04d}" for number in numbers}
    for message_id, to in of.items():
        ids.sent(message_id, to)
    random.Random(seed).shuffle(numbers)
    for number in numbers:
        found = ids.find(told_of(told_as.format(number), f"1202555{number % 10_000:04d}"))
        assert found is None or found == plain(sent_as.format(number))
        if ids.learning:
            assert found == plain(sent_as.format(number))
    if first > 20:  # below, several dialects may fit
        assert ids.dialect == dialect


def test_a_receipt_of_another_number_is_not_matched_while_learning() -> None:
    ids = Ids("auto")
    ids.sent("10", "+12025550123")
    assert ids.find(told_of("10", "+13035550000")) is None
    assert ids.find(told_of("16", "+12025550123")) == "10"


def test_what_is_learned_from_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SMPP_LEARNING_IDS", 10)
    ids = Ids("auto")
    for number in range(100):
        ids.sent(str(number), "1")
    assert len(ids._recent) == 10


# Parts.


def job(count: int) -> Job:
    message = CarrierMessage("a" * 32, "sms", "1", "+12025550123", "", "x", count, 0)
    batch = Batch.__new__(Batch)
    return Job(batch, 0, message, [Part(0, b"", b"x")] * count)


REFUSED = SubmitResult(Outcome.REJECTED, "", "11", "invalid")
BUSY = SubmitResult(Outcome.THROTTLED, "", "88", "throttling error")
LATER = SubmitResult(Outcome.FAILED, "", "8", "system error")
LOST = unknown("no_answer")


@pytest.mark.parametrize(
    ("fates", "outcome", "again"),
    [
        ([accepted("1"), accepted("2")], Outcome.ACCEPTED, False),
        ([accepted(""), accepted("")], Outcome.ACCEPTED, False),
        ([REFUSED, REFUSED], Outcome.REJECTED, False),
        ([BUSY, REFUSED], Outcome.REJECTED, False),
        ([BUSY, LATER], Outcome.THROTTLED, False),
        ([LATER, LATER], Outcome.FAILED, False),
        ([LOST, REFUSED], Outcome.UNKNOWN, False),
        ([accepted("1"), LOST], Outcome.UNKNOWN, False),
        ([accepted("1"), REFUSED], Outcome.UNKNOWN, False),
        ([accepted("1"), BUSY], Outcome.UNKNOWN, True),
        ([accepted("1"), LATER], Outcome.UNKNOWN, True),
    ],
)
def test_the_fate_of_a_message_is_that_of_its_parts(
    fates: list[SubmitResult], outcome: Outcome, again: bool
) -> None:
    made = job(len(fates))
    made.todo.clear()
    for part, fate in enumerate(fates):
        assert made.fate(part, fate) == (part == len(fates) - 1)
    assert made.result().outcome is outcome
    assert made.again() == again
    assert made.todo == ([1] if again else [])


REASONS = st.sampled_from([Reason.DELIVERED, Reason.UNDELIVERED, Reason.SENT])


@given(st.lists(st.tuples(st.integers(0, 4), REASONS), max_size=40), st.integers(0, 2))
def test_parts_are_told_of_once_and_rightly(
    receipts: list[tuple[int, Reason]], missing: int
) -> None:
    groups = Groups()
    group = Group("" if missing else "p", "ref", 5 + missing, missing)
    groups.add(group, [str(part) for part in range(5)])
    last: dict[int, Reason] = {}
    told = []
    for part, reason in receipts:
        if str(part) not in groups:
            continue  # all is told
        if reason is not Reason.SENT:
            last.setdefault(part, reason)
        receipt = groups.take(str(part), Told(str(part), reason, "7", "", ""), 1)
        assert (receipt is not None) == (len(last) == 5)
        if receipt is not None:
            told.append(receipt)
    if not told:
        assert len(last) < 5
        return
    (receipt,) = told
    arrived = sum(reason is Reason.DELIVERED for reason in last.values())
    wanted = Reason.PARTIALLY_DELIVERED if arrived else Reason.UNDELIVERED
    assert receipt.reason is (Reason.DELIVERED if arrived == 5 + missing else wanted)
    assert (receipt.reference, len(groups)) == ("ref", 0)


def test_an_early_receipt_waits_for_the_answers_that_may_name_it() -> None:
    tracking = Tracking(Ids("same"), Groups(), ManualClock())
    made = job(2)
    made.todo.clear()
    tracking.begin(1, parts=True)
    assert tracking.take(told_of("1"), ("session", 1)) is None
    assert tracking.take(told_of("5"), ("session", 2)) is None  # of another message
    tracking.begin(2, parts=False)
    made.fate(0, accepted("1"))
    made.fate(1, accepted("2"))
    tracking.parts(made)
    first, other = tracking.end(1)
    assert first.receipt is None  # the other part has not arrived yet
    assert other.receipt is not None
    assert other.receipt.provider_id == "5"
    second = tracking.take(told_of("2"), ("session", 3))
    assert second is not None
    assert second.receipt is not None
    assert (second.receipt.provider_id, second.receipt.reason) == ("1,2", Reason.DELIVERED)


def test_ids_of_parts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SMPP_PART_IDS", 10)
    groups = Groups()
    for number in range(20):
        groups.add(Group("p", "r", 2), [f"{number}a", f"{number}b"])
    assert len(groups) == 10


# The wire.


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("+12025550123", (1, 1, "12025550123")),
        ("12025550123", (1, 1, "12025550123")),
        ("+4470", (1, 1, "4470")),
        ("77777", (3, 1, "77777")),
        ("Denrei", (5, 0, "Denrei")),
        ("+Den", (5, 0, "+Den")),
        ("", (0, 0, "")),
    ],
)
def test_kinds_of_numbers_are_guessed(text: str, address: tuple[int, int, str]) -> None:
    assert pdu.address_of(text, None, None) == address
    assert pdu.address_of(text, 9, 8)[:2] == (9, 8)


@pytest.mark.parametrize(
    ("left_ms", "text"),
    [
        (-5, "000000000001000R"),
        (1_000, "000000000001000R"),
        (36_000_000, "000000100000000R"),
        (90_061_000, "000001010101000R"),
        (10**12, "000030000000000R"),
    ],
)
def test_validity_periods(left_ms: int, text: str) -> None:
    assert pdu.span_of(left_ms) == text


def test_statuses_have_their_meaning() -> None:
    answers = pdu.Answers((0x500,), (0x08,))
    assert answers.result(0, "7") == accepted("7")
    assert answers.result(0x58, "").outcome is Outcome.THROTTLED
    assert answers.result(0x14, "").outcome is Outcome.THROTTLED
    assert answers.result(0x0B, "").outcome is Outcome.REJECTED
    assert answers.result(0x45, "").outcome is Outcome.FAILED
    assert answers.result(0x500, "").outcome is Outcome.REJECTED
    assert answers.result(0x08, "").outcome is Outcome.THROTTLED
    assert answers.result(0xFFFF, "").code == "65535"


@given(st.lists(st.binary(max_size=40), max_size=20), st.data())
def test_frames_are_cut_wherever_the_stream_is(bodies: list[bytes], data: st.DataObject) -> None:
    frames = [pdu.frame(pdu.DELIVER_SM, at, body) for at, body in enumerate(bodies)]
    stream = b"".join(frames)
    framer, found = pdu.Framer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += framer.feed(stream[:size])
        stream = stream[size:]
    assert found == frames


@given(st.binary(max_size=300))
def test_no_bytes_are_fatal_to_the_framer(stream: bytes) -> None:
    framer = pdu.Framer()
    try:
        for frame in framer.feed(stream):
            assert len(frame) >= pdu.HEADER_BYTES
    except SmppError:
        pass


@given(st.binary(max_size=200), st.integers(0, 255), st.integers(0, 5))
def test_no_delivery_is_fatal_nor_forged(body: bytes, esm_class: int, cut: int) -> None:
    """Whatever a carrier brings is read or refused; a receipt comes of its mark alone."""
    frame = pdu.frame(pdu.DELIVER_SM, 1, b"\0\1\x0012\0\1\x0034\0" + bytes((esm_class,)) + body)
    try:
        message = decode(frame)
    except SmppError:
        return
    assert isinstance(message, DeliverSm)
    if is_receipt(message):
        told = read(message)
        if told is not None:
            assert told.id.encode("latin-1", "replace") in frame
    elif not message.tlvs:
        assert message.esm_class & 0x24 != 0x04


class Wire(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written.append(data)

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Heard:
    """What a session tells its owner."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, int]] = []
        self.lost: list[str] = []
        self.arrived: list[int] = []

    def answered(self, ticket: str, status: int, body: bytes) -> None:
        self.answers.append((ticket, status))

    def unanswered(self, ticket: str, why: str) -> None:
        self.lost.append(ticket)

    def answered_late(self, ticket: str, status: int, body: bytes) -> None:
        raise AssertionError(ticket)

    def brought(self, session: Session[str], arrived: list[tuple[int, DeliverSm]]) -> None:
        self.arrived += [sequence for sequence, _ in arrived]

    def writable(self) -> None:
        pass


COMMANDS = st.sampled_from([
    pdu.SUBMIT_SM | pdu.RESPONSE, pdu.GENERIC_NACK, pdu.DELIVER_SM, pdu.SUBMIT_SM, pdu.ENQUIRE_LINK,
    pdu.ENQUIRE_LINK | pdu.RESPONSE, pdu.UNBIND, pdu.UNBIND | pdu.RESPONSE, 0x103, 0x1234, 0x102,
])  # fmt: skip
DELIVERY = deliver("id:1 stat:DELIVRD").encode()[pdu.HEADER_BYTES :]


@given(
    st.lists(
        st.tuples(
            COMMANDS | st.integers(0, 2**32 - 1),
            st.sampled_from([0, 8, 88]),
            st.integers(0, 12),
            st.binary(max_size=20) | st.just(DELIVERY),
        ),
        max_size=30,
    ),
    st.binary(max_size=40),
)
def test_nothing_that_arrives_is_fatal_nor_taken_for_an_answer(
    frames: list[tuple[int, int, int, bytes]], garbage: bytes
) -> None:
    async def session_of_it() -> None:
        heard, wire = Heard(), Wire()
        session: Session[str] = Session(heard, 100, 60.0, 60.0)
        session.connection_made(wire)
        session.bound = True
        for number in range(1, 6):
            session.send(f"t{number}", lambda sequence: pdu.frame(pdu.SUBMIT_SM, sequence))
        stream = b"".join(pdu.frame(c, sequence, body, s) for c, s, sequence, body in frames)
        session.data_received(stream + garbage)
        session.close("over")
        answering = (pdu.SUBMIT_SM | pdu.RESPONSE, pdu.GENERIC_NACK)
        answers = {sequence for c, _, sequence, _ in frames if c in answering}
        taken = {q for c, s, q, _ in frames if c == answering[0] and s == pdu.OK}
        tickets = [ticket for ticket, _ in heard.answers]
        assert len(tickets) == len(set(tickets))
        assert {int(ticket[1:]) for ticket in tickets} <= answers
        assert {int(ticket[1:]) for ticket, status in heard.answers if status == pdu.OK} <= taken
        assert sorted([*tickets, *heard.lost]) == [f"t{number}" for number in range(1, 6)]
        assert set(heard.arrived) <= {q for c, _, q, _ in frames if c == pdu.DELIVER_SM}

    asyncio.run(session_of_it())


SUBMIT_RESP = pdu.SUBMIT_SM | pdu.RESPONSE


@pytest.mark.parametrize(
    ("command", "status", "answers"),
    [
        (SUBMIT_RESP, pdu.OK, [("one", pdu.OK)]),
        (SUBMIT_RESP, 88, [("one", 88)]),
        (pdu.GENERIC_NACK, 3, [("one", 3)]),
        (pdu.GENERIC_NACK, pdu.OK, [("one", pdu.RUNKNOWNERR)]),
        (pdu.ENQUIRE_LINK | pdu.RESPONSE, pdu.OK, []),
        (pdu.UNBIND | pdu.RESPONSE, pdu.OK, []),
        (pdu.QUERY_SM | pdu.RESPONSE, pdu.OK, []),
        (pdu.BIND_TRANSCEIVER | pdu.RESPONSE, pdu.OK, []),
        (pdu.DELIVER_SM | pdu.RESPONSE, 88, []),
    ],
)
async def test_only_what_answers_a_submit_is_its_answer(
    command: int, status: int, answers: list[tuple[str, int]]
) -> None:
    heard = Heard()
    session: Session[str] = Session(heard, 100, 60.0, 60.0)
    session.connection_made(Wire())
    session.bound = True
    session.send("one", lambda sequence: pdu.frame(pdu.SUBMIT_SM, sequence))
    session.data_received(pdu.frame(command, 1, b"x\0", status))
    assert heard.answers == answers
    session.data_received(pdu.frame(SUBMIT_RESP, 1, b"x\0"))  # the real one may still come
    assert heard.answers == (answers or [("one", pdu.OK)])
    session.close("over")


async def test_a_late_word_on_something_else_is_no_late_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late: list[tuple[str, int]] = []
    heard = Heard()
    monkeypatch.setattr(
        heard, "answered_late", lambda ticket, status, _: late.append((ticket, status))
    )
    session: Session[str] = Session(heard, 100, 0.0, 60.0)
    session.connection_made(Wire())
    session.bound = True
    for name in ("one", "two"):
        session.send(name, lambda sequence: pdu.frame(pdu.SUBMIT_SM, sequence))
    session._give_up(asyncio.get_running_loop().time() + 1)
    assert heard.lost == ["one", "two"]
    session.data_received(pdu.frame(pdu.ENQUIRE_LINK | pdu.RESPONSE, 1))
    assert late == []
    session.data_received(pdu.frame(SUBMIT_RESP, 1, b"x\0") + pdu.frame(pdu.GENERIC_NACK, 2))
    assert late == [("one", pdu.OK), ("two", pdu.RUNKNOWNERR)]
    session.close("over")


async def test_a_bind_is_not_made_by_the_answer_to_something_else() -> None:
    session: Session[str] = Session(Heard(), 100, 60.0, 60.0)
    session.connection_made(Wire())
    binding = asyncio.ensure_future(session.bind(pdu.BIND_TRANSCEIVER, b""))
    await asyncio.sleep(0)
    session.data_received(pdu.frame(pdu.ENQUIRE_LINK | pdu.RESPONSE, 1))
    assert not session.bound
    session.data_received(pdu.frame(pdu.GENERIC_NACK, 1))
    assert (await binding)[0] == pdu.RUNKNOWNERR
    assert not session.bound
    session.close("over")


@given(st.text(st.characters(max_codepoint=255), max_size=200))
def test_no_text_of_a_receipt_is_fatal(text: str) -> None:
    told = read(deliver(text.encode("latin-1")[:254].decode("latin-1")))
    assert told is None or 0 < len(told.id) <= 65


@given(
    st.text(max_size=400),
    st.sampled_from(["gsm", "latin1"]),
    st.sampled_from(["udh", "sar", "payload"]),
    st.text(max_size=25),
    st.text(max_size=25),
)
def test_every_message_is_written_or_rejected(
    body: str, alphabet: str, long: str, sender: str, to: str
) -> None:
    writer = SubmitWriter(
        SmppOptions.model_validate({"host": "x", "alphabet": alphabet, "long_messages": long})
    )
    message = CarrierMessage("a" * 32, "sms", sender, to, "", body, 9, 0, "otp", 10**12)
    parts = writer.parts(message, 3)
    if isinstance(parts, SubmitResult):
        assert parts.outcome is Outcome.REJECTED
        return
    made = Job(Batch.__new__(Batch), 0, message, parts)
    for place in range(len(parts)):
        frame = writer.write(made, place, 0, 7)
        assert pdu.head_at(frame) == (len(frame), pdu.SUBMIT_SM, 0, 7)
        decode(frame)


def test_the_options_of_the_page_are_those_of_the_code() -> None:
    rows = table(ROOT / "docs/smpp.md", "## Options")
    told = {name: row[1] for row in rows for name in row[0].split(", ")}
    fields = SmppOptions.model_fields
    assert set(told) == set(fields)
    for name, default in told.items():
        value = fields[name].default
        expected = list(value) if isinstance(value, tuple) else value
        if not fields[name].is_required():
            assert yaml.safe_load(default) == expected, name

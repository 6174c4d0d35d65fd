"""What people sent and an SMPP carrier brings again, since it could not hear that it was taken."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from smpp34 import DeliverSm

from actors.carriers.base import CarrierReceipt, Inbound
from actors.carriers.registry import CarrierSetup, LaneMemory
from actors.carriers.smpp import inbound as parts
from actors.carriers.smpp import pdu
from actors.carriers.smpp.adapter import SmppCarrier, Ticket
from actors.carriers.smpp.dialects import KeptDialect
from actors.carriers.smpp.link import Link
from actors.carriers.smpp.options import SmppOptions
from actors.carriers.smpp.receipts import IdDialect
from actors.carriers.smpp.repeats import Repeats
from actors.carriers.smpp.session import Session
from actors.clock import ManualClock
from engine import limits
from engine.lanes.definition import lane_from

FROM, TO = "12025550123", "12025550100"


class Wire(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written += data

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def answers(self) -> list[tuple[int, int]]:
        """Which sequence numbers were answered, and how."""
        heads = [pdu.head_at(frame) for frame in pdu.Framer().feed(self.written)]
        answer = pdu.DELIVER_SM | pdu.RESPONSE
        return [(sequence, status) for _, command, status, sequence in heads if command == answer]


class Lane:
    """An adapter that is bound to nobody, and what it was told to take.

    Attributes:
        taken: What was given on, with the names that repeats are known by.
        gate: What is given on is journaled while it is set.
        error: What happens instead.
    """

    def __init__(self) -> None:
        self.clock = ManualClock(1_000)
        self.memory = LaneMemory()
        self.taken: list[Inbound] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.carrier: SmppCarrier

    async def open(self, window: int = 10) -> None:
        options = {"host": "smsc.example.com", "window": window}
        body = {"lane": "main", "channel": "sms", "carrier": "smpp", "options": options}
        setup = CarrierSetup(lane_from(body), "w/main", self.clock, 1, memory=self.memory)
        self.carrier = SmppCarrier(setup)
        await self.carrier.start(self._deliver, self._take)

    def session(self) -> tuple[Session[Ticket], Wire]:
        session: Session[Ticket] = Session(self.carrier, 10, 60.0, 60.0)
        wire = Wire()
        session.connection_made(wire)
        session.bound = True
        return session, wire

    async def bring(
        self, session: Session[Ticket], sequence: int, text: bytes, esm_class: int = 0
    ) -> None:
        self.clock.advance(1_000)
        frame = DeliverSm(FROM, TO, text, esm_class=esm_class, sequence_number=sequence).encode()
        session.data_received(frame)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    def bodies(self) -> list[str]:
        return [each.body for each in self.taken]

    async def _deliver(self, receipts: Sequence[CarrierReceipt]) -> None:
        raise AssertionError(receipts)

    async def _take(self, messages: Sequence[Inbound]) -> None:
        self.taken += messages
        await self.gate.wait()
        if self.error is not None:
            raise self.error


@pytest.fixture
async def lane(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lane]:
    monkeypatch.setattr(Link, "start", lambda self: None)
    made = Lane()
    await made.open()
    yield made
    await made.carrier.stop()


def part(number: int, text: bytes) -> bytes:
    return bytes((5, 0, 3, 7, 2, number)) + text


async def test_a_repeat_of_what_was_journaled_after_its_session_is_confirmed_only(
    lane: Lane,
) -> None:
    first, _ = lane.session()
    lane.gate.clear()
    await lane.bring(first, 1, b"STOP")
    first.close("it broke")
    lane.gate.set()
    await lane.settle()
    second, wire = lane.session()
    await lane.bring(second, 5, b"STOP")
    assert (lane.bodies(), wire.answers()) == (["STOP"], [(5, pdu.OK)])
    await lane.bring(second, 6, b"STOP")  # the same word once more is another message
    assert (lane.bodies(), wire.answers()) == (["STOP"] * 2, [(5, pdu.OK), (6, pdu.OK)])
    assert lane.carrier.status()["receipts_unconfirmed"] == 0


async def test_a_repeat_of_what_is_being_journaled_is_confirmed_with_it(lane: Lane) -> None:
    lane.gate.clear()
    first, _ = lane.session()
    await lane.bring(first, 1, b"STOP")
    first.close("it broke")
    second, _ = lane.session()
    await lane.bring(second, 1, b"STOP")
    second.close("it broke again")
    third, wire = lane.session()
    await lane.bring(third, 3, b"STOP")
    assert (lane.bodies(), wire.answers()) == (["STOP"], [])
    lane.gate.set()
    await lane.settle()
    assert (lane.bodies(), wire.answers()) == (["STOP"], [(3, pdu.OK)])
    assert lane.carrier.status()["receipts_unconfirmed"] == 0


async def test_the_same_words_in_a_session_that_lives_are_two_messages(lane: Lane) -> None:
    lane.gate.clear()
    session, wire = lane.session()
    await lane.bring(session, 1, b"1")
    await lane.bring(session, 2, b"1")
    lane.gate.set()
    await lane.settle()
    await lane.bring(session, 3, b"1")
    assert (lane.bodies(), len(wire.answers())) == (["1"] * 3, 3)
    assert len({each.at_ms for each in lane.taken}) == 3


async def test_the_same_words_in_one_moment_are_two_messages(lane: Lane) -> None:
    session, wire = lane.session()
    session.data_received(
        b"".join(DeliverSm(FROM, TO, b"1", sequence_number=n).encode() for n in (1, 2, 3))
    )
    await lane.settle()
    assert len({each.at_ms for each in lane.taken}) == len(wire.answers()) == 3


async def test_what_was_confirmed_is_not_looked_for(lane: Lane) -> None:
    first, _ = lane.session()
    await lane.bring(first, 1, b"1")
    first.close("it broke")
    second, _ = lane.session()
    await lane.bring(second, 1, b"1")
    assert lane.bodies() == ["1", "1"]


async def test_each_stands_for_one_repeat_and_other_words_for_none(lane: Lane) -> None:
    lane.gate.clear()
    first, _ = lane.session()
    await lane.bring(first, 1, b"1")
    await lane.bring(first, 2, b"1")
    first.close("it broke")
    lane.gate.set()
    await lane.settle()
    second, wire = lane.session()
    for sequence, text in enumerate((b"2", b"1", b"1", b"1"), 1):
        await lane.bring(second, sequence, text)
    assert lane.bodies() == ["1", "1", "2", "1"]
    assert [sequence for sequence, _ in wire.answers()] == [1, 2, 3, 4]


async def test_what_could_not_be_journaled_comes_again_as_the_same_message(lane: Lane) -> None:
    lane.error = ConnectionError("one shard is away, and others have taken theirs")
    session, wire = lane.session()
    await lane.bring(session, 1, b"STOP")
    lane.error = None
    await lane.bring(session, 2, b"STOP")
    await lane.bring(session, 3, b"STOP")
    assert wire.answers() == [(1, pdu.RX_T_APPN), (2, pdu.OK), (3, pdu.OK)]
    assert [each.at_ms for each in lane.taken] == [2_000, 2_000, 4_000]  # of one time: one id


async def test_a_part_whose_message_is_whole_is_no_new_message(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = lane.session()
    await lane.bring(first, 1, part(1, b"good"), pdu.UDH)
    first.close("it broke")
    second, wire = lane.session()
    await lane.bring(second, 1, part(2, b"bye"), pdu.UDH)
    assert lane.bodies() == ["goodbye"]
    monkeypatch.setattr(parts, "_UNCONFIRMED_S", 0)
    await lane.bring(second, 2, part(1, b"good"), pdu.UDH)
    assert wire.answers() == [(1, pdu.OK), (2, pdu.OK)]
    assert lane.carrier.status()["inbound_parts"] == 0


async def test_after_a_change_of_options_a_repeat_is_the_same_message(lane: Lane) -> None:
    lane.gate.clear()
    first, _ = lane.session()
    await lane.bring(first, 1, b"STOP")
    await lane.bring(first, 2, part(1, b"good"), pdu.UDH)
    await lane.carrier.stop()  # whether it is journaled is not known
    first.close("unbound")
    lane.gate.set()
    await lane.open(window=20)
    second, wire = lane.session()
    await lane.bring(second, 1, b"STOP")
    await lane.bring(second, 2, part(1, b"good"), pdu.UDH)
    await lane.bring(second, 3, part(2, b"bye"), pdu.UDH)
    assert lane.bodies() == ["STOP", "STOP", "goodbye"]
    assert [each.at_ms for each in lane.taken] == [2_000, 2_000, 3_000]
    assert wire.answers() == [(1, pdu.OK), (2, pdu.OK), (3, pdu.OK)]


async def test_after_a_change_of_options_a_part_that_was_in_memory_only_is_taken_in_again(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_UNCONFIRMED_S", 0)
    first, _ = lane.session()
    first.data_received(
        DeliverSm(FROM, TO, part(1, b"good"), esm_class=pdu.UDH, sequence_number=1).encode()
    )
    first.close("it broke")
    await lane.settle()  # the part is taken as confirmed, so that the carrier goes on
    await lane.carrier.stop()
    await lane.open(window=20)
    second, _ = lane.session()
    await lane.bring(second, 1, part(1, b"good"), pdu.UDH)
    await lane.bring(second, 2, part(2, b"bye"), pdu.UDH)
    assert lane.bodies() == ["goodbye"]


async def test_repeats_are_looked_for_for_a_while(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SMPP_REPEAT_S", 0)
    lane.gate.clear()
    first, _ = lane.session()
    await lane.bring(first, 1, b"STOP")
    first.close("it broke")
    lane.gate.set()
    await lane.settle()
    second, _ = lane.session()
    await lane.bring(second, 1, b"STOP")
    assert lane.bodies() == ["STOP", "STOP"]


async def test_repeats_that_are_looked_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SMPP_REPEATS", 3)
    repeats = Repeats()
    for number in range(5):
        arrival = (object(), number)
        assert repeats.arrived(DeliverSm(FROM, TO, b"%d" % number), arrival, number).at_ms == number
        assert repeats.settled(arrival, pdu.RX_T_APPN) == arrival
    assert len(repeats) == len(repeats._order) == 3
    first = [
        repeats.arrived(DeliverSm(FROM, TO, b"%d" % number), (object(), 0), 9).at_ms
        for number in range(5)
    ]
    assert first == [9, 9, 2, 3, 4]
    assert len(repeats) == 0


# What is learnt.


def kept(directory: Path | None, told: str = "auto", **more: str) -> tuple[KeptDialect, IdDialect]:
    options = {"host": "smsc.example.com", "receipt_ids": told, **more}
    body = {"lane": "main", "channel": "sms", "carrier": "smpp", "options": options}
    setup = CarrierSetup(lane_from(body), "w/main", ManualClock(), 1, directory=directory)
    made = KeptDialect(setup, SmppOptions.model_validate(options))
    return made, made.read(SmppOptions.model_validate(options).receipt_ids)


def test_what_was_learnt_is_kept_for_the_same_account_until_the_lane_knows_better(
    tmp_path: Path,
) -> None:
    first, dialect = kept(tmp_path)
    assert dialect == "auto"
    first.keep("hex_to_decimal")
    assert kept(tmp_path)[1] == "hex_to_decimal"
    assert kept(tmp_path, host="smsc2.example.com")[1] == "auto"
    assert kept(tmp_path, system_id="other")[1] == "auto"
    assert kept(tmp_path, "same")[1] == "same"
    assert kept(tmp_path)[1] == "auto"  # what the lane has said counts more than what was learnt
    assert kept(None)[1] == "auto"
    kept(None)[0].keep("same")


@pytest.mark.parametrize("damage", [b"", b"auto", b"nonsense", b"\xff\xfe", b"same" * 1_000])
def test_a_damaged_file_is_no_knowledge(tmp_path: Path, damage: bytes) -> None:
    first, _ = kept(tmp_path)
    first.keep("same")
    (path,) = (tmp_path / "smpp").iterdir()
    path.write_bytes(damage)
    assert kept(tmp_path)[1] == "auto"

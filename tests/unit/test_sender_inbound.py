"""Messages of people in a sender: to whom addresses belong, what is journaled, what comes again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from actors.carriers.base import Inbound
from actors.clock import ManualClock
from actors.senders.correspondents import Correspondents
from actors.senders.inbound import InboundDesk
from actors.store.address_hash import AddressHash
from engine import limits, slots
from engine.commands import Command
from engine.errors import Overloaded, Unavailable
from engine.lanes.definition import lane_from
from engine.messages import inbound
from engine.reasons import Reason

SHARDS = 4
HASH = AddressHash(b"own", b"store")
LANE = lane_from({"lane": "main", "channel": "sms", "carrier": "sandbox"})
MAIL = lane_from({"lane": "mail", "channel": "email", "carrier": "sandbox"})


class Bench:
    def __init__(self, directory: Path) -> None:
        self.commands: list[Command] = []
        self.answers: list[Any] = []
        self.known = Correspondents(directory / "known", HASH)
        self.desk = InboundDesk(self.report, SHARDS, ManualClock(), self.known)

    async def report(self, shard: int, batch: Sequence[Command], size: int) -> bytes:
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        assert all(slots.shard_of(slots.slot_of(each[1]), SHARDS) == shard for each in batch)
        self.commands += batch
        return answer or bytes(len(batch))

    @property
    def received(self) -> list[inbound.Received]:
        return [inbound.unpack(command[3]) for command in self.commands]


@asynccontextmanager
async def bench(directory: Path) -> AsyncIterator[Bench]:
    made = Bench(directory)
    try:
        yield made
    finally:
        await made.known.close()


def said(number: int = 1, **fields: Any) -> Inbound:
    values = {
        "provider_id": f"SM{number}", "sender": "+12025550123", "to": "+1", "body": "hi",
        "at_ms": 5,
    }  # fmt: skip
    return Inbound(**{**values, **fields})


async def test_an_address_is_written_in_one_way(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        written = ("+1 202-555-0123", "+12025550123", " +12025550123 ")
        await here.desk.take("w/main", LANE, [said(n, sender=s) for n, s in enumerate(written)])
        assert {command[1] for command in here.commands} == {"w/address/+12025550123"}
        here.commands.clear()
        await here.desk.take("w/main", LANE, [said(9, sender="BANK"), said(10, sender="")])
        assert [command[1] for command in here.commands] == ["w/address/BANK"]
        here.commands.clear()
        await here.desk.take("w/mail", MAIL, [said(11, sender="Ann@Example.ORG")])
        assert [command[1] for command in here.commands] == ["w/address/ann@example.org"]
        assert here.desk.counts["inbound_refused"] == 1


async def test_a_repeat_has_the_same_id_and_another_message_has_not(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        await here.desk.take("w/main", LANE, [said(1), said(1, body="other"), said(2)])
        await here.desk.take("w/more", LANE, [said(1)])
        first, again, other, elsewhere = [one.id for one in here.received]
        assert first == again
        assert len({first, other, elsewhere}) == 3
        here.commands.clear()
        nameless = [said(provider_id=""), said(provider_id=""), said(provider_id="", at_ms=6)]
        await here.desk.take("w/main", LANE, nameless)
        assert [one.id == here.received[0].id for one in here.received] == [True, True, False]


async def test_what_is_too_long_is_cut(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        huge = said(
            body="x" * 100_000, to="1" * 10_000, media=("m" * 9_000,) * 50,
            values={f"{n:03d}" * 200: "v" * 9_000 for n in range(100)},
        )  # fmt: skip
        await here.desk.take("w/main", LANE, [huge])
        (received,) = here.received
        assert len(received.body) == limits.INBOUND_BODY_CHARS
        assert len(received.media) == limits.INBOUND_MEDIA
        assert len(received.values or {}) == limits.INBOUND_VALUES
        assert len(here.commands[0][3]) < limits.EVENT_BYTES * 4


async def test_it_goes_again_until_it_is_journaled(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.answers = [
            Overloaded(10, "a queue"), Unavailable("away"), bytes([Reason.OUTBOX_FULL]), b"",
        ]  # fmt: skip
        await here.desk.take("w/main", LANE, [said()])
        assert here.desk.counts["inbound"] == 1
        here.answers = [bytes([Reason.DUPLICATE])]
        await here.desk.take("w/main", LANE, [said()])
        here.answers = [bytes([Reason.QUARANTINED])]
        await here.desk.take("w/main", LANE, [said()])
        assert list(here.desk.counts.values()) == [1, 1, 1]


async def test_a_carrier_is_not_kept_waiting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INBOUND_TRY_S", 0.0)
    async with bench(tmp_path) as here:
        here.answers = [Unavailable("away")]
        with pytest.raises(Unavailable, match="away"):
            await here.desk.take("w/main", LANE, [said()])


async def test_many_are_journaled_a_part_at_a_time(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        many = [said(number) for number in range(limits.INBOUND_BATCH + 1)]
        await here.desk.take("w/main", LANE, many)
        assert len({one.id for one in here.received}) == limits.INBOUND_BATCH + 1


async def test_whom_an_address_belongs_to_survives_a_restart(tmp_path: Path) -> None:
    known = Correspondents(tmp_path / "known", HASH)
    known.met("w", "+1", "w/user/ann", 5)
    known.met("w", "+2", "w/user/bob", 5)
    known.met("w", "+1", "w/user/eve", 6)
    assert await known.owner("w", "+1") == "w/user/eve"
    await known.close()
    known = Correspondents(tmp_path / "known", HASH)
    assert [await known.owner("w", to) for to in ("+1", "+2", "+3")] == [
        "w/user/eve", "w/user/bob", "",
    ]  # fmt: skip
    assert await known.owner("x", "+1") == ""
    await known.close()


async def test_what_is_known_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CORRESPONDENTS", 2)
    monkeypatch.setattr(limits, "CORRESPONDENTS_KEPT", 3)
    monkeypatch.setattr("actors.senders.correspondents._EVERY", 1)
    known = Correspondents(tmp_path / "known", HASH)
    for number in range(5):
        known.met("w", f"+{number}", "w/user/ann", number)
    assert len(known._known) == 2
    await known.close()
    known = Correspondents(tmp_path / "known", HASH)
    assert [await known.owner("w", f"+{n}") != "" for n in range(5)] == [False] * 2 + [True] * 3
    await known.close()


async def test_a_damaged_file_costs_the_hint_alone(tmp_path: Path) -> None:
    (tmp_path / "known").write_bytes(b"not a database" * 100)
    known = Correspondents(tmp_path / "known", HASH)
    assert await known.owner("w", "+1") == ""
    known.met("w", "+1", "w/user/ann", 5)
    await known.close()
    known = Correspondents(tmp_path / "known", HASH)
    assert await known.owner("w", "+1") == "w/user/ann"
    await known.close()


async def test_a_file_is_made_with_the_first_address_alone(tmp_path: Path) -> None:
    known = Correspondents(tmp_path / "known", HASH)
    assert await known.owner("w", "+1") == ""
    await known.close()
    assert not (tmp_path / "known").exists()


async def test_who_is_erased_is_forgotten_on_disk_too(tmp_path: Path) -> None:
    known = Correspondents(tmp_path / "known", HASH)
    for number in range(200):
        known.met("w", f"+49151{number:08}", f"w/user/zweifelstein-{number % 2}", number)
    await known.close()
    known = Correspondents(tmp_path / "known", HASH)
    known.met("w", "+1", "w/user/zweifelstein-0", 500)  # in memory alone
    await known.forget(["w/user/zweifelstein-0", "w/address/+4915100000001"])
    owners = [await known.owner("w", f"+49151{number:08}") for number in range(200)]
    assert owners[:4] == ["", "", "", "w/user/zweifelstein-1"]
    assert await known.owner("w", "+1") == ""
    await known.close()
    left = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert b"zweifelstein-1" in left
    assert b"zweifelstein-0" not in left
    assert b"49151" not in left


async def test_a_file_of_an_earlier_version_is_taken_over_without_its_addresses(
    tmp_path: Path,
) -> None:
    file = apsw.Connection(str(tmp_path / "known"))
    file.pragma("journal_mode", "wal")
    file.execute(
        "CREATE TABLE owners (address TEXT PRIMARY KEY, owner TEXT NOT NULL, at_ms INTEGER NOT NULL"
        ") STRICT, WITHOUT ROWID; CREATE INDEX oldest ON owners (at_ms);"
    )
    file.execute("INSERT INTO owners VALUES ('w/+4915199887766', 'w/user/ann', 5)")
    file.close()
    known = Correspondents(tmp_path / "known", HASH)
    assert await known.owner("w", "+4915199887766") == "w/user/ann"
    await known.close()
    assert all(b"4915199887766" not in each.read_bytes() for each in tmp_path.iterdir())

"""An erasure between two hosts with real stores, one of which is killed at every step of it."""

import asyncio
from pathlib import Path

import msgpack
import pytest

from engine import commands, limits
from engine.commands import Command
from engine.entity import Entity
from engine.reasons import Reason
from engine.slots import shard_of, slot_of
from tests.support.local_engine import LocalEngine

PEOPLE = 10
MARK = "Zweifelstein"


def far_apart(number: int) -> tuple[str, str]:
    """A visitor and a user who live on two hosts."""
    visitor = f"default/anonymous/a{number}"
    home = shard_of(slot_of(visitor), 2)
    users = (f"default/user/u{number}-{n}" for n in range(100))
    return visitor, next(user for user in users if shard_of(slot_of(user), 2) != home)


def track(key: str, number: int, other: str = "") -> Command:
    return commands.event(
        key, f"{key} {number}", commands.TRACK, "Bought", number,
        msgpack.packb({"what": MARK}), b"", other,
    )  # fmt: skip


def identify(key: str, number: int, **traits: str) -> Command:
    raw = msgpack.packb(traits)
    return commands.event(key, f"{key} t{number}", commands.IDENTIFY, "", number, raw)


def person(engine: LocalEngine, key: str) -> Entity:
    shard = engine.shard_of(key)
    runner = next(h.runners[shard] for h in engine.hosts.values() if shard in h.runners)
    entity = runner.shard.peek(key)
    assert entity is not None
    return entity


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    # A host that is crashed inside this process leaves its calls hanging, not broken.
    monkeypatch.setattr(limits, "CALL_TIMEOUT_S", 0.3)


async def test_an_erasure_survives_the_death_of_either_side(
    tmp_path: Path, impatient: None
) -> None:
    engine = LocalEngine(tmp_path, shards=2, hosts=2)
    pairs = [far_apart(number) for number in range(PEOPLE)]
    async with engine:
        await engine.apply("segment: named\nwhen: {trait: name, is: Zweifelstein}")
        for number, (visitor, user) in enumerate(pairs):
            first = [identify(visitor, 1, city=MARK), identify(user, 1, name=MARK)]
            assert set(await engine.submit(first)) == {Reason.ACCEPTED}
            linking = [track(user, 3, visitor.split("/", 2)[2])]
            assert set(await engine.submit(linking)) == {Reason.ACCEPTED}
            for _ in range(number // 2):  # the merge is at another step each time
                await asyncio.sleep(0)
            (erased,) = await engine.submit([commands.erase(user, "ticket", True)])
            assert erased == Reason.ACCEPTED
            for _ in range(number // 2 * 3):  # and so is the erasure
                await asyncio.sleep(0)
            index = number % 2
            await engine.crash_host(index)
            await engine.start_host(index)
        for pair in pairs:
            while any(not is_clean(person(engine, key)) for key in pair):
                await asyncio.sleep(0)
        runners = [runner for host in engine.hosts.values() for runner in host.runners.values()]
        assert not any("default/named" in runner.shard.sizes for runner in runners)
        assert set(await engine.submit([track(user, 9) for _, user in pairs])) == {
            Reason.PERSON_SUPPRESSED
        }


def is_clean(entity: Entity) -> bool:
    """Whether an entity is a tombstone with nothing of the person, and nothing is under way."""
    held = "privacy" in entity.state and "identity" not in entity.state
    return held and not entity.outbox and MARK.encode() not in entity.pack()


async def test_what_somebody_suppressed_refuses_is_not_told_for_ever(tmp_path: Path) -> None:
    """A verification tells the profile that it is for; a forward that is refused would go round."""
    address, ann = "default/address/+12025550123", "default/user/ann"
    async with LocalEngine(tmp_path, shards=2) as engine:
        await engine.apply("{verification: login, brand: Acme, channels: [sms]}")
        await engine.submit([commands.suppress(ann, "r1", is_on=True)])
        start = commands.start(address, "r2", "login", ann, "sms", "en", b"d" * 32, "s", {})
        assert set(await engine.submit([start])) == {Reason.ACCEPTED}
        async with asyncio.timeout(5):
            while any(forward is not None for forward in person(engine, address).outbox.values()):
                await asyncio.sleep(0)
        assert person(engine, ann).windows == {}

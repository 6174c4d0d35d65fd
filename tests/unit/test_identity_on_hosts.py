"""A merge between two hosts with real stores, one of which is killed at every step of it."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest

from engine import commands, limits
from engine.commands import Command
from engine.entity import Entity
from engine.identity.record import IDENTITY, MERGED_INTO
from engine.reasons import Reason
from engine.slots import shard_of, slot_of
from gateway.pb.denrei.v1 import messages_pb2, profiles_pb2, reason_pb2
from gateway.services.messages import MessagesService
from gateway.services.profiles import ProfilesService
from tests.support.local_engine import LocalEngine

VISITORS = 12


def far_apart(number: int) -> tuple[str, str]:
    """A visitor and a user who live on two hosts."""
    visitor = f"default/anonymous/a{number}"
    home = shard_of(slot_of(visitor), 2)
    users = (f"default/user/u{number}-{n}" for n in range(100))
    return visitor, next(user for user in users if shard_of(slot_of(user), 2) != home)


def track(key: str, number: int, other: str = "", **properties: object) -> Command:
    return commands.event(
        key, f"{key} {number}", commands.TRACK, "Bought", number,
        msgpack.packb(properties), b"", other,
    )  # fmt: skip


def identify(key: str, number: int, **traits: object) -> Command:
    return commands.event(
        key, f"{key} t{number}", commands.IDENTIFY, "", number, msgpack.packb(traits)
    )


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


async def test_a_merge_survives_the_death_of_either_side(tmp_path: Path, impatient: None) -> None:
    engine = LocalEngine(tmp_path, shards=2, hosts=2)
    pairs = [far_apart(number) for number in range(VISITORS)]
    async with engine:
        await engine.apply("segment: buyer\nwhen: {event: Bought, at_least: 1}")
        for number, (visitor, user) in enumerate(pairs):
            first = [identify(visitor, 1, seen=number), track(visitor, 1), track(visitor, 2)]
            assert set(await engine.submit(first)) == {Reason.ACCEPTED}
            linking = [track(user, 3, visitor.split("/", 2)[2]), track(user, 4)]
            assert set(await engine.submit(linking)) == {Reason.ACCEPTED}
            for _ in range(number // 2 * 3):  # so that it dies at another step each time
                await asyncio.sleep(0)
            index = number % 2
            await engine.crash_host(index)
            await engine.start_host(index)
            late = [track(visitor, 5), identify(visitor, 6, late=True)]
            assert set(await engine.submit(late)) <= {Reason.ACCEPTED, Reason.DUPLICATE}
        for visitor, user in pairs:
            while True:
                found = person(engine, user)
                stub = person(engine, visitor)
                if not stub.outbox and not found.outbox and found.traits.get("late"):
                    break
                await asyncio.sleep(0.001)
            assert stub.state[MERGED_INTO] == user
            assert found.windows["Bought"] == [1, 2, 3, 4, 5]
            assert found.traits == {"seen": int(visitor.rpartition("a")[2]), "late": True}
            assert "parked" not in found.state[IDENTITY]
        assert not engine.failures


async def test_readers_find_a_profile_and_its_messages_by_every_id_it_has(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, shards=2, hosts=2)
    visitor, user = far_apart(1)
    other, id_ = visitor.split("/", 2)[2], user.split("/", 2)[2]
    call: Any = SimpleNamespace(workspace="default", remaining_s=lambda: 5.0)
    async with engine:
        await engine.apply('lane: main\nchannel: sms\ncarrier: sandbox\nprefixes: ["+"]')
        spec = {"channel": "sms", "body": "hi", "purpose": "otp", "to": "+4915112345678"}
        first = [identify(visitor, 1, utm="ad", plan="free"), identify(user, 1, plan="pro")]
        await engine.submit([*first, commands.send(visitor, "r1", msgpack.packb(spec))])
        (message,) = person(engine, visitor).messages.values()
        await engine.submit([commands.receipt(visitor, message.id, Reason.SENT, 1, True)])
        await engine.submit([track(user, 2, other)])
        while person(engine, user).traits.get("utm") is None:
            await asyncio.sleep(0.001)
        profiles, messages = ProfilesService(engine.router), MessagesService(engine.router)
        for name in (f"anonymousUsers/{other}", f"users/{id_}"):
            found = await profiles.get_profile(profiles_pb2.GetProfileRequest(name=name), call)
            assert found.name == f"users/{id_}"
            assert dict(found.traits) == {"utm": "ad", "plan": "pro"}
            (known,) = found.identifiers
            assert (known.kind, known.id, known.state) == ("anonymous", other, known.MERGED)
            (merge,) = found.merges
            assert (merge.source, merge.via) == (f"anonymous/{other}", "event")
            assert dict(merge.moved) == {"traits": 1, "messages": 1}
            assert list(merge.kept_traits) == ["plan"]
            of = messages_pb2.GetMessageRequest(name=f"{name}/messages/{message.id}")
            assert (await messages.get_message(of, call)).status == reason_pb2.SENT

"""Erasing, suppressing, exporting and consents over the contract, and what the files still hold."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import msgpack
import pytest
from grpc import StatusCode

from actors import checkpoint_pace
from actors.store.reader import JournalReader
from engine import commands, limits
from engine.reasons import Reason
from gateway.pb.denrei.v1 import events_pb2 as e
from gateway.pb.denrei.v1 import profiles_pb2 as p
from tests.support.gateway_client import Client, added, over_engine
from tests.support.gateway_support import refused
from tests.support.local_engine import LocalEngine

MARK = "Zweifelstein"


async def meet_ann(client: Client) -> None:
    await client.apply()
    traits = msgpack.packb({"first_name": MARK, "phone": "+12025550123"})
    answer = await client.publish(
        e.Event(type=e.IDENTIFY, user_id="ann", traits_msgpack=traits),
        added("c1"),
        e.Event(type=e.TRACK, event=MARK, anonymous_id="visitor", user_id="ann"),
    )
    assert not answer.rejections
    said = p.SetConsentsRequest.Consent(channel="sms", topic="all", status="subscribed")
    request = p.SetConsentsRequest(name="users/ann", consents=[said], by="the shop's page")
    assert (await client.profiles.SetConsents(request)).outcome == Reason.ACCEPTED
    visitor = {"type": "anonymous", "id": "visitor", "state": "merged"}
    async with asyncio.timeout(60):  # the visitor lives in another shard, and hears of it later
        while visitor not in (await export(client))["identifiers"]:
            await asyncio.sleep(0)


async def export(client: Client, name: str = "users/ann") -> dict[str, Any]:
    request = p.ExportProfileRequest(name=name)
    pieces = [piece.json async for piece in client.profiles.ExportProfile(request)]
    document: dict[str, Any] = json.loads(b"".join(pieces))
    return document


def test_an_export_tells_everything_with_readable_times(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await meet_ann(client)
        found = await export(client)
        assert found["name"] == "users/ann"
        assert found["traits"] == {"first_name": MARK, "phone": "+12025550123"}
        assert found["consents"]["sms/all"]["status"] == "subscribed"
        (run,) = found["journeys"]
        assert run["first_event"] == {"cart_id": "c1", "sku": "shoe"}
        assert run["due_at"].endswith("+00:00")
        assert {"type": "anonymous", "id": "visitor", "state": "merged"} in found["identifiers"]
        assert found["trail"]
        assert (await export(client, "anonymousUsers/visitor"))["name"] == "users/ann"
        error = await refused(_first(client, "users/nobody"))
        assert error.code == StatusCode.NOT_FOUND

    over_engine(tmp_path, scenario)


async def _first(client: Client, name: str) -> object:
    return await export(client, name)


def test_an_erased_person_is_in_no_answer_and_no_row(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await meet_ann(client)
        request = p.EraseProfileRequest(name="users/ann", request_id="ticket-7")
        assert (await client.profiles.EraseProfile(request)).outcome == Reason.ACCEPTED
        assert (await client.profiles.EraseProfile(request)).outcome == Reason.DUPLICATE
        profile = await client.profiles.GetProfile(p.GetProfileRequest(name="users/ann"))
        assert not profile.traits.fields
        assert not profile.instances
        assert [line.kind for line in profile.trail] == ["privacy"]
        found = await export(client)
        assert MARK not in json.dumps(found)
        assert found["erased_at"]
        for host in engine.hosts.values():
            await host.stop()
        engine.hosts.clear()
        assert not [row for row in rows_of(tmp_path / "store") if MARK.encode() in row]

    over_engine(tmp_path, scenario)


def test_an_erasure_that_is_waited_for_leaves_nothing_in_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_pace, "ROUND_S", 0.02)
    monkeypatch.setattr(checkpoint_pace, "_WAKE_S", 0.0)
    monkeypatch.setattr(limits, "SWEEP_PAUSE_S", 0.01)

    async def scenario(client: Client, engine: LocalEngine) -> None:
        await meet_ann(client)
        request = p.EraseProfileRequest(name="users/ann", now=True)
        done = await client.profiles.EraseProfile(request, timeout=60.0)
        assert (done.outcome, done.waiting) == (Reason.ACCEPTED, 0)
        for index in range(engine.shards):
            for entry in JournalReader(tmp_path / "store", index).entries():
                for chunk in commands.unpack_payload(entry.payload):
                    assert not [c for c in chunk if c[1].endswith(("/ann", "/visitor"))]
        for path in (tmp_path / "store").rglob("shard-*.db*"):
            assert MARK.encode() not in path.read_bytes(), path

    over_engine(tmp_path, scenario)


def rows_of(store: Path) -> list[bytes]:
    """The rows of all entities, as the store's files hold them."""
    found: list[bytes] = []
    for path in sorted(store.glob("shard-*.db")):
        with sqlite3.connect(path) as connection:
            found += [row[0] for row in connection.execute("SELECT data FROM entity")]
    assert found
    return found


def test_a_suppressed_person_is_refused_with_a_reason(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await meet_ann(client)
        name = "users/ann"
        request = p.SuppressProfileRequest(name=name)
        assert (await client.profiles.SuppressProfile(request)).outcome == Reason.ACCEPTED
        answer = await client.publish(added("c2"), added("c3", user="bob"))
        assert [int(outcome) for outcome in answer.outcomes] == [
            Reason.PERSON_SUPPRESSED,
            Reason.ACCEPTED,
        ]
        assert answer.rejections[0].message
        lift = p.SuppressProfileRequest(name=name, lift=True)
        assert (await client.profiles.SuppressProfile(lift)).outcome == Reason.ACCEPTED
        assert not (await client.publish(added("c2"))).rejections

    over_engine(tmp_path, scenario)


def test_consents_that_there_are_not_are_refused(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        one = p.SetConsentsRequest.Consent(channel="fax", topic="all", status="subscribed")
        for consents in ([], [one], [one] * (limits.CONSENTS + 1)):
            request = p.SetConsentsRequest(name="users/ann", consents=consents)
            error = await refused(client.profiles.SetConsents(request))
            assert error.code == StatusCode.INVALID_ARGUMENT

    over_engine(tmp_path, scenario)

"""What people sent, read over the contract."""

from pathlib import Path

from engine import commands
from engine.messages.inbound import CARRIER, Received
from engine.packing import pack
from gateway.pb.denrei.v1 import conversations_pb2 as c
from gateway.pb.denrei.v1 import messages_pb2 as m
from tests.support.gateway_client import Client, over_engine
from tests.support.gateway_support import WORKSPACE, refused
from tests.support.local_engine import LocalEngine

ANN = "+12025550123"


async def says(engine: LocalEngine, body: str, number: int, owner: str = "") -> None:
    message = Received(
        f"{number:032x}", "sms", "main", f"SM{number}", ANN, "+12025550100", body, 1_000 * number,
        ("https://a.example/b",), {"ProfileName": "Ann"}, "stop" if body == "STOP" else "",
    )  # fmt: skip
    key = f"{WORKSPACE}/address/{ANN}"
    await engine.submit([commands.inbound(key, CARRIER, pack(message), owner)])


async def heard(client: Client, parent: str) -> list[c.ReceivedMessage]:
    request = c.ListReceivedMessagesRequest(parent=parent)
    return list((await client.conversations.ListReceivedMessages(request)).messages)


def test_what_somebody_sent_is_listed_newest_first(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await says(engine, "hello", 1)
        await says(engine, "STOP", 2)
        newest, oldest = await heard(client, f"addresses/{ANN}")
        assert (newest.body, newest.keyword, oldest.body) == ("STOP", "stop", "hello")
        assert oldest.name == f"addresses/{ANN}/receivedMessages/{1:032x}"
        assert (oldest.channel, oldest.lane, oldest.sender) == (m.SMS, "lanes/main", ANN)
        assert (oldest.to, oldest.provider_id) == ("+12025550100", "SM1")
        assert (list(oldest.media), dict(oldest.carrier_values)) == (
            ["https://a.example/b"], {"ProfileName": "Ann"},
        )  # fmt: skip
        assert oldest.HasField("time")
        assert await heard(client, "users/nobody") == []

    over_engine(tmp_path, scenario)


def test_a_merged_profile_shows_what_the_other_one_heard(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await says(engine, "hello", 1, owner=f"{WORKSPACE}/user/old")
        while not await heard(client, "users/old"):
            pass
        alias = commands.event(f"{WORKSPACE}/user/new", "a1", commands.ALIAS, "old", 5)
        await engine.submit([alias])
        while not await heard(client, "users/new"):
            pass
        assert [one.body for one in await heard(client, "users/old")] == ["hello"]

    over_engine(tmp_path, scenario)


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        request = c.ListReceivedMessagesRequest(parent="lanes/main")
        error = await refused(client.conversations.ListReceivedMessages(request))
        assert error.fields == ["parent"]

    over_engine(tmp_path, scenario)

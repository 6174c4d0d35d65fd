"""One-time codes over the contract: started, sent, typed, limited."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from actors.clock import ManualClock
from actors.codes import Codes
from actors.senders.screen import OUTCOMES
from engine import commands
from engine.reasons import Reason
from engine.verification.sealed import SEALED
from gateway.pb.denrei.v1 import messages_pb2 as m
from gateway.pb.denrei.v1 import reason_pb2 as r
from gateway.pb.denrei.v1 import verification_pb2 as v
from tests.support.gateway_client import Client, SomeControl, over_engine
from tests.support.gateway_support import refused
from tests.support.local_engine import LocalEngine

LOGIN = """
{lane: main, channel: sms, carrier: sandbox}
---
{lane: mail, channel: email, carrier: sandbox}
---
verification: login
brand: Acme
code: {length: 8, alphabet: alphanumeric}
attempts: 2
limits: [{per: ip, at_most: 2, within: 1h}, {per: user, at_most: 3, within: 1h}]
"""
NAME = "addresses/+4915112345678/verifications/login"


def start(**fields: Any) -> v.StartVerificationRequest:
    plain = {"parent": "addresses/+49 151 12345678", "verification": "verifications/login"}
    return v.StartVerificationRequest(**{**plain, **fields})


async def code_of(engine: LocalEngine, tmp_path: Path) -> str:
    """The newest code, as a sender reads it."""
    async with asyncio.timeout(10):
        while not engine.pool.offers:
            await asyncio.sleep(0)
    offer = engine.pool.offers[-1]
    facts = next(each for each in offer if isinstance(each, dict))
    return Codes(tmp_path).unseal(offer[1], facts[SEALED])


def test_a_code_is_started_typed_and_burned(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply(LOGIN)
        started = await client.verification.StartVerification(start(user="users/ann", ip="1.2.3.4"))
        assert (started.name, started.state) == (NAME, v.Verification.PENDING)
        assert started.attempts_left == 2
        assert [(one.channel, one.status) for one in started.sendings] == [(m.SMS, r.QUEUED)]
        message = await client.messages.GetMessage(
            m.GetMessageRequest(name=started.sendings[0].message)
        )
        assert "code is ********." in message.body
        code = await code_of(engine, tmp_path)
        typed = f" {code[:4].lower()}-{code[4:]} "
        check = client.verification.CheckVerification
        wrong = await check(v.CheckVerificationRequest(name=NAME, code="00000000"))
        assert (wrong.outcome, wrong.verification.attempts_left) == (r.VERIFICATION_WRONG, 1)
        right = await check(v.CheckVerificationRequest(name=NAME, code=typed))
        assert (right.outcome, right.verification.state) == (r.ACCEPTED, v.Verification.APPROVED)
        again = await check(v.CheckVerificationRequest(name=NAME, code=typed))
        assert again.outcome == r.NOT_FOUND
        async with asyncio.timeout(10):
            while not engine.pool.outcomes:
                await asyncio.sleep(0.01)
        ((workspace, number, what, _),) = engine.pool.outcomes
        assert (workspace, number, what) == ("acme", "+4915112345678", "verified")

    over_engine(tmp_path, scenario)


def test_an_id_that_was_right_is_no_pass_for_another_code(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply(LOGIN)
        await client.verification.StartVerification(start())
        code = await code_of(engine, tmp_path)
        check = client.verification.CheckVerification
        right = v.CheckVerificationRequest(name=NAME, code=code, request_id="a")
        assert (await check(right)).outcome == r.ACCEPTED
        assert (await check(right)).outcome == r.ACCEPTED
        other = v.CheckVerificationRequest(name=NAME, code="00000000", request_id="a")
        told = await refused(check(other))
        assert (told.code, told.reason) == (StatusCode.FAILED_PRECONDITION, "KEY_REUSED")

    over_engine(tmp_path, scenario)


def test_after_an_unknown_outcome_a_spare_code_is_good(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply(LOGIN)
        await client.verification.StartVerification(start())
        first = await code_of(engine, tmp_path)
        (id_, key, *_), now_ms = engine.pool.offers[-1], engine.clock.now_ms()
        lost = commands.receipt(key, id_, Reason.UNKNOWN_OUTCOME, now_ms, True)
        assert await engine.submit([lost]) == bytes([Reason.ACCEPTED])
        assert isinstance(engine.clock, ManualClock)
        async with asyncio.timeout(10):
            while len(engine.pool.offers) < 2:
                engine.clock.advance(1_000)
                await asyncio.sleep(0.001)
        spare = await code_of(engine, tmp_path)
        assert spare != first
        checked = await client.verification.CheckVerification(
            v.CheckVerificationRequest(name=NAME, code=spare)
        )
        assert checked.outcome == r.ACCEPTED

    over_engine(tmp_path, scenario)


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        (v.ReportAddressRequest.LEGITIMATE, "legit"),
        (v.ReportAddressRequest.FRAUD, "fraud"),
        (v.ReportAddressRequest.VERIFIED, "verified"),
        (v.ReportAddressRequest.NOT_VERIFIED, "expired"),
        (v.ReportAddressRequest.UNDELIVERED, "undelivered"),
    ],
)
def test_what_turned_out_about_own_codes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, heard: str
) -> None:
    told: list[tuple[str, str, str]] = []

    async def feedback(_: SomeControl, workspace: str, address: str, what: str) -> int:
        told.append((workspace, address, what))
        return 2

    async def scenario(client: Client, engine: LocalEngine) -> None:
        report = v.ReportAddressRequest(parent="addresses/+49 151 12345678", kind=kind)
        assert (await client.verification.ReportAddress(report)).senders == 2

    monkeypatch.setattr(SomeControl, "feedback", feedback)
    over_engine(tmp_path, scenario)
    assert told == [("acme", "+4915112345678", heard)]
    assert heard in OUTCOMES


def test_nothing_is_told_of_a_mailbox(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        report = v.ReportAddressRequest(
            parent="addresses/ann@example.org", kind=v.ReportAddressRequest.VERIFIED
        )
        told = await refused(client.verification.ReportAddress(report))
        assert told.code is StatusCode.INVALID_ARGUMENT
        assert "phone numbers only" in told.message
        assert "parent" in told.fields

    over_engine(tmp_path, scenario)


def test_limits_say_whose_they_are(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply(LOGIN)
        for number in range(2):
            parent = f"addresses/+4915112345{number}00"
            await client.verification.StartVerification(start(parent=parent, ip="1.2.3.4"))
        told = await refused(client.verification.StartVerification(start(ip="1.2.3.4")))
        assert (told.code, told.reason) == (StatusCode.RESOURCE_EXHAUSTED, "VERIFICATION_LIMIT")
        assert "too many codes for this ip" in told.message
        await client.verification.StartVerification(start(ip="1.2.3.5"))
        told = await refused(client.verification.StartVerification(start(ip="1.2.3.6")))
        assert told.reason == "VERIFICATION_TOO_SOON"

    over_engine(tmp_path, scenario)


def test_one_is_cancelled_and_read(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await client.apply(LOGIN)
        get = v.GetVerificationRequest(name=NAME)
        assert (await refused(client.verification.GetVerification(get))).code is (
            StatusCode.NOT_FOUND
        )
        await client.verification.StartVerification(start())
        cancelled = await client.verification.CancelVerification(
            v.CancelVerificationRequest(name=NAME)
        )
        assert cancelled.state == v.Verification.CANCELLED
        assert (await client.verification.GetVerification(get)).end_time.seconds > 0

    over_engine(tmp_path, scenario)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"parent": "users/ann"}, "parent"),
        ({"parent": "addresses/"}, "parent"),
        ({"parent": "addresses/12"}, "parent"),
        ({"verification": ""}, "verification"),
        ({"verification": "lanes/main"}, "verification"),
        ({"channel": 99}, "channel"),
        ({"user": "addresses/+491511234567"}, "user"),
        ({"ip": "1" * 201}, "ip"),
        ({"request_id": "x" * 101}, "request_id"),
    ],
)
def test_what_is_no_start_is_refused(tmp_path: Path, fields: dict[str, Any], field: str) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        told = await refused(client.verification.StartVerification(start(**fields)))
        assert told.code is StatusCode.INVALID_ARGUMENT
        assert field in told.fields

    over_engine(tmp_path, scenario)


def test_what_is_unknown_is_said(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        told = await refused(client.verification.StartVerification(start()))
        assert (told.code, told.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND")
        report = v.ReportAddressRequest(parent="addresses/+4915112345678")
        told = await refused(client.verification.ReportAddress(report))
        assert "kind" in told.fields
        assert "NOT_VERIFIED" in told.message

    over_engine(tmp_path, scenario)

"""The report of a workspace: counts over everything, read in slices, through gRPC."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from actors import queries
from engine import limits
from engine.errors import Unavailable
from gateway.cli.report import Counts, SegmentCounts, read_counts
from gateway.pb.denrei.v1 import events_pb2 as e
from gateway.pb.denrei.v1 import messages_pb2 as m
from gateway.pb.denrei.v1 import reason_pb2 as r
from gateway.pb.denrei.v1 import system_pb2 as s
from tests.support.gateway_client import Client, added, over_engine, over_recorder
from tests.support.gateway_support import NOW_MS, RecordingRouter, refused
from tests.support.local_engine import LocalEngine

USERS = 30


async def fill(client: Client, engine: LocalEngine) -> None:
    """Customers with a cart each, every third one a pro and two of those no longer; a code."""
    await client.apply()
    for n in range(USERS):
        plan = b'{"plan": "pro"}' if n % 3 == 0 else b'{"plan": "free"}'
        await client.publish(
            e.Event(type=e.IDENTIFY, user_id=f"u{n}", traits_json=plan), added("c1", user=f"u{n}")
        )
    await client.publish(
        *(
            e.Event(type=e.IDENTIFY, user_id=f"u{n}", traits_json=b'{"plan": "free"}')
            for n in (0, 3)
        ),
        e.Event(type=e.TRACK, user_id="u1", event="Order Completed",
                properties_json=b'{"cart_id": "c1"}'),
        e.Event(type=e.TRACK, anonymous_id="guest", event="Product Viewed"),
    )  # fmt: skip
    code = m.SendMessageRequest(
        parent="addresses/+15005550001", channel=m.SMS, purpose=m.OTP, body="1234"
    )
    await client.messages.SendMessage(code)
    code = m.SendMessageRequest(parent="users/u1", channel=m.EMAIL, purpose=m.OTP, body="1234")
    await client.messages.SendMessage(code)


async def read(client: Client) -> tuple[Counts, int]:
    """All pages, added up as the command line does, and how many there were."""
    report, request, number = Counts(), s.GetReportRequest(), 0
    while True:
        page = await client.system.GetReport(request)
        report.add(page)
        number += 1
        if not page.next_page_token:
            return report, number
        request.page_token = page.next_page_token


def check(report: Counts) -> None:
    assert report.profiles == USERS + 1
    assert report.segments == {
        "pro": SegmentCounts(members=8, entered=10, left=2),
        "quiet": SegmentCounts(members=USERS, entered=USERS, left=0),  # the guest looked at once
    }
    assert report.instances == {
        ("cart", "running", "wait"): USERS - 1,
        ("cart", "exited", "wait"): 1,
    }
    assert report.messages == {("sms", "", "QUEUED"): 1, ("email", "", "NO_ADDRESS"): 1}


def test_a_report_counts_profiles_segments_instances_and_messages(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await fill(client, engine)
        report, pages = await read(client)
        check(report)
        assert pages == 1

    over_engine(tmp_path, scenario)


def test_the_pages_of_a_report_add_up_to_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REPORT_SLICES", 2)
    monkeypatch.setattr(limits, "PAGE_ITEMS", 3)

    async def scenario(client: Client, engine: LocalEngine) -> None:
        await fill(client, engine)
        report, pages = await read(client)
        check(report)
        assert pages > 4

    over_engine(tmp_path, scenario)


def test_a_report_that_runs_out_of_time_goes_on_in_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REPORT_TIME_SHARE", 1e-9)  # the first slice uses it up

    async def scenario(client: Client, router: RecordingRouter) -> None:
        router.answers = {
            "tally": lambda shard, args: {
                "profiles": 1, "instances": [], "messages": [],
                "next": "" if args["after"] == "b" else chr(ord(args["after"] or "`") + 1),
            },
            "sizes": {"vip": 2},
            "moves": {"entered": {"vip": 3}, "left": {}},
        }  # fmt: skip
        report, pages = await read(client)
        assert report.profiles == pages == 3 * router.shards
        assert report.segments == {"vip": SegmentCounts(2 * router.shards, 3 * router.shards, 0)}

    over_recorder(tmp_path, scenario)


def test_a_shard_that_does_not_answer_costs_only_its_own_part(tmp_path: Path) -> None:
    async def scenario(client: Client, router: RecordingRouter) -> None:
        away = [True]

        def tally(shard: int, args: dict[str, Any]) -> dict[str, Any]:
            if shard == 2 and away:
                msg = "shard-host-1 is away"
                raise Unavailable(msg)
            return {"profiles": 1, "instances": [], "messages": [], "next": ""}

        router.answers = {"tally": tally, "sizes": {}, "moves": {"entered": {}, "left": {}}}
        page = await client.system.GetReport(s.GetReportRequest())
        assert page.profiles == 2
        following = s.GetReportRequest(page_token=page.next_page_token)
        told = await refused(client.system.GetReport(following))
        assert told.code is StatusCode.UNAVAILABLE
        away.clear()
        page = await client.system.GetReport(following)
        assert (page.profiles, page.next_page_token) == (2, "")

    over_recorder(tmp_path, scenario)


def test_a_report_ends_with_its_deadline(tmp_path: Path) -> None:
    async def scenario(client: Client, router: RecordingRouter) -> None:
        timeouts = []

        async def query(shard: int, name: str, args: dict[str, Any], timeout_s: float) -> Any:
            timeouts.append(timeout_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await asyncio.Event().wait()
            msg = "no answer"
            raise Unavailable(msg)

        router.query = query  # type: ignore[method-assign, assignment]
        told = await refused(client.system.GetReport(s.GetReportRequest(), timeout=0.3))
        assert told.code is StatusCode.UNAVAILABLE
        assert len(timeouts) == 1
        assert 0 < timeouts[0] < 0.3

    over_recorder(tmp_path, scenario)


def test_a_report_needs_the_scope_read_and_shows_the_own_workspace_only(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await fill(client, engine)
        for scope, workspace in (("publish", "acme"), ("admin", "acme")):
            _, secret = client.door.keys.create(workspace, (scope,), NOW_MS)
            key = (("x-api-key", secret),)
            told = await refused(client.system.GetReport(s.GetReportRequest(), metadata=key))
            assert told.code is StatusCode.PERMISSION_DENIED
        for workspace in ("acm", "acme2", "other"):
            _, secret = client.door.keys.create(workspace, ("read",), NOW_MS)
            key = (("x-api-key", secret),)
            page = await client.system.GetReport(s.GetReportRequest(), metadata=key)
            assert page == s.Report()

    over_engine(tmp_path, scenario)


def test_a_token_that_is_not_of_a_report_is_refused(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        told = await refused(client.system.GetReport(s.GetReportRequest(page_token="x")))
        assert told.fields == ["page_token"]

    over_engine(tmp_path, scenario)


def test_the_command_line_reads_all_pages() -> None:
    class System:
        GetReport = staticmethod(lambda request: None)

    class Pages:
        system = System()
        asked: list[str] = []  # noqa: RUF012 - the test's own

        def call(self, method: Any, request: s.GetReportRequest) -> s.Report:
            self.asked.append(request.page_token)
            sent = s.Report.MessageCount(
                channel=m.SMS, carrier="sandbox", status=r.DELIVERED, count=2
            )
            token = "" if request.page_token else "more"
            return s.Report(profiles=3, messages=[sent], next_page_token=token)

    report = read_counts(Pages())  # type: ignore[arg-type]
    assert Pages.asked == ["", "more"]
    assert (report.profiles, report.messages) == (6, {("sms", "sandbox", "DELIVERED"): 4})


def test_a_slice_is_bounded_and_keeps_to_the_workspace(tmp_path: Path) -> None:
    async def scenario(client: Client, engine: LocalEngine) -> None:
        await fill(client, engine)
        for host in engine.hosts.values():
            for runner in host.runners.values():
                args = {"workspace": "acme", "limit": 4}
                found = queries.ask(runner.shard, "tally", args)
                assert found["profiles"] <= 4
                assert found["next"].startswith("acme/")
                theirs = queries.ask(runner.shard, "tally", {"workspace": "acm"})
                assert (theirs["profiles"], theirs["next"]) == (0, "")

    over_engine(tmp_path, scenario)

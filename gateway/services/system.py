"""SystemService: how the system is, what happens in it, its clock and its keys."""

import asyncio
import contextlib
from importlib.metadata import version
from typing import Any, Final

from actors.store.keys import KeyInfo, KeyStore
from engine.errors import DenreiError
from engine.slots import CATALOG, parse_key
from gateway import errors, names, pages, report, views
from gateway.admission import milliseconds
from gateway.auth import Authenticator
from gateway.binding import Call
from gateway.pb.denrei.v1 import system_pb2
from gateway.seams import Clock, Control, Router

_VERSION: Final = version("denrei")  # to read it takes a millisecond
_SCOPES: Final = {
    system_pb2.Key.PUBLISH: "publish",
    system_pb2.Key.READ: "read",
    system_pb2.Key.DEFINE: "define",
    system_pb2.Key.SEND: "send",
    system_pb2.Key.ADMIN: "admin",
}
_SCOPE_NUMBERS: Final = {name: number for number, name in _SCOPES.items()}
# What a shard tells about other workspaces is not for this caller.
_NOT_SHOWN: Final = ("installed", "faults")


class SystemService:
    """See system.proto.

    Args:
        router: The way to the shards.
        control: What the supervisor knows.
        keys: The API keys.
        clock: The gateway's clock.
        auth: Holds verdicts on keys, which a change of keys makes stale.
    """

    def __init__(
        self, router: Router, control: Control, keys: KeyStore, clock: Clock, auth: Authenticator
    ) -> None:
        self._router = router
        self._control = control
        self._keys = keys
        self._clock = clock
        self._auth = auth

    async def get_status(
        self, request: system_pb2.GetStatusRequest, call: Call
    ) -> system_pb2.Status:
        """Asks everyone how they are; who does not answer is shown as not serving."""
        shards = range(self._router.shards)
        known, *answers = await asyncio.gather(
            self._control.status(), *(self._shard(shard, call) for shard in shards)
        )
        status = system_pb2.Status(server_version=_VERSION, time=views.time(self._clock.now_ms()))
        for shard, answer in zip(shards, answers, strict=True):
            answer.host = known["shards"].get(str(shard), "")
            status.shards.append(answer)
        for actor in known["actors"]:
            component = system_pb2.Component(
                name=actor["name"],
                serving=actor["state"] == "serving",
                details=views.struct(_of_workspace(actor, call.workspace)),
            )
            kind = actor["name"].partition("-")[0]
            lists = {
                "shard": status.hosts,
                "sender": status.senders,
                "caller": status.senders,  # of webhooks
                "gateway": status.gateways,
            }
            if kind in lists:
                lists[kind].append(component)
        return status

    async def get_report(
        self, request: system_pb2.GetReportRequest, call: Call
    ) -> system_pb2.Report:
        """Counts over the workspace's profiles; see `gateway.report`."""
        return await report.read(self._router, request.page_token, call)

    async def watch(self, request: system_pb2.WatchRequest, call: Call) -> None:
        """Streams the feed until the client ends the call."""
        key = names.entity_key(call.workspace, request.name, "name") if request.name else ""
        kinds = frozenset(request.kinds)
        async with contextlib.aclosing(self._router.watch(call.workspace, key)) as lines:
            async for at_ms, _, kind, _, subject, detail, owner in lines:
                if kinds and kind not in kinds:
                    continue
                line = system_pb2.FeedLine(
                    time=views.time(at_ms),
                    kind=kind,
                    name="" if parse_key(owner).kind == CATALOG else names.entity_name(owner),
                    subject=subject,
                    detail=detail,
                )
                await call.write(line)

    async def advance_clock(
        self, request: system_pb2.AdvanceClockRequest, call: Call
    ) -> system_pb2.AdvanceClockResponse:
        """Moves every shard's clock; the shards refuse if their clock is not driven by events."""
        if not request.HasField("time"):
            raise errors.invalid("time", "time is not set")
        to_ms = milliseconds(request.time, "time")
        times = await asyncio.gather(
            *(
                self._router.query(shard, "advance", {"to_ms": to_ms}, call.remaining_s())
                for shard in range(self._router.shards)
            )
        )
        return system_pb2.AdvanceClockResponse(time=views.time(min(times)))

    async def create_key(
        self, request: system_pb2.CreateKeyRequest, call: Call
    ) -> system_pb2.CreateKeyResponse:
        """Makes a key. Durability: It is synced when this returns."""
        unknown = [number for number in request.scopes if number not in _SCOPES]
        if unknown or not request.scopes:
            text = "choose at least one of PUBLISH, READ, DEFINE, SEND, ADMIN, and no other"
            raise errors.invalid("scopes", text)
        scopes = [_SCOPES[number] for number in request.scopes]
        info, secret = await asyncio.to_thread(
            self._keys.create, call.workspace, scopes, self._clock.now_ms()
        )
        self._auth.forget()
        return system_pb2.CreateKeyResponse(key=_key(info), secret=secret)

    async def list_keys(
        self, request: system_pb2.ListKeysRequest, call: Call
    ) -> system_pb2.ListKeysResponse:
        """Lists the workspace's keys, revoked ones too."""
        limit = pages.size(request.page_size)
        (start,) = pages.cursor(request.page_token, [0], "keys")
        found = await asyncio.to_thread(self._keys.list, call.workspace)
        more = len(found) > start + limit
        return system_pb2.ListKeysResponse(
            keys=[_key(info) for info in found[start : start + limit]],
            next_page_token=pages.token([start + limit], "keys") if more else "",
        )

    async def revoke_key(self, request: system_pb2.RevokeKeyRequest, call: Call) -> system_pb2.Key:
        """Revokes a key of the workspace. Durability: It is synced when this returns."""
        collection, _, id_ = request.name.partition("/")
        if collection != "keys" or not id_:
            raise errors.invalid("name", f"{request.name[:100]!r} is not of the form keys/{{id}}")
        if id_ not in {info.id for info in await self._all_keys(call)}:
            raise errors.not_found(request.name)
        await asyncio.to_thread(self._keys.revoke, id_, self._clock.now_ms())
        self._auth.forget()
        (revoked,) = [info for info in await self._all_keys(call) if info.id == id_]
        return _key(revoked)

    async def _all_keys(self, call: Call) -> list[KeyInfo]:
        return list(await asyncio.to_thread(self._keys.list, call.workspace))

    async def _shard(self, shard: int, call: Call) -> system_pb2.Shard:
        """What one shard tells about itself."""
        try:
            told: dict[str, Any] = await self._router.query(
                shard, "status", {}, call.remaining_s() / 2
            )
        except DenreiError as error:
            return system_pb2.Shard(index=shard, serving=False, error=str(error))
        details = {k: v for k, v in told.items() if k not in _NOT_SHOWN}
        if call.workspace in told["faults"]:
            details["faults"] = told["faults"][call.workspace]
        return system_pb2.Shard(
            index=shard,
            serving=True,
            definitions_version=told["installed"].get(call.workspace, 0),
            details=views.struct(details),
        )


def _of_workspace(actor: dict[str, Any], workspace: str) -> dict[str, Any]:
    """What an actor tells about itself, without what it tells of other workspaces."""
    shown = {name: value for name, value in actor.items() if name != "name"}
    if "lanes" in shown:
        mine = f"{workspace}/"
        shown["lanes"] = [one for one in shown["lanes"] if one["lane"].startswith(mine)]
    if "blocks" in shown:
        of_mine = f"{workspace} "
        shown["blocks"] = [one for one in shown["blocks"] if one["what"].startswith(of_mine)]
    return shown


def _key(info: KeyInfo) -> system_pb2.Key:
    return system_pb2.Key(
        name=f"keys/{info.id}",
        scopes=[_SCOPE_NUMBERS[scope] for scope in info.scopes],
        development=info.dev,
        create_time=views.time(info.created_ms),
        revoke_time=views.time(info.revoked_ms),
    )

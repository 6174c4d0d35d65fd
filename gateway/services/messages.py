"""MessagesService: messages asked for by the API, and what became of messages."""

import contextlib
import re
from typing import Any, Final

from actors.queries import is_wanted
from engine import commands, limits
from engine.errors import DenreiError
from engine.messages.message import api_message_id
from engine.reasons import Reason
from engine.slots import shard_of, slot_of
from gateway import errors, names, pages, views
from gateway.batch import Batch
from gateway.binding import Call
from gateway.pb.denrei.v1 import messages_pb2, reason_pb2
from gateway.properties import Refused
from gateway.replies import fill
from gateway.seams import Router
from gateway.services import message_requests

# The field that a shard's refusal is about.
_FIELDS: Final = {
    Reason.TEMPLATE_MISSING: "template",
    Reason.KEY_REUSED: "request_id",
    Reason.BAD_TIMESTAMP: "send_time",
}
_MESSAGE_ID: Final = re.compile("[0-9a-f]{32}")


class MessagesService:
    """See messages.proto.

    Args:
        router: The way to the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def send_message(
        self, request: messages_pb2.SendMessageRequest, call: Call
    ) -> messages_pb2.Message:
        """Makes one message.

        Durability: The message is synced when it returns, and will be offered to a sender.
        """
        command = message_requests.send_command(request, call.workspace)
        batch = Batch(1)
        self._place(batch, 0, command)
        await batch.settle(batch.post(self._router, call.deadline), call.deadline)
        for item in batch.rejected:
            raise errors.refused(item.reason, _FIELDS.get(item.reason, ""))
        key = command[1]
        id_ = api_message_id(key, command[2])
        values = None
        # The message is made; an answer that only names it is better than an error that hides it.
        with contextlib.suppress(DenreiError):
            values = await self._message(key, id_, call.remaining_s())
        if values is None:
            name = f"{names.entity_name(key)}/messages/{id_}"
            status = reason_pb2.DUPLICATE if batch.outcomes[0] else reason_pb2.QUEUED
            return messages_pb2.Message(name=name, status=status)
        return views.message(key, values)

    async def send_messages(
        self, request: messages_pb2.SendMessagesRequest, call: Call
    ) -> messages_pb2.SendMessagesResponse:
        """Makes several messages.

        Durability: Messages with the outcome QUEUED or DUPLICATE are synced.
        """
        requests = request.requests
        if not requests:
            raise errors.invalid("requests", "requests is empty")
        if len(requests) > limits.SEND_BATCH_MESSAGES:
            text = f"{len(requests)} messages are more than {limits.SEND_BATCH_MESSAGES}"
            raise errors.bad_request(Reason.TOO_LARGE, [("requests", text)])
        batch = Batch(len(requests))
        for index, one in enumerate(requests):
            try:
                self._place(batch, index, message_requests.send_command(one, call.workspace))
            except (errors.StatusError, Refused) as error:
                reason, field, message, _ = errors.summary(error)
                batch.reject(index, reason, field, message)
        await batch.settle(batch.post(self._router, call.deadline), call.deadline)
        made = {
            index: command
            for part in batch.parts
            for index, command in zip(part.indexes, part.commands, strict=True)
        }
        response = messages_pb2.SendMessagesResponse()
        for index, outcome in enumerate(batch.outcomes):
            name = ""
            if outcome <= Reason.DUPLICATE:
                key, request_id = made[index][1:3]
                id_ = api_message_id(key, request_id)
                name = f"{names.entity_name(key)}/messages/{id_}"
            told = outcome or Reason.QUEUED
            response.results.add(name=name, outcome=views.reason(told))
        return fill(response, batch)

    async def get_message(
        self, request: messages_pb2.GetMessageRequest, call: Call
    ) -> messages_pb2.Message:
        """Gets a message with its history."""
        key, id_ = names.child(call.workspace, request.name, "messages")
        if not _MESSAGE_ID.fullmatch(id_):
            raise errors.invalid("name", f"{id_[:100]!r} is not the id of a message")
        values = await self._message(key, id_, call.remaining_s())
        if values is None:
            raise errors.not_found(request.name)
        return views.message(key, values)

    async def cancel_message(
        self, request: messages_pb2.CancelMessageRequest, call: Call
    ) -> messages_pb2.Message:
        """Calls a message back, and what would go out in its place.

        Durability: The wish is synced when it returns; how it ended is told by the history.
        """
        name = messages_pb2.GetMessageRequest(name=request.name)
        await self.get_message(name, call)  # a cancel would make an entity that is not there
        key, id_ = names.child(call.workspace, request.name, "messages")
        batch = Batch(1)
        self._place(batch, 0, commands.cancel(key, id_))
        await batch.settle(batch.post(self._router, call.deadline), call.deadline)
        for item in batch.rejected:
            raise errors.refused(item.reason)
        return await self.get_message(name, call)

    async def list_messages(
        self, request: messages_pb2.ListMessagesRequest, call: Call
    ) -> messages_pb2.ListMessagesResponse:
        """Lists an entity's kept messages, newest first; or everyone's, person by person."""
        return await self._page(request, call, call.remaining_s())

    async def _page(
        self, request: messages_pb2.ListMessagesRequest, call: Call, timeout_s: float
    ) -> messages_pb2.ListMessagesResponse:
        wanted = message_requests.wanted(request.filter)
        scope = ("messages", request.parent, repr(wanted))
        limit = pages.size(request.page_size)
        if not request.parent:
            at = pages.cursor(request.page_token, [0, "", 0], *scope)
            if not 0 <= at[0] < self._router.shards:
                raise errors.invalid("page_token", "page_token is out of date; begin without one")
            found: list[dict[str, Any]] = []
            following = at
            for _ in range(limits.REPORT_SLICES):
                found, following = await self._slice(
                    wanted, following, limit, call.workspace, timeout_s
                )
                if found or not following:
                    break
            return messages_pb2.ListMessagesResponse(
                messages=[views.message(one["key"], one) for one in found],
                next_page_token=pages.token(following, *scope) if following else "",
            )
        key = names.entity_key(call.workspace, request.parent, "parent")
        (before,) = pages.cursor(request.page_token, [""], *scope)
        shard = shard_of(slot_of(key), self._router.shards)
        found = await self._router.query(shard, "messages", {"key": key}, timeout_s)
        found = [one for one in found[::-1] if is_wanted(one, wanted)]
        ids = [values["id"] for values in found]
        start = ids.index(before) + 1 if before in ids else 0
        page = found[start : start + limit]
        more = len(found) > start + limit
        return messages_pb2.ListMessagesResponse(
            messages=[views.message(key, values) for values in page],
            next_page_token=pages.token([page[-1]["id"]], *scope) if more else "",
        )

    async def stream_messages(self, request: messages_pb2.ListMessagesRequest, call: Call) -> None:
        """Streams what `list_messages` lists; each page is read when the last was taken."""
        asked = messages_pb2.ListMessagesRequest()
        asked.CopyFrom(request)
        while True:
            page = await self._page(asked, call, limits.DEFAULT_DEADLINE_S)
            for message in page.messages:
                await call.write(message)
            if not page.next_page_token:
                return
            asked.page_token = page.next_page_token

    async def _slice(
        self, wanted: dict[str, Any], at: list[Any], limit: int, workspace: str, timeout_s: float
    ) -> tuple[list[dict[str, Any]], list[Any]]:
        """Some messages of everyone, and where to go on; nothing at the end."""
        shard, after, skip = at
        args = {
            "workspace": workspace, "wanted": wanted, "limit": limit, "after": after,
            "skip": skip,
        }  # fmt: skip
        answer = await self._router.query(shard, "messages_of_all", args, timeout_s)
        if answer["next"]:
            return answer["items"], [shard, answer["next"], answer["skip"]]
        more = shard + 1 < self._router.shards
        return answer["items"], [shard + 1, "", 0] if more else []

    async def watch_messages(self, request: messages_pb2.WatchMessagesRequest, call: Call) -> None:
        """Streams changes of status until the client ends the call."""
        key = names.entity_key(call.workspace, request.parent, "parent") if request.parent else ""
        wanted = message_requests.wanted(request.filter)
        async with contextlib.aclosing(self._router.watch(call.workspace, key)) as lines:
            async for at_ms, _, kind, _, id_, detail, owner in lines:
                word = detail.partition(" ")[0].rstrip(":")
                if kind != "message" or word not in Reason.__members__:
                    continue
                if wanted and not await self._is_wanted(owner, id_, wanted):
                    continue
                change = messages_pb2.MessageChange(
                    name=f"{names.entity_name(owner)}/messages/{id_}",
                    status=views.reason(Reason[word]),
                    time=views.time(at_ms),
                    detail=detail,
                )
                await call.write(change)

    async def _is_wanted(self, key: str, id_: str, wanted: dict[str, Any]) -> bool:
        with contextlib.suppress(DenreiError):
            values = await self._message(key, id_, limits.DEFAULT_DEADLINE_S)
            return values is not None and is_wanted(values, wanted)
        return False

    def _place(self, batch: Batch, index: int, command: commands.Command) -> None:
        shard = shard_of(slot_of(command[1]), self._router.shards)
        batch.place(index, shard, command, len(command[3]) + len(command[1]) + limits.ID_CHARS)

    async def _message(self, key: str, id_: str, timeout_s: float) -> dict[str, Any] | None:
        """A message; one that went with a profile when it became a part of another is found too."""
        for _ in range(limits.MERGES):
            shard = shard_of(slot_of(key), self._router.shards)
            found: dict[str, Any] | None = await self._router.query(
                shard, "message", {"key": key, "id": id_}, timeout_s
            )
            if found is None or "merged_into" not in found:
                return found
            key = found["merged_into"]
        return None

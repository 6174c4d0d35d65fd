"""MessagesService: messages asked for by the API, and what became of messages."""

import contextlib
import re
import uuid
from typing import Any, Final

import msgpack
from pydantic_core import PydanticCustomError

from engine import commands, limits
from engine.errors import DenreiError
from engine.messages import api_message_id
from engine.names import read_name
from engine.reasons import Reason
from engine.slots import ADDRESS, ANONYMOUS, parse_key, shard_of, slot_of
from gateway import errors, names, pages, views
from gateway.admission import check_id
from gateway.batch import Batch
from gateway.binding import Call
from gateway.pb.denrei.v1 import messages_pb2, reason_pb2
from gateway.properties import Refused, from_json, from_msgpack
from gateway.replies import fill
from gateway.seams import Router

_CHANNELS: Final = {number: name for name, number in views.CHANNELS.items()}
_PURPOSES: Final = {number: name for name, number in views.PURPOSES.items()}
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
        command = send_command(request, call.workspace)
        batch = Batch(1)
        self._place(batch, 0, command)
        await batch.settle(batch.post(self._router, call.deadline), call.deadline)
        for item in batch.rejected:
            field = "template" if item.reason is Reason.TEMPLATE_MISSING else ""
            raise errors.refused(item.reason, field)
        key = command[1]
        id_ = api_message_id(key, command[2])
        values = None
        # The message is made; an answer that only names it is better than an error that hides it.
        with contextlib.suppress(DenreiError):
            values = await self._message(key, id_, call)
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
                self._place(batch, index, send_command(one, call.workspace))
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
        values = await self._message(key, id_, call)
        if values is None:
            raise errors.not_found(request.name)
        return views.message(key, values)

    async def list_messages(
        self, request: messages_pb2.ListMessagesRequest, call: Call
    ) -> messages_pb2.ListMessagesResponse:
        """Lists an entity's kept messages, newest first."""
        key = names.entity_key(call.workspace, request.parent, "parent")
        limit = pages.size(request.page_size)
        scope = ("messages", request.parent)
        (before,) = pages.cursor(request.page_token, [""], *scope)
        shard = shard_of(slot_of(key), self._router.shards)
        found = await self._router.query(shard, "messages", {"key": key}, call.remaining_s())
        found = found[::-1]
        ids = [values["id"] for values in found]
        start = ids.index(before) + 1 if before in ids else 0
        page = found[start : start + limit]
        more = len(found) > start + limit
        return messages_pb2.ListMessagesResponse(
            messages=[views.message(key, values) for values in page],
            next_page_token=pages.token([page[-1]["id"]], *scope) if more else "",
        )

    async def watch_messages(self, request: messages_pb2.WatchMessagesRequest, call: Call) -> None:
        """Streams changes of status until the client ends the call."""
        key = names.entity_key(call.workspace, request.parent, "parent") if request.parent else ""
        async with contextlib.aclosing(self._router.watch(call.workspace, key)) as lines:
            async for at_ms, _, kind, _, id_, detail, owner in lines:
                word = detail.partition(" ")[0].rstrip(":")
                if kind != "message" or word not in Reason.__members__:
                    continue
                change = messages_pb2.MessageChange(
                    name=f"{names.entity_name(owner)}/messages/{id_}",
                    status=views.reason(Reason[word]),
                    time=views.time(at_ms),
                    detail=detail,
                )
                await call.write(change)

    def _place(self, batch: Batch, index: int, command: commands.Command) -> None:
        shard = shard_of(slot_of(command[1]), self._router.shards)
        batch.place(index, shard, command, len(command[3]) + len(command[1]) + limits.ID_CHARS)

    async def _message(self, key: str, id_: str, call: Call) -> dict[str, Any] | None:
        """A message; one that went with a profile when it became a part of another is found too."""
        for _ in range(limits.MERGES):
            shard = shard_of(slot_of(key), self._router.shards)
            found: dict[str, Any] | None = await self._router.query(
                shard, "message", {"key": key, "id": id_}, call.remaining_s()
            )
            if found is None or "merged_into" not in found:
                return found
            key = found["merged_into"]
        return None


def send_command(request: messages_pb2.SendMessageRequest, workspace: str) -> commands.Command:
    """Checks a request to send and makes its command.

    Raises:
        StatusError: INVALID_ARGUMENT, with the field.
        Refused: A text or a map breaks a limit.
    """
    key = names.entity_key(workspace, request.parent, "parent")
    kind = parse_key(key).kind
    if kind == ANONYMOUS:
        raise errors.invalid("parent", "parent must be users/{id} or addresses/{address}")
    if kind == ADDRESS and request.to:
        raise errors.invalid("to", "leave `to` empty: parent names the address already")
    check_id(request.request_id, "request_id", limits.MESSAGE_ID_CHARS)
    check_id(request.to, "to")
    if request.channel not in _CHANNELS:
        raise errors.invalid("channel", "channel must be SMS, EMAIL or PUSH")
    if request.purpose not in _PURPOSES:
        raise errors.invalid("purpose", "purpose must be OTP, TRANSACTIONAL or MARKETING")
    spec = {
        "channel": _CHANNELS[request.channel],
        "to": request.to,
        "purpose": _PURPOSES[request.purpose],
        **_content(request),
        "validity_ms": _validity_ms(request),
        "lane": names.reference(request.lane, "lane", "lane"),
        "resend_unknown": request.resend_unknown,
        **_standing(request),
    }
    request_id = request.request_id or uuid.uuid4().hex
    return commands.send(key, request_id, msgpack.packb(spec))


def _content(request: messages_pb2.SendMessageRequest) -> dict[str, Any]:
    """What the message says."""
    check_id(request.subject, "subject", limits.NAME_CHARS)
    field = request.WhichOneof("data")
    data: dict[str, Any] = {}
    if field == "data_msgpack":
        data = msgpack.unpackb(from_msgpack(request.data_msgpack, field))
    elif field == "data_json":
        data = msgpack.unpackb(from_json(request.data_json, field))
    if request.template:
        if request.subject:
            raise errors.invalid("subject", "a template brings its own subject")
        template = names.reference(request.template, "template", "template")
        return {"template": template, "data": data}
    if not request.body:
        raise errors.invalid("content", "set template, or a body that is not empty")
    if len(request.body) > limits.BODY_CHARS:
        text = f"body has {len(request.body)} characters, more than {limits.BODY_CHARS}"
        raise Refused(Reason.TOO_LONG, "body", text)
    if field:
        raise errors.invalid(field, "data is for a template; a body is sent as it is")
    return {"body": request.body, "subject": request.subject}


def _standing(request: messages_pb2.SendMessageRequest) -> dict[str, Any]:
    """What decides whether it may be sent beside others; only what was given."""
    check_id(request.topic, "topic", limits.NAME_CHARS)
    if len(request.tags) > limits.MESSAGE_TAGS:
        text = f"{len(request.tags)} tags are more than {limits.MESSAGE_TAGS}"
        raise errors.invalid("tags", text)
    for number, tag in enumerate(request.tags):
        try:
            read_name(tag)
        except PydanticCustomError as error:
            raise errors.invalid(f"tags[{number}]", error.message()) from None
    if not 0 <= request.priority <= 100:
        raise errors.invalid("priority", f"priority is {request.priority}; write 0 to 100")
    tags = sorted(set(request.tags))
    given = {"topic": request.topic, "tags": tags, "priority": request.priority}
    return {name: value for name, value in given.items() if value}


def _validity_ms(request: messages_pb2.SendMessageRequest) -> int:
    if not request.HasField("validity"):
        return limits.VALIDITY_MS
    validity = request.validity
    validity_ms = validity.seconds * 1000 + validity.nanos // 1_000_000
    if not limits.LEAST_VALIDITY_MS <= validity_ms <= limits.VALIDITY_MS:
        text = f"validity must lie between 1 s and {limits.VALIDITY_MS // 1000} s"
        raise errors.invalid("validity", text)
    return validity_ms

"""Requests to send and to list messages: what they may say, and what becomes of it in a command."""

import uuid
from typing import Any, Final

import msgpack
from pydantic_core import PydanticCustomError

from engine import commands, limits
from engine.fallback.success import SUCCESSES
from engine.names import read_name
from engine.reasons import Reason
from engine.slots import ADDRESS, ANONYMOUS, parse_key
from gateway import errors, facts, names, views
from gateway.admission import check_id
from gateway.pb.denrei.v1 import messages_pb2, reason_pb2
from gateway.properties import Refused, from_json, from_msgpack

_CHANNELS: Final = {number: name for name, number in views.CHANNELS.items()}
_PURPOSES: Final = {number: name for name, number in views.PURPOSES.items()}
_NAMED_CHANNELS: Final = ", ".join(name.upper() for name in views.CHANNELS)
_REASONS: Final = frozenset(int(reason) for reason in Reason)


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
        raise errors.invalid("channel", f"channel must be one of {_NAMED_CHANNELS}")
    if request.purpose not in _PURPOSES:
        raise errors.invalid("purpose", "purpose must be OTP, TRANSACTIONAL or MARKETING")
    spec = {
        "channel": _CHANNELS[request.channel],
        "to": request.to,
        "purpose": _PURPOSES[request.purpose],
        **_content(request, _data(request)),
        "validity_ms": _validity_ms(request),
        "lane": names.reference(request.lane, "lane", "lane"),
        "resend_unknown": request.resend_unknown,
        **_standing(request),
        **_beside(request),
        **_later(request),
        **_fallbacks(request, kind),
    }
    request_id = request.request_id or uuid.uuid4().hex
    return commands.send(key, request_id, msgpack.packb(spec))


def _data(request: messages_pb2.SendMessageRequest) -> dict[str, Any]:
    """What templates see."""
    field = request.WhichOneof("data")
    data: dict[str, Any] = {}
    if field == "data_msgpack":
        data = msgpack.unpackb(from_msgpack(request.data_msgpack, field))
    elif field == "data_json":
        data = msgpack.unpackb(from_json(request.data_json, field))
    if field and not request.template and not any(each.template for each in request.fallbacks):
        raise errors.invalid(field, "data is for a template; a body is sent as it is")
    return data


def _content(
    request: messages_pb2.SendMessageRequest | messages_pb2.SendMessageRequest.Fallback,
    data: dict[str, Any],
    place: str = "",
) -> dict[str, Any]:
    """What a message says."""
    check_id(request.subject, f"{place}subject", limits.NAME_CHARS)
    if request.template:
        if request.subject:
            raise errors.invalid(f"{place}subject", "a template brings its own subject")
        template = names.reference(request.template, "template", f"{place}template")
        return {"template": template, "data": data}
    if not request.body:
        raise errors.invalid(f"{place}content", "set template, or a body that is not empty")
    if len(request.body) > limits.BODY_CHARS:
        text = f"body has {len(request.body)} characters, more than {limits.BODY_CHARS}"
        raise Refused(Reason.TOO_LONG, f"{place}body", text)
    given = {"body": request.body, "subject": request.subject}
    return {**given, "data": data} if data else given


def _beside(request: messages_pb2.SendMessageRequest) -> dict[str, Any]:
    """What is told of it beside, and whom it comes from; only what was given."""
    check_id(request.sender, "sender")
    given = {"sender": request.sender, "facts": facts.read(request.facts)}
    return {name: value for name, value in given.items() if value}


def _later(request: messages_pb2.SendMessageRequest) -> dict[str, Any]:
    """When it is to be sent, if that was given."""
    if not request.HasField("send_time"):
        return {}
    at_ms = request.send_time.ToMilliseconds()
    if at_ms <= 0:
        raise errors.invalid("send_time", "send_time lies before 1970")
    return {"send_at_ms": at_ms}


def _fallbacks(request: messages_pb2.SendMessageRequest, kind: str) -> dict[str, Any]:
    """What goes out in its place, if anything was given."""
    fallbacks = request.fallbacks
    if not fallbacks:
        if request.success or request.HasField("within"):
            field = "success" if request.success else "within"
            raise errors.invalid(field, f"{field} is for a message with fallbacks")
        return {}
    if len(fallbacks) >= limits.MESSAGE_FALLBACKS:
        text = f"{len(fallbacks)} fallbacks are more than {limits.MESSAGE_FALLBACKS - 1}"
        raise errors.invalid("fallbacks", text)
    others = []
    for number, each in enumerate(fallbacks):
        place = f"fallbacks[{number}]."
        if each.channel not in _CHANNELS:
            raise errors.invalid(f"{place}channel", f"must be one of {_NAMED_CHANNELS}")
        check_id(each.to, f"{place}to")
        is_last = number == len(fallbacks) - 1
        others.append(
            {
                "channel": _CHANNELS[each.channel],
                "to": each.to,
                **_content(each, {}, place),
                "lane": names.reference(each.lane, "lane", f"{place}lane"),
                **({} if is_last else _success(each, place)),
            }
        )
        others[-1].pop("data", None)
    return {**_success(request, ""), "fallbacks": others}


def _success(
    request: messages_pb2.SendMessageRequest | messages_pb2.SendMessageRequest.Fallback, place: str
) -> dict[str, int]:
    """How far a message has to come, and in which time."""
    success = request.success or reason_pb2.DELIVERED
    if success not in SUCCESSES.values():
        raise errors.invalid(f"{place}success", "success must be SENT, DELIVERED or READ")
    if not request.HasField("within"):
        raise errors.invalid(f"{place}within", "say how long it may take: within")
    within_ms = request.within.ToMilliseconds()
    if not limits.LEAST_VALIDITY_MS <= within_ms <= limits.FALLBACK_WITHIN_MS:
        text = f"within must lie between 1 s and {limits.FALLBACK_WITHIN_MS // 1000} s"
        raise errors.invalid(f"{place}within", text)
    return {"success": int(success), "within_ms": within_ms}


def wanted(given: messages_pb2.MessageFilter) -> dict[str, Any]:
    """A filter as `actors.queries.is_wanted` reads it; only what was given."""
    if given.channel and given.channel not in _CHANNELS:
        raise errors.invalid("filter.channel", f"channel must be one of {_NAMED_CHANNELS}")
    asked = {
        "journey": names.reference(given.journey, "journey", "filter.journey"),
        "carrier": given.carrier,
        "channel": _CHANNELS.get(given.channel, ""),
        "lane": names.reference(given.lane, "lane", "filter.lane"),
        "statuses": sorted(
            Reason(status).name for status in set(given.statuses) if status in _REASONS
        ),
    }
    return {name: value for name, value in asked.items() if value}


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

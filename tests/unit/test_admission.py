"""Admission: what a client sends becomes commands, and what can't be one gets its reason."""

import json
from typing import Any

import msgpack
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from engine import commands, limits, slots
from engine.reasons import Reason
from gateway.admission import Admission
from gateway.batch import Batch
from gateway.pb.denrei.v1 import events_pb2
from gateway.properties import Refused

SHARDS = 4
NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
E = events_pb2


def at(ms: int) -> Timestamp:
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def admit(*events: E.Event, sent_at: Timestamp | None = None, event_time: bool = False) -> Batch:
    return Admission(SHARDS, event_time).admit("acme", events, NOW_MS, sent_at)


def track(**fields: Any) -> E.Event:
    return E.Event(**{"type": E.TRACK, "user_id": "ann", "event": "Bought", **fields})


def only(batch: Batch) -> commands.Command:
    assert not batch.rejected
    (part,) = batch.parts
    (command,) = part.commands
    return command


@pytest.mark.parametrize(
    ("event", "type_", "name"),
    [
        (track(), commands.TRACK, "Bought"),
        (E.Event(type=E.IDENTIFY, user_id="ann"), commands.IDENTIFY, ""),
        (E.Event(type=E.PAGE, user_id="ann", name="Home"), commands.PAGE, "Home"),
        (E.Event(type=E.SCREEN, user_id="ann"), commands.SCREEN, ""),
        (E.Event(type=E.GROUP, user_id="ann", group_id="g/1"), commands.GROUP, "g/1"),
        (E.Event(type=E.ALIAS, user_id="ann", previous_id="x"), commands.ALIAS, "x"),
    ],
)
def test_each_call_of_the_segment_spec_has_its_name_in_its_own_field(
    event: E.Event, type_: int, name: str
) -> None:
    command = only(admit(event))
    assert command[0] == commands.EVENT
    assert command[1] == "acme/user/ann"
    assert command[3:5] == (type_, name)


def test_the_user_id_decides_whose_event_it_is() -> None:
    assert only(admit(track(anonymous_id="a1")))[1] == "acme/user/ann"
    assert only(admit(track(user_id="", anonymous_id="a1")))[1] == "acme/anonymous/a1"


def test_ids_hold_slashes_spaces_and_any_script() -> None:
    for id_ in ("a/b", "Ann Lee", "安", "👩‍👩‍👧", "x" * limits.ID_CHARS):
        assert slots.parse_key(only(admit(track(user_id=id_)))[1]).id == id_


def test_commands_go_to_the_shard_of_their_key_in_their_order() -> None:
    events = [track(user_id=f"u{n % 50}", message_id=str(n)) for n in range(300)]
    batch = admit(*events)
    assert batch.outcomes == bytes(300)
    seen = []
    for part in batch.parts:
        assert part.indexes == sorted(part.indexes)
        for index, command in zip(part.indexes, part.commands, strict=True):
            assert slots.shard_of(slots.slot_of(command[1]), SHARDS) == part.shard
            assert command[2] == str(index)
            seen.append(index)
    assert sorted(seen) == list(range(300))


def test_a_part_fits_into_one_call() -> None:
    properties = msgpack.packb({"text": "x" * 1_000})
    many = [track(properties_msgpack=properties)] * 200 + [track(user_id="bob")] * 2_000
    batch = admit(*many)
    for part in batch.parts:
        assert len(part.commands) <= limits.CALL_COMMANDS
        assert part.size_bytes <= limits.CALL_BYTES
        assert len(commands.pack_chunk(part.commands)) <= part.size_bytes + 10
    assert sum(len(part.commands) for part in batch.parts) == 2_200


def test_msgpack_is_passed_on_as_it_came_and_json_becomes_msgpack() -> None:
    values = {"price": 12.5, "tags": ["a", {"deep": None}], "n": 3, "ok": True}
    packed = msgpack.packb(values)
    assert only(admit(track(properties_msgpack=packed)))[6] == packed
    as_json = only(admit(track(properties_json=json.dumps(values).encode())))[6]
    assert msgpack.unpackb(as_json) == values
    identify = E.Event(type=E.IDENTIFY, user_id="ann", traits_json=b'{"vip": true}')
    assert msgpack.unpackb(only(admit(identify))[6]) == {"vip": True}
    context = only(admit(track(context_json=b'{"locale": "de"}')))[7]
    assert msgpack.unpackb(context) == {"locale": "de"}


def test_an_event_without_a_message_id_gets_one_of_its_own() -> None:
    batch = admit(track(), track())
    first, second = (command[2] for part in batch.parts for command in part.commands)
    assert first != second
    assert len(first) == 32


@pytest.mark.parametrize(
    ("fields", "happened_ms"),
    [
        ({}, NOW_MS),
        ({"timestamp": at(NOW_MS - 5_000)}, NOW_MS - 5_000),
        ({"original_timestamp": at(NOW_MS - 5_000)}, NOW_MS - 5_000),
        # A client's clock that is an hour slow, or fast: only the time between counts.
        (
            {"original_timestamp": at(NOW_MS - 3_605_000), "sent_at": at(NOW_MS - 3_600_000)},
            NOW_MS - 5_000,
        ),
        (
            {"timestamp": at(NOW_MS + 90 * DAY_MS), "sent_at": at(NOW_MS + 91 * DAY_MS)},
            NOW_MS - DAY_MS,
        ),
        # Corrected already.
        (
            {
                "timestamp": at(NOW_MS - 7_000),
                "original_timestamp": at(NOW_MS - 9_000),
                "sent_at": at(NOW_MS - 1_000),
            },
            NOW_MS - 7_000,
        ),
        # Nothing is received before it happened.
        ({"timestamp": at(NOW_MS + 5_000)}, NOW_MS),
        ({"timestamp": at(NOW_MS + 5_000), "sent_at": at(NOW_MS)}, NOW_MS),
        # A correction that would lead before 1970.
        ({"timestamp": at(0), "sent_at": at(NOW_MS + DAY_MS)}, 0),
    ],
)
def test_the_clients_clock_is_taken_out(fields: dict[str, Any], happened_ms: int) -> None:
    assert only(admit(track(**fields)))[5] == happened_ms


def test_the_sent_at_of_a_batch_holds_for_events_that_have_none() -> None:
    slow = track(timestamp=at(NOW_MS - 65_000))
    own = track(timestamp=at(NOW_MS - 65_000), sent_at=at(NOW_MS - 64_000))
    assert only(admit(slow, sent_at=at(NOW_MS - 60_000)))[5] == NOW_MS - 5_000
    assert only(admit(own, sent_at=at(NOW_MS - 60_000)))[5] == NOW_MS - 1_000


def test_events_drive_an_event_time_clock() -> None:
    old = track(timestamp=at(NOW_MS - 900 * DAY_MS), sent_at=at(NOW_MS - 899 * DAY_MS))
    ahead = track(timestamp=at(NOW_MS + DAY_MS))
    assert only(admit(old, event_time=True))[5] == NOW_MS - 900 * DAY_MS
    assert only(admit(ahead, event_time=True))[5] == NOW_MS + DAY_MS
    for poison in (track(), track(timestamp=at(NOW_MS + DAY_MS + 1), sent_at=at(NOW_MS))):
        (rejected,) = admit(poison, event_time=True).rejected
        assert (rejected.reason, rejected.field) == (Reason.BAD_TIMESTAMP, "timestamp")


def deep(levels: int) -> bytes:
    return msgpack.packb({"a": deep_list(levels - 1)})


def deep_list(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


BAD = [
    ({"type": E.EVENT_TYPE_UNSPECIFIED}, Reason.INVALID_ARGUMENT, "type"),
    ({"type": 77}, Reason.INVALID_ARGUMENT, "type"),
    ({"user_id": ""}, Reason.MISSING_USER, "user_id"),
    ({"type": E.ALIAS, "user_id": "", "anonymous_id": "a"}, Reason.MISSING_USER, "user_id"),
    ({"user_id": "x" * 501}, Reason.TOO_LONG, "user_id"),
    ({"user_id": "a\x00b"}, Reason.BAD_KEY, "user_id"),
    ({"user_id": "a\x85"}, Reason.BAD_KEY, "user_id"),
    ({"user_id": "", "anonymous_id": "a\nb"}, Reason.BAD_KEY, "anonymous_id"),
    ({"user_id": "", "anonymous_id": "x" * 501}, Reason.TOO_LONG, "anonymous_id"),
    ({"event": ""}, Reason.MISSING_NAME, "event"),
    ({"event": "x" * 201}, Reason.TOO_LONG, "event"),
    ({"event": "a\tb"}, Reason.BAD_KEY, "event"),
    ({"type": E.GROUP}, Reason.MISSING_NAME, "group_id"),
    ({"type": E.GROUP, "group_id": "x" * 501}, Reason.TOO_LONG, "group_id"),
    ({"type": E.ALIAS}, Reason.MISSING_NAME, "previous_id"),
    ({"type": E.PAGE, "name": "x" * 201}, Reason.TOO_LONG, "name"),
    ({"message_id": "x" * 101}, Reason.TOO_LONG, "message_id"),
    ({"message_id": "\x7f"}, Reason.BAD_KEY, "message_id"),
    ({"timestamp": at(-1_000)}, Reason.BAD_TIMESTAMP, "timestamp"),
    ({"timestamp": at(NOW_MS + DAY_MS + 1)}, Reason.BAD_TIMESTAMP, "timestamp"),
    ({"timestamp": Timestamp(seconds=1, nanos=-1)}, Reason.BAD_TIMESTAMP, "timestamp"),
    ({"timestamp": Timestamp(seconds=2**60)}, Reason.BAD_TIMESTAMP, "timestamp"),
    (
        {"original_timestamp": Timestamp(nanos=2_000_000_000)},
        Reason.BAD_TIMESTAMP,
        "original_timestamp",
    ),
    ({"timestamp": at(1), "sent_at": Timestamp(seconds=-1)}, Reason.BAD_TIMESTAMP, "sent_at"),
    ({"traits_json": b"{}"}, Reason.BAD_PROPERTIES, "traits_json"),
    ({"type": E.IDENTIFY, "properties_json": b"{}"}, Reason.BAD_PROPERTIES, "properties_json"),
    (
        {"type": E.ALIAS, "previous_id": "a", "traits_json": b"{}"},
        Reason.BAD_PROPERTIES,
        "traits_json",
    ),
]
BAD_MAPS = [
    (b"", Reason.BAD_PROPERTIES),
    (b"\xc1", Reason.BAD_PROPERTIES),
    (msgpack.packb({"a": 1}) + b"\x00", Reason.BAD_PROPERTIES),
    (msgpack.packb({"a": 1})[:-1], Reason.BAD_PROPERTIES),
    (msgpack.packb([1]), Reason.BAD_PROPERTIES),
    (msgpack.packb(None), Reason.BAD_PROPERTIES),
    (msgpack.packb({1: 2}), Reason.BAD_PROPERTIES),
    (msgpack.packb({b"a": 2}), Reason.BAD_PROPERTIES),
    (msgpack.packb({"a": {b"b": 1}}), Reason.BAD_PROPERTIES),
    (msgpack.packb({"a": b"bytes"}), Reason.BAD_PROPERTIES),
    (msgpack.packb({"a": [b"bytes"]}), Reason.BAD_PROPERTIES),
    (msgpack.packb({"a": msgpack.ExtType(5, b"x")}), Reason.BAD_PROPERTIES),
    (msgpack.packb({"a": msgpack.Timestamp(1, 2)}), Reason.BAD_PROPERTIES),
    (b"\x81\xa1a\xa2\xff\xfe", Reason.BAD_PROPERTIES),  # not UTF-8
    (b"\x81\x90\x01", Reason.BAD_PROPERTIES),  # a list as a key
    (b"\x81\xa1a" + b"\x91" * 30_000 + b"\x01", Reason.BAD_PROPERTIES),
    (deep(17), Reason.BAD_PROPERTIES),
    (msgpack.packb({str(n): n for n in range(301)}), Reason.TOO_MANY_KEYS),
    (msgpack.packb({"a": "x" * 33_000}), Reason.TOO_LARGE),
]
BAD_JSON = [
    (b"", Reason.BAD_PROPERTIES),
    (b"{", Reason.BAD_PROPERTIES),
    (b"[]", Reason.BAD_PROPERTIES),
    (b"null", Reason.BAD_PROPERTIES),
    (b'{"a": NaN}', Reason.BAD_PROPERTIES),
    (b'{"a": 1} x', Reason.BAD_PROPERTIES),
    (b'{"a": "\xff"}', Reason.BAD_PROPERTIES),
    (b'{"a": "\\ud800"}', Reason.BAD_PROPERTIES),
    (b'{"a": 123456789012345678901234567890}', Reason.BAD_PROPERTIES),
    (b'{"a":' + b"[" * 15_000 + b"]" * 15_000 + b"}", Reason.BAD_PROPERTIES),
    (json.dumps({"a": deep_list(16)}).encode(), Reason.BAD_PROPERTIES),
    (json.dumps({str(n): n for n in range(301)}).encode(), Reason.TOO_MANY_KEYS),
    (b'{"a": "' + b"x" * 33_000 + b'"}', Reason.TOO_LARGE),
    (b'{"a": [' + b"0.5," * 8_000 + b"1]}", Reason.TOO_LARGE),  # as msgpack
]


@pytest.mark.parametrize(("fields", "reason", "field"), BAD)
def test_a_bad_field_is_named_with_its_reason(
    fields: dict[str, Any], reason: Reason, field: str
) -> None:
    assert_refused(track(**fields), reason, field)


@pytest.mark.parametrize(("raw", "reason"), BAD_MAPS)
def test_a_bad_msgpack_map_is_refused(raw: bytes, reason: Reason) -> None:
    assert_refused(track(properties_msgpack=raw), reason, "properties_msgpack")
    assert_refused(track(context_msgpack=raw), reason, "context_msgpack")


@pytest.mark.parametrize(("raw", "reason"), BAD_JSON)
def test_a_bad_json_object_is_refused(raw: bytes, reason: Reason) -> None:
    assert_refused(track(properties_json=raw), reason, "properties_json")
    assert_refused(track(context_json=raw), reason, "context_json")


def assert_refused(event: E.Event, reason: Reason, field: str) -> None:
    """The event is refused, and the good ones around it are not."""
    batch = admit(track(message_id="before"), event, track(message_id="after"))
    (rejected,) = batch.rejected
    assert (rejected.position, rejected.reason, rejected.field) == (1, reason, field)
    assert rejected.message
    assert batch.outcomes == bytes([0, reason, 0])
    assert [command[2] for part in batch.parts for command in part.commands] == ["before", "after"]


def test_the_limits_themselves_are_within() -> None:
    widest = {str(n): n for n in range(limits.PROPERTY_KEYS)}
    assert only(admit(track(properties_msgpack=msgpack.packb(widest))))
    assert only(admit(track(properties_msgpack=deep(limits.PROPERTY_DEPTH))))
    assert only(admit(track(message_id="x" * limits.MESSAGE_ID_CHARS)))
    assert only(admit(track(event="x" * limits.NAME_CHARS)))
    assert only(admit(track(timestamp=at(NOW_MS + DAY_MS))))[5] == NOW_MS


def test_properties_and_context_together_may_not_be_larger_than_an_event() -> None:
    half = msgpack.packb({"a": "x" * 17_000})
    (rejected,) = admit(track(properties_msgpack=half, context_msgpack=half)).rejected
    assert rejected.reason is Reason.TOO_LARGE


def test_a_batch_whose_sent_at_is_no_time_is_refused_as_a_whole() -> None:
    with pytest.raises(Refused) as refused:
        admit(track(), sent_at=Timestamp(seconds=-5))
    assert refused.value.reason is Reason.BAD_TIMESTAMP

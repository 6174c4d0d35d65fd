"""What the columns of a recorded file become: events, their times, ids and order."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
from pydantic import ValidationError

from engine import limits
from gateway.cli.errors import CliError, from_exception
from gateway.cli.history.events import Reader, Recorded
from gateway.cli.history.mapping import Mapping, read_mapping, read_names
from gateway.cli.history.rows import Recording
from gateway.cli.history.times import detect_unit, read_any, reader
from gateway.pb.denrei.v1 import events_pb2

ROOT = Path(__file__).parents[2]
TAOBAO = ROOT / "examples/cart-abandonment/taobao/taobao.mapping.yaml"


def _file(tmp_path: Path, text: str, name: str = "events.csv") -> Path:
    path = tmp_path / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def _events(path: Path, mapping: Mapping, late: bool = False) -> list[Recorded]:
    recording = Recording(path, mapping.format or "", mapping.header, mapping.delimiter)
    return list(Reader(recording, mapping).events(late))


def _map(*pairs: str, **overrides: Any) -> Mapping:
    return read_mapping(None, pairs, overrides)


def _properties(recorded: Recorded) -> dict[str, Any]:
    unpacked: dict[str, Any] = msgpack.unpackb(recorded.event.properties_msgpack)
    return unpacked


@pytest.mark.parametrize(
    ("text", "unit", "ms"),
    [
        ("1511658000", "s", 1_511_658_000_000),
        ("1511658000.25", "s", 1_511_658_000_250),
        ("1511658000250", "ms", 1_511_658_000_250),
        ("19970101", "date", 852_076_800_000),
        ("1997-01-01", "iso", 852_076_800_000),
        ("2019-10-01 00:00:01 UTC", "iso", 1_569_888_001_000),
        ("2019-10-01T02:00:01+02:00", "iso", 1_569_888_001_000),
        ("2019-10-01T00:00:01.5Z", "iso", 1_569_888_001_500),
    ],
)
def test_the_first_time_tells_the_unit(text: str, unit: str, ms: int) -> None:
    assert detect_unit(text) == unit
    assert read_any(text) == ms


def test_times_without_a_zone_are_in_the_one_that_is_named() -> None:
    assert reader("iso", "Asia/Shanghai")("2017-11-26 09:00:00") == 1_511_658_000_000
    assert reader("date", "Asia/Shanghai")("20171126") == 1_511_625_600_000


def test_a_column_of_seconds_stays_one_when_a_value_looks_like_a_date(tmp_path: Path) -> None:
    path = _file(tmp_path, "u,at\na,1900000\nb,20000101\n")
    events = _events(path, _map("user_id=u,timestamp=at", event_is="X"))
    assert [one.ms for one in events] == [1_900_000_000, 20_000_101_000]


def test_taobao_rows_become_events_of_the_segment_spec(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "user_id,item_id,category_id,behavior,timestamp\n"
        "543462,1715,1464116,pv,1511658000\n"
        "543462,1715,1464116,cart,1511658007\n"
        "662867,22,7,buy,1511658007\n",
        "taobao.csv.gz",
    )
    events = _events(path, read_mapping(TAOBAO, (), {}))
    assert [one.event.event for one in events if one.event.event] == [
        "Product Viewed", "Product Added", "Order Completed",
    ]  # fmt: skip
    first, viewed, _, second, _ = events
    assert first.event.type == events_pb2.IDENTIFY
    assert msgpack.unpackb(first.event.traits_msgpack) == {"push_token": "taobao-543462"}
    assert second.event.user_id == "662867", "each user is identified once, before the first event"
    assert _properties(viewed) == {"item_id": 1715, "category_id": 1464116}
    assert viewed.event.timestamp.seconds == 1_511_658_000


def test_a_file_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    path = _file(tmp_path, "ann,buy,1511658000,9.50\n")
    mapping = _map("user_id=0,event=1,timestamp=2,price=3:number", header=False,
                   names=read_names(["buy=Order Completed"]))  # fmt: skip
    (only,) = _events(path, mapping)
    assert (only.event.user_id, only.event.event) == ("ann", "Order Completed")
    assert _properties(only) == {"price": 9.5}


def test_columns_that_nothing_names_are_properties_of_the_type_they_look_like(
    tmp_path: Path,
) -> None:
    path = _file(tmp_path, "u,at,n,x,zip,code,none\na,1511658000,3,2.50,01234,1e5,\n")
    (only,) = _events(path, _map("user_id=u,timestamp=at", event_is="X"))
    assert _properties(only) == {"n": 3, "x": 2.5, "zip": "01234", "code": "1e5"}


def test_ids_are_the_same_every_time_and_never_too_long(tmp_path: Path) -> None:
    text = "u,at\na,1511658000\nb,1511658001\n"
    mapping = _map("user_id=u,timestamp=at", event_is="X")
    path = _file(tmp_path, text)
    ids = [one.event.message_id for one in _events(path, mapping)]
    assert ids == ["events.csv:2", "events.csv:3"]
    assert ids == [one.event.message_id for one in _events(path, mapping)]
    long = [_file(tmp_path, text, "x" * 200 + name + ".csv") for name in "ab"]
    made = {one.event.message_id for path in long for one in _events(path, mapping)}
    assert len(made) == 4, "also of two files whose names differ at the end only"
    assert max(map(len, made)) + len(":identify") <= limits.MESSAGE_ID_CHARS


def test_own_ids_of_the_file_are_kept(tmp_path: Path) -> None:
    path = _file(tmp_path, "id,u,at\ne-1,a,1511658000\n")
    (only,) = _events(path, _map("user_id=u,timestamp=at,message_id=id", event_is="X"))
    assert only.event.message_id == "e-1"


UNSORTED = "u,at\na,1511658005\nb,1511658000\nc,1511658005\n"


def test_a_file_that_is_not_in_order_is_refused_with_the_line(tmp_path: Path) -> None:
    path = _file(tmp_path, UNSORTED)
    with pytest.raises(CliError, match=r"line 3 is earlier than line 2") as caught:
        _events(path, _map("user_id=u,timestamp=at", event_is="X"))
    assert "--sort" in caught.value.hint
    assert caught.value.code == 5


def test_sorting_keeps_the_file_s_order_among_equal_times(tmp_path: Path) -> None:
    path = _file(tmp_path, UNSORTED)
    events = _events(path, _map("user_id=u,timestamp=at", event_is="X", sort=True))
    assert [one.event.user_id for one in events] == ["b", "a", "c"]
    assert [one.event.message_id[-1] for one in events] == ["3", "2", "4"], "ids stay the line's"


def test_late_events_are_sent_as_they_come_if_asked_for(tmp_path: Path) -> None:
    path = _file(tmp_path, UNSORTED)
    events = _events(path, _map("user_id=u,timestamp=at", event_is="X"), late=True)
    assert [one.event.user_id for one in events] == ["a", "b", "c"]


def test_rows_that_the_mapping_does_not_name_can_be_left_out(tmp_path: Path) -> None:
    path = _file(tmp_path, "u,at,b\na,1511658000,pv\na,1511658000,buy\n")
    fields = {
        "user_id": "u", "timestamp": "at",
        "event": {"column": "b", "names": {"buy": "Order Completed"}, "only_named": True},
    }  # fmt: skip
    read = Reader(Recording(path), Mapping.model_validate(fields))
    assert [one.event.event for one in read.events()] == ["Order Completed"]
    assert read.skipped == 1


def test_json_lines_are_events_of_the_segment_spec_without_any_mapping(tmp_path: Path) -> None:
    lines = [
        {"type": "identify", "userId": "ann", "traits": {"age": 7}, "timestamp": "2026-01-01"},
        {"type": "track", "userId": "ann", "event": "X", "properties": {"n": [1]},
         "timestamp": "2026-01-01T00:00:01Z", "messageId": "m-1", "context": {"locale": "de"}},
        {"type": "page", "anonymousId": "v1", "name": "Home", "timestamp": "2026-01-02"},
    ]  # fmt: skip
    path = _file(tmp_path, "\n".join(map(json.dumps, lines)) + "\n\n", "events.jsonl")
    told, track, page = _events(path, Mapping())
    assert msgpack.unpackb(told.event.traits_msgpack) == {"age": 7}
    assert (track.event.message_id, _properties(track)) == ("m-1", {"n": [1]})
    assert msgpack.unpackb(track.event.context_msgpack) == {"locale": "de"}
    assert (page.event.type, page.event.anonymous_id) == (events_pb2.PAGE, "v1")


@pytest.mark.parametrize(
    ("text", "name", "pairs", "words"),
    [
        ("u,at\na,1\n", "e.csv", "user_id=user,timestamp=at", "no column 'user' (for user_id)"),
        ("u,at\na,1\n", "e.csv", "user_id=u", "does not say where an event's timestamp"),
        ("u,at\na,1\n", "e.csv", "timestamp=at", "does not say whose events"),
        ("u,at\na,1,2\n", "e.csv", "user_id=u,timestamp=at", "line 2 has 3 fields, not 2"),
        ("u,u\na,1\n", "e.csv", "user_id=u,timestamp=u", "the header names 'u' twice"),
        ("u,at\na,soon\n", "e.csv", "user_id=u,timestamp=at", "line 2 has no time in 'at': 'soon'"),
        ("u,at\na,1\nb,x\n", "e.csv", "user_id=u,timestamp=at", "line 3 has no time in 'at'"),
        ("u,at,n\na,1,x\n", "e.csv", "user_id=u,timestamp=at,n=n:int", "line 2 n: invalid literal"),
        ("u,at,n\na,1,x\n", "e.csv", "user_id=u,timestamp=at,n=n:bool", "neither true nor false"),
        ('{"u": 1}\n[]\n', "e.jsonl", "user_id=u,timestamp=u", "line 2 is not a JSON object"),
        ('{"u": 1}\n{\n', "e.jsonl", "user_id=u,timestamp=u", "line 2 is not JSON"),
        ("u,at\na,1\n", "e.log", "user_id=u,timestamp=at", "the name does not tell the format"),
    ],
)
def test_a_wrong_file_or_mapping_is_told_in_words(
    tmp_path: Path, text: str, name: str, pairs: str, words: str
) -> None:
    path = _file(tmp_path, text, name)
    with pytest.raises(CliError) as caught:
        _events(path, _map(pairs, event_is="X"))
    assert words in caught.value.what


def test_a_damaged_file_is_told_in_words(tmp_path: Path) -> None:
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"u,at\n" + b"a,1511658000\n" * 10_000)[:40])
    latin = tmp_path / "latin.csv"
    latin.write_bytes("u,at\nJos\xe9,1\n".encode("latin-1"))
    mapping = _map("user_id=u,timestamp=at", event_is="X")
    for path, words in ((cut, "can't be read"), (latin, "not a text in UTF-8")):
        with pytest.raises(CliError, match=words):
            _events(path, mapping)
    with pytest.raises(CliError, match="there is no file"):
        _events(tmp_path / "gone.csv", mapping)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (("user_id",), "is not of the form FIELD=COLUMN"),
        (("user_id=",), "is not of the form FIELD=COLUMN"),
    ],
)
def test_a_pair_that_is_none_is_told_in_words(pairs: tuple[str, ...], words: str) -> None:
    with pytest.raises(CliError, match=words) as caught:
        _map(*pairs)
    assert caught.value.code == 2
    with pytest.raises(CliError, match="VALUE=NAME"):
        read_names(["buy"])


def test_a_mapping_file_is_checked_field_by_field(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("user: 0\ntimestamp: {column: at, zone: Mars/Base}\nevent: {}\n")
    with pytest.raises(ValidationError) as caught:
        read_mapping(path, (), {})
    told = from_exception(caught.value)
    assert told is not None
    assert "user: Extra inputs are not permitted" in told.what
    assert "timestamp: there is no time zone 'Mars/Base'" in told.what
    assert "event: give either 'column' or 'is'" in told.what
    assert told.code == 2


def test_options_win_over_a_mapping_file() -> None:
    mapping = read_mapping(TAOBAO, ["user_id=who"], {"time_unit": "ms", "event_is": "X"})
    assert mapping.user_id == "who"
    assert mapping.timestamp is not None
    assert (mapping.timestamp.column, mapping.timestamp.unit) == ("timestamp", "ms")
    assert mapping.event is not None
    assert mapping.event.is_ == "X"


def test_the_mappings_of_the_examples_fit_their_files() -> None:
    mapping = read_mapping(ROOT / "examples/cdnow/cdnow.mapping.yaml", (), {})
    events = _events(ROOT / "examples/cdnow/cdnow.csv.gz", mapping)
    assert len([one for one in events if one.event.event]) == 69_659
    assert len([one for one in events if not one.event.event]) == 23_570
    assert events[0].ms == 852_076_800_000
    assert [one.ms for one in events] == sorted(one.ms for one in events)

"""Messages and other packed values as one run of bytes: nothing is lost, nothing is mistaken."""

import random

import msgpack
import pytest
from journey_helpers import SMS_LANE, Town
from msgspec import Raw

from engine import activation, commands, limits
from engine.entity import FORMAT, Entity
from engine.journeys.instance import Instance
from engine.messages.message import _FIELDS, Message, Messages, SendRequest, new_message
from engine.messages.states import OUTCOMES
from engine.packing import PackedRun, inside, pack, unpack
from engine.reasons import Reason

NOW = 1_700_000_000_000


def id_of(number: int) -> str:
    return f"{number:032x}"


def message(number: int, body: str = "hi", why: str = "") -> Message:
    request = SendRequest("sms", "", "marketing", body)
    return new_message(id_of(number), request, "+12025550123", "main", NOW, Reason.QUEUED, why)


def test_a_run_is_the_inside_of_a_packed_array() -> None:
    for number in (0, 1, 15, 16, 300):
        values = [bytes(length) for length in (0, 255, 256, 70_000)] * (number // 4 + 1)
        run = PackedRun(Raw(pack(values[:number])))
        assert run == inside(values[:number])
        assert pack(["before", run.array(), "after"]) == msgpack.packb(
            ["before", values[:number], "after"]
        )
        assert run.values() == values[:number]
        again = PackedRun(run.array())
        assert (again, again.number) == (run, number)


def test_a_dropped_value_leaves_the_others() -> None:
    run = PackedRun(Raw(pack([b"x" * length for length in (3, 300, 70_000, 5)])))
    run.drop(list(run.starts())[1])
    run.drop(0)
    assert [len(value) for value in run.values()] == [70_000, 5]
    assert run.number == 2


@pytest.mark.parametrize("seed", range(20))
def test_a_message_is_found_changed_and_put_back_whatever_the_texts_say(seed: int) -> None:
    rng = random.Random(seed)
    ids = [id_of(n) for n in range(8)]
    texts = [
        "",
        *ids,
        *(f"\x00\x12\u0120{one}" for one in ids),
        "ƀx",
        "ż",
        "\x00" * 300,
        "語" * 30_000,
    ]
    kept = Messages()
    expected: dict[str, Message] = {}
    for number in range(8):
        one = message(number, rng.choice(texts), rng.choice(texts))
        one.provider_id = rng.choice(ids)
        one.others = tuple((rng.choice(ids), rng.choice(["", *ids])) for _ in range(number % 3))
        one.wanted, one.instead = rng.choice([0, 101, 115]), rng.choice(["", *ids])
        one.created_ms = rng.choice([NOW, NOW & ~0xFFFFFFFF | 0x00DC0012, NOW & ~0xFF | 0xDC])
        kept.keep(one, ())
        expected[one.id] = one
    for _ in range(30):
        one = expected[rng.choice(ids)]
        place = kept.where(one.id)
        assert pack(kept.at(place)) == pack(one)
        at_ms = rng.choice([NOW, NOW & ~0xFFFF | 0xDC00, NOW & ~0xFFFFFF | 0xDC0012])
        one.record(rng.choice(sorted(OUTCOMES)), at_ms, rng.choice(texts), rng.choice(texts))
        kept.put(place, one)
        assert list(map(pack, kept.every())) == list(map(pack, expected.values()))
    assert kept.where(id_of(99)) == -1
    assert kept.get(id_of(99)) is None


@pytest.mark.parametrize("seed", range(10))
def test_when_messages_are_packed_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    late, early = Messages(), Messages()
    numbers: list[int] = []
    for step in range(120):
        if not numbers or rng.random() < 0.6:
            numbers.append(len(numbers))
            waiting = {id_of(number) for number in numbers if number % 3 == 0}
            for kept in (late, early):
                kept.keep(message(numbers[-1]), waiting)
        else:
            id_, why = id_of(rng.choice(numbers)), f"told in step {step}"
            for kept in (late, early):
                if (one := kept.get(id_)) is not None:
                    one.record(Reason.SENT, NOW + step, "", why)
                    one.remark(Reason.EXPIRED, NOW + step, "", why)
                    kept.give_back(one)
        early.settle()
        assert late.number == early.number
        assert bool(late)
        assert bool(early)
        if rng.random() < 0.1:
            assert pack(late.array()) == pack(early.array())
    assert pack(late.array()) == pack(early.array())


def test_what_is_changed_and_not_put_back_was_not_changed() -> None:
    kept = Messages()
    one = message(1)
    one.facts = {"ip": "192.0.2.1"}
    kept.keep(one, ())
    for settled in (False, True):
        if settled:
            kept.settle()
        copy = kept.get(id_of(1))
        assert copy is not None
        assert copy.facts is not None
        copy.record(Reason.SENT, NOW)
        copy.facts.clear()
        copy.carrier = "sandbox"
        again = kept.get(id_of(1))
        assert again is not None
        assert (again.status, again.carrier) == (Reason.QUEUED, "")
        assert (len(again.history), again.facts) == (1, {"ip": "192.0.2.1"})


def test_a_part_of_an_id_finds_nothing() -> None:
    kept = Messages()
    kept.keep(message(7), ())
    for part in ("", id_of(7)[:31], id_of(7) + "\xac", "é" * 32):
        assert kept.get(part) is None


def test_no_outcome_reads_like_the_number_of_a_messages_fields() -> None:
    assert min(OUTCOMES) >= _FIELDS > len(Message.__struct_fields__) >= 16


def test_past_the_limit_the_oldest_message_that_does_not_wait_goes() -> None:
    kept = Messages()
    waiting = {id_of(0), id_of(2)}
    for number in range(limits.MESSAGES + 2):
        kept.keep(message(number), waiting)
    ids = [one.id for one in kept.every()]
    assert ids[:3] == [id_of(0), id_of(2), id_of(4)]
    assert (len(ids), kept.number) == (limits.MESSAGES, limits.MESSAGES)


def test_what_waits_is_never_dropped() -> None:
    kept = Messages()
    waiting = {id_of(number) for number in range(100)}
    for number in range(limits.MESSAGES + 2):
        kept.keep(message(number), waiting)
    assert kept.number == limits.MESSAGES + 2


def test_a_row_reads_back_as_it_was_written() -> None:
    entity = filled()
    row = entity.pack()
    again = Entity.unpack(entity.key, 7, row)
    assert again.pack() == row
    assert list(again.messages) == [id_of(1), id_of(2)]
    assert again.trail_lines() == [[NOW, "journey", "cart", "entered"]]
    assert [one.id for one in again.ended_instances()] == ["i1"]
    assert again.instances["i2"].pin == ("cart", 3)
    assert again.due_ms == NOW + 5


def test_a_row_of_the_first_format_is_read() -> None:
    entity = filled()
    values = unpack(entity.pack())
    old = values[:16]
    old[0] = 1
    again = Entity.unpack(entity.key, 7, msgpack.packb(old))
    assert (again.pack(), again.state) == (entity.pack(), {})


def test_a_row_of_a_later_format_is_refused_in_words() -> None:
    values = unpack(filled().pack())
    values[0] = FORMAT + 1
    with pytest.raises(ValueError, match=rf"format {FORMAT + 1}, this release reads {FORMAT}"):
        Entity.unpack("w/user/ann", 7, pack(values))


def test_a_bug_between_an_effect_and_its_message_keeps_no_shard_from_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def buggy(*_: object) -> Message:
        raise ZeroDivisionError

    town = Town(SMS_LANE)
    spec = pack({"channel": "sms", "to": "+12025550123", "body": "hi"})
    town.apply(commands.send("w/user/ben", "r1", spec))
    monkeypatch.setattr(activation, "new_message", buggy)
    town.apply(commands.send("w/user/ann", "r1", spec))
    assert town.person("ann").error
    assert town.person("ann").outbox
    assert [offer[1] for offer in town.shard.unsettled([]).sends] == ["w/user/ben"]


def filled() -> Entity:
    """An entity with something of everything but `state`."""
    entity = Entity("w/user/ann", NOW)
    entity.traits = {"phone": "+12025550123", "nested": {"a": [1, None, b"x"]}}
    entity.seen.add("e1", NOW)
    entity.windows = {"Viewed": [NOW]}
    entity.segments = {"vip": NOW}
    entity.note(NOW, "journey", "cart", "entered")
    for number in (1, 2):
        entity.kept.keep(message(number), entity.outbox)
    entity.outbox = {id_of(2): None, "f1": (3, b"command")}
    ended = Instance.begin("i1", "cart", 3, "", NOW, b"\x80")
    ended.end(NOW, "completed", "done")
    entity.keep_ended(ended)
    entity.instances = {"i2": Instance.begin("i2", "cart", 3, "key", NOW, b"\x80")}
    entity.timers = {"j:i2": NOW + 5}
    entity.due_ms = NOW + 5
    return entity

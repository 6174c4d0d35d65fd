"""A tick that comes late changes nothing, whatever happened and whatever was defined meanwhile.

One shard is ticked at every moment at which something is due, the other only by what comes in. Both
must hold the same of everybody, to the byte: each timer fires at its own moment, and whoever new
definitions have not reached yet comes in line with them before the first timer that fires under
them. A third shard takes what comes in as one entry of a replay in which events drive the clock.
"""

from functools import cache

import hypothesis.strategies as st
import msgpack
from hypothesis import given

from engine import commands, definitions
from engine.commands import Command
from engine.program import EMPTY, advance
from engine.shard import Shard

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
FIRST = """
segment: recent
when: {event: A, within: 2h}
---
segment: quiet
when: [{event: A}, {not: {segment: recent}}]
---
journey: back
again: {after: 1h}
entry: {segment: recent, on: left}
exit: [{when: {event: B, at_least: 2, within: 3h}}]
steps:
  wait: {hold: 90m, on: [{event: B, reset: true}], timeout: mark}
  mark: {update: {add: {marks: 1}}, then: rest}
  rest: {delay: 45m}
"""
LATER = (
    "segment: recent\nwhen: {event: A, within: 1h}",
    "segment: twice\nwhen: {event: B, at_least: 2, within: 90m}",
    "segment: marked\nwhen: {trait: marks, at_least: 1, for: 2h}",
    """
journey: next
entry: {segment: quiet}
steps: {a: {delay: 30m, then: b}, b: {update: {add: {next: 1}}}}
""",
)

gaps = st.one_of(st.sampled_from([0, 1, HOUR_MS, 2 * HOUR_MS]), st.integers(0, 4 * HOUR_MS))
happenings = st.lists(
    st.tuples(gaps, st.sampled_from(["A", "B", *range(len(LATER))]), st.sampled_from("xy")),
    max_size=15,
)


@cache
def wire(text: str) -> bytes:
    return definitions.to_wire(definitions.parse(text))


def told(items: list[tuple[int, str | int, str]]) -> list[tuple[int, Command]]:
    """What comes in, each with its time; definitions only where they change something."""
    found: list[tuple[int, Command]] = []
    now, version, defined = START_MS, 1, set()
    for number, (gap_ms, what, who) in enumerate(items):
        now += gap_ms
        if isinstance(what, int):
            if what in defined:
                continue
            defined.add(what)
            version += 1
            found.append(
                (now, commands.install(f"i{version}", "", "w", version, wire(LATER[what])))
            )
        else:
            raw = msgpack.packb({})
            event = commands.event(f"w/user/{who}", f"m{number}", commands.TRACK, what, now, raw)
            found.append((now, event))
    return found


def payload(*chunk: Command) -> bytes:
    return commands.pack_payload([commands.pack_chunk(chunk)])


class Ticked:
    """A shard and the number of its last entry."""

    def __init__(self) -> None:
        self.shard = Shard(0, 1, lambda key: None, lambda after, limit: [])
        self.shard.install("w", 1, wire(FIRST))

    def apply(self, now_ms: int, packed: bytes = b"", mode: int = 0) -> None:
        self.shard.apply(self.shard.seq + 1, now_ms, mode, packed)

    def tick_until(self, now_ms: int) -> None:
        while (due_ms := self.shard.next_due_ms()) is not None and due_ms < now_ms:
            self.apply(due_ms)

    def people(self) -> dict[str, bytes]:
        found = self.shard.scan("", 100)
        assert not [one.error for one in found if one.error]
        return {one.key: one.pack() for one in found}


@given(happenings)
def test_a_late_tick_changes_nothing(items: list[tuple[int, str | int, str]]) -> None:
    events = told(items)
    end_ms = START_MS + 100 * HOUR_MS
    exact, late = Ticked(), Ticked()
    for now_ms, command in events:
        exact.tick_until(now_ms)
        exact.apply(now_ms, payload(command))
        late.apply(now_ms, payload(command))
    exact.tick_until(end_ms)
    for shard in (exact, late):
        shard.apply(end_ms)
    assert exact.people() == late.people()
    if all(command[0] == commands.EVENT for _, command in events):
        replayed = Ticked()
        replayed.apply(START_MS, payload(*(command for _, command in events)), mode=1)
        replayed.apply(end_ms, mode=1)
        assert replayed.people() == exact.people()


def test_the_definitions_of_this_test_are_good() -> None:
    program = EMPTY
    for text in (FIRST, *LATER):
        documents = definitions.parse(text)
        definitions.check(documents, program)
        program = advance(program, program.version + 1, definitions.from_wire(wire(text)))

"""A computed trait that is defined later has the value that it would have had from the start.

Random events happen to three people, two of whom are visitors who become a part of the third at
random moments, on a real shard whose entries are kept. At a random moment traits are defined, at
another the past is told from the entries and put in, perhaps twice, as after a crash. What was
counted before and since must then be what a reading of all events gives. In between a trait may be
deleted and defined again, or defined with other words first, with people who are looked at in time
and others who are not.
"""

from typing import Any

from hypothesis import assume, given, note, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine import commands, definitions
from engine.commands import Command
from engine.computed.retelling import New, Retelling, Version
from engine.messages import inbound
from engine.packing import pack
from engine.shard import Shard
from tests.model.test_computed_traits import (
    COMPUTES,
    HISTORIES,
    SECONDS,
    START_MS,
    Event,
    arrivals,
    define,
    meaning,
)

ANN = "w/user/ann"
PEOPLE = (ANN, "w/anonymous/a1", "w/anonymous/a2")
MOMENTS = st.integers(0, SECONDS + 1)


class Life:
    """A shard, and the entries that made it what it is."""

    def __init__(self) -> None:
        self.shard = Shard(0, 1, lambda key: None, lambda after, limit: [])
        self.entries: list[tuple[int, int, bytes]] = []
        self.versions: list[Version] = []

    def do(self, at_ms: int, *batch: Command) -> None:
        """One entry; and each forward that comes of it in one of its own."""
        payload = commands.pack_payload([commands.pack_chunk(batch)]) if batch else b""
        seq = self.shard.seq + 1
        self.entries.append((seq, at_ms, payload))
        effects = self.shard.apply(seq, at_ms, 0, payload)
        for source, forward_id, _, forward in effects.forwards:
            self.do(at_ms, forward, commands.settle(source, forward_id))

    def define(self, at_ms: int, documents: list[definitions.Document]) -> None:
        version, wire = len(self.versions) + 1, definitions.to_wire(documents)
        self.versions.append(Version(version, self.shard.seq + 1, wire))
        self.do(at_ms, commands.install(f"i{version}", "", "w", version, wire))

    def fill(self, at_ms: int) -> None:
        """Tells the past again, for all that is defined now."""
        program = self.shard.programs["w"]
        for since in sorted({trait.since for trait in program.computed.values()}):
            those = [trait for trait in program.computed.values() if trait.since == since]
            new = New(
                self.versions[since - 1],
                {t.name: program.documents["trait", t.name][-1][1] or {} for t in those},
                {t.name: t.mark for t in those},
            )
            retelling = Retelling("w", new, self.versions, (0, 1), range(1024))
            for seq, entry_ms, payload in self.entries:
                if not retelling.read(seq, entry_ms, 0, payload):
                    break
            self.do(at_ms, *retelling.found())


def happening(at: int, event: Event) -> Command:
    raw = pack(event.properties) if event.properties else b""
    happened_ms = START_MS + event.happened * 1000
    key = PEOPLE[event.whose]
    return commands.event(key, f"m{at}", commands.TRACK, event.name, happened_ms, raw)


@settings(max_examples=60, deadline=None)
@given(
    COMPUTES,
    COMPUTES,
    HISTORIES,
    st.lists(MOMENTS, min_size=3, max_size=3).map(sorted),
    st.tuples(MOMENTS, MOMENTS),
    st.sampled_from(("once", "twice", "again", "changed")),
    st.booleans(),
)
def test_filled_later_is_defined_from_the_start(
    computes: dict[str, Any],
    others: dict[str, Any],
    history: list[Event],
    moments: list[int],
    merges: tuple[int, int],
    how: str,
    look: bool,
) -> None:
    session = "session" in next(iter(next(iter(computes.values())).values()))
    if session:
        # A session of several people is the later one; and a late event looks for one that was.
        assume(not any(event.age or event.whose for event in history))
    note(f"{computes}\n{history}\n{moments} {merges} {how} {look}")
    life = Life()
    before, defined, filled = moments
    coming = arrivals(history)
    for second in range(SECONDS + 3):
        at_ms = START_MS + second * 1000
        life.do(at_ms)
        if second == before and how == "again":
            life.define(at_ms, define(computes))
            if look:
                life.do(at_ms, *map(commands.refresh, PEOPLE))
        if second == before and how == "changed":
            life.define(at_ms, define(others))
        if second == defined:
            if how == "again":
                names = [("trait", n) for n in computes] + [("segment", f"s-{n}") for n in computes]
                gone = [definitions.Document(kind, name, None) for kind, name in names]
                life.define(at_ms, gone)
                if look:
                    life.do(at_ms, commands.refresh(ANN))
            life.define(at_ms, define(computes))
        for visitor, when in zip(PEOPLE[1:], merges, strict=True):
            if second == when:
                id_ = visitor.rpartition("/")[2]
                life.do(
                    at_ms,
                    commands.event(ANN, id_, commands.IDENTIFY, "", at_ms, b"", b"", id_),
                )
        if second == filled:
            life.fill(at_ms)
            if how == "twice":
                life.fill(at_ms)
        while coming and coming[0][0] <= second:
            _, at, event = coming.pop(0)
            life.do(at_ms, happening(at, event))
        ann = life.shard.peek(ANN)
        if second < max(filled, *merges) or ann is None:
            continue
        known = [event for event in history if event.second <= second]
        for name, compute in computes.items():
            value = meaning(compute, known, second)
            assert pack(ann.traits.get(name)) == pack(value), (name, second)


SUM = {"sum": {"sum": {"event": "A", "property": "p"}}}


def bought(whose: int, price: int) -> Event:
    return Event(0, "A", {"p": price}, whose=whose)


def merge(life: Life, at_ms: int) -> None:
    life.do(at_ms, commands.event(ANN, "a1", commands.IDENTIFY, "", at_ms, b"", b"", "a1"))


def test_what_a_visitor_did_before_a_merge_and_the_definition_counts() -> None:
    life = Life()
    life.do(START_MS, happening(0, bought(1, 3)), happening(1, bought(0, 4)))
    merge(life, START_MS + 1)
    life.do(START_MS + 2, happening(2, bought(1, 5)))  # passed on
    life.define(START_MS + 3, define(SUM))
    life.fill(START_MS + 4)
    life.fill(START_MS + 5)
    ann = life.shard.peek(ANN)
    assert ann is not None
    assert ann.traits["sum"] == 12


def test_what_somebody_wrote_to_us_counts_too() -> None:
    life = Life()
    wrote = inbound.Received("m1", "sms", "main", "SM1", "+12025550123", "+1", "hi", START_MS)
    said = commands.inbound("w/address/+12025550123", inbound.CARRIER, pack(wrote), ANN)
    life.do(START_MS, said)
    life.define(START_MS + 1, define({"wrote": {"count": {"event": inbound.EVENT}}}))
    life.fill(START_MS + 2)
    life.do(START_MS + 3, (*said[:3], pack(replace(wrote, id="m2")), ""))
    life.fill(START_MS + 4)
    ann = life.shard.peek(ANN)
    assert ann is not None
    assert ann.traits["wrote"] == 2


def test_a_visitor_who_was_told_before_a_merge_is_not_told_again_after_it() -> None:
    life = Life()
    life.do(START_MS, happening(0, bought(1, 3)), happening(1, bought(0, 4)))
    life.define(START_MS + 1, define(SUM))
    life.fill(START_MS + 2)
    life.do(START_MS + 3, happening(2, bought(1, 5)))
    merge(life, START_MS + 4)
    life.fill(START_MS + 5)
    ann = life.shard.peek(ANN)
    assert ann is not None
    assert ann.traits["sum"] == 12


def test_what_was_refused_does_not_count_of_the_past_either() -> None:
    life = Life()
    life.do(START_MS, happening(0, bought(0, 3)), happening(0, bought(0, 3)))
    life.do(START_MS + 1, commands.suppress(ANN, "s", True))
    life.do(START_MS + 2, happening(1, bought(0, 4)))
    life.do(START_MS + 3, commands.suppress(ANN, "t", False))
    life.define(START_MS + 4, define(SUM))
    life.fill(START_MS + 5)
    ann = life.shard.peek(ANN)
    assert ann is not None
    assert ann.traits["sum"] == 3


def test_the_past_of_somebody_who_was_erased_since_is_not_put_in() -> None:
    life = Life()
    life.do(START_MS, happening(0, bought(0, 3)))
    life.define(START_MS + 1, define(SUM))
    entries = list(life.entries)
    life.do(START_MS + 2, commands.erase(ANN, "r", False))
    life.do(START_MS + 3, happening(1, bought(0, 4)))
    life.entries = entries  # as if they had been read before
    life.fill(START_MS + 4)
    ann = life.shard.peek(ANN)
    assert ann is not None
    assert ann.traits["sum"] == 4


def test_a_history_whose_beginning_is_gone_goes_on_with_what_is_passed_on() -> None:
    life = Life()
    life.do(START_MS, happening(0, bought(1, 3)))
    merge(life, START_MS + 1)
    kept = len(life.entries)
    life.do(START_MS + 2, happening(1, bought(1, 5)))
    life.define(START_MS + 3, define(SUM))
    life.entries = life.entries[kept:]
    passed = [e for e in life.entries if e[1] == START_MS + 2]
    assert len(passed) == 2  # as it came in, and as it was passed on
    life.entries.remove(passed[0])
    life.fill(START_MS + 4)
    ann = life.shard.peek(ANN)
    assert ann is not None
    assert ann.traits["sum"] == 5

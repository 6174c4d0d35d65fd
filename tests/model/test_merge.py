"""Profiles that become one: whatever overtakes whatever, and whoever dies when, once and in order.

Hypothesis writes what visitors and users do on three shards, and plays the network: forwards wait,
overtake each other, arrive twice, and are handed over again by shards that died and came back from
their journals. Each event carries a mark of its own. In the end each mark is there once, in the one
profile that its id belongs to; what an id said last stands last; and nobody waits for anything.

If the ids form no conflict (each visitor is one user's, no alias against another) the profiles are
also the same as if every forward had arrived at once.
"""

from collections import Counter
from typing import Any

import hypothesis.strategies as st
import msgpack
from hypothesis import example, given, settings

from engine import commands, definitions, limits
from engine.commands import Command
from engine.entity import Entity
from engine.identity.record import IDENTITY, MERGED_INTO
from engine.packing import pack
from engine.program import EMPTY
from engine.reasons import Reason
from engine.shard import Shard
from engine.slots import IDENTIFIER, shard_of, slot_of

SHARDS = 3
VISITORS = ("a1", "a2", "a3")
USERS = ("u1", "u2", "u3")
SETTLED = (Reason.ACCEPTED, Reason.DUPLICATE)
DEFINITIONS = """
identity: profiles
identifiers: [email]
---
segment: busy
when: {event: Bought, at_least: 3}
---
segment: nobody-known
when: {not: {trait: known, exists: true}}
---
lane: main
channel: sms
carrier: sandbox
prefixes: ["+"]
---
template: hello
channel: sms
body: "{{ event.n }}"
sample: {event: {n: 1}}
---
journey: hello
entry: {event: Bought, key: properties.key}
exit: [{event: Returned, same: properties.key}]
steps:
  send:
    message: {purpose: marketing, channel: sms, template: hello, to: properties.to}
    then: rest
  rest: {delay: 30d}
"""


class Network:
    """Three shards, their journals, and the forwards between them."""

    def __init__(self, at_once: bool) -> None:
        self.at_once = at_once
        self.now = 1_000_000_000_000
        self.shards = [self._empty(index) for index in range(SHARDS)]
        self.journals: list[list[tuple[int, int, int, bytes]]] = [[] for _ in range(SHARDS)]
        self.pending: list[tuple[str, str, int, Command]] = []
        self.sent: dict[str, str] = {}  # messages that a sender has, and their keys
        self.marks: dict[int, str] = {}
        self.last: dict[str, int] = {}
        documents = definitions.parse(DEFINITIONS)
        definitions.check(documents, EMPTY)
        wire = definitions.to_wire(documents)
        for index in range(SHARDS):
            self.apply(index, commands.install("i", "", "w", 1, wire))

    def _empty(self, index: int) -> Shard:
        return Shard(index, SHARDS, lambda key: None, lambda after, limit: [])

    def apply(self, index: int, *batch: Command) -> bytes:
        payload = commands.pack_payload([commands.pack_chunk(batch)]) if batch else b""
        journal = self.journals[index]
        journal.append((len(journal) + 1, self.now, 0, payload))
        effects = self.shards[index].apply(*journal[-1])
        self.pending += effects.forwards
        for offer in effects.sends:
            assert self.sent.setdefault(offer[0], offer[1]) == offer[1], "sent from two places"
        return bytes(effects.results)

    def give(self, command: Command) -> int:
        result = self.apply(shard_of(slot_of(command[1]), SHARDS), command)[0]
        if self.at_once:
            self.settle_all()
        return result

    def deliver(self, which: int, twice: bool) -> None:
        """One of the forwards that wait arrives; it waits on if it is not taken."""
        if not self.pending:
            return
        forward = self.pending.pop(which % len(self.pending))
        source, forward_id, index, command = forward
        (result,) = self.apply(index, commands.unpack_command(pack(command)))
        if result not in SETTLED or twice:
            self.pending.append(forward)
        else:
            home = shard_of(slot_of(source), SHARDS)
            self.apply(home, commands.settle(source, forward_id))

    def crash(self, index: int) -> None:
        """A shard dies and comes back from its journal: it hands over again what is unsettled."""
        before = packed(self.shards[index])
        shard = self.shards[index] = self._empty(index)
        for entry in self.journals[index]:
            shard.apply(*entry)
        assert packed(shard) == before
        self.pending = [one for one in self.pending if shard_of(slot_of(one[0]), SHARDS) != index]
        self.pending += shard.unsettled([]).forwards

    def settle_all(self) -> None:
        rounds = 0
        while self.pending:
            self.deliver(0, False)
            rounds += 1
            assert rounds < 5_000, "forwards without end"

    # --- what people do ---------------------------------------------------------------------

    def event(self, number: int, user: str, visitor: str, what: str, other: str) -> None:
        key = f"w/user/{user}" if user else f"w/anonymous/{visitor}"
        type_, name, values = commands.TRACK, "Bought", {"n": number, "key": other, "to": "+491"}
        if what == "identify":
            type_, name = commands.IDENTIFY, ""
            values = {f"t{number}": number, f"last {key}": number}
            if user:
                values["known"] = True
        elif what == "email":
            type_, name, values = commands.IDENTIFY, "", {"email": f"{other}@x.example"}
        elif what == "return":
            name = "Returned"
        elif what == "alias":
            if not user:
                return
            type_, name, values = commands.ALIAS, other, {}
        self.now += 1
        at_ms = self.now
        command = commands.event(
            key, f"m{number}", type_, name, at_ms, msgpack.packb(values) if values else b"", b"",
            visitor if user else "",
        )  # fmt: skip
        assert self.give(command) == Reason.ACCEPTED
        if what == "buy":
            self.marks[at_ms] = key
        elif what == "identify":
            self.marks[number] = key
            self.last[key] = number

    def receipt(self, which: int) -> None:
        """A sender has done with one of its messages, and tells where it was offered from."""
        if self.sent:
            id_ = sorted(self.sent)[which % len(self.sent)]
            key = self.sent[id_]
            self.give(commands.receipt(key, id_, Reason.SENT, self.now, True, "sandbox"))

    # --- what is true in the end ------------------------------------------------------------

    def entities(self) -> dict[str, Entity]:
        return {e.key: e for shard in self.shards for e in shard.scan("", 1_000)}

    def root(self, key: str) -> str:
        entities, seen = self.entities(), set()
        while MERGED_INTO in entities[key].state:
            assert key not in seen, "a circle"
            seen.add(key)
            key = entities[key].state[MERGED_INTO]
        return key

    def check(self) -> None:
        found: Counter[tuple[int, str]] = Counter()
        for key, entity in self.entities().items():
            assert not entity.error, entity.error
            record = entity.state.get(IDENTITY, {})
            if entity.kind == IDENTIFIER:
                assert entity.state["owner"] in self.entities()
            assert "parked" not in record
            assert "waiting" not in record
            assert all(forward is None for forward in entity.outbox.values())
            if MERGED_INTO in entity.state:
                left = (entity.traits, entity.windows, entity.instances, entity.timers)
                assert not any((*left, entity.segments))
                continue
            found.update((at_ms, key) for at_ms in entity.windows.get("Bought", ()))
            found.update((v, key) for t, v in entity.traits.items() if t.startswith("t"))
        assert found == {(mark, self.root(key)): 1 for mark, key in self.marks.items()}
        entities = self.entities()
        for key, number in self.last.items():
            assert entities[self.root(key)].traits[f"last {key}"] == number
        self._check_messages(entities)
        self._check_sizes(entities)

    def _check_messages(self, entities: dict[str, Entity]) -> None:
        for id_, key in self.sent.items():
            message = entities[self.root(key)].messages[id_]
            settled = id_ not in entities[key].outbox
            assert (message.status == Reason.SENT) == settled
            away = entities[self.root(key)].state.get(IDENTITY, {}).get("away", {})
            assert (id_ in away) == (not settled and key != self.root(key))

    def _check_sizes(self, entities: dict[str, Entity]) -> None:
        for shard in self.shards:
            sizes: Counter[str] = Counter()
            for entity in shard.scan("", 1_000):
                sizes.update(f"w/{name}" for name in entity.segments)
            assert shard.sizes == sizes

    def profiles(self) -> dict[str, Any]:
        """What must not depend on the order in which forwards arrive."""
        made = {}
        for key, entity in self.entities().items():
            identity = entity.state.get(IDENTITY, {})
            runs = Counter((run.journey, run.key) for run in entity.instances.values())
            made[key] = {
                "traits": entity.traits,
                "windows": entity.windows,
                "segments": sorted(entity.segments),
                "runs": runs,
                "into": self.root(key),
                "ids": {k: sorted(identity.get(k, {}).items()) for k in ("anonymous", "user")},
            }
        return made


def packed(shard: Shard) -> dict[str, bytes]:
    return {entity.key: entity.pack() for entity in shard.scan("", 1_000)}


def play(network: Network, actions: list[Any]) -> None:
    for number, (what, *args) in enumerate(actions, 1):
        if what == "event":
            network.event(number, *args)
        elif what == "receipt":
            network.receipt(*args)
        elif not network.at_once:
            (network.deliver if what == "deliver" else network.crash)(*args)
    network.settle_all()
    network.now += limits.MERGE_WAIT_MS
    for index in range(SHARDS):
        network.apply(index)
    network.settle_all()


whats = st.sampled_from(("buy", "buy", "identify", "email", "return"))
keys = st.sampled_from(("k1", "k2"))
disorder = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 20), st.booleans()),
    st.tuples(st.just("deliver"), st.integers(0, 20), st.booleans()),
    st.tuples(st.just("crash"), st.integers(0, SHARDS - 1)),
    st.tuples(st.just("receipt"), st.integers(0, 10)),
)
anyone = st.one_of(
    st.tuples(st.just("event"), st.just(""), st.sampled_from(VISITORS), whats, keys),
    st.tuples(
        st.just("event"), st.sampled_from(USERS), st.sampled_from(("", *VISITORS)), whats, keys
    ),
    st.tuples(
        st.just("event"), st.sampled_from(USERS), st.just(""), st.just("alias"),
        st.sampled_from((*USERS, *VISITORS)),
    ),
    disorder,
)  # fmt: skip
# Each visitor is one user's, and aliases go one way: a1, a2 and u1 and u2 end in u2; a3 in u3.
VISITOR_OF = {"u1": ("", "a1"), "u2": ("", "a2"), "u3": ("", "a3")}
# No returns: until a merge is under way, what is sent to two ids comes in no order, and whether a
# purchase ends by a return depends on it.
orderless = st.sampled_from(("buy", "buy", "identify"))
agreeing = st.one_of(
    st.tuples(st.just("event"), st.just(""), st.sampled_from(VISITORS), orderless, keys),
    st.sampled_from(USERS).flatmap(
        lambda user: st.tuples(
            st.just("event"), st.just(user), st.sampled_from(VISITOR_OF[user]), orderless, keys
        )
    ),
    st.just(("event", "u2", "", "alias", "u1")),
    disorder,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(anyone, max_size=40))
@example(
    [
        ("event", "u2", "", "alias", "u1"), ("event", "u1", "", "alias", "u2"),
        ("event", "u1", "a1", "identify", "k1"), ("event", "", "a1", "buy", "k1"),
    ]
)  # fmt: skip
@example(  # u2 has taken u1 in, and only then hears that u1 asks for it
    [
        ("event", "u1", "", "alias", "u2"), ("event", "u1", "", "alias", "u3"),
        ("event", "u2", "", "alias", "u1"), ("event", "u3", "", "alias", "u1"),
        ("deliver", 5, False), ("deliver", 8, False), ("deliver", 7, False),
    ]
)  # fmt: skip
@example(
    [
        ("event", "u1", "", "alias", "u1"), ("event", "u1", "", "alias", "u2"),
        ("event", "u1", "", "alias", "u3"), ("event", "u2", "", "alias", "u1"),
        ("event", "u3", "", "alias", "u1"), ("deliver", 6, False), ("deliver", 8, False),
    ]
)  # fmt: skip
def test_everything_arrives_once_and_in_order(actions: list[Any]) -> None:
    network = Network(at_once=False)
    play(network, actions)
    network.check()


@settings(max_examples=150, deadline=None)
@given(st.lists(agreeing, max_size=40))
def test_the_order_of_forwards_changes_nothing(actions: list[Any]) -> None:
    """Neither traits nor times, nor segments, nor runs, nor which ids are known."""
    network = Network(at_once=False)
    play(network, actions)
    network.check()
    calm = Network(at_once=True)
    play(calm, actions)
    calm.check()
    assert network.profiles() == calm.profiles()

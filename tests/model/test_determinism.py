"""Law 2: a shard's state is a function of its journal.

Hypothesis writes journals: events of a few users in any order and at any distance, messages by the
API, receipts, definitions that come, change and go, people whose data meets a bug and who are let
out of quarantine, checkpoints (also such as are under way while entries are applied) and crashes
at any moment. So few entities stay in memory that those that are clean are dropped and loaded
again. Whatever it comes up with, a recovery (rows of different ages and the journal's tail) and a
replay from empty give the same bytes, the same effects and the same ids.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import hypothesis.strategies as st
import msgpack
import pytest
from hypothesis import given, note, settings

from engine import commands, definitions
from engine.conditions import registry
from engine.conditions.registry import NO_PROPERTIES, Compiled, ConditionModel, Facts, Verdict
from engine.program import EMPTY
from engine.reasons import Reason
from engine.shard import Effects, Shard
from engine.slots import catalog_key
from tests.support import shop

USERS = ("ann", "bob", "cid")
Entry = tuple[int, int, int, bytes]
Row = tuple[int, int | None, bool, str, bytes]

# The shop, with a bug that some data meets: in a segment, in an entry's filter, and in a timer.
TRAPS = """
---
segment: fragile
when: {explodes: plan}
---
journey: trap
entry: {event: Product Viewed, where: [{explodes: boom}]}
steps:
  pause: {delay: 5m, then: look}
  look: {split: [{when: {explodes: bang}, then: pause}], else: end}
"""
CHANGED = """
segment: buyer
when: {event: Order Completed, at_least: 1, within: 30m}
---
segment: watcher
when: {event: Product Viewed, at_least: 2}
---
journey: cart
entry: {event: Product Added, key: properties.cart_id}
exit:
  - {event: Order Completed, same: properties.cart_id}
steps:
  nudge: {message: {purpose: marketing, channel: sms, template: cart}, then: pause}
  pause: {delay: 15m}
"""
DELETED = (("journey", "cart"), ("segment", "watcher"), ("segment", "quiet"))


class Explodes(ConditionModel):
    """A bug that data meets: whose plan is boom (`explodes: plan`), or whose sku is x."""

    noun: ClassVar[str] = "a bug"
    key: ClassVar[str] = "explodes"
    explodes: str

    def compile(self) -> Compiled:
        def check(
            entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES
        ) -> Verdict:
            if self.explodes == "plan":
                found = entity.traits.get("plan") == "boom"
            else:
                found = properties.get("sku") == self.explodes
            if found:
                raise ZeroDivisionError(self.explodes)
            return True, None

        by_event = self.explodes != "plan"
        return Compiled(check, "no bug", traits=("plan",), reads_properties=by_event)


@pytest.fixture(autouse=True, scope="module")
def _a_bug() -> Iterator[None]:
    registry.register(Explodes)
    yield
    del registry._kinds[Explodes.key]


class Disk:
    """What survives: rows, and the journal from the oldest entry that is needed."""

    def __init__(self, hot_entities: int) -> None:
        self.hot_entities = hot_entities
        self.journal: list[Entry] = []
        self.rows: dict[str, Row] = {}
        self.definitions: list[tuple[int, str, int, bytes]] = []
        self.start_seq = 1
        self.loads = 0
        self._staged: tuple[list[Any], int] | None = None

    def load(self, key: str) -> tuple[int, bytes] | None:
        row = self.rows.get(key)
        self.loads += row is not None
        return (row[0], row[4]) if row else None

    def scan(self, after: str, limit: int) -> list[tuple[str, int, bytes]]:
        keys = sorted(key for key in self.rows if key > after)[:limit]
        return [(key, self.rows[key][0], self.rows[key][4]) for key in keys]

    def stage(self, shard: Shard, limit: int, part: float) -> None:
        """Begins a checkpoint; entries may be applied before it ends."""
        self.commit(shard)
        rows = min(limit, shard.rows_until(part))
        self._staged = shard.take_rows(rows), shard.oldest_needed

    def commit(self, shard: Shard | None) -> None:
        """Ends the checkpoint under way; a shard that has died meanwhile does not hear of it."""
        if self._staged is None:
            return
        rows, self.start_seq = self._staged
        self._staged = None
        for key, *values in rows:
            self.rows.pop(key, None)
            if values[4] is not None:
                self.rows[key] = (values[0], values[1], values[2], values[3], values[4])
        if shard is not None:
            shard.rows_stored(rows)

    def recover(self) -> Shard:
        self._staged = None
        shard = Shard(0, 1, self.load, self.scan, self.hot_entities)
        for seq, workspace, version, documents in self.definitions:
            if seq < self.start_seq:
                shard.install(workspace, version, documents)
        due = [(key, row[1]) for key, row in self.rows.items() if row[1] is not None]
        sizes: dict[str, int] = {}
        for row in self.rows.values():
            for name in row[3].split("\n") if row[3] else ():
                sizes[name] = sizes.get(name, 0) + 1
        shard.recover(len(self.rows), due, sizes, 0)
        shard.seq = self.start_seq - 1
        for entry in self.journal[self.start_seq - 1 :]:
            shard.apply(*entry)
        return shard


class World:
    """A live shard on a disk, and those who write commands to it that make sense."""

    def __init__(self, hot_entities: int = 1) -> None:
        self.disk = Disk(hot_entities)
        self.shard = self.disk.recover()
        self.now = shop.START_MS
        self.outcomes: list[Any] = []
        self.happened: Counter[str] = Counter()
        self._number = 0
        self._messages: list[tuple[str, str]] = []

    def run(self, mode: int, batch: list[commands.Command]) -> None:
        """One entry; forwards are taken in and settled by entries of their own."""
        disk = self.disk
        payload = commands.pack_payload([commands.pack_chunk(batch)]) if batch else b""
        entry = (len(disk.journal) + 1, max(self.now, self.shard.now), mode, payload)
        disk.journal.append(entry)
        effects = self.shard.apply(*entry)
        self.outcomes.append(outcome(effects))
        self._messages.extend((offer[0], offer[1]) for offer in effects.sends)
        for command, result in zip(batch, effects.results, strict=True):
            self.happened[f"{command[0]} {Reason(result).name}"] += 1
        self.happened["cancel"] += len(effects.cancels)
        for workspace, version, documents in effects.installed:
            disk.definitions.append((entry[0], workspace, version, documents))
        for source, forward_id, _, command in effects.forwards:
            self.run(mode, [command])
            self.run(mode, [commands.settle(source, forward_id)])

    def do(self, what: str, amount: int, flag: int, steps: list[Any]) -> None:
        disk = self.disk
        if what == "checkpoint":
            disk.stage(self.shard, amount, 1 - flag / 3)
        elif what == "commit":
            disk.commit(self.shard)
        elif what == "crash":
            before = packed(self.shard), self.shard.sizes, self.shard.now
            unsettled = offers(self.shard)
            if flag:
                disk.commit(None)
            self.shard = disk.recover()
            assert (packed(self.shard), self.shard.sizes, self.shard.now) == before
            assert offers(self.shard) == unsettled
        else:
            self.now += amount
            batch = [self.command(kind, user, detail) for kind, user, detail in steps]
            self.run(flag, batch)

    def command(self, what: str, user: str, detail: str) -> commands.Command:
        """One command: each with an id of its own, receipts for messages that exist."""
        self._number += what != "repeat"
        key, id_, now = f"default/user/{user}", f"m{self._number}", self.now
        if what == "identify":
            phone = "+4915112345678"
            return shop.identify(user, id_, now, plan=detail, first_name=user, phone=phone)
        if what == "add":
            return shop.track(user, id_, "Product Added", now, cart_id=detail, sku="s")
        if what == "buy":
            return shop.track(user, id_, "Order Completed", now, cart_id=detail)
        if what == "send":
            spec = {"channel": "sms", "to": "", "template": "cart", "data": {"sku": detail}}
            return commands.send(key, id_, msgpack.packb(spec))
        if what == "receipt" and self._messages:
            message_id, of = self._messages[-1]
            return commands.receipt(of, message_id, Reason[detail], now, True, "sandbox")
        if what == "define":
            return self._define()
        if what == "refresh":
            return commands.refresh(key)
        if what == "release":
            return commands.release(key)
        return shop.track(user, id_, "Product Viewed", now, sku=detail)

    def _define(self) -> commands.Command:
        """The next of: everything, some of it changed and some new, some of it deleted."""
        program = self.shard.programs.get("default", EMPTY)
        stage = program.version % 3
        if stage == 2:
            changes = [definitions.Document(kind, name, None) for kind, name in DELETED]
        else:
            changes = definitions.parse(CHANGED if stage else shop.DEFINITIONS + TRAPS)
        definitions.check(changes, program)
        wire = definitions.to_wire(changes)
        key, request_id = catalog_key("default"), f"apply-{self._number}"
        return commands.apply_definitions(key, request_id, wire, program.version)

    def check_replay(self) -> None:
        """Replays everything from empty, and compares."""
        replayed = Shard(0, 1, lambda key: None, lambda after, limit: [])
        again = [outcome(replayed.apply(*entry)) for entry in self.disk.journal]
        assert again == self.outcomes
        assert packed(replayed) == packed(self.shard)
        assert replayed.sizes == self.shard.sizes
        assert offers(replayed) == offers(self.shard)


def packed(shard: Shard) -> dict[str, bytes]:
    return {entity.key: entity.pack() for entity in shard.scan("", 1_000)}


def outcome(effects: Effects) -> tuple[Any, ...]:
    return (bytes(effects.results), effects.sends, effects.cancels, effects.forwards)


def offers(shard: Shard) -> list[Any]:
    effects = shard.unsettled([entity.key for entity in shard.scan("", 1_000)])
    return [sorted(effects.sends), sorted(effects.cancels), sorted(effects.forwards)]


users = st.sampled_from(USERS)
step = st.one_of(
    st.tuples(st.just("identify"), users, st.sampled_from(("free", "pro", "pro", "boom"))),
    st.tuples(st.just("add"), users, st.sampled_from(("c1", "c2"))),
    st.tuples(st.just("buy"), users, st.sampled_from(("c1", "c2"))),
    st.tuples(st.just("view"), users, st.sampled_from(("s", "s", "boom", "bang"))),
    st.tuples(st.sampled_from(("repeat", "send", "refresh", "release")), users, st.just("s")),
    st.tuples(st.just("receipt"), users, st.sampled_from(("SENT", "EXPIRED"))),
    st.tuples(st.just("define"), users, st.just("")),
)
action = st.one_of(
    st.tuples(
        st.just("entry"),
        st.integers(0, 40 * shop.MINUTE_MS),
        st.integers(0, 1),
        st.lists(step, max_size=4),
    ),
    st.tuples(st.just("checkpoint"), st.integers(1, 4), st.integers(0, 2), st.just([])),
    st.tuples(st.sampled_from(("commit", "crash")), st.just(0), st.integers(0, 1), st.just([])),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(action, min_size=1, max_size=30), st.integers(0, 3), st.integers(1, 2))
def test_recovery_and_replay_give_the_same_bytes(
    actions: list[Any], defined_at: int, hot_entities: int
) -> None:
    world = World(hot_entities)
    for number, one in enumerate(actions):
        if number == defined_at:
            world.do("entry", 0, 0, [("define", "", "")])
        world.do(*one)
    note(f"{len(world.disk.journal)} entries")
    world.check_replay()


def test_a_history_in_which_everything_happens() -> None:
    """So that the test above is known to mean what it says: each kind of thing is reached."""
    world = World()

    def entry(minutes: int, *steps: tuple[str, str, str]) -> None:
        world.do("entry", minutes * shop.MINUTE_MS, 0, list(steps))
        world.do("checkpoint", 2, 0, [])

    entry(0, ("define", "", ""))
    entry(0, ("identify", "ann", "pro"), ("identify", "bob", "free"), ("identify", "cid", "boom"))
    entry(1, ("add", "ann", "c1"), ("view", "bob", "bang"), ("send", "bob", "s"))
    world.do("crash", 0, 1, [])
    # The message of the cart is out, and bob's timer meets the bug.
    entry(21, ("send", "ann", "s"), ("send", "bob", "s"))
    entry(1, ("buy", "ann", "c1"), ("repeat", "ann", "s"))  # which cancels the message
    entry(1, ("receipt", "ann", "SENT"), ("view", "ann", "boom"))
    entry(1, ("define", "", ""))
    world.do("crash", 0, 0, [])
    entry(1, ("release", "ann", ""), ("release", "bob", ""), ("release", "cid", ""))
    entry(1, ("define", "", ""), ("refresh", "ann", ""))
    entry(1, ("send", "ann", "s"), ("view", "cid", "s"))
    for number in range(6):
        entry(1, ("refresh", USERS[number % 3], ""))
    world.do("crash", 0, 1, [])
    world.check_replay()
    wanted = {
        "cancel",
        f"{commands.EVENT} ACCEPTED",
        f"{commands.EVENT} DUPLICATE",
        f"{commands.EVENT} INTERNAL",
        f"{commands.SEND} ACCEPTED",
        f"{commands.SEND} QUARANTINED",
        f"{commands.RECEIPT} ACCEPTED",
        f"{commands.RELEASE} ACCEPTED",
        f"{commands.RELEASE} INTERNAL",
        f"{commands.REFRESH} ACCEPTED",
        f"{commands.APPLY} ACCEPTED",
        f"{commands.INSTALL} ACCEPTED",
        f"{commands.SETTLE} ACCEPTED",
    }
    assert wanted <= {name for name, count in world.happened.items() if count}
    assert world.shard.programs["default"].version == 3
    assert world.disk.loads > 0


def test_a_release_brings_back_no_timer_that_a_replay_would_fire_before_it() -> None:
    """The row of someone who was let out is newer than where the replay begins."""
    world = World()

    def entry(minutes: int, *steps: tuple[str, str, str]) -> None:
        world.do("entry", minutes * shop.MINUTE_MS, 0, list(steps))

    entry(0, ("define", "", ""))
    entry(0, ("identify", "ann", "pro"), ("add", "ann", "c1"))  # a hold of 20 minutes
    entry(0, ("view", "ann", "boom"))
    world.do("checkpoint", 100, 0, [])
    entry(30, ("identify", "bob", "pro"))  # the replay begins here
    entry(0, ("define", "", ""))
    entry(1, ("release", "ann", ""))
    world.do("checkpoint", 2, 0, [])  # of the catalog and ann, not of bob
    world.do("crash", 0, 1, [])
    entry(1, ("view", "ann", "s"))
    world.check_replay()

"""Law 2: a shard's state is a function of its journal.

Hypothesis writes journals: events of a few users in any order and at any distance, definitions in
between, receipts, and checkpoints and crashes at any moment. Whatever it comes up with, a recovery
(rows of different ages and the journal's tail) and a replay from empty give the same bytes, the
same effects and the same ids.
"""

from typing import Any

import hypothesis.strategies as st
from hypothesis import given, note, settings

from engine import commands
from engine.reasons import Reason
from engine.shard import Shard
from tests.support import shop

USERS = ("ann", "bob", "cid")
Entry = tuple[int, int, int, bytes]


class Disk:
    """What survives: rows, and the journal from the oldest entry that is needed."""

    def __init__(self) -> None:
        self.journal: list[Entry] = []
        self.rows: dict[str, tuple[int, int | None, bool, str, bytes]] = {}
        self.definitions: list[tuple[int, str, int, bytes]] = []
        self.start_seq = 1

    def load(self, key: str) -> tuple[int, bytes] | None:
        row = self.rows.get(key)
        return (row[0], row[4]) if row else None

    def scan(self, after: str, limit: int) -> list[tuple[str, int, bytes]]:
        keys = sorted(key for key in self.rows if key > after)[:limit]
        return [(key, self.rows[key][0], self.rows[key][4]) for key in keys]

    def checkpoint(self, shard: Shard, limit: int) -> None:
        rows = shard.take_rows(limit, shard.seq)
        for key, *values in rows:
            self.rows[key] = (values[0], values[1], values[2], values[3], values[4])
        self.start_seq = shard.oldest_needed
        shard.rows_stored(rows)

    def recover(self) -> Shard:
        shard = Shard(0, 1, self.load, self.scan, hot_entities=1)
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


def packed(shard: Shard) -> dict[str, bytes]:
    return {entity.key: entity.pack() for entity in shard.scan("", 1_000)}


def outcome(effects: Any) -> tuple[Any, ...]:
    return (bytes(effects.results), effects.sends, effects.cancels, effects.forwards)


step = st.one_of(
    st.tuples(st.just("identify"), st.sampled_from(USERS), st.sampled_from(("free", "pro"))),
    st.tuples(st.just("add"), st.sampled_from(USERS), st.sampled_from(("c1", "c2"))),
    st.tuples(st.just("buy"), st.sampled_from(USERS), st.sampled_from(("c1", "c2"))),
    st.tuples(st.just("view"), st.sampled_from(USERS), st.just("")),
    st.tuples(st.just("repeat"), st.sampled_from(USERS), st.just("")),
    st.tuples(st.just("receipt"), st.sampled_from(USERS), st.sampled_from(("SENT", "EXPIRED"))),
)
action = st.one_of(
    st.tuples(
        st.just("entry"),
        st.integers(0, 40 * shop.MINUTE_MS),
        st.integers(0, 1),
        st.lists(step, max_size=4),
    ),
    st.tuples(st.just("checkpoint"), st.integers(1, 4), st.just(0), st.just([])),
    st.tuples(st.just("crash"), st.just(0), st.just(0), st.just([])),
)


class World:
    """Writes commands that make sense: each with a new id, receipts for messages that exist."""

    def __init__(self) -> None:
        self.number = 0
        self.messages: list[tuple[str, str]] = []

    def command(self, what: str, user: str, detail: str, at_ms: int) -> commands.Command:
        self.number += what != "repeat"
        id_ = f"m{self.number}"
        if what == "identify":
            phone = "+4915112345678"
            return shop.identify(user, id_, at_ms, plan=detail, first_name=user, phone=phone)
        if what == "add":
            return shop.track(user, id_, "Product Added", at_ms, cart_id=detail, sku="s")
        if what == "buy":
            return shop.track(user, id_, "Order Completed", at_ms, cart_id=detail)
        if what == "receipt" and self.messages:
            message_id, key = self.messages[-1]
            return commands.receipt(key, message_id, Reason[detail], at_ms, True, "sandbox")
        return shop.track(user, id_, "Product Viewed", at_ms)


@settings(max_examples=150, deadline=None)
@given(st.lists(action, min_size=1, max_size=30), st.integers(0, 3))
def test_recovery_and_replay_give_the_same_bytes(actions: list[Any], mode_bits: int) -> None:
    disk, world = Disk(), World()
    shard = disk.recover()
    now = shop.START_MS
    outcomes: list[Any] = []

    def run(mode: int, batch: list[commands.Command]) -> None:
        payload = commands.pack_payload([commands.pack_chunk(batch)]) if batch else b""
        entry = (len(disk.journal) + 1, max(now, shard.now), mode, payload)
        disk.journal.append(entry)
        effects = shard.apply(*entry)
        outcomes.append(outcome(effects))
        world.messages.extend((offer[0], offer[1]) for offer in effects.sends)
        for workspace, version, documents in effects.installed:
            disk.definitions.append((entry[0], workspace, version, documents))
        for _, _, _, command in effects.forwards:
            run(mode, [command])

    for number, (what, amount, mode, steps) in enumerate(actions):
        if number == mode_bits:
            run(0, [shop.apply_command()])
        if what == "checkpoint":
            disk.checkpoint(shard, amount)
        elif what == "crash":
            before = packed(shard), shard.sizes, shard.now
            shard = disk.recover()
            assert (packed(shard), shard.sizes, shard.now) == before
        else:
            now += amount
            run(mode, [world.command(kind, user, detail, now) for kind, user, detail in steps])
    note(f"{len(disk.journal)} entries")

    replayed = Shard(0, 1, lambda key: None, lambda after, limit: [])
    again = [outcome(replayed.apply(*entry)) for entry in disk.journal]
    assert again == outcomes
    assert packed(replayed) == packed(shard)
    assert replayed.sizes == shard.sizes
    assert offers(replayed) == offers(shard)


def offers(shard: Shard) -> list[Any]:
    return sorted(shard.unsettled([e.key for e in shard.scan("", 1_000)]).sends)

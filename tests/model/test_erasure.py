"""Erasures in the middle of merges: nothing comes back, whatever is late, and nobody is cut off.

Hypothesis plays people and the network as in `test_merge`, and erases ids at any moment. Then every
id is erased once more while forwards still wait, overtake each other and arrive twice. In the end
nothing is left of anybody. And then everybody comes back: each new event is there once, so no id
passes on to somebody who takes nothing from it.
"""

from collections import Counter
from typing import Any

import hypothesis.strategies as st
import msgpack
from hypothesis import example, given, settings

from engine import commands, limits
from engine.identity.record import IDENTITY, MERGED_INTO
from engine.privacy.erasing import is_blank
from engine.privacy.hidden import is_hidden
from engine.reasons import Reason
from engine.slots import ACCOUNT, CATALOG, IDENTIFIER
from tests.model.test_merge import SHARDS, USERS, VISITORS, Network, anyone, disorder, keys

EVERYBODY = (*(f"w/user/{id_}" for id_ in USERS), *(f"w/anonymous/{id_}" for id_ in VISITORS))


class Registry(Network):
    """The network of `test_merge`, whose people ask to be erased."""

    def __init__(self) -> None:
        super().__init__(at_once=False)
        self.requests = 0

    def erase(self, key: str) -> None:
        self.requests += 1
        assert self.give(commands.erase(key, f"r{self.requests}", False)) == Reason.ACCEPTED

    def act(self, number: int, what: str, *args: Any) -> None:
        if what == "event" and args[2] == "group":
            user, visitor, _, name = args
            key = f"w/user/{user}" if user else f"w/anonymous/{visitor}"
            self.now += 1
            raw = msgpack.packb({"plan": name})
            group = commands.event(key, f"m{number}", commands.GROUP, name, self.now, raw)
            assert self.give(group) == Reason.ACCEPTED
        elif what == "event":
            self.event(number, *args)
        else:
            getattr(self, what)(*args)

    def rest(self) -> None:
        self.settle_all()
        self.now += limits.MERGE_WAIT_MS
        for index in range(SHARDS):
            self.apply(index)
        self.settle_all()

    def check_nobody_is_left(self) -> None:
        for key, entity in self.entities().items():
            assert not entity.error, entity.error
            assert all(forward is None for forward in entity.outbox.values())
            if entity.kind == CATALOG:
                continue
            packed = entity.pack()
            assert b"w/user/" not in packed, (key, packed)
            assert b"w/anonymous/" not in packed, (key, packed)
            if entity.kind in (ACCOUNT, IDENTIFIER):
                continue
            held = (entity.traits, entity.windows, entity.segments, entity.instances, entity.timers)
            assert not any(held), key
            assert all(is_blank(message) for message in entity.kept.every())
            assert {message.id for message in entity.kept.every()} == entity.outbox.keys()
            assert IDENTITY not in entity.state
            assert is_hidden(entity) or entity.outbox
        assert not any(shard.sizes for shard in self.shards)

    def check_new(self) -> None:
        found: Counter[tuple[int, str]] = Counter()
        for key, entity in self.entities().items():
            if MERGED_INTO not in entity.state:
                found.update((v, key) for t, v in entity.traits.items() if t.startswith("t"))
        assert found == {(mark, self.root(key)): 1 for mark, key in self.marks.items()}
        self._check_sizes(self.entities())


erasing = st.tuples(st.just("erase"), st.sampled_from(EVERYBODY))
joining = st.one_of(
    st.tuples(st.just("event"), st.just(""), st.sampled_from(VISITORS), st.just("group"), keys),
    st.tuples(st.just("event"), st.sampled_from(USERS), st.just(""), st.just("group"), keys),
)
life = st.lists(st.one_of(anyone, anyone, anyone, joining, erasing), max_size=40)


@settings(max_examples=200, deadline=None)
@given(life, st.permutations(EVERYBODY), st.lists(disorder, max_size=30))
@example(  # the answer to a claim waits while its claimant becomes a part of somebody who is erased
    [
        ("event", "", "a3", "email", "k1"), ("deliver", 0, False),
        ("event", "u1", "a3", "buy", "k1"), ("deliver", 0, False),
    ],
    EVERYBODY,
    [("deliver", 0, False), ("deliver", 0, False)],
)  # fmt: skip
@example(  # an account answers a visitor who is a part of the erased by a link that came twice
    [
        ("event", "u1", "a3", "buy", "k1"), ("event", "", "a3", "group", "k1"),
        ("deliver", 0, True), ("erase", "w/anonymous/a3"), ("deliver", 4, False),
        ("deliver", 0, False),
    ],
    EVERYBODY,
    [],
)  # fmt: skip
def test_nothing_of_the_erased_comes_back(
    actions: list[Any], everybody: list[str], network: list[Any]
) -> None:
    registry = Registry()
    for number, action in enumerate(actions, 1):
        registry.act(number, *action)
    for key in everybody:
        registry.erase(key)
        for action in network[:2]:
            registry.act(0, *action)
        network = network[2:]
    registry.rest()
    registry.check_nobody_is_left()
    registry.marks.clear()
    registry.last.clear()
    for number, key in enumerate(everybody, 1_000):
        _, kind, id_ = key.split("/")
        user, visitor = (id_, "") if kind == "user" else ("", id_)
        registry.event(number, user, visitor, "identify", "")
    registry.event(2_000, "u1", "a1", "identify", "")
    registry.rest()
    registry.check_new()
    assert registry.root("w/anonymous/a1") == "w/user/u1"

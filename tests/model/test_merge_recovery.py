"""Merges and what is stored: rows of different ages and a tail give what a replay from empty gives.

The worlds of `test_determinism`, in which people have several ids: forwards are journaled like
everything else, so whatever a checkpoint caught in the middle of a merge, a recovery ends up with
the same bytes, and hands over again what was not settled.
"""

from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from engine import commands, definitions
from engine.identity.record import MERGED_INTO
from engine.packing import pack
from engine.program import EMPTY
from engine.slots import catalog_key
from tests.model.test_determinism import World
from tests.support import shop

USERS = ("ann", "bob")
VISITORS = ("a1", "a2", "null")
RULES = """
identity: profiles
identifiers: [email, {type: device, limit: 1}]
---
segment: rich
when: {trait: account.plan, is: pro}
"""


class Families(World):
    """A live shard on a disk, and people with several ids."""

    def command(self, what: str, user: str, detail: str) -> commands.Command:
        self._number += 1
        now, visitor = self.now, detail
        key = f"default/user/{user}" if user else f"default/anonymous/{visitor}"
        other = visitor if user else ""
        if what == "define":
            return self._define()
        if what == "refresh":
            return commands.refresh(key)
        values: dict[str, Any] = {"cart_id": "c1", "sku": "s"}
        type_, name = commands.TRACK, "Product Added"
        if what == "buy":
            name = "Order Completed"
        elif what == "identify":
            phone = "+4915112345678"
            values = {"email": f"{detail}@x.example", f"t{self._number}": 1, "phone": phone}
            type_, name, other = commands.IDENTIFY, "", ""
        elif what == "group":
            type_, name, values = commands.GROUP, "acme", {"plan": detail}
        elif what == "alias":
            type_, name, values, key = commands.ALIAS, detail, {}, f"default/user/{user or 'cid'}"
        id_ = f"m{self._number}"
        raw = pack(values) if values else b""
        return commands.event(key, id_, type_, name, now, raw, b"", other if user else "")

    def _define(self) -> commands.Command:
        program = self.shard.programs.get("default", EMPTY)
        text = RULES if program.version % 2 else shop.DEFINITIONS
        changes = definitions.parse(text)
        definitions.check(changes, program)
        key, request_id = catalog_key("default"), f"apply-{self._number}"
        wire = definitions.to_wire(changes)
        return commands.apply_definitions(key, request_id, wire, program.version)


step = st.one_of(
    st.tuples(
        st.sampled_from(("add", "buy", "identify", "refresh", "group")),
        st.sampled_from(("", *USERS)),
        st.sampled_from(VISITORS),
    ),
    st.tuples(st.just("alias"), st.sampled_from(USERS), st.sampled_from((*USERS, *VISITORS))),
    st.tuples(st.just("define"), st.just(""), st.just("")),
)
action: st.SearchStrategy[Any] = st.one_of(
    st.tuples(
        st.just("entry"),
        st.integers(0, 40 * shop.MINUTE_MS),
        st.integers(0, 1),
        st.lists(step, max_size=4),
    ),
    st.tuples(st.just("checkpoint"), st.integers(1, 4), st.integers(0, 2), st.just([])),
    st.tuples(st.sampled_from(("commit", "crash")), st.just(0), st.integers(0, 1), st.just([])),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(action, min_size=1, max_size=30), st.integers(1, 2))
def test_recovery_and_replay_give_the_same_bytes(actions: list[Any], hot_entities: int) -> None:
    world = Families(hot_entities)
    world.do("entry", 0, 0, [("define", "", "")])
    world.do("entry", 0, 0, [("define", "", "")])
    for one in actions:
        world.do(*one)
    world.check_replay()
    assert not [e.error for e in world.shard.scan("", 1_000) if e.error]


def test_a_history_in_which_everything_happens() -> None:
    """So that the test above is known to mean what it says."""
    world = Families()

    def entry(minutes: int, *steps: tuple[str, str, str]) -> None:
        world.do("entry", minutes * shop.MINUTE_MS, 0, list(steps))
        world.do("checkpoint", 2, 0, [])

    entry(0, ("define", "", ""))
    entry(0, ("define", "", ""))
    entry(1, ("identify", "", "a1"), ("add", "", "a1"), ("group", "", "a1"))
    world.do("crash", 0, 1, [])
    entry(21, ("add", "ann", "a1"), ("buy", "ann", "a1"), ("identify", "", "a1"))
    entry(1, ("identify", "bob", "a1"), ("identify", "", "a2"), ("add", "bob", "null"))
    entry(1, ("alias", "bob", "ann"), ("identify", "ann", "a2"))
    world.do("crash", 0, 0, [])
    entry(1, ("add", "", "a2"), ("group", "bob", "a2"))
    world.check_replay()
    found = {e.key.partition("/")[2]: e for e in world.shard.scan("", 1_000)}
    assert found["anonymous/a1"].state[MERGED_INTO] == "default/user/ann"
    assert found["anonymous/a2"].state[MERGED_INTO].startswith("default/user/")
    assert found["user/ann"].state[MERGED_INTO] == "default/user/bob"
    assert {"identifier/email:a1@x.example", "account/acme"} <= set(found)

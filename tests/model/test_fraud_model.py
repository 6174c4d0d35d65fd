"""Laws of the fraud guard, held against random lives: it is bounded, it is a function of what it
was told, denials teach it nothing, and sketches merge like sets.
"""

from collections.abc import Iterable

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fraud import FraudGuard
from engine.fraud.book import Book
from engine.fraud.figures import Figures
from engine.fraud.node import Area
from engine.fraud.numbers import Seal
from engine.fraud.sketch import Sketch

# What happens: an action, a number of few blocks, an address, and how much later.
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["send", "send", "send", "verified", "expired", "undelivered", "legit", "fraud"]
        ),
        st.integers(0, 4),
        st.integers(0, 30),
        st.integers(0, 3),
        st.sampled_from([0, 1_000, 7_000, 40_000, 200_000, 900_000, 9_000_000]),
    ),
    max_size=150,
)
_BLOCKS = ("+44770012", "+44770013", "+9230012", "+1202555", "+9477123")
Step = tuple[str, int, int, int, int]


def number(block: int, last: int) -> str:
    return f"{_BLOCKS[block]}{last * 7:04d}"


def live(guard: FraudGuard, steps: Iterable[Step], now: int = 0) -> tuple[int, list[object]]:
    answers: list[object] = []
    for what, block, last, source, gap in steps:
        now += gap
        if what == "send":
            facts = {"ip": f"192.0.2.{source}"} if source else {}
            answers.append(guard.check("w", "sms", "otp", number(block, last), now, facts))
        else:
            guard.outcome("w", number(block, last), what, now)
    return now, answers


def kept(guard: FraudGuard) -> bytes:
    packed: bytes = msgpack.packb(guard.snapshot())
    return packed


@given(_STEPS)
@settings(max_examples=150)
def test_the_same_life_gives_the_same_answers_and_the_same_bytes(steps: list[Step]) -> None:
    one, other = FraudGuard(), FraudGuard()
    assert live(one, steps) == live(other, steps)
    assert kept(one) == kept(other)


@given(_STEPS)
@settings(max_examples=100)
def test_what_is_restored_is_what_was_kept(steps: list[Step]) -> None:
    guard, again, third = FraudGuard(), FraudGuard(), FraudGuard()
    live(guard, steps)
    first = kept(guard)
    again.restore(msgpack.unpackb(first))
    assert kept(again) == first
    third.restore(msgpack.unpackb(first))
    assert live(again, steps, 10**9) == live(third, steps, 10**9)
    assert kept(again) == kept(third)


@given(_STEPS, st.integers(1, 50))
@settings(max_examples=150)
def test_denied_attempts_never_raise_the_alarm(steps: list[Step], times: int) -> None:
    guard = FraudGuard()
    now, _ = live(guard, steps)
    for block in range(len(_BLOCKS)):
        e164 = number(block, 999)
        if guard.check("w", "sms", "otp", e164, now) is None:
            continue
        before, blocks = kept(guard), guard.blocks(now)
        for _ in range(times):
            assert guard.check("w", "sms", "otp", e164, now) is not None
        assert kept(guard) == before
        after = guard.blocks(now)
        for block_ in (*blocks, *after):
            block_.pop("denied")
        assert blocks == after


@given(_STEPS)
@settings(max_examples=100)
def test_scores_walks_and_counts_stay_in_their_bounds(steps: list[Step]) -> None:
    guard = FraudGuard()
    _, answers = live(guard, steps)
    for verdict in answers:
        if verdict is not None:
            assert 0 <= verdict.score <= 100  # type: ignore[attr-defined]
            assert verdict.why  # type: ignore[attr-defined]
    top = Figures().walk_top
    for book in guard._books.values():
        for node in (*book.nodes.values(), *book.areas.values()):
            assert node.walk <= top
            assert node.weight <= top
            if not node.opened and not isinstance(node, Area):
                assert node.walk >= 0.0
                assert node.slow >= 0.0
            assert sorted(set(node.opened)) == node.opened
            assert -1e-6 <= node.good <= node.sent + 1e-6
        for region in book.areas.values():
            assert region.out >= 0
        assert len(book.known) <= 200


def test_a_book_keeps_no_more_than_its_room() -> None:
    book = Book(Figures(), 0, Seal())
    book.capacity = 100
    guard = FraudGuard()
    guard._books["w"] = book
    book._room = 50
    for at in range(3_000):
        e164 = f"+4477{at * 7919 % 10**8:08d}"
        guard.check("w", "sms", "otp", e164, at * 1_000, {"ip": f"192.0.{at % 250}.{at % 200}"})
    assert len(book.nodes) <= 100
    assert len(book.codes) <= 50


@given(st.sets(st.text(max_size=8), max_size=300), st.sets(st.text(max_size=8), max_size=300))
def test_sketches_merge_like_sets(left: set[str], right: set[str]) -> None:
    one, other, both = Sketch(), Sketch(), Sketch()
    for thing in left:
        one.add(thing)
    for thing in right:
        other.add(thing)
    for thing in left | right:
        both.add(thing)
    one.merge(other)
    assert one == both
    assert bytes(Sketch(bytes(one))) == bytes(both)
    one.merge(both)
    assert one == both


def test_a_sketch_counts_within_its_error() -> None:
    for size in (1, 5, 20, 60, 200, 1_000, 20_000):
        sketch = Sketch()
        for at in range(size):
            sketch.add(f"thing {at}")
            sketch.add(f"thing {at}")
        assert abs(sketch.count() - size) <= max(1.5, 0.4 * size)

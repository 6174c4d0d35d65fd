"""A segment's truth at every second equals a count by brute force, without evaluating each second.

The engine evaluates a segment when an event comes and at the moments that the segment itself
announced; between two of those it must not change. Here random conditions meet random histories,
and a clock that visits every second checks the engine's answer against one computed from the full
history by the definition of the words.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.segments.definition import SegmentModel, compile_segment

SECONDS = 40
EVENTS = ("X", "Y")


@dataclass
class Facts:
    traits: dict[str, Any] = field(default_factory=dict)
    windows: dict[str, list[Any]] = field(default_factory=dict)
    segments: dict[str, int] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    id: str = "ann"
    kind: str = "user"


def _counts() -> st.SearchStrategy[dict[str, Any]]:
    ranges = st.one_of(
        st.fixed_dictionaries({"at_least": st.integers(1, 3)}),
        st.fixed_dictionaries({"at_most": st.integers(0, 2)}),
        st.fixed_dictionaries({"exactly": st.integers(0, 2)}),
        st.fixed_dictionaries({"at_least": st.integers(0, 2), "at_most": st.integers(2, 3)}),
    )
    spans = st.one_of(
        st.just({}), st.integers(1, 12).map(lambda seconds: {"within": f"{seconds}s"})
    )
    return st.builds(
        lambda event, count, span: {"event": event, **count, **span},
        st.sampled_from(EVENTS),
        ranges,
        spans,
    )


CONDITIONS: st.SearchStrategy[Any] = st.recursive(
    _counts() | st.booleans().map(lambda value: {"trait": "t", "is": value}),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts})
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts})
        | inner.map(lambda part: {"not": part})
    ),
    max_leaves=5,
)
HISTORIES = st.lists(
    st.tuples(st.integers(0, SECONDS * 2), st.sampled_from((*EVENTS, "t"))), max_size=12
).map(sorted)


def naive(condition: Any, history: list[tuple[int, str]], now_ms: int) -> bool:
    """The meaning of a condition, from the whole history up to now."""
    past = [(half * 500, name) for half, name in history if half * 500 <= now_ms]
    if "all" in condition:
        return all(naive(part, history, now_ms) for part in condition["all"])
    if "any" in condition:
        return any(naive(part, history, now_ms) for part in condition["any"])
    if "not" in condition:
        return not naive(condition["not"], history, now_ms)
    if "trait" in condition:
        return (sum(name == "t" for _, name in past) % 2 == 1) is condition["is"]
    within_ms = int(condition["within"][:-1]) * 1000 if "within" in condition else 10**9
    count = sum(name == condition["event"] and now_ms < ms + within_ms for ms, name in past)
    low = condition.get("exactly", condition.get("at_least", 0))
    return low <= count <= condition.get("exactly", condition.get("at_most", 10**9))


@settings(max_examples=300, deadline=None)
@given(CONDITIONS, HISTORIES)
def test_truth_at_every_second(condition: Any, history: list[tuple[int, str]]) -> None:
    segment = compile_segment(SegmentModel.model_validate({"segment": "s", "when": condition}))
    facts = Facts({"t": False})
    truth, changes_ms = segment.evaluate(facts, 0)
    evaluations = 1
    coming = list(history)
    for now_ms in range(0, SECONDS * 1000, 500):
        while changes_ms is not None and changes_ms <= now_ms:
            at_ms = changes_ms
            truth, changes_ms = segment.evaluate(facts, at_ms)
            evaluations += 1
            assert changes_ms is None or changes_ms > at_ms, "it would spin"
        while coming and coming[0][0] * 500 <= now_ms:
            _, name = coming.pop(0)
            if name == "t":
                facts.traits["t"] = not facts.traits["t"]
            else:
                facts.windows.setdefault(name, []).append(now_ms)
            truth, changes_ms = segment.evaluate(facts, now_ms)
            evaluations += 1
        assert truth == naive(condition, history, now_ms), f"at {now_ms} ms"
    assert evaluations <= 1 + 2 * len(history) + len(history) * len(EVENTS) * 5

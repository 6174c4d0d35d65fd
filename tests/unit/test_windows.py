"""Windows: who shares one, what it keeps, and what it forgets."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from engine import limits
from engine.conditions import Compiled
from engine.conditions.windows import Window, take, taker, trim
from tests.unit.test_conditions import Facts, compiled

HOUR = 3_600_000
NOW = 1_800_000_000_000
ANN = Facts()


@dataclass
class Event:
    timestamp_ms: int
    properties: dict[str, Any] = field(default_factory=dict)


def names(*conditions: Any) -> list[str]:
    return [window.name for condition in conditions for window in compiled(condition).windows]


def only(condition: Compiled) -> Window:
    (window,) = condition.windows
    return window


FITS = {"property": "total", "above": 50}


def test_the_same_question_has_one_window() -> None:
    plain, span, counted = names(
        {"event": "X"}, {"event": "X", "within": "7d"}, {"event": "X", "at_least": 9}
    )
    assert plain == span == counted == "X"
    one, listed, longer, step = names(
        {"event": "X", "where": FITS},
        {"event": "X", "where": [FITS], "at_least": 3},
        {"event": "X", "where": FITS, "within": "400d"},
        {"sequence": [{"event": "X", "where": FITS}, {"no_event": "X", "where": FITS}]},
    )[:4]
    assert one == listed == longer == step != "X"


DIFFERENT = [
    {"event": "X"},
    {"event": "Y"},
    {"event": "X", "where": FITS},
    {"event": "X", "where": {"property": "total", "above": 51}},
    {"event": "X", "where": {"property": "total", "at_least": 50}},
    {"event": "X", "where": {"not": FITS}},
    {"event": "X", "where": {"not": {"property": "total", "above": 51}}},
    {"event": "X", "where": {"any": [FITS, {"property": "a", "is": 1}]}},
    {"event": "X", "where": {"any": [FITS, {"property": "a", "is": True}]}},
    {"event": "X", "where": {"any": [FITS, {"property": "a", "is": "1"}]}},
    {"event": "X", "where": {"property": "total", "above": {"property": "b"}}},
    {"event": "X", "where": {"property": "total", "within_last": "1d"}},
    {"event": "X", "where": {"property": "total", "within_last": "2d"}},
    {"event": "X", "from": "2026-01-01"},
    {"event": "X", "to": "2026-01-01"},
    {"event": "X", "from": "2026-01-01", "to": "2027-01-01"},
    {"event": "X", "first": {"within_last": "1d"}},
    {"event": "X", "last": {"within_last": "1d"}},
]


def test_different_questions_have_different_windows() -> None:
    found = names(*DIFFERENT)
    assert len(set(found)) == len(DIFFERENT)
    keyed = names({"sequence": [{"event": "X"}, {"event": "X"}], "same": "properties.id"})
    assert len(keyed) == 1
    assert keyed[0] not in found


def test_names_are_for_ever_because_stores_hold_them() -> None:
    assert names({"event": "X", "where": [FITS]}) == ["X\x1f6220a514a105a102"]
    assert names({"event": "X", "first": {"within_last": "1d"}}) == ["X\x1fe6ca322729422ab8"]


@pytest.mark.parametrize("general", [False, True], ids=["its own window", "as any window"])
def test_times_ascend_and_what_nobody_counts_is_forgotten(general: bool) -> None:
    window = only(compiled({"event": "X", "within": "2h"}))
    windows: dict[str, list[Any]] = {}

    def happen(at_ms: int, now_ms: int) -> bool:
        event = Event(at_ms)
        if general:
            return take(window, windows, event, ANN, now_ms)
        return taker(window)(windows, event, ANN, now_ms)

    assert not happen(NOW - 2 * HOUR, NOW)
    assert windows == {}
    assert happen(NOW, NOW)
    assert happen(NOW - HOUR, NOW)
    assert windows == {"X": [NOW - HOUR, NOW]}
    assert happen(NOW + HOUR, NOW + HOUR)
    assert windows == {"X": [NOW, NOW + HOUR]}  # an hour ago two hours ago is two hours ago


@pytest.mark.parametrize("general", [False, True], ids=["its own window", "as any window"])
def test_a_window_keeps_the_newest(monkeypatch: pytest.MonkeyPatch, general: bool) -> None:
    monkeypatch.setattr(limits, "WINDOW_EVENTS", 3)
    window = only(compiled({"event": "X"}))
    windows: dict[str, list[Any]] = {}
    for at_ms in (5, 9, 7, 8, 1):
        if general:
            take(window, windows, Event(at_ms), ANN, NOW)
        else:
            taker(window)(windows, Event(at_ms), ANN, NOW)
    assert windows == {"X": [7, 8, 9]}


def test_a_filter_and_a_range_keep_others_out() -> None:
    window = only(compiled({"event": "X", "where": FITS, "from": "1970-01-02", "to": "1970-01-03"}))
    windows: dict[str, list[Any]] = {}
    day = 24 * HOUR
    for at_ms, total in ((day, 51), (day, 50), (day - 1, 51), (2 * day, 51), (2 * day - 1, 99)):
        take(window, windows, Event(at_ms, {"total": total}), ANN, NOW)
    assert windows == {window.name: [day, 2 * day - 1]}


def test_the_first_and_the_last_are_one_each() -> None:
    first = only(compiled({"event": "X", "first": {"within_last": "1d"}}))
    last = only(compiled({"event": "X", "last": {"within_last": "1d"}}))
    windows: dict[str, list[Any]] = {}
    changed = [
        (take(first, windows, Event(at), ANN, NOW), take(last, windows, Event(at), ANN, NOW))
        for at in (5, 9, 2, 9, 7)
    ]
    assert windows == {first.name: [2], last.name: [9]}
    assert changed == [(True, True), (False, True), (True, False), (False, False), (False, False)]
    assert (trim(first, [2, 9]), trim(last, [2, 9])) == ([2], [9])


def test_what_belongs_together_keeps_its_text() -> None:
    window = only(
        compiled({"sequence": [{"event": "X"}, {"event": "X"}], "same": "properties.a.id",
                  "within": "1h"})
    )  # fmt: skip
    windows: dict[str, list[Any]] = {}
    for at, id_ in ((NOW - 2, "b"), (NOW - 3, 7), (NOW - 1, None), (NOW - 1, [1])):
        take(window, windows, Event(at, {"a": {"id": id_}}), ANN, NOW)
    take(window, windows, Event(NOW - 1), ANN, NOW)
    assert windows == {window.name: [[NOW - 3, "7"], [NOW - 2, "b"]]}
    take(window, windows, Event(NOW, {"a": {"id": "c"}}), ANN, NOW + HOUR - 2)
    assert windows == {window.name: [[NOW, "c"]]}

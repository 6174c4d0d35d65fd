"""Segments on a real shard: what each event wakes, and what happens at one and the same moment."""

from collections import Counter
from typing import Any

import msgpack
import pytest
from journey_helpers import Town

from engine import commands, limits, profile
from engine.segments.definition import Segment

KEY = "w/user/ann"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each segment is evaluated."""
    counter: Counter[str] = Counter()
    evaluate = profile._evaluate

    def counting(act: Any, segment: Segment) -> bool:
        counter[segment.name] += 1
        return evaluate(act, segment)

    monkeypatch.setattr(profile, "_evaluate", counting)
    return counter


MANY = "\n---\n".join(
    [f"segment: s{n}\nwhen: {{event: E{n // 5}, at_least: {n % 5 + 1}}}" for n in range(90)]
    + ["segment: t\nwhen: {trait: plan.name, is: pro}",
       "segment: c\nwhen: {context: language, is: de}",
       "segment: half\nwhen: {bucket: {percent: 50}}",
       "segment: named\nwhen: {list: [ann]}",
       "segment: all-people\nwhen: {everyone: true}",
       "segment: big\nwhen: {event: E1, where: {property: total, above: 50}}",
       "segment: reader\nwhen: {segment: big}"]
)  # fmt: skip


def test_an_event_wakes_only_the_segments_that_it_can_touch(asked: Counter[str]) -> None:
    town = Town(MANY)
    town.track("Other")
    # Of somebody new only those are asked that could be true of anybody.
    assert sorted(asked) == ["all-people", "half", "named"]
    asked.clear()
    town.track("E1", total=50)
    assert sorted(asked) == ["s5", "s6", "s7", "s8", "s9"]
    assert set(asked.values()) == {1}
    asked.clear()
    town.track("E1", total=51)
    assert sorted(asked) == ["big", "reader", "s5", "s6", "s7", "s8", "s9"]
    asked.clear()
    town.identify(city="Ulm")
    assert not asked
    town.identify(plan={"name": "pro"})
    assert asked == {"t": 1}
    asked.clear()
    town.identify(plan={"name": "pro"})
    assert not asked
    for locale in ("de-DE", "de-DE", "fr"):
        context = msgpack.packb({"locale": locale})
        message_id = f"c{town.shard.seq}"
        event = commands.event(KEY, message_id, commands.TRACK, "Other", town.now, b"", context)
        town.apply(event)
    assert asked == {"c": 2}


def test_a_context_is_kept_only_while_something_reads_it() -> None:
    town = Town("segment: a\nwhen: {event: X}")
    context = msgpack.packb({"locale": "de"})
    town.apply(commands.event(KEY, "m1", commands.TRACK, "X", town.now, b"", context))
    assert "context" not in town.person().state


TWO = """
segment: one
when: {event: X, within: 1h}
---
segment: two
when: {event: X, within: 1h}
---
segment: a-both
when: [{segment: one}, {segment: two}]
---
segment: a-differ
when: {any: [{all: [{segment: one}, {not: {segment: two}}]}, {all: [{segment: two}, {not: {segment: one}}]}]}
---
segment: a-mixed
when: [{event: X, within: 1h}, {not: {segment: one}}]
"""  # noqa: E501


def test_what_changes_at_one_moment_is_settled_in_one_pass(asked: Counter[str]) -> None:
    town = Town(TWO)
    town.track("X")
    assert town.notes("segment") == [
        f"{name}: entered: its condition became true" for name in ("one", "two", "a-both")
    ]
    asked.clear()
    town.at("1h")  # both leave; three timers are due
    assert town.notes("segment")[3:] == [
        f"{name}: left: its condition became false" for name in ("one", "two", "a-both")
    ]
    assert set(asked.values()) == {1}


def test_a_journey_that_wakes_sees_the_segments_of_that_moment() -> None:
    town = Town(
        """
        segment: fresh
        when: {event: X, within: 1h}
        ---
        journey: j
        entry: {event: X}
        steps:
          wait: {delay: 1h, then: look}
          look: {split: [{when: {segment: fresh}, then: yes}], else: no}
          yes: {delay: 1s}
          no: {delay: 1s}
        """.replace("\n        ", "\n")
    )
    town.track("X")
    town.at("1h")
    assert [step for _, step, what, _ in town.trail(town.only()) if what == "entered"] == [
        "wait", "look", "no",
    ]  # fmt: skip


def test_a_long_chain_of_segments_needs_no_recursion() -> None:
    count = 90
    texts = ["segment: s00\nwhen: {event: X, within: 1h}"]
    texts += [f"segment: s{n:02}\nwhen: {{segment: s{n - 1:02}}}" for n in range(1, count)]
    town = Town("\n---\n".join(texts))
    for part in range(1, 9):
        first = part * count
        more = [f"segment: s{first:02}\nwhen: {{segment: s{first - 1:02}}}"]
        more += [
            f"segment: s{n:02}\nwhen: {{segment: s{n - 1:02}}}"
            for n in range(first + 1, first + count)
        ]
        town.define("\n---\n".join(more))
    town.track("X")
    assert len(town.person().segments) == 9 * count
    town.at("1h")
    assert not town.person().segments


def test_timers_of_stores_of_earlier_versions_fire() -> None:
    town = Town("segment: fresh\nwhen: {event: X, within: 1h}")
    town.track("X")
    person = town.person()
    person.timers["s:fresh"] = person.timers.pop("d:fresh")
    town.at("59m")
    assert "fresh" in town.person().segments
    town.at("1h")
    assert "fresh" not in town.person().segments
    assert not town.person().timers


def test_counts_stay_exact_past_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 kept times at most 999 are asked about."""
    many = limits.WINDOW_EVENTS + 5
    town = Town("segment: most\nwhen: {event: X, at_least: 999, within: 1h}")
    for _ in range(many):
        town.track("X")
        town.now += 1
    assert len(town.person().windows["X"]) == limits.WINDOW_EVENTS
    assert "most" in town.person().segments
    left_ms = town.start + many - 999 + 3_600_000  # when the 999th newest leaves
    town.now = left_ms - 1
    town.apply()
    assert "most" in town.person().segments
    town.now = left_ms
    town.apply()
    assert "most" not in town.person().segments


def test_what_has_held_goes_when_nobody_asks() -> None:
    town = Town("segment: a\nwhen: {trait: plan, is: free, for: 30d}")
    town.identify(plan="free")
    assert list(town.person().state) == ["held"]
    town.define("segment: a\nwhen: {trait: plan, is: free}")
    town.identify(city="Ulm")
    assert town.person().state == {}
    assert "a" in town.person().segments


def test_consents_are_read_and_told_of() -> None:
    town = Town(
        "segment: news\nwhen: {consent: newsletter, channel: email}\n---\n"
        "segment: never-asked\nwhen: {consent: newsletter, channel: email, is: unknown}"
    )
    town.track("X")
    person = town.person()
    assert list(person.segments) == ["never-asked"]
    act = town.shard._act
    for status, expected in (("subscribed", ["news"]), ("unsubscribed", [])):
        person.state["consents"] = {"email/newsletter": [status, town.now]}
        act.entity, act.program, act.now = person, town.shard.programs["w"], town.now
        profile.fact_changed(act, "consent:email/newsletter")
        assert list(person.segments) == expected
        profile.fact_changed(act, "consent:sms/newsletter")
    act.follow_ups.clear()


def test_a_trait_that_python_takes_for_the_same_is_another_value() -> None:
    town = Town(
        "segment: yes\nwhen: {trait: a, is: true}\n---\nsegment: one\nwhen: {trait: a, is: 1}"
    )
    for value, expected in ((1, ["one"]), (True, ["yes"]), (1.0, ["one"]), (None, [])):
        town.identify(a=value)
        assert list(town.person().segments) == expected
    town.identify(a=[1])
    town.identify(a=[True])
    assert town.person().traits["a"][0] is True


def test_what_was_due_before_the_sweep_came_is_not_late() -> None:
    town = Town("""
segment: recent
when: {event: Seen, within: 1h}
---
journey: j
entry: {segment: recent, on: left}
steps:
  a: {delay: 10m, then: b}
  b: {delay: 10m}
""")
    town.track("Seen")
    town.at("30m")
    town.define("segment: other\nwhen: {event: Other, at_most: 0}")
    town.at("3h")  # a tick that comes late, to somebody whom nothing has touched since
    lines = [(ms - town.start, why[:7]) for ms, kind, _, why in town.person().trail_lines()]
    hour = 3_600_000
    assert [line for line in lines if line[1] == "left: i"] == [(hour, "left: i")]
    assert (hour, "entered") in lines  # the other segment: evaluated at that moment too
    assert [time for time, *_ in town.trail(town.only())] == ["3600s", "4200s", "4800s"]


@pytest.mark.parametrize("condition", ["{event: Go, at_most: 0}", "{not: {event: Go}}"])
def test_whose_first_event_says_otherwise_was_never_in_a_segment(condition: str) -> None:
    town = Town(
        f"segment: idle\nwhen: {condition}\n---\n"
        "journey: j\nentry: {segment: idle}\nsteps: {a: {delay: 1d}}"
    )
    town.track("Go", "ann")
    assert not town.person("ann").instances
    assert town.notes("segment", "ann") == []
    town.track("Other", "bob")
    assert town.person("bob").segments == {"idle": town.now}
    assert town.running("bob")
    assert town.shard.sizes == {"w/idle": 1}


def test_a_first_event_that_is_refused_leaves_nobody_unevaluated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TRAITS", 1)
    town = Town("segment: idle\nwhen: {event: Go, at_most: 0}")
    town.identify("ann", a=1, b=2)
    assert town.person("ann").traits == {}
    assert town.person("ann").segments == {"idle": town.now}

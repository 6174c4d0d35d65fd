"""No cap is ever passed, nothing leaves in quiet hours, and what waits leaves at their exact end.

Hypothesis writes policies and histories of messages around the nights in which clocks are changed:
channels, tags, priorities, validities, carriers that refuse. What went out is then looked at with
the naive definition of each rule, which knows nothing of how the engine keeps count.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
from hypothesis import given, note, settings

from engine import commands
from engine.durations import parse
from engine.governance import waiting
from engine.messages.message import Message
from engine.packing import pack
from engine.reasons import Reason
from engine.simulation.world import World

HOUR = 3_600_000
DAY = 24 * HOUR
# Evenings before the clocks are changed, and a plain one.
STARTS = (
    "2026-03-28T18:00:00Z",  # Madrid, an hour less
    "2026-10-24T18:00:00Z",  # Madrid, an hour more
    "2026-03-07T20:00:00Z",  # New York, an hour less
    "2026-10-03T08:00:00Z",  # Lord Howe, half an hour less
    "2026-04-04T08:00:00Z",  # Lord Howe, half an hour more
    "2026-01-31T20:00:00Z",
)
ZONES = ("Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "UTC")
TIMES = ("00:00", "01:30", "02:00", "02:15", "02:30", "03:00", "08:00", "20:00", "22:00")
LANES = [
    {"lane": "sms", "channel": "sms", "carrier": "sandbox", "prefixes": ["+"]},
    {"lane": "email", "channel": "email", "carrier": "sandbox"},
]
KEY = "default/user/ann"

caps = st.fixed_dictionaries(
    {
        "at_most": st.sampled_from((1, 1, 2)),
        "per": st.sampled_from(
            ("30m", "2h", "1d", "2d", "calendar day", "calendar week", "calendar month")
        ),
        "then": st.sampled_from(("drop", "hold")),
    },
    optional={"channel": st.sampled_from(("sms", "email")), "tag": st.sampled_from(("a", "b"))},
)
quiet = st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)).filter(lambda p: p[0] != p[1])
quiet_rules = st.fixed_dictionaries(
    {"span": quiet},
    optional={"then": st.just("drop"), "channels": st.sampled_from((["sms"], ["email"]))},
).map(lambda r: {"from": r["span"][0], "to": r["span"][1], **_without(r, "span")})
messages = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(("sms", "email")),
        "tags": st.sampled_from(([], ["a"], ["a", "b"])),
        "priority": st.integers(0, 3),
        "hours": st.sampled_from((1, 10, 100, 100)),
        "refused": st.sampled_from((False,) * 5 + (True,)),
        "otp": st.sampled_from((False,) * 5 + (True,)),
    }
)
gaps = st.sampled_from(
    (0, 1, 2, 30 * 60_000 - 1, 2 * HOUR - 1, 3 * HOUR, 5 * HOUR, 11 * HOUR, DAY - 1)
)
histories = st.lists(st.tuples(gaps, messages), min_size=5, max_size=25)


def _without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key != name}


def _played(start: str, policy: dict[str, Any], zone: str, history: Any) -> World:
    world = World(int(datetime.fromisoformat(start).timestamp() * 1000))
    world.define([*LANES, {"policy": "default", "default_timezone": zone, **policy}])
    world.happen(
        {"type": "identify", "userId": "ann", "traits": {"phone": "+34600111222", "email": "a@b.c"}}
    )
    for number, (gap_ms, message) in enumerate(history):
        world.turn_to(world.now + gap_ms)
        world.sender.does = "carrier_rejected" if message["refused"] else "send"
        spec = {
            "channel": message["channel"], "body": str(number), "subject": "s",
            "purpose": "otp" if message["otp"] else "marketing", "tags": message["tags"],
            "priority": message["priority"], "validity_ms": message["hours"] * HOUR,
        }  # fmt: skip
        reason = world.do(commands.send(KEY, f"r{number}", pack(spec)))
        assert reason is Reason.ACCEPTED
        _is_consistent(world)
    world.turn_to(world.now + 110 * HOUR)
    return world


def _is_consistent(world: World) -> None:
    """Each message that waits has its timer and its place, and none waits without."""
    entity = world.person("ann")
    assert entity is not None
    assert not entity.error, entity.error
    kept = entity.state.get(waiting.STATE, {})
    timers = {token[2:] for token in entity.timers if token.startswith(waiting.TIMER)}
    assert timers == set(kept)
    held = {one.id for one in entity.kept.every() if one.status == Reason.HELD}
    assert held == set(kept)


def _all(world: World) -> list[Message]:
    entity = world.person("ann")
    assert entity is not None
    for one in entity.kept.every():
        note(f"{one.body} {one.channel} {one.tags}: {_shown(one)}")
    return entity.kept.every()


def _shown(message: Message) -> list[str]:
    return [f"{_utc(at)} {Reason(r).name} {why}" for at, r, _, why in message.history]


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _out_ms(message: Message) -> int | None:
    """When a message went out, if it did."""
    if message.status == Reason.CARRIER_REJECTED:
        return None
    return next((at for at, reason, _, _ in message.history if reason == Reason.QUEUED), None)


def _periods(per: str, at_ms: int, zone: ZoneInfo) -> tuple[int, ...]:
    day = _utc(at_ms).astimezone(zone).date()
    if per == "calendar day":
        return (day.toordinal(),)
    return day.isocalendar()[:2] if per == "calendar week" else (day.year, day.month)


def _spans(rule: dict[str, Any], around_ms: int, zone: ZoneInfo) -> list[tuple[int, int]]:
    """The quiet times of the days around a moment."""
    day = _utc(around_ms).astimezone(zone).date()
    found = []
    for shift in range(-2, 3):
        begins = day + timedelta(days=shift)
        ends = begins if rule["to"] > rule["from"] else begins + timedelta(days=1)
        start, end = (
            datetime.fromisoformat(f"{date} {clock}").replace(tzinfo=zone).timestamp()
            for date, clock in ((begins, rule["from"]), (ends, rule["to"]))
        )
        found.append((round(start * 1000), round(end * 1000)))
    return found


def _quiet_until(rules: list[dict[str, Any]], channel: str, at_ms: int, zone: ZoneInfo) -> int:
    """The moment itself, or when the quiet times end that it lies in."""
    until_ms = at_ms
    for _ in range(16):
        for rule in rules:
            if channel in rule.get("channels", ("sms", "email")) and "then" not in rule:
                ends = [e for s, e in _spans(rule, until_ms, zone) if s <= until_ms < e]
                until_ms = max([until_ms, *ends])
    return until_ms


@given(
    st.sampled_from(STARTS), st.sampled_from(ZONES), st.lists(caps, min_size=1, max_size=2),
    st.lists(quiet_rules, max_size=1), histories,
)  # fmt: skip
@settings(max_examples=120)
def test_no_cap_is_ever_passed_and_nothing_leaves_in_quiet_hours(
    start: str, zone_name: str, caps: list[dict[str, Any]], rules: list[Any], history: Any
) -> None:
    world = _played(start, {"caps": caps, "quiet_hours": rules}, zone_name, history)
    zone = ZoneInfo(zone_name)
    sent = [
        (at_ms, one)
        for one in _all(world)
        if one.purpose == "marketing" and (at_ms := _out_ms(one)) is not None
    ]
    for cap in caps:
        times = sorted(
            at_ms
            for at_ms, one in sent
            if cap.get("channel", one.channel) == one.channel
            and ("tag" not in cap or cap["tag"] in one.tags)
        )
        if cap["per"].startswith("calendar"):
            counts = Counter(_periods(cap["per"], at_ms, zone) for at_ms in times)
            assert max(counts.values(), default=0) <= cap["at_most"]
        else:
            later = times[cap["at_most"] :]
            gaps = [b - a for a, b in zip(times, later, strict=False)]
            assert min(gaps, default=parse(cap["per"])) >= parse(cap["per"])
    for at_ms, one in sent:
        for rule in rules:
            if one.channel in rule.get("channels", ("sms", "email")):
                assert not any(s <= at_ms < e for s, e in _spans(rule, at_ms, zone))
        assert at_ms < one.expires_ms
    entity = world.person("ann")
    assert entity is not None
    assert not entity.state.get(waiting.STATE), "all have come to an end by now"
    assert all(one.status in (Reason.SENT, Reason.CARRIER_REJECTED) for one in _all(world)
               if one.purpose == "otp")  # fmt: skip


@given(
    st.sampled_from(STARTS), st.sampled_from(ZONES),
    st.lists(quiet_rules, min_size=1, max_size=3), histories,
)  # fmt: skip
@settings(max_examples=80)
def test_what_is_held_leaves_at_the_exact_end_of_quiet_hours(
    start: str, zone_name: str, rules: list[Any], history: Any
) -> None:
    world = _played(start, {"quiet_hours": rules}, zone_name, history)
    zone = ZoneInfo(zone_name)
    for one in _all(world):
        held = [at_ms for at_ms, reason, _, _ in one.history if reason == Reason.HELD]
        if not held:
            continue
        (at_ms,) = held
        until_ms = _quiet_until(rules, one.channel, at_ms, zone)
        assert one.history[1][0] == until_ms > at_ms
        assert until_ms < one.expires_ms


@given(
    st.sampled_from(STARTS), st.sampled_from(ZONES),
    st.lists(st.sampled_from(("2h", "1d", "calendar day")), min_size=1, max_size=2), histories,
)  # fmt: skip
@settings(max_examples=80)
def test_a_lower_priority_never_takes_the_place_of_a_higher_one_that_waits(
    start: str, zone_name: str, pers: list[str], history: Any
) -> None:
    rules = [{"from": "12:00", "to": "08:00", "channels": ["sms"]}]
    policy = {"caps": [{"at_most": 1, "per": per} for per in pers], "quiet_hours": rules}
    history = [(gap, {**one, "refused": False, "otp": False}) for gap, one in history]
    world = _played(start, policy, zone_name, history)
    zone = ZoneInfo(zone_name)
    priority = {str(number): one["priority"] for number, (_, one) in enumerate(history)}
    out = [(at_ms, one) for one in _all(world) if (at_ms := _out_ms(one)) is not None]
    for one in _all(world):
        if one.status not in (Reason.FREQUENCY_CAP, Reason.LOWER_PRIORITY):
            continue
        if one.history[0][1] != Reason.HELD:
            continue
        since_ms, ended_ms = one.history[0][0], one.history[-1][0]
        for at_ms, other in out:
            counts = since_ms < at_ms <= ended_ms and any(
                _periods(per, at_ms, zone) == _periods(per, ended_ms, zone)
                if per.startswith("calendar")
                else ended_ms - at_ms < parse(per)
                for per in pers
            )
            assert not counts or priority[other.body] >= priority[one.body], (one.body, other.body)


@given(
    st.sampled_from(STARTS), st.lists(caps, max_size=2), st.lists(quiet_rules, max_size=2),
    histories,
)  # fmt: skip
@settings(max_examples=30)
def test_a_replay_leaves_the_same_bytes(
    start: str, caps: list[Any], rules: list[Any], history: Any
) -> None:
    world = _played(start, {"caps": caps, "quiet_hours": rules}, "Europe/Madrid", history)
    assert world.replayed().snapshot() == world.snapshot()

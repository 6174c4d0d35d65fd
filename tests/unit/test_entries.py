"""Entries, exits, re-entry and versions: what the scenarios of tests/semantics do not show.

Errors of definitions in words, schedules in zones, bounds, and what is remembered.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import msgpack
import pytest
from hypothesis import given, settings
from journey_helpers import Town
from pydantic_core import PydanticCustomError

from engine import commands, definitions, limits
from engine.issues import DefinitionError
from engine.journeys import again, broadcast, schedule, walk
from engine.journeys.publish import handovers, report
from engine.program import EMPTY
from engine.reasons import Reason
from engine.simulation.world import World
from engine.slots import shard_of, slot_of

STEPS = "steps: {a: {delay: 1d}}"


def complaints(text: str, *before: str) -> list[str]:
    """What is wrong with a definition, without the journey's name; `before` is in force."""
    town = Town("\n---\n".join(before)) if before else None
    program = town.shard.programs["w"] if town else EMPTY
    try:
        definitions.check(definitions.parse(text), program)
    except DefinitionError as error:
        return [str(issue).partition(": ")[2] for issue in error.issues]
    return []


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (
            "{event: A, api: true}",
            "entry: is two entries at once: event and api; write them as a list",
        ),
        ("[]", "entry: must have 1 to 10 entries, not 0"),
        (
            "[{event: A}, {segmnt: vip}]",
            (
                "entry[1]: is not an entry: it has none of event, segment, "
                "api, schedule or broadcast; did you mean 'segment'?"
            ),
        ),
        ("{segment: vip}", "entry.segment: there is no segment 'vip'"),
        (
            "{segment: vip, on: entring}",
            "entry.on: must be entered or left, not the text 'entring'",
        ),
        (
            "{segment: vip, where: [{property: x, is: 1}]}",
            "entry.where: there is no event whose property it could read; use a trait or a segment",
        ),
        ("{api: false}", "entry.api: must be true, not false"),
        (
            "{broadcast: {property: x, is: 1}}",
            (
                "entry.broadcast: there is no event whose property it could read; "
                "use a trait or a segment"
            ),
        ),
        (
            "{broadcast: {trait: x, is: 1}, speed: 10/h}",
            "entry.speed: '10/h' is no speed; write it like 1000/min or 50/s, at most 600000/min",
        ),
        ("{broadcast: {segment: vip}}", "entry.broadcast: there is no segment 'vip'"),
        (
            "{schedule: '61 * * * *', audience: {trait: x, is: 1}}",
            (
                "entry.schedule: '61 * * * *': '61' is no minute; it goes from 0 to 59; "
                "write minute hour day month weekday"
            ),
        ),
        (
            "{schedule: 'tomorrow', audience: {trait: x, is: 1}}",
            (
                "entry.schedule: 'tomorrow' is no time and no cron expression; "
                "write a time like 2026-02-14T09:00, or cron like '0 9 * * mon'"
            ),
        ),
        (
            "{schedule: '2026-01-01T09:00+01:00', audience: {trait: x, is: 1}}",
            (
                "entry.schedule: '2026-01-01T09:00+01:00' has an offset of its own; "
                "leave it out and set 'zone'"
            ),
        ),
        (
            "{schedule: '0 0 30 2 *', audience: {trait: x, is: 1}}",
            "entry.schedule: '0 0 30 2 *' never comes: no month has that day",
        ),
        (
            "{schedule: '0 9 * * *', zone: Europe/Berlyn, audience: {trait: x, is: 1}}",
            (
                "entry.zone: must be a time zone, not the text 'Europe/Berlyn'; "
                "did you mean 'Europe/Berlin'?"
            ),
        ),
    ],
)
def test_entries_that_are_refused(entry: str, complaint: str) -> None:
    assert complaints(f"journey: j\nentry: {entry}\n{STEPS}") == [complaint]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (
            "again: onec",
            (
                "again: must be always, once, {after: 7d} or {at_most: 3, per: 30d}, "
                "not the text 'onec'; did you mean 'once'?"
            ),
        ),
        (
            "again: {after: 7}",
            "again.after: 7 has no unit; write it like 90s, 15m, 2h, 1d, 2w or 1h30m",
        ),
        ("again: {at_most: 3}", "again: 'per' is missing"),
        ("again: {at_most: 0, per: 1d}", "again.at_most: must be at least 1, not 0"),
        ("at_once: 65", "at_once: must be at most 64, not 65"),
        (
            "status: live-ish",
            (
                "status: must be draft, live, paused or archived, not the text 'live-ish'; "
                "did you mean 'live'?"
            ),
        ),
        (
            "exit: [{evnt: A}]",
            (
                "exit[0]: is not an exit rule: it has none of event, segment or when; "
                "did you mean 'event'?"
            ),
        ),
        (
            "exit: [{event: A, when: {trait: x, is: 1}}]",
            "exit[0]: is two exit rules at once: event and when; make them two",
        ),
        (
            "exit: [{when: {property: x, is: 1}}]",
            (
                "exit[0].when: 'when' has no event whose property "
                "it could read; use {event: ..., where: ...}, or a trait"
            ),
        ),
        ("exit: [{segment: vip}]", "exit[0].segment: there is no segment 'vip'"),
        (
            "publish: migrat",
            (
                "publish: must be drain, stop, migrate or {migrate: {old: new}}, "
                "not the text 'migrat'; did you mean 'migrate'?"
            ),
        ),
        (
            "publish: {else: stop}",
            ("publish: has no 'migrate'; write drain, stop, migrate or {migrate: {old: new}}"),
        ),
        ("publish: {migrate: {x: b}}", "publish: 'x' goes to 'b', which does not exist"),
    ],
)
def test_what_else_of_a_journey_is_refused(more: str, complaint: str) -> None:
    assert complaints(f"journey: j\nentry: {{event: Go}}\n{more}\n{STEPS}") == [complaint]


# --- Publishing ----------------------------------------------------------------------------------

OLD = """journey: j
entry: {event: Go}
steps:
  wait: {hold: 1d, on: [{event: X}], timeout: say}
  say: {split: [{when: {trait: x, is: 1}}], else: rest}
  rest: {delay: 1d}
"""


def test_a_step_that_people_may_wait_at_must_be_decided() -> None:
    new = f"journey: j\npublish: migrate\nentry: {{event: Go}}\n{STEPS}"
    assert complaints(new, OLD) == [
        (
            "publish: who waits at 'wait' and 'rest' of the version before has no place in this "
            "one; "
            "map it to a step or to end, or decide for all with else: drain or else: stop"
        )
    ]
    for decided in ("{migrate: {wait: a, rest: end}}", "{migrate: {wait: a}, else: stop}", "stop"):
        assert not complaints(new.replace("publish: migrate", f"publish: {decided}"), OLD)


def test_a_mapping_names_steps_that_some_kept_version_has() -> None:
    new = (
        f"journey: j\npublish: {{migrate: {{wiat: a}}, else: drain}}\nentry: {{event: Go}}\n{STEPS}"
    )
    assert complaints(new, OLD) == [
        "publish: no kept version has a step 'wiat'; did you mean 'wait'?"
    ]


def test_the_same_document_may_be_applied_again_though_its_mapping_is_history_by_then() -> None:
    town = Town(OLD)
    new = f"journey: j\npublish: {{migrate: {{wait: a, rest: a}}}}\nentry: {{event: Go}}\n{STEPS}"
    town.define(new)
    town.define(new)
    assert [v for _, v in town.shard.programs["w"].journeys] == [1, 2]


def test_a_report_says_what_becomes_of_those_who_wait_at_each_step() -> None:
    town = Town(OLD)
    town.define(
        "journey: j\npublish: {migrate: {rest: other}, else: stop}\nentry: {event: Go}\n"
        "steps: {wait: {hold: 2d, on: [{event: Y}], timeout: other}, other: {delay: 2d}}"
    )
    journeys = town.shard.programs["w"].journeys
    assert report(journeys["j", 2], journeys["j", 1]) == {
        "wait": "keeps its place and time",
        "rest": "goes to 'other' and keeps its place and time",
    }
    town.define("journey: j\npublish: {migrate: {wait: x}, else: stop}\nentry: {event: Go}\n"
                "steps: {x: {delay: 2d}}")  # fmt: skip
    journeys = town.shard.programs["w"].journeys
    assert report(journeys["j", 3], journeys["j", 2]) == {
        "wait": "enters 'x' anew", "other": "stops",
    }  # fmt: skip


def test_what_is_handed_over_is_told_of_journeys_with_a_newer_version_alone() -> None:
    town = Town(OLD + "\n---\n" + OLD.replace("journey: j", "journey: k"))
    before = town.shard.programs["w"]
    town.define(
        "journey: j\npublish: stop\nentry: {event: Go}\nsteps: {wait: {delay: 1d}}\n---\n"
        "journey: new\nentry: {event: Go}\nsteps: {wait: {delay: 1d}}",
    )
    assert handovers(before, town.shard.programs["w"]) == {
        "j": {"wait": "stops", "rest": "stops"},
    }  # fmt: skip


def test_versions_that_nobody_touched_take_over_in_their_order() -> None:
    town = Town(OLD)
    town.track("Go")
    steps = "steps: {wait: {hold: 1d, on: [{event: X}], timeout: end}}"
    town.define(
        f"journey: j\npublish: {{migrate: {{}}, else: drain}}\nentry: {{event: Go}}\n{steps}"
    )
    town.define(f"journey: j\npublish: stop\nentry: {{event: Go}}\n{steps.replace('1d', '2d')}")
    assert town.only().version == 1
    town.apply(commands.refresh("w/user/ann"))
    words = [(what, why) for _, _, what, why in town.only().trail[1:]]
    assert words == [
        ("migrated", "from version 1 to 2; it keeps its place and time"),
        ("stopped", "version 3 was published: stop"),
    ]
    assert not town.person().timers


# --- Remembering ---------------------------------------------------------------------------------


def test_what_is_remembered_is_bounded_and_goes_when_nobody_needs_it() -> None:
    town = Town(
        "journey: j\nagain: {at_most: 3, per: 1d}\nentry: {event: Go}\nsteps: {a: {delay: 1s}}"
    )
    for hour in range(1, 60):
        town.at(f"{hour}h")
        town.track("Go")
    state = town.person().state
    assert len(state[again.STATE]["j"]) == 3
    assert len(state[again.REFUSALS]) == 1
    town.define("", ("journey", "j"))
    town.at("100h")
    town.apply(commands.refresh("w/user/ann"))
    assert not {again.STATE, again.REFUSALS} & set(town.person().state)


def test_reasons_that_are_kept_are_bounded() -> None:
    town = Town(f"journey: j\nentry: {{api: true, key: properties.k}}\n{STEPS}")
    for number in range(limits.REFUSALS + 5):
        town.define(f"journey: j\nentry: {{api: true, key: properties.k{number}}}\n{STEPS}")
        town.apply(commands.enter("w/user/ann", f"r{number}", "j"))
    refused = town.person().state[again.REFUSALS]
    assert len(refused) == limits.REFUSALS
    assert list(refused)[-1] == f"j: the API: there is no usable properties.k{number}"


def test_two_people_who_become_one_have_entered_as_often_as_both() -> None:
    mine = {"j": [5, 9], "k": [1]}
    assert again.join(mine, {"j": [7]}) == {"j": [5, 7, 9], "k": [1]}
    assert mine == {"j": [5, 9], "k": [1]}


# --- Commands ------------------------------------------------------------------------------------


def test_an_entry_by_the_api_needs_a_person() -> None:
    town = Town(f"journey: j\nentry: {{api: true}}\n{STEPS}")
    effects = town.apply(commands.enter("w/address/+1", "r1", "j"))
    assert list(effects.results) == [Reason.NOT_FOUND]


def test_a_context_that_cannot_be_read_counts_as_none() -> None:
    town = Town(
        f"journey: j\nentry: {{api: true, where: [{{property: x, exists: false}}]}}\n{STEPS}"
    )
    effects = town.apply(commands.enter("w/user/ann", "r1", "j", b"\xc1"))
    assert list(effects.results) == [Reason.ACCEPTED]


def test_one_of_several_runs_may_be_stopped() -> None:
    town = Town(f"journey: j\nentry: {{api: true, key: properties.k}}\n{STEPS}")
    for key in ("a", "b"):
        town.apply(commands.enter("w/user/ann", f"r{key}", "j", msgpack.packb({"k": key})))
    first = town.running()[0]
    town.apply(commands.stop("w/user/ann", "s1", "j", first.id, "asked"))
    assert [one.key for one in town.running()] == ["b"]
    again_ = town.apply(commands.stop("w/user/ann", "s1", "j", first.id, "asked"))
    assert list(again_.results) == [Reason.DUPLICATE]


def test_a_run_that_spins_through_its_timers_is_stopped_and_recorded() -> None:
    town = Town(
        "journey: j\nentry: {event: Go}\nsteps: {a: {delay: 1s, then: b}, b: {delay: 1s, then: a}}"
    )
    town.track("Go")
    instance = town.only()
    instance.trail.extend(
        (town.now, "a", "entered", "") for _ in range(limits.INSTANCE_LINES_PER_S)
    )
    town.now += 1
    instance.due_ms = town.now
    town.person().timers[f"j:{instance.id}"] = town.now
    town.person().due_ms = town.now
    town.shard._timers.push("w/user/ann", town.now)
    town.apply()
    assert town.only().status == "failed"
    assert town.only().trail[-1][3] == "more than 80 lines of its trail in a second"


# --- Broadcasts ----------------------------------------------------------------------------------


def test_every_shard_has_a_task_of_its_own_that_lies_in_it() -> None:
    for shards in (1, 4, 256):
        for shard in range(0, shards, max(1, shards // 5)):
            key = broadcast.task_key("w", "news", shard, shards)
            assert shard_of(slot_of(key), shards) == shard


def test_progress_is_told_and_an_unanswered_slice_is_asked_again() -> None:
    town = Town("segment: all\nwhen: {trait: x, is: 1}")
    town.identify("ann", x=1)
    town.define(f"journey: news\nentry: {{broadcast: {{segment: all}}}}\n{STEPS}")
    key = broadcast.task_key("w", "news", 0, 1)
    town.now += 1
    (asked,) = town.apply().forwards
    assert asked[3][0] == commands.WALK
    task = town.shard.peek(key)
    assert task is not None
    (told,) = broadcast.progress(task)
    assert (told["state"], told["visited"], told["offered"]) == ("walking", 0, 0)
    assert town.shard.unsettled([]).forwards == [asked]
    answer = commands.walked(key, asked[1], "0", "w/user/ann", 1, 1, True)
    assert list(town.apply(answer, answer).results) == [Reason.ACCEPTED, Reason.DUPLICATE]
    (told,) = broadcast.progress(task)
    assert (told["state"], told["offered"]) == ("done", 1)
    assert not task.outbox
    assert not task.timers


# --- Schedules -----------------------------------------------------------------------------------


def due(text: str, zone: str, after: str, count: int = 1) -> list[str]:
    """The next times of a schedule, in UTC."""
    plan = schedule.Plan(schedule.read(text), zone)
    at_ms: int | None = int(datetime.fromisoformat(after).timestamp() * 1000)
    found = []
    for _ in range(count):
        assert at_ms is not None
        at_ms = plan.after(at_ms)
        if at_ms is None:
            break
        found.append(datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M"))
    return found


@pytest.mark.parametrize(
    ("text", "zone", "after", "times"),
    [
        ("0 9 * * *", "UTC", "2026-01-05T08:59:59Z", ["2026-01-05T09:00", "2026-01-06T09:00"]),
        ("0 9 * * *", "UTC", "2026-01-05T09:00:00Z", ["2026-01-06T09:00"]),
        ("0 9 * * *", "Asia/Tokyo", "2026-01-05T00:00:00Z", ["2026-01-06T00:00"]),
        (
            "*/20 8-9 * * *",
            "UTC",
            "2026-01-05T08:30:00Z",
            [
                "2026-01-05T08:40",
                "2026-01-05T09:00",
                "2026-01-05T09:20",
                "2026-01-05T09:40",
                "2026-01-06T08:00",
            ],
        ),
        ("0 0 29 feb *", "UTC", "2026-01-05T00:00:00Z", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", ["2104-02-29T00:00"]),
        ("0 0 1 * mon", "UTC", "2026-01-05T00:00:00Z", ["2026-01-12T00:00"]),  # either day
        ("0 0 1 * mon", "UTC", "2026-01-27T00:00:00Z", ["2026-02-01T00:00", "2026-02-02T00:00"]),
        ("0 0 * * 7", "UTC", "2026-01-05T00:00:00Z", ["2026-01-11T00:00"]),
        (
            "0 0 * * fri-sun",
            "UTC",
            "2026-01-05T00:00:00Z",
            ["2026-01-09T00:00", "2026-01-10T00:00", "2026-01-11T00:00"],
        ),
        (
            "5,35 12 1,15 jan,jul *",
            "UTC",
            "2026-01-15T12:05:00Z",
            ["2026-01-15T12:35", "2026-07-01T12:05"],
        ),
        # The night to summer time: 02:30 is what the clock calls 03:30, and counts once.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            ["2026-03-29T01:30", "2026-03-30T00:30"],
        ),
        (
            "30 2,3 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            ["2026-03-29T01:30", "2026-03-30T00:30"],
        ),
        (
            "30,45 2,3 * * *",
            "Europe/Berlin",
            "2026-03-29T01:15:00Z",
            ["2026-03-29T01:30", "2026-03-29T01:45", "2026-03-30T00:30"],
        ),
        # The night to winter time: 02:30 comes twice, and counts the first time.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T00:30", "2026-10-26T01:30"],
        ),
        # Who names no hour goes by the clock: both times that it shows, none that it does not.
        (
            "0 * * * *",
            "Europe/Berlin",
            "2026-10-24T23:30:00Z",
            ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"],
        ),
        (
            "30 */2 * * *",
            "Europe/Berlin",
            "2026-10-24T23:30:00Z",
            ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T03:30"],
        ),
        (
            "30 */2 * * *",
            "Europe/Berlin",
            "2026-03-28T23:00:00Z",
            ["2026-03-28T23:30", "2026-03-29T02:30"],
        ),
        (
            "*/30 * * * *",
            "Australia/Lord_Howe",
            "2026-04-04T14:30:00Z",
            ["2026-04-04T15:00", "2026-04-04T15:30", "2026-04-04T16:00"],
        ),
        (
            "0 * * * *",
            "America/Havana",
            "2026-11-01T03:30:00Z",
            ["2026-11-01T04:00", "2026-11-01T05:00", "2026-11-01T06:00"],
        ),
        ("2026-02-14T09:00", "America/New_York", "2026-01-01T00:00:00Z", ["2026-02-14T14:00"]),
        ("2026-02-14T09:00", "America/New_York", "2026-02-14T14:00:00Z", []),
    ],
)
def test_when_a_schedule_is_due(text: str, zone: str, after: str, times: list[str]) -> None:
    assert due(text, zone, after, max(1, len(times))) == times


@pytest.mark.parametrize(
    "text",
    [
        "* * * *",
        "* * * * * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "1/x * * * *",
        "",
        "² * * * *",
    ],
)
def test_cron_that_is_refused(text: str) -> None:
    with pytest.raises(PydanticCustomError):
        schedule.read(text)


@pytest.mark.parametrize(
    ("text", "speed"), [("1/min", 1), ("50/s", 3_000), ("600000/min", 600_000)]
)
def test_speeds(text: str, speed: int) -> None:
    assert schedule.read_speed(text) == speed


FIELDS = (
    st.sampled_from(["*", "0", "*/7", "5,35", "50-59/3", "30"]),
    st.sampled_from(["*", "0", "9", "*/5", "22-23", "1,13"]),
    st.sampled_from(["*", "1", "28-31", "*/10", "29"]),
    st.sampled_from(["*", "jan", "2,3", "*/4"]),
    st.sampled_from(["*", "mon", "sat-sun", "0", "7", "1-5"]),
)


def naive(fields: list[str], shown: datetime) -> bool:
    """Whether a minute is one of a cron expression's, by the book."""
    names = {name: str(n) for n, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri"))}
    names |= {"sat-sun": "6,0", "jan": "1"}

    def holds(field: str, number: int, least: int) -> bool:
        for item in names.get(field, field).split(","):
            span, _, every = item.partition("/")
            low, _, high = span.partition("-")
            numbers = range(least, 60) if span == "*" else range(int(low), int(high or low) + 1)
            if number in numbers[:: int(every or 1)]:
                return True
        return False

    minute, hour, day, month, weekday = fields
    in_month = holds(day, shown.day, 1)
    dow = shown.isoweekday() % 7
    in_week = holds(weekday, dow, 0) or holds(weekday, dow + 7, 0)
    either = not day.startswith("*") and not weekday.startswith("*")
    return (
        holds(minute, shown.minute, 0)
        and holds(hour, shown.hour, 0)
        and holds(month, shown.month, 1)
        and ((in_month or in_week) if either else (in_month and in_week))
    )


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*FIELDS),
    st.sampled_from(["UTC", "Asia/Kolkata"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 1)),  # noqa: DTZ001
)
def test_a_schedule_is_due_when_a_look_at_every_minute_says_so(
    fields: tuple[str, ...], zone: str, start: datetime
) -> None:
    try:
        plan = schedule.Plan(schedule.read(" ".join(fields)), zone)
    except PydanticCustomError:
        return  # 30 February
    start = start.replace(tzinfo=UTC, second=0, microsecond=0)
    at_ms = int(start.timestamp() * 1000)
    found = plan.after(at_ms)
    expected = None
    for minutes in range(1, 2 * 1_440):
        moment = start + timedelta(minutes=minutes)
        if naive(list(fields), moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)):
            expected = int(moment.timestamp() * 1000)
            break
    if expected is None:
        assert found is None or found >= at_ms + 2 * 86_400_000
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("time", "zone"),
    [("0001-01-01T00:00", "Asia/Tokyo"), ("9999-12-31T23:59", "America/Los_Angeles")],
)
def test_a_schedule_outside_of_the_calendar_is_refused(time: str, zone: str) -> None:
    entry = f"entry: {{schedule: '{time}', zone: {zone}, audience: {{everyone: true}}}}"
    with pytest.raises(DefinitionError, match=f"'{time}' lies before 1970 or after 9998"):
        definitions.check(definitions.parse(f"journey: j\n{entry}\n{STEPS}"), EMPTY)


def test_a_task_that_is_released_from_quarantine_goes_on() -> None:
    town = Town(
        "journey: j\nentry:\n  - {schedule: '0 9 * * *', audience: {everyone: true}}\n"
        f"  - {{broadcast: {{everyone: true}}}}\n{STEPS}"
    )
    town.at("1s")  # the broadcast asks for its first slice, and nobody answers
    (task,) = [one for one in town.shard.scan("", 10) if one.kind == "task"]
    assert task.outbox
    before = dict(task.timers)
    task.timers = {}
    task.due_ms = None
    task.error = "ValueError: a bug"
    town.apply(commands.release(task.key))
    assert task.timers == {**before, "b:walk:1": town.now + 1}
    assert not task.outbox
    town.at("2s")
    assert len(task.outbox) == 1


def walks_of(world: World) -> list[str]:
    """What became of a journey's broadcasts, in turn."""
    (task,) = [one for one in world.shard.scan("", 10) if one.kind == "task"]
    assert not task.error
    return [why for _, kind, _, why in task.trail_lines() if kind == "broadcast"]


def news(entry: dict[str, object]) -> list[dict[str, object]]:
    steps = {"a": {"update": {"add": {"news": 1}}}}
    return [{"journey": "news", "entry": {**entry, "speed": "60/min"}, "steps": steps}]


def test_a_run_that_is_counted_up_while_one_is_under_way_begins_after_it() -> None:
    world = World()
    people = [f"u{number}" for number in range(3)]
    for id_ in people:
        world.happen({"type": "track", "event": "Seen", "userId": id_})
    world.define(news({"broadcast": {"everyone": True}}))
    world.turn_to(world.now + 1_500)
    world.define(news({"broadcast": {"everyone": True}, "run": 2}))
    world.turn_to(world.now + 60_000)
    for id_ in people:
        person = world.person(id_)
        assert person is not None
        assert person.traits == {"news": 2}
    assert walks_of(world) == ["begun", "done: 3 of 3 people", "begun", "done: 3 of 3 people"]


def test_a_broadcast_in_the_place_of_a_schedule_begins_and_the_other_way_round_ends() -> None:
    world = World()
    for number in range(3):
        world.happen({"type": "track", "event": "Seen", "userId": f"u{number}"})
    everyone = {"everyone": True}
    world.define(news({"schedule": "* * * * *", "audience": everyone}))
    world.turn_to(world.now + 60_000)
    world.define(news({"broadcast": everyone}))
    world.turn_to(world.now + 500)
    world.define(news({"schedule": "2030-01-01T00:00", "audience": everyone}))
    world.turn_to(world.now + 60_000)
    told = walks_of(world)
    assert [line.partition(":")[0] for line in told] == ["begun", "cancelled", "begun", "cancelled"]


def test_a_slice_of_a_broadcast_looks_at_a_bounded_number_of_entities() -> None:
    town = Town(f"journey: j\nentry: {{broadcast: {{everyone: true}}}}\n{STEPS}")
    for number in range(3 * limits.BROADCAST_SCAN):
        town.apply(commands.refresh(f"w/identifier/{number}"))
    town.track("Go", "ann")
    asked = commands.walk("w/task/j/0", "x", "j", "0", "", 10, "r")
    slices = 0
    while True:
        *found, (*_, after, visited, offered, is_last) = walk.answer(town.shard, asked)
        slices += 1
        if found or is_last:
            break
        asked = (*asked[:5], after, *asked[6:])
    assert (slices, visited, offered) == (4, 1, 1)


def test_who_took_a_path_that_a_new_version_does_not_have_goes_the_highest_way() -> None:
    def paths(*events: str) -> str:
        ways = ", ".join(f"{{event: {event}, then: won}}" for event in events)
        return (
            f"journey: j\npublish: migrate\nentry: {{event: Go}}\nsteps:\n"
            f"  a: {{paths: [{ways}], within: 3d, ranked: true, else: lost}}\n"
            "  won: {delay: 30d}\n  lost: {delay: 30d}"
        )

    town = Town(paths("Best", "Good", "Fair"))
    town.track("Go")
    town.track("Best")
    town.define(paths("Good"))
    town.at("4d")
    assert not town.person().error
    assert town.only().step == "won"

"""A journey run is a function of its journal, whatever happens in whatever order.

Hypothesis writes histories: events of a few people, entries and stops by the API, segments that are
entered and left by time, journeys that are published in any of their ways, paused, archived and
made live again, broadcasts and schedules, messages that wait for the end of quiet hours or in a
queue, and a clock that goes on. Whatever it comes up with, a
replay of the journal and a world that restarts before everything that happens leave the same bytes;
and the rules that no history may break hold after each step.
"""

from collections import Counter
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, note, settings

from engine import commands, limits
from engine.entity import Entity
from engine.journeys import calling
from engine.journeys.model import ARCHIVED, PAUSED
from engine.journeys.publish import may_wait
from engine.journeys.steps import END
from engine.packing import pack
from engine.reasons import Reason
from engine.simulation.verbs import VERBS
from engine.simulation.world import World

UNSENT = (Reason.HELD, Reason.QUEUED, Reason.THROTTLED)
USERS = ("ann", "bob", "cid")
EVENTS = ("Go", "Stop", "Skip", "Visited")
SEGMENTS: list[dict[str, Any]] = [
    {"segment": "active", "when": {"event": "Visited", "at_least": 1, "within": "30m"}},
    {"segment": "vip", "when": {"trait": "points", "at_least": 2}},
    {
        "policy": "default",
        "quiet_hours": [{"from": "00:20", "to": "00:50"}, {"from": "01:10", "to": "02:00"}],
        "caps": [{"at_most": 2, "per": "1h", "then": "hold"}],
    },
    {"template": "text", "channel": "sms", "body": "Hi"},
    {"lane": "sms", "channel": "sms", "carrier": "sandbox", "prefixes": ["+"]},
]
MESSAGE = {"purpose": "marketing", "channel": "sms", "template": "text", "validity": "2h"}
ENTRIES: tuple[Any, ...] = (
    {"event": "Go"},
    {"event": "Go", "key": "properties.k"},
    [{"event": "Go", "where": [{"segment": "vip"}]}, {"api": True}],
    {"segment": "active", "on": "left"},
    [{"segment": "vip"}, {"api": True, "key": "properties.k"}],
    {"broadcast": {"segment": "vip"}, "speed": "2/min"},
    {"broadcast": {"not": {"segment": "vip"}}, "run": 2},
    {"schedule": "*/20 * * * *", "audience": {"segment": "active"}, "speed": "1/min"},
)
EXITS: tuple[Any, ...] = (
    [],
    [{"event": "Stop"}],
    [{"event": "Stop", "same": "properties.k", "goal": "won"}],
    [{"segment": "vip"}, {"segment": "active", "on": "left"}],
    [{"when": {"all": [{"segment": "vip"}, {"not": {"segment": "active"}}]}}],
    [{"when": {"event": "Visited", "at_least": 2, "within": "20m"}}],
)
STEPS: tuple[Any, ...] = (
    {
        "wait": {"hold": "20m", "on": [{"event": "Skip", "as": "skip", "then": "rest"}]},
        "rest": {"delay": "10m"},
    },
    {
        "wait": {"hold": "10m", "on": [{"event": "Go", "reset": True}], "timeout": "rest"},
        "rest": {"delay": "5m", "then": "look"},
        "look": {"split": [{"when": {"segment": "vip"}, "then": "wait"}]},
    },
    {"say": {"emit": {"event": "Skip"}, "then": "other"}, "other": {"delay": "15m"}},
    {"text": {"message": MESSAGE}},
    {
        "wait": {"hold": "20m", "on": [{"event": "Skip", "then": "text"}], "timeout": "text"},
        "text": {"message": MESSAGE, "then": "more"},
        "more": {"message": MESSAGE},
    },
    {
        "ask": {
            "webhook": {"url": "https://x.example/", "timeout": "10m", "save_as": "said"},
            "then": "rest",
            "else": "wait",
        },
        "wait": {"hold": "5m", "on": [{"event": "Skip", "then": "rest"}], "timeout": "ask"},
        "rest": {"delay": "10m", "then": "ask"},
    },
)
AGAIN: tuple[Any, ...] = ("always", "once", {"after": "1h"}, {"at_most": 2, "per": "40m"})
STATUSES = ("live", "live", "live", "paused", "draft", "archived")
PUBLISH: tuple[Any, ...] = (
    "drain",
    "stop",
    {"migrate": {}, "else": "drain"},
    {"migrate": {}, "else": "stop"},
)

BODY = {
    "journey": st.sampled_from(("a", "b")),
    "status": st.sampled_from(STATUSES),
    "publish": st.sampled_from(PUBLISH),
    "entry": st.sampled_from(ENTRIES),
    "again": st.sampled_from(AGAIN),
    "priority": st.sampled_from((0, 0, 50)),
    "at_once": st.sampled_from((1, 2, limits.INSTANCES)),
    "exit": st.sampled_from(EXITS),
    "steps": st.sampled_from(STEPS),
}


def _fit(body: dict[str, Any]) -> dict[str, Any]:
    """Leaves out of the exit rules what no run of these entries could have."""
    entries = body["entry"] if isinstance(body["entry"], list) else [body["entry"]]
    if any("event" in entry or "api" in entry for entry in entries):
        return body
    exits = [{k: v for k, v in rule.items() if k != "same"} for rule in body["exit"]]
    return {**body, "exit": exits}


journeys = st.fixed_dictionaries(BODY).map(_fit)
# What each history begins with: two journeys that somebody is likely to enter.
first = st.fixed_dictionaries(
    {
        **BODY,
        "status": st.just("live"),
        "at_once": st.just(2),
        "entry": st.sampled_from(ENTRIES[:6]),
    }
).map(_fit)
users = st.sampled_from(USERS)
moves = st.one_of(
    *[st.tuples(st.just("event"), users, st.sampled_from(EVENTS), st.sampled_from((1, 2)))] * 3,
    st.tuples(st.just("event"), st.just("ann"), st.just("Go"), st.sampled_from((None, 1))),
    st.tuples(st.just("points"), users, st.sampled_from((0, 2, 5))),
    st.tuples(st.just("enter"), users, st.sampled_from(("a", "b")), st.sampled_from((1, 2))),
    st.tuples(st.just("stop"), users, st.sampled_from(("a", "b"))),
    st.tuples(st.just("answer"), users, st.sampled_from((200, 404))),
    st.tuples(st.just("sender"), st.sampled_from(("hold", "send"))),
    st.tuples(st.just("left")),
    st.tuples(st.just("define"), journeys),
    *[
        st.tuples(
            st.just("change"),
            st.sampled_from(("a", "b")),
            st.sampled_from(STATUSES),
            st.sampled_from(PUBLISH),
            st.sampled_from(STEPS),
        )
    ]
    * 2,
    st.tuples(st.just("turn"), st.sampled_from((1, 30, 299, 600, 1_200, 4_000))),
)


def play(world: World, move: tuple[Any, ...]) -> None:
    """Lets one thing happen."""
    kind, *rest = move
    if kind == "event":
        user, name, key = rest
        properties = {} if key is None else {"properties": {"k": key}}
        world.happen({"type": "track", "userId": user, "event": name, **properties})
    elif kind == "points":
        world.happen({"type": "identify", "userId": rest[0], "traits": {"points": rest[1]}})
    elif kind == "enter":
        user, journey, key = rest
        request = f"r{world.shard.seq}"
        world.do(commands.enter(f"default/user/{user}", request, journey, pack({"k": key})))
    elif kind == "stop":
        world.do(commands.stop(f"default/user/{rest[0]}", f"s{world.shard.seq}", rest[1]))
    elif kind == "answer":
        key, status = f"default/user/{rest[0]}", rest[1]
        for offer in [one for one in world.sender.calls.values() if one[1] == key][:1]:
            command = VERBS["answer"].do(world, offer[1], {"status": status})
            assert command is not None
            world.do(command)
    elif kind == "sender":
        world.sender.does = rest[0]
    elif kind == "left":
        for offer_id, offer in [*world.sender.held.items()][:1]:
            del world.sender.held[offer_id]
            told = commands.receipt(offer[1], offer_id, Reason.SENT, world.now, True)
            world.do(told)
    elif kind == "define":
        world.define([rest[0]])
    elif kind == "change":
        name, status, publish, steps = rest
        body = dict(world.program.documents["journey", name][-1][1] or {})
        world.define([{**body, "status": status, "publish": publish, "steps": steps}])
    else:
        world.turn_to(world.now + rest[0] * 1_000)


def check(world: World, entity: Entity) -> None:
    """What no history may break."""
    program = world.program
    assert not entity.error, entity.error
    runs = Counter((run.journey, run.key) for run in entity.instances.values())
    assert all(count == 1 for count in runs.values()), "two runs of one key"
    assert len(entity.instances) <= limits.INSTANCES
    for run in entity.instances.values():
        newest = program.journey_index.newest.get(run.journey)
        assert newest is None or newest.status != ARCHIVED
        paused = newest is not None and newest.status == PAUSED
        due_ms = entity.timers.get(f"j:{run.id}")
        waits = {id_: entity.messages[id_].status in UNSENT for id_ in run.messages}
        lingers = run.held is not None and run.held[0] == END and any(waits.values())
        assert paused or lingers or due_ms is not None, "nothing will ever wake it"
        assert paused or lingers or run.held is None
        step = program.journeys[run.pin].steps[run.step]
        assert run.held is not None or may_wait(step), "it stands where nobody can wait"
    for id_, message in entity.messages.items():
        assert message.status != Reason.HELD or f"g:{id_}" in entity.timers, "it waits for ever"
    asked = {calling.id_of(run) for run in entity.instances.values()}
    for id_, forward in entity.outbox.items():
        if forward is not None and commands.unpack_command(forward[1])[0] == commands.CALL:
            assert id_ in asked, "a webhook whose answer nobody waits for"
    for token in entity.timers:
        kind, _, id_ = token.partition(":")
        assert kind not in ("j", "x") or id_ in entity.instances, "a timer of nobody's"


@settings(max_examples=150, deadline=None)
@given(first, first, st.lists(moves, min_size=5, max_size=40))
def test_a_run_is_a_function_of_its_journal(
    one: dict[str, Any], other: dict[str, Any], history: list[tuple[Any, ...]]
) -> None:
    worlds = World(), World()
    for number, world in enumerate(worlds):
        world.define(SEGMENTS)
        for name, body in (("a", one), ("b", other)):
            world.define([{**body, "journey": name}])
        for user in USERS:
            traits = {"phone": "+34600111222"}
            world.happen({"type": "identify", "userId": user, "traits": traits})
        for move in history:
            if number:
                world.restart()
            play(world, move)
            for entity in world.entities():
                check(world, entity)
    world, restarted = worlds
    note(f"{len(world.journal)} entries")
    left = world.snapshot()
    assert world.replayed().snapshot() == left
    assert restarted.snapshot() == left


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 30),
    st.sampled_from((1, 7, 60, 240)),
    st.lists(st.integers(1, 400), max_size=6),
)
def test_a_broadcast_takes_in_everyone_once_and_never_faster_than_its_speed(
    people: int, per_minute: int, pauses_s: list[int]
) -> None:
    world = World()
    for number in range(people):
        world.happen({"type": "identify", "userId": f"u{number}", "traits": {"vip": True}})
    body = {
        "journey": "news",
        "entry": {"broadcast": {"trait": "vip", "is": True}, "speed": f"{per_minute}/min"},
        "steps": {"wait": {"delay": "30d"}},
    }
    for number, pause_s in enumerate(pauses_s):
        world.define([{**body, "status": "paused" if number % 2 else "live"}])
        world.turn_to(world.now + pause_s * 1_000)
    world.define([{**body, "status": "live"}])
    world.turn_to(world.now + (people // per_minute + 2) * 60_000 + 2_000)
    entered = []
    for number in range(people):
        person = world.person(f"u{number}")
        assert person is not None
        (run,) = person.instances.values()
        entered.append(run.entered_ms)
    slice_ = max(1, per_minute // 60)
    for at_ms in entered:
        within = sum(at_ms <= other < at_ms + 60_000 for other in entered)
        assert within <= per_minute + slice_ + per_minute * limits.BROADCAST_LATE_MS // 60_000 + 1

"""`denrei explain`: why somebody got a journey or did not, asked of a world that stands in."""

import json
from typing import Any, Self

import pytest
import yaml
from typer.testing import CliRunner

from actors import queries
from engine.conditions.registry import read
from engine.entity import Entity
from engine.explaining import truths
from engine.simulation.moments import START
from engine.simulation.world import World
from gateway import names, views
from gateway.cli import explain
from gateway.cli.main import app
from gateway.pb.denrei.v1 import definitions_pb2, system_pb2

CART = {
    "journey": "cart",
    "entry": {
        "event": "Product Added",
        "where": [{"property": "price", "at_least": 10}, {"trait": "country", "is": "ES"}],
        "key": "properties.cart_id",
    },
    "exit": [{"event": "Order Completed"}],
    "steps": {
        "wait": {"hold": "2h", "on": [{"event": "Paid", "then": "end"}], "timeout": "nudge"},
        "nudge": {"message": {"purpose": "marketing", "channel": "sms", "template": "nudge"}},
    },
}
NUDGE = {"template": "nudge", "channel": "sms", "body": "Hi"}
LANE = {"lane": "sms", "channel": "sms", "carrier": "sandbox", "prefixes": ["+"]}


class _Client:
    """A gateway in front of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.definitions = self.profiles = self.system = self
        self.GetDefinition, self.GetProfile, self.GetStatus = "definition", "profile", "status"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, method: str, request: Any) -> Any:
        if method == "definition":
            kind, _, name = request.name.partition("s/")
            history = self._world.program.documents[kind, name]
            version, body = next(one for one in history[::-1] if request.version in (0, one[0]))
            text = yaml.safe_dump(body, sort_keys=False)
            return definitions_pb2.Definition(name=request.name, version=version, yaml=text)
        if method == "profile":
            key = names.entity_key("default", request.name, "name")
            found = queries.profile(self._world.shard, {"key": key})
            assert found is not None
            return views.profile(found)
        return system_pb2.Status(time=views.time(self._world.now))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    world.define([CART, NUDGE, LANE])
    monkeypatch.setattr(explain, "Client", lambda *_: _Client(world))
    return world


def _traits(world: World, **traits: Any) -> None:
    world.happen({"type": "identify", "userId": "ann", "traits": traits})


def _add(world: World, price: int) -> None:
    properties = {"cart_id": "c1", "price": price}
    world.happen(
        {"type": "track", "userId": "ann", "event": "Product Added", "properties": properties}
    )


def _explain(*arguments: str) -> str:
    done = CliRunner().invoke(
        app, ["explain", "ann", "cart", "--no-events", *arguments], env={"COLUMNS": "200"}
    )
    assert done.exit_code == 0, done.output
    return done.output


def test_a_filter_that_does_not_hold(world: World) -> None:
    _traits(world, country="DE")
    _add(world, 20)
    told = _explain()
    assert "users/ann and journey 'cart' (version 1, live)" in told
    assert "they were never in it" in told
    assert "of event 'Product Added', this does not hold: trait 'country' is 'ES'" in told
    assert "no  trait 'country' is 'ES'" in told
    assert "trait 'country' is 'DE'" in told
    assert "?   property 'price' at least 10 (it depends on the event)" in told


def test_a_run_that_waits(world: World) -> None:
    _traits(world, country="ES", phone="+34600111222")
    _add(world, 20)
    told = _explain()
    assert "they are in it: it waits at step 'wait', until 2026-01-05 02:00:00" in told
    assert "run with key 'c1': running, entered 2026-01-05" in told
    assert "waits until 2026-01-05 02:00:00 at wait: {hold: 2h" in told


def test_a_run_that_ended_and_what_was_not_sent(world: World) -> None:
    _traits(world, country="ES")
    _add(world, 20)
    world.turn_to(START.ms + 7_200_000)
    told = _explain()
    assert "they were in it; the last run completed at step 'nudge'" in told
    assert "nudge: not sent NO_ADDRESS" in told
    assert "message: 2026-01-05 02:00:00  nudge to : NO_ADDRESS (the profile has no 'phone'" in told


def test_an_entry_that_was_refused(world: World) -> None:
    _traits(world, country="ES")
    world.happen(
        {"type": "track", "userId": "ann", "event": "Product Added", "properties": {"price": 20}}
    )
    told = _explain()
    assert "refused: 2026-01-05  not entered: event 'Product Added' has no usable" in told
    assert "they were never in it: not entered: event 'Product Added' has no usable" in told


def test_a_segment_that_is_not_entered_says_what_it_asks(world: World) -> None:
    vip = {"segment": "vip", "when": {"trait": "points", "at_least": 100}}
    world.define([vip, {**CART, "entry": {"segment": "vip"}}])
    _traits(world, points=30)
    told = _explain()
    assert "this does not hold: in segment 'vip'" in told
    assert "entry: entered segment 'vip'" in told
    assert "  no  in segment 'vip'\n    no  trait 'points' at least 100\n" in told
    assert "trait 'points' is 30" in told
    _traits(world, points=300)
    assert "they are in it: it waits at step 'wait'" in _explain()


def test_a_draft_takes_nobody_in(world: World) -> None:
    world.define([{**CART, "status": "draft"}])
    _traits(world, country="ES")
    _add(world, 20)
    assert "they were never in it: the journey is draft and takes nobody in" in _explain()


def test_as_json(world: World) -> None:
    _traits(world, country="DE")
    told = json.loads(_explain("--json"))
    assert (told["user"], told["journey"], told["runs"]) == ("users/ann", "cart", [])
    assert [one["holds"] for one in told["entries"][0]["truths"] if one["words"]] == [None, False]


def test_conditions_are_told_with_their_parts() -> None:
    person = Entity("w/user/ann", 1)
    person.traits = {"points": 30}
    condition = read({"all": [{"trait": "points", "at_least": 10}, {"not": {"segment": "vip"}}]})
    found = [(one.depth, one.words, one.holds) for one in truths([condition], person, 1)]
    assert found == [
        (0, "trait 'points' at least 10 and not (in segment 'vip')", True),
        (1, "trait 'points' at least 10", True),
        (2, "", None),
        (1, "not (in segment 'vip')", True),
        (2, "in segment 'vip'", False),
    ]


def test_what_is_not_known_is_not_guessed() -> None:
    person = Entity("w/user/ann", 1)
    condition = read({"event": "Order Completed", "at_least": 2, "within": "1d"})
    (one,) = truths([condition], person, 1, whole=False)
    assert (one.holds, one.why) == (None, "it reads what only the store's journal tells")
    (one,) = truths([condition], person, 1)
    assert one.holds is False

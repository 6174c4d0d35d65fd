"""What a scenario expects: the items of `then`, and one function for each of their fields.

A check gets the world, the person (None if nothing was ever heard of them) and what is expected. It
yields a `Finding` for each thing that is not so. A feature adds a field to `Then` and a line to
`CHECKS`. Names that nothing is called are findings too: an expectation with a typing error in it
would hold for ever.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field

from engine.definition_kinds import JOURNEY, SEGMENT, TEMPLATE
from engine.entity import Entity
from engine.issues import did_you_mean, kind_of, listed
from engine.schema import Strict, refusal
from engine.simulation import story
from engine.simulation.moments import MomentField
from engine.simulation.world import World

Values = dict[str, Any]
_MESSAGE_FIELDS: Final = (
    "template", "status", "body", "subject", "channel", "to", "purpose", "lane", "carrier",
    "warnings", "sender", "hop",
)  # fmt: skip

_WEBHOOK_FIELDS: Final = ("method", "url", "headers", "body", "secret")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was expected."""

    what: str
    expected: Any
    found: Any
    hint: str = ""


def _messages(items: list[str | Values]) -> list[str | Values]:
    for item in items:
        for name in item if isinstance(item, dict) else ():
            if name not in _MESSAGE_FIELDS:
                hint = did_you_mean(name, _MESSAGE_FIELDS) or f"there are {listed(_MESSAGE_FIELDS)}"
                raise refusal(f"{name!r} is not a field of a message", hint)
    return items


def _webhooks(items: list[str | Values]) -> list[str | Values]:
    for item in items:
        for name in item if isinstance(item, dict) else ():
            if name not in _WEBHOOK_FIELDS:
                hint = did_you_mean(name, _WEBHOOK_FIELDS) or f"there are {listed(_WEBHOOK_FIELDS)}"
                raise refusal(f"{name!r} is not a field of a webhook", hint)
    return items


Webhooks = Annotated[list[str | Values], AfterValidator(_webhooks)]
Messages = Annotated[list[str | Values], AfterValidator(_messages)]


class Then(Strict):
    """What must be so at a moment; fields that are left out are not looked at.

    Attributes:
        segments_in: Segments that the person is in.
        not_in: Segments that the person is not in.
        messages: All messages so far, in order, as templates or maps of fields.
        steps: Journey to the steps of its newest instance, in the order visited.
        instances: Journey to the statuses of its instances, oldest first.
        traits: Traits and their values; None is for one that is not set.
        trail: Words that stand in the person's record, in this order.
        no_trail: Words that do not.
        state: What features keep for the person, as far as it is named.
        sizes: Segment to its number of members.
        webhooks: All webhooks of the person so far, in order, as `METHOD URL` or maps of fields.
    """

    noun: ClassVar[str] = "an expectation"
    at: MomentField
    user: str = ""
    anonymous: str = ""
    segments_in: list[str] | None = Field(None, alias="in")
    not_in: list[str] | None = None
    messages: Messages | None = None
    steps: dict[str, list[str]] | None = None
    instances: dict[str, list[str]] | None = None
    traits: Values | None = None
    trail: list[str] | None = None
    no_trail: list[str] | None = None
    state: Values | None = None
    sizes: dict[str, int] | None = None
    webhooks: Webhooks | None = None

    def findings(self, world: World) -> list[Finding]:
        """Everything that is not as it is expected."""
        entity = world.person(self.user, self.anonymous) if self.user or self.anonymous else None
        told: list[Finding] = []
        for field, check in CHECKS.items():
            expected = getattr(self, field)
            if expected is not None:
                told += [one for one in check(world, entity, expected) if one not in told]
        return told


Check = Callable[[World, Entity | None, Any], Iterable[Finding]]


def _unknown(world: World, kind: str, names: Iterable[str]) -> Iterator[Finding]:
    """Names that no definition of a kind has, or ever had."""
    known = {name for known, name in world.program.documents if known == kind}
    for name in names:
        if name not in known:
            yield Finding(
                kind, f"one called {name!r}", sorted(known) or "none", did_you_mean(name, known)
            )


def _in(world: World, entity: Entity | None, expected: list[str]) -> Iterator[Finding]:
    yield from _unknown(world, SEGMENT, expected)
    found = sorted(entity.segments) if entity else []
    if not set(expected) <= set(found):
        yield Finding("in", expected, found)


def _not_in(world: World, entity: Entity | None, expected: list[str]) -> Iterator[Finding]:
    yield from _unknown(world, SEGMENT, expected)
    found = sorted(entity.segments) if entity else []
    if set(expected) & set(found):
        yield Finding("not_in", expected, found)


def _messages_are(
    world: World, entity: Entity | None, expected: list[str | Values]
) -> Iterator[Finding]:
    wanted = [{"template": item} if isinstance(item, str) else item for item in expected]
    yield from _unknown(world, TEMPLATE, (one["template"] for one in wanted if one.get("template")))
    views = [message.view() for message in entity.messages.values()] if entity else []
    same = len(wanted) == len(views) and all(
        _holds(view, item) for view, item in zip(views, wanted, strict=True)
    )
    if not same:
        fields = {name: None for item in wanted for name in item} or {"template": None}
        shown = [{name: view[name] for name in fields} for view in views]
        found: list[Any] = shown
        if list(fields) == ["template"] and all(isinstance(item, str) for item in expected):
            found = [item["template"] for item in shown]
        yield Finding("messages", expected, found)


def _steps(
    world: World, entity: Entity | None, expected: dict[str, list[str]]
) -> Iterator[Finding]:
    yield from _unknown(world, JOURNEY, expected)
    for journey, steps in expected.items():
        instances = story.instances_of(entity, journey) if entity else []
        found = story.steps_of(instances[-1]) if instances else []
        if found != steps:
            yield Finding(f"steps of {journey!r}", steps, found)


def _instances(
    world: World, entity: Entity | None, expected: dict[str, list[str]]
) -> Iterator[Finding]:
    yield from _unknown(world, JOURNEY, expected)
    for journey, statuses in expected.items():
        found = [one.status for one in story.instances_of(entity, journey)] if entity else []
        if found != statuses:
            yield Finding(f"instances of {journey!r}", statuses, found)


def _traits(world: World, entity: Entity | None, expected: Values) -> Iterator[Finding]:
    traits: Mapping[str, Any] = entity.traits if entity else {}
    found = {name: traits.get(name) for name in expected}
    if found != expected:
        hint = next((did_you_mean(n, traits) for n in expected if n not in traits), "")
        yield Finding("traits", expected, found, hint)


def _trail(world: World, entity: Entity | None, expected: list[str]) -> Iterator[Finding]:
    lines = _record(entity)
    at = 0
    for number, fragment in enumerate(expected):
        while at < len(lines) and fragment not in lines[at]:
            at += 1
        if at == len(lines):
            after = f" after {expected[number - 1]!r}" if number else ""
            yield Finding("trail", f"{fragment!r}{after}", "no such line (the trail is below)")
            return
        at += 1


def _no_trail(world: World, entity: Entity | None, expected: list[str]) -> Iterator[Finding]:
    for fragment in expected:
        found = [line for line in _record(entity) if fragment in line]
        if found:
            yield Finding("no_trail", f"no line with {fragment!r}", found)


def _state(world: World, entity: Entity | None, expected: Values) -> Iterator[Finding]:
    state = entity.state if entity else {}
    if not _holds(state, expected):
        yield Finding("state", expected, {name: state.get(name) for name in expected})


def _sizes(world: World, entity: Entity | None, expected: dict[str, int]) -> Iterator[Finding]:
    yield from _unknown(world, SEGMENT, expected)
    sizes = world.shard.sizes
    found = {name: sizes.get(f"{world.workspace}/{name}", 0) for name in expected}
    if found != expected:
        yield Finding("sizes", expected, found)


def _webhooks_are(
    world: World, entity: Entity | None, expected: list[str | Values]
) -> Iterator[Finding]:
    key = entity.key if entity else ""
    found = [_webhook(offer) for offer in world.sender.called if offer[1] == key]
    shown = [
        f"{one['method']} {one['url']}" if isinstance(item, str) else one
        for one, item in zip_longest(found, expected[: len(found)], fillvalue="")
        if isinstance(one, dict)
    ]
    if len(shown) != len(expected) or not all(map(_holds, shown, expected)):
        yield Finding("webhooks", expected, shown)


def _webhook(offer: Sequence[Any]) -> Values:
    """A webhook as a scenario tells of it; a body that is JSON is its value."""
    body: Any = offer[7]
    with suppress(ValueError):
        body = json.loads(body)
    headers = {name: f"{text}({secret})" if secret else text for name, text, secret in offer[11]}
    return {
        "method": offer[10],
        "url": offer[5],
        "headers": headers,
        "body": body,
        "secret": offer[8],
    }


def _record(entity: Entity | None) -> list[str]:
    lines = story.lines_of(entity) if entity else []
    return [f"{subject}: {words}" for _, subject, words in lines]


def _holds(found: Any, expected: Any) -> bool:
    """Whether all that is expected is found; of maps, only what is named counts."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(name in found and _holds(found[name], item) for name, item in expected.items())
    return bool(found == expected)


# By the field of `Then`.
CHECKS: Final[dict[str, Check]] = {
    "segments_in": _in,
    "not_in": _not_in,
    "messages": _messages_are,
    "steps": _steps,
    "instances": _instances,
    "traits": _traits,
    "trail": _trail,
    "no_trail": _no_trail,
    "state": _state,
    "sizes": _sizes,
    "webhooks": _webhooks_are,
}
_UNCHECKED: Final = {"at", "user", "anonymous"}
assert set(Then.model_fields) - _UNCHECKED == set(CHECKS), kind_of(CHECKS)

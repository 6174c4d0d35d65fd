"""A compiled route: the lanes that one message tries, in their order.

Who gets which lane and which sender is decided by hashes, so a person stays with theirs, a replay
decides alike, and nothing has to be kept. It is weighted rendezvous hashing: each lane draws a
number for the person, and the highest wins. A lane that is added or taken away therefore moves only
those who come to it or were with it.
"""

import json
from collections.abc import Callable, Sequence
from functools import cmp_to_key
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from engine import limits
from engine.lanes.carrier_rules import plain_code
from engine.messages.message import SendRequest, Way
from engine.routes import numbers
from engine.routes.definition import (
    COST,
    CandidateModel,
    FailOverModel,
    RouteModel,
    RuleModel,
    SenderModel,
    WhenModel,
)

ByPrefix = Callable[[str, str], Sequence[str]]
"""A channel and an address to the lanes that match it, the longest prefix first."""

_BITS: Final = 32
# What the fields of channels' own forms tell of; see `engine.content.down`.
_MEDIA: Final = frozenset({"image", "media", "link", "fileUrl", "video", "document"})
_BUTTONS: Final = frozenset({"actions", "buttons", "sections", "suggestions", "cta_url"})


def ranked(weights: Sequence[tuple[str, int]], who: str) -> list[str]:
    """Names in the order in which somebody prefers them.

    Over many people each name comes first as often as its weight says.

    Args:
        weights: Names with whole weights, 1 to `limits.ROUTE_WEIGHT`.
        who: Whose order it is.

    Cost: 1 µs a name.
    """
    drawn = [
        (xxh3_64_intdigest(f"{name} {who}".encode()) >> _BITS, weight, name)
        for name, weight in weights
    ]
    if len({weight for _, weight in weights}) == 1:
        drawn.sort(reverse=True)
    else:
        drawn.sort(key=_BEST_FIRST)
    return [name for _, _, name in drawn]


def _compared(one: tuple[int, int, str], other: tuple[int, int, str]) -> int:
    """Compares draws u in [0, 1) by u ** (1 / weight), in whole numbers: no rounding, ever."""
    (draw, weight, name), (draw_2, weight_2, name_2) = one, other
    left: int = draw**weight_2 << _BITS * weight
    right: int = draw_2**weight << _BITS * weight_2
    if left != right:
        return -1 if left > right else 1
    return -1 if name > name_2 else 1


_BEST_FIRST: Final = cmp_to_key(_compared)


class Pool:
    """Senders, one of which a recipient always gets; those of the own country come first."""

    __slots__ = ("_abroad", "_by_code")

    def __init__(self, models: Sequence[SenderModel]) -> None:
        self._abroad = [(model.sender, model.weight) for model in models]
        self._by_code: dict[int, list[tuple[str, int]]] = {}
        for sender, weight in self._abroad:
            code = numbers.facts_of(sender).code if sender.startswith("+") else 0
            if code:
                self._by_code.setdefault(code, []).append((sender, weight))

    def sender_for(self, to: str) -> str:
        """The sender for an address, however it is written."""
        found = self._abroad
        if self._by_code:
            facts = numbers.facts_of(to)
            found = self._by_code.get(facts.code, found)
            to = facts.e164 or to
        return found[0][0] if len(found) == 1 else ranked(found, to)[0]


class _When:
    """What a rule asks of a message."""

    __slots__ = (
        "_content", "_countries", "_domains", "_kinds", "_networks", "_prefixes", "_purposes",
    )  # fmt: skip

    def __init__(self, model: WhenModel) -> None:
        self._countries = frozenset(model.country or ())
        self._prefixes = tuple(model.prefix or ())
        self._kinds = frozenset(model.number_type or ())
        self._networks = frozenset(name.casefold() for name in model.network or ())
        self._domains = frozenset(model.domain or ())
        self._purposes = frozenset(model.purpose or ())
        self._content = frozenset(model.content or ())

    def takes(self, request: SendRequest, to: str) -> bool:
        """Whether all of it holds."""
        if self._purposes and request.purpose not in self._purposes:
            return False
        if self._content and self._content.isdisjoint(contents_of(request.content)):
            return False
        if self._domains and to.rpartition("@")[2].lower() not in self._domains:
            return False
        if self._networks and numbers.network_of(to).casefold() not in self._networks:
            return False
        if not (self._countries or self._kinds or self._prefixes):
            return True
        facts = numbers.facts_of(to)
        return (
            (not self._countries or facts.country in self._countries)
            and (not self._kinds or not self._kinds.isdisjoint(facts.kinds))
            and (not self._prefixes or facts.e164.startswith(self._prefixes))
        )


def contents_of(content: str) -> set[str]:
    """What a message needs of a carrier: `text` alone; or `rich`, maybe `media` and `buttons`."""
    if not content:
        return {"text"}
    names: set[str] = set()
    waiting: list[Any] = [json.loads(content)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            names.update(value)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    found = {"rich"}
    if not names.isdisjoint(_MEDIA):
        found.add("media")
    if not names.isdisjoint(_BUTTONS):
        found.add("buttons")
    return found


class _Rule:
    __slots__ = ("_costs", "_pool", "_pools", "_then", "_weights", "when")

    def __init__(self, model: RuleModel) -> None:
        self.when = _When(model.when)
        lanes = model.lanes or ()
        self._weights = [(each.lane, each.weight) for each in lanes]
        self._costs = {each.lane: each.cost for each in lanes} if model.by == COST else None
        self._then = [each.lane for each in model.then or ()]
        self._pool = Pool(model.senders) if model.senders else None
        every: tuple[CandidateModel, ...] = (*lanes, *(model.then or ()))
        self._pools = {each.lane: Pool(each.senders) for each in every if each.senders}

    def ways(
        self, channel: str, request: SendRequest, to: str, who: str, by_prefix: ByPrefix
    ) -> tuple[Way, ...]:
        """The lanes in their order, each with the sender in it."""
        lanes: Sequence[str]
        if self._weights:
            lanes = ranked(self._weights, who) if len(self._weights) > 1 else [self._weights[0][0]]
            if self._costs is not None:
                lanes = sorted(lanes, key=self._costs.__getitem__)  # of the same cost by weight
            lanes = [*lanes, *self._then]
        else:
            lanes = by_prefix(channel, to)[: limits.ROUTE_WAYS]
        if request.sender or (self._pool is None and not self._pools):
            return tuple([(lane, request.sender) for lane in lanes])
        own = self._pool.sender_for(to) if self._pool is not None else ""
        pools = self._pools
        return tuple(
            [(lane, pools[lane].sender_for(to) if lane in pools else own) for lane in lanes]
        )


class Route:
    """See the module's text.

    Attributes:
        channel: Its channel, which is its name.
        undelivered: Whether a message that a carrier could not deliver goes on.
    """

    __slots__ = ("_codes", "_rules", "channel", "undelivered")

    def __init__(self, channel: str, rules: Sequence[RuleModel], fail_over: FailOverModel) -> None:
        self.channel = channel
        self._rules = [_Rule(rule) for rule in rules]
        codes = fail_over.codes
        self._codes = None if codes is None else frozenset(map(plain_code, codes))
        self.undelivered = fail_over.undelivered

    def ways(self, request: SendRequest, to: str, who: str, by_prefix: ByPrefix) -> tuple[Way, ...]:
        """The lanes for a message, the first first, each with the sender in it; maybe none.

        Args:
            request: The message.
            to: Its address.
            who: The person: who stays with a lane.
            by_prefix: The lanes that match an address, for rules that name none.

        Cost: 2–10 µs; the first time that a rule has to know a number's country, 100 µs.
        """
        for rule in self._rules:
            if rule.when.takes(request, to):
                return rule.ways(self.channel, request, to, who, by_prefix)
        return ()

    def names_code(self, code: str) -> bool | None:
        """Whether a plain code is one that it names; None if it names none at all."""
        return None if self._codes is None else code in self._codes


def compile_route(model: RouteModel) -> Route:
    """The route of a document."""
    return Route(model.route, model.rules, model.fail_over)

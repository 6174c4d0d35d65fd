"""`route: sms`: the rules by which messages of a channel find their lanes.

A channel has one route, so the route is called like it. The rules are asked in their order and the
first that takes a message decides. What no rule takes has no route, which is how a country is left
out. Without a definition the longest prefix of the lanes decides; see `engine.routes.routing`.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from engine import limits
from engine.issues import did_you_mean
from engine.messages.message import EMAIL, PHONE_CHANNELS, Channel
from engine.names import DefinitionName
from engine.routes import numbers
from engine.schema import Strict, refusal
from engine.uses import Use

ROUTE: Final = "route"
WEIGHT: Final = "weight"
COST: Final = "cost"

Weight = Annotated[int, Field(ge=1, le=limits.ROUTE_WEIGHT)]
Purpose = Literal["otp", "transactional", "marketing"]
Content = Literal["text", "rich", "media", "buttons"]


def _countries(names: list[str]) -> list[str]:
    for name in names:
        if name not in numbers.COUNTRIES:
            hint = did_you_mean(name.upper(), numbers.COUNTRIES) or "write it like US, GB, JP"
            raise refusal(f"{name!r} is not a country", hint)
    return names


def _kinds(names: list[str]) -> list[str]:
    for name in names:
        if name not in numbers.KINDS:
            hint = did_you_mean(name, numbers.KINDS) or f"there are {', '.join(numbers.KINDS)}"
            raise refusal(f"{name!r} is not a kind of number", hint)
    return names


def _prefixes(prefixes: list[str]) -> list[str]:
    for prefix in prefixes:
        if not prefix.startswith("+") or not prefix[1:].isdecimal():
            hint = f"did you mean '+{prefix.lstrip('+0')}'?" if prefix.isdecimal() else ""
            raise refusal(f"{prefix!r} is not the beginning of a phone number", hint)
    return prefixes


def _domains(domains: list[str]) -> list[str]:
    for domain in domains:
        if "@" in domain or domain != domain.lower() or not domain:
            hint = f"did you mean {domain.rpartition('@')[2].lower()!r}?"
            raise refusal(f"{domain!r} is not a domain", hint)
    return domains


_Texts = Annotated[list[str], Field(min_length=1, max_length=limits.ROUTE_VALUES)]


class WhenModel(Strict):
    """What a message must be like; each field that is given must hold, any of its values may."""

    noun: ClassVar[str] = "what a rule is for"
    country: Annotated[_Texts, AfterValidator(_countries)] | None = None
    prefix: Annotated[_Texts, AfterValidator(_prefixes)] | None = None
    network: _Texts | None = None
    number_type: Annotated[_Texts, AfterValidator(_kinds)] | None = None
    domain: Annotated[_Texts, AfterValidator(_domains)] | None = None
    purpose: Annotated[list[Purpose], Field(min_length=1)] | None = None
    content: Annotated[list[Content], Field(min_length=1)] | None = None


class SenderModel(Strict):
    """A sender of a pool."""

    noun: ClassVar[str] = "a sender"
    sender: Annotated[str, Field(min_length=1, max_length=limits.ID_CHARS)]
    weight: Weight = 1


def _sender(value: Any) -> Any:
    return {"sender": value} if isinstance(value, str) else value


Senders = Annotated[
    list[
        Annotated[SenderModel, BeforeValidator(_sender, json_schema_input_type=str | SenderModel)]
    ],
    Field(min_length=1, max_length=limits.ROUTE_SENDERS),
]


class CandidateModel(Strict):
    """A lane of a rule."""

    noun: ClassVar[str] = "a lane of a rule"
    lane: DefinitionName
    weight: Weight = 1
    cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    senders: Senders | None = None


def _candidate(value: Any) -> Any:
    return {"lane": value} if isinstance(value, str) else value


Candidates = Annotated[
    list[
        Annotated[
            CandidateModel,
            BeforeValidator(_candidate, json_schema_input_type=str | CandidateModel),
        ]
    ],
    Field(min_length=1, max_length=limits.ROUTE_LANES),
]


class RuleModel(Strict):
    """One rule: what it is for, the lanes that share it, and those for when these fail."""

    noun: ClassVar[str] = "a rule"
    when: WhenModel = Field(default_factory=WhenModel)
    lanes: Candidates | None = None
    by: Literal["weight", "cost"] = WEIGHT
    then: Candidates | None = None
    senders: Senders | None = None

    @model_validator(mode="after")
    def _lanes_once(self) -> "RuleModel":
        if self.lanes is None and (self.then or "by" in self.model_fields_set):
            raise refusal("'then' and 'by' stand without 'lanes'", "name the lanes")
        names = [each.lane for each in (*(self.lanes or ()), *(self.then or ()))]
        for name in names:
            if names.count(name) > 1:
                raise refusal(f"lane {name!r} is given twice", "a message tries each once")
        return self


class FailOverModel(Strict):
    """What, beside lanes that are down, full or gone, makes a message go on by its next lane."""

    noun: ClassVar[str] = "what makes messages go on"
    codes: Annotated[list[str], Field(max_length=limits.ROUTE_VALUES)] | None = None
    undelivered: bool = False


class RouteModel(Strict):
    """The route of a channel as it is written."""

    noun: ClassVar[str] = "a route"
    route: Channel
    rules: Annotated[list[RuleModel], Field(min_length=1, max_length=limits.ROUTE_RULES)]
    fail_over: FailOverModel = Field(default_factory=FailOverModel)

    @model_validator(mode="after")
    def _fields_fit_channel(self) -> "RouteModel":
        phones = self.route in PHONE_CHANNELS
        for number, rule in enumerate(self.rules):
            wrong = {"domain"} if phones else {"country", "prefix", "number_type"}
            if self.route != EMAIL:
                wrong.add("domain")
            for field in sorted(wrong & rule.when.model_fields_set):
                raise refusal(f"rules[{number}].when.{field} means nothing on channel {self.route}")
        return self

    def uses(self) -> Iterator[Use]:
        """The lanes."""
        for number, rule in enumerate(self.rules):
            for field, candidates in (("lanes", rule.lanes), ("then", rule.then)):
                for each in candidates or ():
                    yield Use("lane", each.lane, f"rules[{number}].{field}", self.route)

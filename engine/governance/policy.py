"""`policy: default`: the rules for what is sent to people, as they are written.

A workspace has one policy, so that there is one place to look for why somebody did not get
something. It names the topics that people may subscribe to, how often they may be written to, and
when not.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from engine import limits, zones
from engine.conditions.registry import Facts
from engine.durations import UNITS_MS, parse
from engine.governance.caps import Cap, Caps
from engine.governance.quiet import QuietTime
from engine.issues import Issue, did_you_mean
from engine.journeys.steps.delay_until import DAYS, Days, TimeOfDay, Zone
from engine.messages.message import CHANNELS, MARKETING, Channel
from engine.names import DefinitionName
from engine.schema import Strict, refusal

POLICY: Final = "policy"
DEFAULT: Final = "default"
OPT_IN: Final = "opt_in"
OPT_OUT: Final = "opt_out"
ALL: Final = "all"  # the topic that stands for a channel itself
HOLD: Final = "hold"
DROP: Final = "drop"

Consent = Literal["opt_in", "opt_out"]
Purpose = Literal["transactional", "marketing"]
_PERIODS: Final = ("day", "week", "month")


def _only_default(name: str) -> str:
    if name != DEFAULT:
        raise refusal(f"{name!r} is not the name of the policy", "write 'policy: default'")
    return name


def _on_all_channels(value: Any) -> Any:
    return dict.fromkeys(CHANNELS, value) if isinstance(value, str) else value


def _no_reserved(topics: dict[str, Any]) -> dict[str, Any]:
    if ALL in topics:
        raise refusal(f"{ALL!r} stands for a channel itself", "see 'channels'")
    return topics


def _per(value: Any) -> int | str:
    """A rolling span in milliseconds, or the name of a period of the calendar."""
    if isinstance(value, str) and value.startswith("calendar"):
        period = value.removeprefix("calendar").strip()
        if period not in _PERIODS:
            hint = did_you_mean(period, _PERIODS) or "there are calendar day, week and month"
            raise refusal(f"{value!r} is not a period", hint)
        return period
    if value in _PERIODS:
        raise refusal(f"{value!r} is no duration", f"write 24h, 7d, 30d, or 'calendar {value}'")
    duration_ms = parse(value)
    if duration_ms > limits.CAP_DAYS * UNITS_MS["d"]:
        raise refusal(f"{value!r} is longer than {limits.CAP_DAYS}d, the longest that is allowed")
    return duration_ms


def _marketing_only() -> list[Purpose]:
    return [MARKETING]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


Topic = Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
AppliesTo = Annotated[list[Purpose], Field(min_length=1, max_length=2)]
_OnChannels = Annotated[
    dict[Channel, Consent],
    BeforeValidator(_on_all_channels, json_schema_input_type=Consent | dict[Channel, Consent]),
]


class CapModel(Strict):
    """At most so many messages in a span of time."""

    noun: ClassVar[str] = "a cap"
    at_most: Annotated[int, Field(ge=1, le=limits.CAP_SENDS)]
    per: Annotated[int | str, BeforeValidator(_per, json_schema_input_type=str)]
    channel: Channel | None = None
    topic: Topic | None = None
    tag: DefinitionName | None = None
    applies_to: AppliesTo = Field(default_factory=_marketing_only)
    then: Literal["drop", "hold"] = DROP


class QuietModel(Strict):
    """A time of day at which nothing is sent."""

    noun: ClassVar[str] = "quiet hours"
    from_: TimeOfDay = Field(alias="from")
    to: TimeOfDay
    days: Days | None = None
    channels: Annotated[list[Channel], Field(min_length=1)] | None = None
    applies_to: AppliesTo = Field(default_factory=_marketing_only)
    then: Literal["hold", "drop"] = HOLD

    @model_validator(mode="after")
    def _ends(self) -> "QuietModel":
        if self.from_ == self.to and len(set(self.days or DAYS)) == len(DAYS):
            raise refusal("'from' and 'to' are the same, so it is always quiet", "give it 'days'")
        return self


class PolicyModel(Strict):
    """The policy as it is written."""

    noun: ClassVar[str] = "a policy"
    policy: Annotated[DefinitionName, AfterValidator(_only_default)]
    default_timezone: Zone = zones.DEFAULT.key
    channels: dict[Channel, Consent] = Field(default_factory=dict)
    topics: Annotated[
        dict[Topic, _OnChannels], Field(max_length=limits.TOPICS), AfterValidator(_no_reserved)
    ] = Field(default_factory=dict)
    caps: Annotated[list[CapModel], Field(max_length=limits.CAPS)] = Field(default_factory=list)
    quiet_hours: Annotated[
        list[QuietModel], Field(max_length=limits.QUIET_HOURS), BeforeValidator(_as_list)
    ] = Field(default_factory=list)

    @property
    def parts(self) -> tuple[str, ...]:
        """What other definitions may name of it: its topics."""
        return tuple(self.topics)


class Policy:
    """The policy, compiled.

    Attributes:
        zone: The zone of people of whom none is known.
        channels: Channels that only those get who subscribed to them (opt_in), or all others.
        topics: For each topic, the channels on which there is it, and what it asks of people.
        caps: How often.
        quiet: When not.
    """

    __slots__ = ("caps", "channels", "quiet", "topics", "zone")

    def __init__(self, model: PolicyModel) -> None:
        self.zone = zones.find(model.default_timezone) or zones.DEFAULT
        self.channels: Mapping[str, str] = dict(model.channels.items())
        self.topics: Mapping[str, Mapping[str, str]] = {
            topic: dict(channels.items()) for topic, channels in model.topics.items()
        }
        self.caps = Caps(
            Cap(
                one.at_most, one.per, one.channel or "", one.topic or "", one.tag or "",
                tuple(one.applies_to), one.then == HOLD,
            )
            for one in model.caps
        )  # fmt: skip
        self.quiet = tuple(
            QuietTime(
                one.from_, one.to, frozenset(map(DAYS.index, one.days or DAYS)),
                frozenset(one.channels or CHANNELS), frozenset(one.applies_to), one.then == HOLD,
            )
            for one in model.quiet_hours
        )  # fmt: skip

    def zone_of(self, entity: Facts) -> ZoneInfo:
        """A person's zone; the policy's if none is known."""
        return zones.zone_of(entity, self.zone)[0]

    @property
    def reads_zone(self) -> bool:
        """Whether anything in it goes by a person's clock."""
        return bool(self.quiet) or self.caps.reads_zone


def compile_policy(model: PolicyModel) -> Policy:
    """Compiles the policy."""
    return Policy(model)


def check_policy(model: PolicyModel, where: str) -> Iterator[Issue]:
    """What is wrong with a policy that its fields alone do not show."""
    for number, cap in enumerate(model.caps):
        field = f"caps[{number}]"
        if cap.topic is not None and cap.topic not in model.topics:
            what = f"{field}.topic: there is no topic {cap.topic!r}"
            yield Issue(where, what, did_you_mean(cap.topic, model.topics), f"{field}.topic")
        offered = model.topics.get(cap.topic or "", CHANNELS)
        if cap.channel is not None and cap.channel not in offered:
            what = f"{field}: topic {cap.topic!r} is not there by {cap.channel}"
            yield Issue(where, what, "", f"{field}.channel")
    for topic, channels in model.topics.items():
        if not channels:
            what = f"topics.{topic}: it is there on no channel"
            yield Issue(where, what, f"write it like '{topic}: opt_in'", f"topics.{topic}")

"""A lane: one way to a carrier, with every limit that the carrier sets for it.

The model is what a person writes; `Lane` is what routes and senders read.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from engine import limits, zones
from engine.durations import Duration
from engine.issues import DefinitionError, Issue, did_you_mean, kind_of
from engine.lanes.carrier_rules import Reaction, ReactionModel, rules_for
from engine.lanes.circuit import CircuitRule
from engine.lanes.limit_values import DOMAIN, Per
from engine.lanes.presets import PRESETS, limits_of
from engine.lanes.rates import DESTINATION, FAIL, Limit
from engine.limits import LANE_LIMITS, LANE_REACTIONS  # since a lane has a field `limits`
from engine.messages.message import EMAIL, PHONE_CHANNELS, Channel
from engine.names import DefinitionName
from engine.schema import Strict, issues_of, refusal
from engine.zones import ZONE

if TYPE_CHECKING:
    from engine.program import Program

CIRCUIT: Final = CircuitRule()
NO_CIRCUIT: Final = CircuitRule(failures=0)
WINDOWS_MS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000, "day": 86_400_000}
_RATE: Final = re.compile(r"(\d{1,9})/(\d{0,6})([a-z]\w*)")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_NAME: Final = re.compile(r"[^\s|](?:[^|\n]*[^\s|])?")
_PHONE_PREFIX: Final = re.compile(r"\+[0-9]{0,15}")
_DAY_MS: Final = WINDOWS_MS["day"]


def _rate(value: Any) -> str:
    match = _RATE.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    if match is None:
        raise refusal(
            f"must be a rate, not {kind_of(value)}",
            "write it like 100/s, 3000/min, 5000/h, 2/day, or 1/6s",
        )
    if match[3] not in WINDOWS_MS:
        hint = did_you_mean(match[3], WINDOWS_MS) or "it is counted per s, min, h or day"
        raise refusal(f"{match[3]!r} is not a window of a rate", hint)
    if int(match[1]) == 0:
        raise refusal(f"{value!r} lets nothing through", "delete the lane instead")
    if match[2] and not 0 < int(match[2]) * WINDOWS_MS[match[3]] <= _DAY_MS:
        raise refusal(f"the window of {value!r} is not between 1s and 1day")
    return match[0]


def _clock(value: Any) -> str:
    if isinstance(value, str) and _CLOCK.fullmatch(value):
        return value
    raise refusal(f"must be a time of the day, not {kind_of(value)}", 'write it like "08:00"')


def _name(value: Any) -> str:
    if isinstance(value, str) and len(value) <= limits.NAME_CHARS and _NAME.fullmatch(value):
        return value
    raise refusal(f"must be a name, not {kind_of(value)}", "text without '|', such as: brand acme")


def _until_zone(value: Any) -> str:
    if value == DESTINATION or (isinstance(value, str) and zones.find(value) is not None):
        return str(value)
    hint = did_you_mean(value, [DESTINATION]) or "write destination, or a zone as Europe/Berlin"
    raise refusal(f"must be 'destination' or a time zone, not {kind_of(value)}", hint)


Name = Annotated[str, BeforeValidator(_name)]


class LimitModel(Strict):
    """A rate, or a number for each calendar day of a zone.

    Without a zone, a day is any 24 hours.
    """

    noun: ClassVar[str] = "a limit"
    rate: Annotated[str, BeforeValidator(_rate)]
    zone: Annotated[str, ZONE] | None = None
    of: Name = ""
    per: Per | None = None
    count: Literal["segments", "messages"] = "segments"
    at: Literal["hold", "reroute", "fail"] = "hold"
    until: Annotated[str, BeforeValidator(_clock)] | None = None
    until_zone: Annotated[str, BeforeValidator(_until_zone)] | None = None

    @model_validator(mode="after")
    def _fields_fit(self) -> "LimitModel":
        day = self.rate.endswith("/day")
        if self.zone is not None and not day:
            raise refusal(f"'zone' stands beside {self.rate}", "only a number per day has a zone")
        if self.until is not None and self.zone is None:
            raise refusal("'until' stands without 'zone'", "only a number per calendar day is held")
        if self.until is not None and self.at == FAIL:
            raise refusal("'until' stands beside 'at: fail'", "nothing is held then")
        if self.until_zone is not None and self.until is None:
            raise refusal("'until_zone' stands without 'until'", 'write until: "08:00" too')
        return self

    def compile(self) -> Limit:
        """The limit, ready to be held."""
        units, _, window = self.rate.partition("/")
        match = re.fullmatch(r"(\d*)(\w+)", window)
        assert match is not None
        window_ms = int(match[1] or 1) * WINDOWS_MS[match[2]]
        minute = -1
        if self.until is not None:
            minute = int(self.until[:2]) * 60 + int(self.until[3:])
        zone = self.until_zone or self.zone or ""
        return Limit(
            int(units), window_ms, self.zone, self.of, self.per or "", self.count, self.at, minute,
            zone if minute >= 0 else "",
        )  # fmt: skip


class CircuitModel(Strict):
    """When a lane's carrier is left alone for a while; see `engine.lanes.circuit`."""

    noun: ClassVar[str] = "a circuit"
    failures: Annotated[int, Field(ge=1, le=100_000)] = 20
    in_: Duration = Field(default=60_000, alias="in")
    share: Annotated[int, Field(ge=1, le=100)] = 50
    for_: Duration = Field(default=30_000, alias="for")

    def compile(self) -> CircuitRule:
        """The rule of the circuit."""
        longest_ms = max(self.for_, CircuitRule().longest_ms)
        return CircuitRule(self.failures, self.in_, self.share, self.for_, longest_ms)


class LaneModel(Strict):
    """A lane as it is written."""

    noun: ClassVar[str] = "a lane"
    lane: DefinitionName
    channel: Channel
    carrier: DefinitionName
    options: dict[str, Any] = Field(default_factory=dict)
    sender: Annotated[str, Field(max_length=limits.ID_CHARS)] = ""
    prefixes: Annotated[list[str], Field(min_length=1, max_length=limits.LANE_PREFIXES)] = Field(
        default_factory=lambda: ["*"]
    )
    account: Name = ""
    preset: str = ""
    limits: Annotated[list[LimitModel], Field(max_length=LANE_LIMITS)] = Field(default_factory=list)
    reactions: Annotated[list[ReactionModel], Field(max_length=LANE_REACTIONS)] = Field(
        default_factory=list
    )
    shipped_reactions: bool = True
    circuit: CircuitModel | Literal[False] = CircuitModel()

    @model_validator(mode="after")
    def _prefixes_fit_channel(self) -> "LaneModel":
        for prefix in self.prefixes:
            if prefix == "*":
                continue
            if self.channel not in PHONE_CHANNELS:
                raise refusal(f"prefix {prefix!r} on channel {self.channel}", 'write ["*"]')
            if not _PHONE_PREFIX.fullmatch(prefix):
                hint = f"did you mean '+{prefix.lstrip('+0')}'?" if prefix.isdigit() else ""
                raise refusal(f"{prefix!r} is not the beginning of a phone number", hint)
        if len(set(self.prefixes)) < len(self.prefixes):
            raise refusal("a prefix is given twice")
        return self

    @model_validator(mode="after")
    def _limits_fit_lane(self) -> "LaneModel":
        if self.preset:
            preset = PRESETS.get(self.preset)
            if preset is None:
                known = sorted(PRESETS)
                hint = did_you_mean(self.preset, known) or "`denrei lane --presets` lists them"
                raise refusal(f"there is no preset {self.preset!r}", hint)
            if self.channel not in preset.channels:
                raise refusal(f"preset {self.preset!r} is for {', '.join(preset.channels)}")
        for limit in self.limits:
            if limit.of and not self.account:
                raise refusal(
                    f"a limit is 'of: {limit.of}', but the lane has no account",
                    "write `account: <name>`; all its lanes share what they name alike",
                )
            if limit.per == DOMAIN and self.channel != EMAIL:
                raise refusal(f"'per: domain' on channel {self.channel}", "only e-mail has domains")
        return self

    def every_limit(self) -> list[LimitModel]:
        """The limits of the preset, and the lane's own."""
        written = limits_of(self.preset, self.account) if self.preset else []
        return [*map(LimitModel.model_validate, written), *self.limits]


class Lane:
    """A compiled lane.

    Attributes:
        name: Its name.
        channel: The channel it serves.
        carrier: The name of the carrier adapter.
        options: What the adapter is told.
        sender: The number or address that messages come from; may be empty.
        prefixes: Beginnings of the addresses that it takes; `*` takes all.
        limits: See `engine.lanes.rates.Limit`. Units are text message segments on sms and messages
            elsewhere.
        account: Whose lanes live in one sender, and share limits.
        reactions: What it does about what its carrier says.
        circuit: When it leaves its carrier alone.
    """

    __slots__ = (
        "account", "carrier", "channel", "circuit", "limits", "name", "options", "prefixes",
        "reactions", "sender",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        channel: str,
        carrier: str,
        options: dict[str, Any],
        sender: str,
        prefixes: tuple[str, ...],
        limits: Iterable[tuple[Any, ...]],
        account: str = "",
        reactions: tuple[Reaction, ...] = (),
        circuit: CircuitRule = CIRCUIT,
    ) -> None:
        self.name = name
        self.channel = channel
        self.carrier = carrier
        self.options = options
        self.sender = sender
        self.prefixes = prefixes
        self.limits = tuple(Limit(*limit) for limit in limits)
        self.account = account
        self.reactions = reactions
        self.circuit = circuit


def compile_lane(model: LaneModel) -> Lane:
    """The lane of a document."""
    return Lane(
        model.lane,
        model.channel,
        model.carrier,
        model.options,
        model.sender,
        tuple(model.prefixes),
        tuple(limit.compile() for limit in model.every_limit()),
        model.account,
        rules_for(model.carrier, model.reactions, model.shipped_reactions),
        model.circuit.compile() if model.circuit else NO_CIRCUIT,
    )


def check_account(model: LaneModel, program: "Program", where: str) -> Iterator[Issue]:
    """A lane keeps its account for ever, since that says in which sender it lives.

    The sender knows what was sent and what is on its way: in another one the lane's limits would
    begin anew, and what waits might be sent twice.
    """
    before = account_of(program, model.lane)
    if before is not None and before != model.account:
        was = f"account {before!r}" if before else "no account"
        hint = "define a lane of another name, and delete this one"
        yield Issue(where, f"the lane had {was}, which can't change", hint, "account")


def account_of(program: "Program", lane: str) -> str | None:
    """The account of a lane, also of one that was deleted; None if there never was one."""
    for _, body in reversed(program.documents.get(("lane", lane), [])):
        if body is not None:
            return str(body.get("account", ""))
    return None


def lane_from(body: dict[str, Any]) -> Lane:
    """The lane of a document's plain body, for senders.

    Raises:
        DefinitionError: The body is not a lane.
    """
    try:
        return compile_lane(LaneModel.model_validate(body))
    except ValidationError as error:
        raise DefinitionError(issues_of(error, f"lane {body.get('lane')!r}")) from None

"""A lane: one way to a carrier, with every limit that the carrier sets for it.

The model is what a person writes; `Lane` is what routes and senders read.
"""

import re
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from engine import limits
from engine.issues import DefinitionError, did_you_mean, kind_of
from engine.limits import LANE_LIMITS  # since a lane has a field `limits`
from engine.messages import PHONE_CHANNELS, Channel
from engine.names import DefinitionName
from engine.schema import Strict, issues_of, refusal
from engine.zones import ZONE

WINDOWS_MS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000, "day": 86_400_000}
_RATE: Final = re.compile(r"(\d{1,9})/(\w+)")
_PHONE_PREFIX: Final = re.compile(r"\+[0-9]{0,15}")

Limit = tuple[int, int, str | None]


def _rate(value: Any) -> str:
    match = _RATE.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    if match is None:
        raise refusal(
            f"must be a rate, not {kind_of(value)}", "write it like 100/s, 3000/min, 5000/h, 2/day"
        )
    if match[2] not in WINDOWS_MS:
        hint = did_you_mean(match[2], WINDOWS_MS) or "it is counted per s, min, h or day"
        raise refusal(f"{match[2]!r} is not a window of a rate", hint)
    if int(match[1]) == 0:
        raise refusal(f"{value!r} lets nothing through", "delete the lane instead")
    return match[0]


class LimitModel(Strict):
    """A rate, or a number for each calendar day of a zone.

    Without a zone, a day is any 24 hours.
    """

    noun: ClassVar[str] = "a limit"
    rate: Annotated[str, BeforeValidator(_rate)]
    zone: Annotated[str, ZONE] | None = None

    @model_validator(mode="after")
    def _zone_means_days(self) -> "LimitModel":
        if self.zone is not None and not self.rate.endswith("/day"):
            raise refusal(f"'zone' stands beside {self.rate}", "only a number per day has a zone")
        return self

    def compile(self) -> Limit:
        """`(units, window_ms, zone or None)`."""
        units, _, window = self.rate.partition("/")
        return int(units), WINDOWS_MS[window], self.zone


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
    limits: Annotated[list[LimitModel], Field(max_length=LANE_LIMITS)] = Field(default_factory=list)

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


class Lane:
    """A compiled lane.

    Attributes:
        name: Its name.
        channel: The channel it serves.
        carrier: The name of the carrier adapter.
        options: What the adapter is told.
        sender: The number or address that messages come from; may be empty.
        prefixes: Beginnings of the addresses that it takes; `*` takes all.
        limits: `(units, window_ms, zone)` each; a zone makes it a calendar day. Units are text
            message segments on sms and messages elsewhere.
    """

    __slots__ = ("carrier", "channel", "limits", "name", "options", "prefixes", "sender")

    def __init__(
        self,
        name: str,
        channel: str,
        carrier: str,
        options: dict[str, Any],
        sender: str,
        prefixes: tuple[str, ...],
        limits: tuple[Limit, ...],
    ) -> None:
        self.name = name
        self.channel = channel
        self.carrier = carrier
        self.options = options
        self.sender = sender
        self.prefixes = prefixes
        self.limits = limits


def compile_lane(model: LaneModel) -> Lane:
    """The lane of a document."""
    return Lane(
        model.lane,
        model.channel,
        model.carrier,
        model.options,
        model.sender,
        tuple(model.prefixes),
        tuple(limit.compile() for limit in model.limits),
    )


def lane_from(body: dict[str, Any]) -> Lane:
    """The lane of a document's plain body, for senders.

    Raises:
        DefinitionError: The body is not a lane.
    """
    try:
        return compile_lane(LaneModel.model_validate(body))
    except ValidationError as error:
        raise DefinitionError(issues_of(error, f"lane {body.get('lane')!r}")) from None

"""`{consent: newsletter, channel: email, is: subscribed}`: what the person has agreed to."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from engine import limits
from engine.conditions.registry import (
    NO_PROPERTIES,
    Compiled,
    ConditionModel,
    Facts,
    Verdict,
    register,
)
from engine.issues import did_you_mean, kind_of, listed
from engine.messages.message import CHANNELS
from engine.schema import refusal

STATE: Final = "consents"  # in `Entity.state`: `channel/topic` to `[status, ms]`
UNKNOWN: Final = "unknown"


def fact(channel: str, topic: str) -> str:
    """The name under which a change of this consent is told; see `Compiled.facts`."""
    return f"consent:{channel}/{topic}"


def _channel(value: Any) -> Any:
    if value not in CHANNELS:
        hint = did_you_mean(value, CHANNELS) or f"take {listed(CHANNELS)}"
        raise refusal(f"{kind_of(value)} is not a channel", hint)
    return value


@register
class ConsentCondition(ConditionModel):
    """The state of one consent; `unknown` if the person has never said.

    The topic `all` stands for the channel itself.
    """

    noun: ClassVar[str] = "a consent condition"
    key: ClassVar[str] = "consent"
    consent: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
    channel: Annotated[str, BeforeValidator(_channel)]
    is_: Literal["subscribed", "unsubscribed", "unknown"] = Field("subscribed", alias="is")

    def compile(self) -> Compiled:
        """Compiles to two look-ups."""
        name, wanted = f"{self.channel}/{self.consent}", self.is_

        def check(
            entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES
        ) -> Verdict:
            kept = entity.state.get(STATE)
            found = kept.get(name) if kept else None
            return (found[0] if found else UNKNOWN) == wanted, None

        words = f"consent {self.consent!r} by {self.channel} is {wanted}"
        return Compiled(check, words, facts=(fact(self.channel, self.consent),))

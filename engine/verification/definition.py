"""`verification: login`: how codes are made, sent and limited, as it is written."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, model_validator

from engine import limits
from engine.durations import Duration, up_to
from engine.issues import did_you_mean
from engine.limits import LANE_LIMITS  # since a verification has a field `limits`
from engine.messages.message import ADDRESS_TRAITS, EMAIL, PHONE_CHANNELS, SMS, Channel
from engine.names import DefinitionName
from engine.schema import Strict, refusal
from engine.uses import Use
from engine.verification import texts

VERIFICATION: Final = "verification"
ADDRESS: Final = "address"
ALPHABETS: Final = {
    "digits": "0123456789",
    # Without letters that look or sound alike, and without vowels, so that no code is a word.
    "letters": "BCDFGHJKLMNPQRSTVWXZ",
    "alphanumeric": "23456789BCDFGHJKLMNPQRSTVWXZ",
}
_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000

Per = Literal["address", "user", "ip", "device"]


class CodeModel(Strict):
    """What a code looks like."""

    noun: ClassVar[str] = "a code"
    length: Annotated[int, Field(ge=4, le=limits.CODE_CHARS)] = 6
    alphabet: Literal["digits", "letters", "alphanumeric"] = "digits"


class StartLimitModel(Strict):
    """How many codes may be asked for in a span of time."""

    noun: ClassVar[str] = "a limit"
    per: Per
    at_most: Annotated[int, Field(ge=1, le=limits.CODE_STARTS)]
    within: Annotated[int, up_to(limits.CODE_LIMIT_DAYS * _DAY_MS)]


def _usual_limits() -> list[StartLimitModel]:
    return [
        StartLimitModel(per="address", at_most=5, within="1h"),  # type: ignore[arg-type]
        StartLimitModel(per="user", at_most=10, within="1d"),  # type: ignore[arg-type]
        StartLimitModel(per="ip", at_most=30, within="1h"),  # type: ignore[arg-type]
        StartLimitModel(per="device", at_most=10, within="1h"),  # type: ignore[arg-type]
    ]


def _usual_channels() -> list[Channel]:
    return [SMS, EMAIL]


class VerificationModel(Strict):
    """A verification as it is written."""

    noun: ClassVar[str] = "a verification"
    verification: DefinitionName
    brand: Annotated[str, Field(min_length=1, max_length=limits.BRAND_CHARS)]
    code: CodeModel = Field(default_factory=CodeModel)
    validity: Annotated[int, up_to(limits.CODE_VALIDITY_MS)] = 10 * _MINUTE_MS
    attempts: Annotated[int, Field(ge=1, le=limits.CODE_ATTEMPTS)] = 5
    channels: Annotated[list[Channel], Field(min_length=1)] = Field(default_factory=_usual_channels)
    fallback: bool = True
    resend: Annotated[list[Duration], Field(min_length=1, max_length=limits.CODE_SENDS)] = Field(
        default_factory=lambda: [30_000, 60_000, 120_000, 300_000]
    )
    locale: str = texts.DEFAULT
    templates: dict[Channel, dict[str, DefinitionName]] = Field(default_factory=dict)
    lanes: dict[Channel, DefinitionName] = Field(default_factory=dict)
    limits: Annotated[list[StartLimitModel], Field(max_length=LANE_LIMITS)] = Field(
        default_factory=_usual_limits
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> "VerificationModel":
        if len(set(self.channels)) < len(self.channels):
            raise refusal("a channel is given twice in 'channels'")
        for channel in self.channels:
            if channel not in PHONE_CHANNELS and channel != EMAIL:
                raise refusal(f"nobody types a code from {channel}", "use a phone channel or email")
        for field, given in (("templates", self.templates), ("lanes", self.lanes)):
            for channel in given:
                if channel not in self.channels:
                    raise refusal(
                        f"{field}.{channel}: {channel} is not among 'channels'",
                        did_you_mean(channel, self.channels),
                    )
        if self.locale not in texts.LOCALES and not self.templates:
            hint = did_you_mean(self.locale, texts.LOCALES) or "see docs/verification.md"
            raise refusal(f"there is no text in {self.locale!r}", hint)
        return self

    def uses(self) -> Iterator[Use]:
        """Its templates and lanes."""
        for channel, by_locale in self.templates.items():
            for locale, name in by_locale.items():
                yield Use("template", name, f"templates.{channel}.{locale}", channel)
        for channel, lane in self.lanes.items():
            yield Use("lane", lane, f"lanes.{channel}", channel)


class Verifier:
    """A verification's definition, compiled.

    Attributes:
        name: Its name.
        brand: Who asks, as the texts name it.
        length: Of a code, in characters.
        alphabet: The characters of a code.
        validity_ms: How long a code is good.
        attempts: Wrong answers until it ends.
        resend_ms: The least time from each sending to the next; the last one goes on.
        fallback: Whether the next channel is tried when a message does not arrive.
    """

    __slots__ = (
        "_channels", "_lanes", "_limits", "_locale", "_templates", "alphabet", "attempts", "brand",
        "fallback", "length", "name", "resend_ms", "validity_ms",
    )  # fmt: skip

    def __init__(self, model: VerificationModel) -> None:
        self.name = model.verification
        self.brand = model.brand
        self.length = model.code.length
        self.alphabet = ALPHABETS[model.code.alphabet]
        self.validity_ms = model.validity
        self.attempts = model.attempts
        self.resend_ms = tuple(model.resend)
        self.fallback = model.fallback
        self._channels = tuple(model.channels)
        self._templates: dict[str, dict[str, str]] = {
            channel: dict(names.items()) for channel, names in model.templates.items()
        }
        self._lanes: dict[str, str] = {str(by): lane for by, lane in model.lanes.items()}
        self._locale = model.locale
        self._limits: dict[str, tuple[tuple[int, int], ...]] = {}
        for one in model.limits:
            known = self._limits.get(one.per, ())
            self._limits[one.per] = (*known, (one.at_most, one.within))

    def channels_to(self, address: str) -> tuple[str, ...]:
        """The channels that reach an address, in their order."""
        trait = "email" if "@" in address else "phone"
        return tuple(each for each in self._channels if ADDRESS_TRAITS[each] == trait)

    def limits_of(self, per: str) -> tuple[tuple[int, int], ...]:
        """`(at most, within ms)` each, for an address, user, ip or device."""
        return self._limits.get(per, ())

    def lane_of(self, channel: str) -> str:
        """The lane that a channel's messages have to take, or empty."""
        return self._lanes.get(channel, "")

    def locale_of(self, wanted: str) -> str:
        """The language in which to write, of those that there are."""
        for locale in (wanted, wanted.replace("_", "-").partition("-")[0].lower()):
            if locale in texts.LOCALES or any(locale in by for by in self._templates.values()):
                return locale
        return self._locale

    def template_of(self, channel: str, locale: str) -> str:
        """The template for a channel and a language; empty for the texts that come with Denrei."""
        by_locale = self._templates.get(channel, {})
        return by_locale.get(locale) or by_locale.get(self._locale) or ""


def compile_verification(model: VerificationModel) -> Verifier:
    """Compiles a verification."""
    return Verifier(model)

"""`guard: default`: what a workspace wants of the fraud guard, as it is written.

A workspace has one guard. Without a definition the guard filters everywhere, with the scores below.
"""

import re
from typing import Annotated, Any, ClassVar, Final, Literal

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from pydantic import AfterValidator, Field, ValidationError, model_validator

from engine import limits
from engine.durations import render, up_to
from engine.fraud.strictness import FILTER, MONITOR, Strictness
from engine.issues import DefinitionError, did_you_mean
from engine.messages.message import MARKETING, OTP, TRANSACTIONAL
from engine.schema import Strict, issues_of, refusal

GUARD: Final = "guard"
DEFAULT: Final = "default"

_REGIONS: Final = frozenset(
    region for regions in COUNTRY_CODE_TO_REGION_CODE.values() for region in regions
)
_SAFE: Final = re.compile(r"\+[1-9][0-9]{0,14}\*?")

Mode = Literal["allow", "monitor", "filter", "block"]
Purpose = Literal["otp", "transactional", "marketing"]
Score = Annotated[int, Field(ge=1, le=100)]


def _only_default(name: str) -> str:
    if name != DEFAULT:
        raise refusal(f"{name!r} is not the name of the guard", "write 'guard: default'")
    return name


def _countries(modes: dict[str, Mode]) -> dict[str, Mode]:
    for region in modes:
        if region != DEFAULT and region not in _REGIONS:
            hint = did_you_mean(region.upper(), _REGIONS) or "write two letters, as in GB"
            raise refusal(f"{region!r} is not a country with phones", hint)
    return modes


def _safe(numbers: list[str]) -> list[str]:
    for number in numbers:
        if not _SAFE.fullmatch(number):
            hint = "write +442079460000, or +4420794* for all that begin so"
            raise refusal(f"{number!r} is neither a number nor the beginning of one", hint)
    return numbers


Countries = Annotated[dict[str, Mode], AfterValidator(_countries)]


class PurposeModel(Strict):
    """How strict the guard is with one purpose."""

    noun: ClassVar[str] = "a purpose of the guard"
    weight: Annotated[float, Field(ge=0, le=1)] = 1.0
    challenge: Score = 50
    block: Score = 90
    action: Literal["block", "challenge", "shadow"] = "block"
    delay: Annotated[int, up_to(limits.FRAUD_DELAY_MS)] = 0
    countries: Countries = Field(default_factory=dict)

    @model_validator(mode="after")
    def _long_enough(self) -> "PurposeModel":
        if 0 < self.delay < limits.FRAUD_DELAY_LEAST_MS:
            what = f"a delay of {render(self.delay)} is shorter than a minute"
            raise refusal(what, "nothing is learnt in so short a time; write 5m")
        return self

    @model_validator(mode="after")
    def _in_order(self) -> "PurposeModel":
        if self.challenge > self.block:
            what = f"challenge at {self.challenge} is above block at {self.block}"
            raise refusal(what, "a challenge comes first")
        return self


class GuardModel(Strict):
    """The guard as it is written."""

    noun: ClassVar[str] = "a guard"
    guard: Annotated[str, AfterValidator(_only_default)]
    mode: Literal["enforce", "monitor"] = "enforce"
    countries: Countries = Field(default_factory=dict)
    safe: Annotated[list[str], Field(max_length=limits.FRAUD_SAFE), AfterValidator(_safe)] = Field(
        default_factory=list
    )
    purposes: dict[Purpose, PurposeModel] = Field(default_factory=dict)


_WEIGHTS: Final[dict[Purpose, float]] = {OTP: 1.0, TRANSACTIONAL: 0.5, MARKETING: 0.1}


class GuardPolicy:
    """A compiled guard.

    Attributes:
        monitor: Whether decisions are only counted.
        purposes: How strict it is, by purpose.
    """

    __slots__ = ("_safe", "_safe_lengths", "monitor", "purposes")

    def __init__(self, model: GuardModel | None = None) -> None:
        model = model or GuardModel(guard=DEFAULT)
        self.monitor = model.mode == MONITOR
        self._safe = frozenset(model.safe)
        self._safe_lengths = sorted({len(each) - 1 for each in model.safe if each[-1] == "*"})
        self.purposes: dict[str, Strictness] = {}
        for purpose, usual_weight in _WEIGHTS.items():
            weight = usual_weight
            written = model.purposes.get(purpose, PurposeModel())
            if "weight" in written.model_fields_set:
                weight = written.weight
            modes: dict[str, str] = {**model.countries, **written.countries}
            usual = modes.pop(DEFAULT, FILTER)
            self.purposes[purpose] = Strictness(
                weight, written.challenge, written.block, written.action, modes, usual,
                written.delay, is_code=purpose == OTP, exempts=self.monitor or bool(model.safe),
            )  # fmt: skip

    def of(self, purpose: str) -> Strictness:
        """How strict it is with a purpose; unknown ones count as marketing."""
        return self.purposes.get(purpose) or self.purposes[MARKETING]

    def is_safe(self, e164: str) -> bool:
        """Whether a number is on the safe list."""
        if not self._safe:
            return False
        return e164 in self._safe or any(
            e164[:length] + "*" in self._safe for length in self._safe_lengths
        )


def compile_guard(model: GuardModel) -> GuardPolicy:
    """The guard of a document."""
    return GuardPolicy(model)


def guard_from(body: dict[str, Any]) -> GuardPolicy:
    """The guard of a document's plain body, for senders.

    Raises:
        DefinitionError: The body is not a guard.
    """
    try:
        return compile_guard(GuardModel.model_validate(body))
    except ValidationError as error:
        raise DefinitionError(issues_of(error, f"guard {body.get('guard')!r}")) from None

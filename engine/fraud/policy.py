"""`guard: default`: what a workspace wants of the fraud guard, as it is written.

A workspace has one guard. Without a definition the guard filters everywhere, with the scores below.
"""

import re
from typing import Annotated, Any, ClassVar, Final, Literal

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from pydantic import AfterValidator, Field, ValidationError, model_validator

from engine import limits
from engine.fraud.blocks import BLOCK, CHALLENGE, SHADOW
from engine.issues import DefinitionError, did_you_mean
from engine.messages.message import MARKETING, OTP, TRANSACTIONAL
from engine.schema import Strict, issues_of, refusal

GUARD: Final = "guard"
DEFAULT: Final = "default"

MOST_SCORE: Final = 99  # the guard is never surer

ALLOWED: Final = "allow"
MONITOR: Final = "monitor"
FILTER: Final = "filter"
BLOCKED: Final = "block"

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
    countries: Countries = Field(default_factory=dict)

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


class Strictness:
    """How strict the guard is with one purpose; see `PurposeModel`.

    Attributes:
        deaf: Whether no score comes to a challenge, with its weight.
        quick: Whether it filters everywhere, and every number.
        passes: Whether nothing can stop a message, or be learnt from it.
    """

    __slots__ = (
        "action", "block", "challenge", "deaf", "modes", "passes", "quick", "usual", "weight"
    )  # fmt: skip

    def __init__(
        self, weight: float, challenge: int, block: int, action: str, modes: dict[str, str],
        usual: str, *, is_code: bool, exempts: bool,
    ) -> None:  # fmt: skip
        self.weight = weight
        self.challenge = challenge
        self.block = block
        self.action = action
        self.modes = modes
        self.usual = usual
        self.deaf = int(MOST_SCORE * weight) < challenge
        everywhere = usual == FILTER and not modes
        self.quick = everywhere and not exempts
        self.passes = everywhere and self.deaf and not is_code

    def mode(self, region: str) -> str:
        """What is done about a country."""
        return self.modes.get(region, self.usual)

    def action_for(self, found: str) -> str:
        """What is done about a finding."""
        if found == CHALLENGE or self.action == CHALLENGE:
            return CHALLENGE
        return SHADOW if self.action == SHADOW else BLOCK


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
                is_code=purpose == OTP, exempts=self.monitor or bool(model.safe),
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

"""How a lane reacts to what its carrier says: rules from a code or words to slow down or to stop.

A carrier that wants less traffic often says so in its own codes and words. A rule names them, and
what follows for a time: the lane is suspended, or its rate is lowered. It may ask for several of
them within a time, so that one odd answer changes nothing. Each reaction is shown in the lane's
status with its reason and its end; the strictest of those that hold counts.

An expression is matched with words that a carrier chose. So it may not have groups, and no more
than two repeats between two `|`: then no words can make it slow.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Struct
from pydantic import BeforeValidator, Field, model_validator

from engine import limits
from engine.durations import Duration, parse, render
from engine.issues import kind_of
from engine.schema import Strict, refusal

SUSPEND: Final = "suspend"
SLOW: Final = "slow"
_PERCENT: Final = re.compile(r"([1-9][0-9]?)%")
_CODE: Final = re.compile(r"[0-9A-Za-z_.:-]{1,40}")
_REPEATS: Final = 2
_ALTERNATIVES: Final = 20


class Reaction(Struct, frozen=True):
    """A compiled rule.

    Attributes:
        codes: Matches a whole code; None if any will do.
        text: Is searched in the carrier's words; None if any will do.
        outcomes: What the answers have to be: `throttled`, `failed` …; empty: whatever it is.
        then: `suspend` or `slow`.
        percent: To which part of its rate it is slowed.
        for_ms: For how long.
        count: How many answers it takes,
        within_ms: within this time.
    """

    codes: re.Pattern[str] | None
    text: re.Pattern[str] | None
    outcomes: frozenset[str]
    then: str
    percent: int
    for_ms: int
    count: int
    within_ms: int

    def matches(self, outcome: str, code: str, detail: str) -> bool:
        """Whether an answer is one of those that it is about."""
        if self.outcomes and outcome not in self.outcomes:
            return False
        if self.codes is not None and not self.codes.fullmatch(plain_code(code)):
            return False
        words = detail[: limits.REACTION_TEXT_CHARS]
        return self.text is None or self.text.search(words) is not None


def plain_code(code: str) -> str:
    """A code without its dialect: `0x00000058`, `0x58` and `88` are one."""
    if code[:2] in ("0x", "0X"):
        try:
            return str(int(code, 16))
        except ValueError:
            return code
    return code


def _codes(value: Any) -> list[str]:
    codes = value if isinstance(value, list) else [value]
    for code in codes:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise refusal(
                f"must be a code or a list of codes, not {kind_of(code)}",
                'write them as texts: "88", "429", or "5xx" for all that begin with 5',
            )
    return codes


def _expression(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise refusal(f"must be a regular expression, not {kind_of(value)}")
    if len(value) > limits.REACTION_PATTERN_CHARS:
        raise refusal(f"is longer than {limits.REACTION_PATTERN_CHARS} characters")
    wrong = _slow_in(value)
    if wrong:
        raise refusal(wrong, "a word or two of the carrier's text are enough: 'too many|throttl'")
    try:
        re.compile(value)
    except re.error as error:
        raise refusal(f"{value!r} is no regular expression: {error}") from None
    return value


def _slow_in(pattern: str) -> str:
    """What some text could make slow in an expression; empty if nothing is."""
    repeats = alternatives = at = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            if pattern[at + 1 : at + 2].isdigit():
                return "refers back to a group"
            at += 1
        elif sign == "[":
            close = pattern.find("]", at + 2)
            at = close if close > 0 else len(pattern)
        elif sign == "(":
            return "has a group"
        elif sign in "*+?{":
            repeats += 1
            if repeats > _REPEATS:
                return f"has more than {_REPEATS} repeats in a row"
        elif sign == "|":
            repeats = 0
            alternatives += 1
            if alternatives >= _ALTERNATIVES:
                return f"has more than {_ALTERNATIVES} alternatives"
        at += 1
    return ""


def _percent(value: Any) -> str:
    if not isinstance(value, str) or not _PERCENT.fullmatch(value):
        raise refusal(f"must be a part of the rate, not {kind_of(value)}", 'write it like "10%"')
    return value


def _after(value: Any) -> str:
    number, word, span = (value if isinstance(value, str) else "").partition(" in ")
    try:
        good = bool(word) and 1 <= int(number) <= 1_000 and parse(span) <= 86_400_000
    except ValueError:
        good = False
    if not good:
        raise refusal(
            f"must say how many answers in which time, not {kind_of(value)}",
            'write it like "3 in 1m"; at most 1000, in at most a day',
        )
    return str(value)


class WhenModel(Strict):
    """What a carrier has to say; all that is given has to be so."""

    noun: ClassVar[str] = "what a carrier says"
    code: (
        Annotated[list[str], BeforeValidator(_codes, json_schema_input_type=str | list[str])] | None
    ) = None
    text: Annotated[str, BeforeValidator(_expression)] | None = None
    outcome: Literal["throttled", "failed", "rejected", "unknown"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "WhenModel":
        if self.code is None and self.text is None and self.outcome is None:
            raise refusal("says nothing", "give it a code, a text or an outcome")
        return self


class ReactionModel(Strict):
    """A rule as it is written."""

    noun: ClassVar[str] = "a reaction"
    when: WhenModel
    then: Literal["suspend", "slow"]
    to: Annotated[str, BeforeValidator(_percent)] | None = None
    for_: Duration = Field(alias="for")
    after: Annotated[str, BeforeValidator(_after)] | None = None

    @model_validator(mode="after")
    def _slows_to_something(self) -> "ReactionModel":
        if (self.then == SLOW) != (self.to is not None):
            raise refusal(
                f"'then: {self.then}' {'has no' if self.then == SLOW else 'stands beside'} 'to'",
                'write {then: slow, to: "50%"} or {then: suspend}',
            )
        return self

    def compile(self) -> Reaction:
        """The rule, ready to be asked."""
        codes = None
        if self.when.code is not None:
            each = (re.escape(plain_code(code)).replace("x", r"\d") for code in self.when.code)
            codes = re.compile("|".join(each))
        text = re.compile(self.when.text, re.IGNORECASE) if self.when.text else None
        outcomes = frozenset({self.when.outcome} if self.when.outcome else ())
        count, _, span = (self.after or "1 in 1s").partition(" in ")
        percent = int(self.to[:-1]) if self.to else 0
        return Reaction(
            codes, text, outcomes, self.then, percent, self.for_, int(count), parse(span)
        )


class _Rule:
    """A rule at work: when it was met, and until when it holds."""

    __slots__ = ("met", "reaction", "until_ms", "why")

    def __init__(self, reaction: Reaction) -> None:
        self.reaction = reaction
        self.met: deque[int] = deque(maxlen=reaction.count)
        self.until_ms = 0
        self.why = ""


class Reactions:
    """The rules of one lane at work."""

    __slots__ = ("_rules",)

    def __init__(self, reactions: Sequence[Reaction] = ()) -> None:
        self._rules = [_Rule(each) for each in reactions]

    def configure(self, reactions: Sequence[Reaction]) -> None:
        """Takes other rules; one that is as it was goes on, one that is gone ends at once."""
        known = {rule.reaction: rule for rule in self._rules}
        self._rules = [known.get(each) or _Rule(each) for each in reactions]

    def saw(self, outcome: str, code: str, detail: str, now_ms: int) -> bool:
        """Takes in an answer that was not an acceptance. Cost: 0.5 µs a rule.

        Returns:
            Whether some rule was met.
        """
        met = False
        for rule in self._rules:
            reaction = rule.reaction
            if not reaction.matches(outcome, code, detail):
                continue
            rule.met.append(now_ms)
            if len(rule.met) < reaction.count or rule.met[0] < now_ms - reaction.within_ms:
                continue
            rule.met.clear()
            rule.until_ms = now_ms + reaction.for_ms
            rule.why = _words(reaction, outcome, code, detail)
            met = True
        return met

    def suspended_until(self, now_ms: int) -> int:
        """Until when nothing may go; 0 if something may."""
        ends = [rule.until_ms for rule in self._holding(now_ms) if rule.reaction.then == SUSPEND]
        return max(ends, default=0)

    def percent(self, now_ms: int) -> int:
        """To which part of its rate the lane is slowed now; 100: not at all."""
        slows = [rule.reaction.percent for rule in self._holding(now_ms)]
        return min((percent for percent in slows if percent), default=100)

    def next_ms(self, now_ms: int) -> int | None:
        """When the first of the reactions ends that hold now; None if none holds."""
        return min((rule.until_ms for rule in self._holding(now_ms)), default=None)

    def status(self, now_ms: int) -> list[dict[str, Any]]:
        """The reactions that hold, for a status page."""
        return [
            {"then": rule.reaction.then, "why": rule.why, "until_ms": rule.until_ms}
            for rule in self._holding(now_ms)
        ]

    def _holding(self, now_ms: int) -> Iterator[_Rule]:
        return (rule for rule in self._rules if rule.until_ms > now_ms)


def _words(reaction: Reaction, outcome: str, code: str, detail: str) -> str:
    said = ", ".join(part for part in (outcome, code, detail[:100]) if part)
    what = "suspended" if reaction.then == SUSPEND else f"slowed to {reaction.percent} %"
    often = f" {reaction.count} times" if reaction.count > 1 else ""
    return f"{what} for {render(reaction.for_ms)}: the carrier said{often} {said!r}"


def _rules(*written: dict[str, Any]) -> tuple[Reaction, ...]:
    return tuple(ReactionModel.model_validate(each).compile() for each in written)


_SMPP: Final = _rules(
    # ESME_RTHROTTLED: our rate is above what was agreed.
    {"when": {"code": "88"}, "then": SLOW, "to": "50%", "for": "30s", "after": "3 in 10s"},
    {"when": {"code": "88"}, "then": SLOW, "to": "10%", "for": "2m", "after": "20 in 1m"},
    # ESME_RMSGQFUL: the queue of the centre, or of one subscriber, is full.
    {"when": {"code": "20"}, "then": SUSPEND, "for": "30s", "after": "10 in 10s"},
)
_HTTP: Final = _rules(
    {"when": {"code": "429"}, "then": SLOW, "to": "50%", "for": "30s", "after": "3 in 10s"},
    {"when": {"code": "429"}, "then": SLOW, "to": "10%", "for": "2m", "after": "20 in 1m"},
    {"when": {"code": "503"}, "then": SUSPEND, "for": "15s", "after": "5 in 10s"},
    {"when": {"code": "5xx"}, "then": SLOW, "to": "25%", "for": "30s", "after": "10 in 30s"},
)
_SMTP: Final = _rules(
    {"when": {"code": "421"}, "then": SUSPEND, "for": "1m", "after": "3 in 1m"},
    {"when": {"code": "4xx", "text": "rate|too many|throttl|slow down|deferred due to"},
     "then": SLOW, "to": "25%", "for": "5m", "after": "3 in 1m"},
    {"when": {"code": "4xx"}, "then": SLOW, "to": "50%", "for": "1m", "after": "50 in 1m"},
    {"when": {"code": "5xx", "text": "block.?list|blacklist|blocked|reputation|spam"},
     "then": SUSPEND, "for": "15m", "after": "5 in 5m"},
)  # fmt: skip

SHIPPED: Final = {
    "smpp": _SMPP,
    "twilio": _HTTP,
    "http": _HTTP,
    "web_push": _HTTP,
    "smtp": _SMTP,
}
"""The rules that come with a carrier, by its adapter's name; those that a lane has come before."""


def rules_for(carrier: str, own: Iterable[ReactionModel], shipped: bool) -> tuple[Reaction, ...]:
    """All rules of a lane: its own, and those that come with its carrier."""
    return (*(model.compile() for model in own), *(SHIPPED.get(carrier, ()) if shipped else ()))

"""Who somebody is, whatever they do: everyone, a random part of them, a list of them.

The answer depends on the person's ids alone, so it is found once, and again only after a merge.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, model_validator
from xxhash import xxh3_64_intdigest

from engine import limits
from engine.conditions.registry import (
    NO_PROPERTIES,
    Check,
    Compiled,
    ConditionModel,
    Facts,
    Verdict,
    register,
)
from engine.identity.record import IDENTITY, SEED, has_id
from engine.issues import kind_of
from engine.schema import Strict, refusal
from engine.slots import USER, parse_key

FACT: Final = "id"
_PARTS: Final = 10_000  # a bucket is told apart to a hundredth of a percent


@register
class EveryoneCondition(ConditionModel):
    """True for everybody."""

    noun: ClassVar[str] = "an 'everyone' condition"
    key: ClassVar[str] = "everyone"
    everyone: Literal[True]

    def compile(self) -> Compiled:
        """Compiles to true."""
        return Compiled(lambda entity, now_ms, properties=NO_PROPERTIES: (True, None), "everyone")


def _percent(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise refusal(f"must be a number from 0 to 100, not {kind_of(value)}")
    if round(value * 100) != value * 100 and abs(round(value * 100) - value * 100) > 1e-6:
        raise refusal(f"{value} is finer than a hundredth of a percent", "write two decimals")
    return value


Percent = Annotated[float, BeforeValidator(_percent)]


class BucketModel(Strict):
    """A part of all people: the first `percent`, or those between two percentages."""

    noun: ClassVar[str] = "a bucket"
    percent: Percent | None = None
    from_: Percent | None = Field(None, alias="from")
    to: Percent | None = None
    salt: Annotated[str, Field(max_length=limits.NAME_CHARS)] = ""

    @model_validator(mode="after")
    def _is_one_range(self) -> "BucketModel":
        if (self.percent is None) == (self.from_ is None and self.to is None):
            raise refusal("a bucket has either 'percent' or 'from' and 'to'", "keep one of them")
        first, past = self.parts()
        if first >= past:
            raise refusal("the bucket holds nobody", "let 'from' be less than 'to'")
        return self

    def parts(self) -> tuple[int, int]:
        """The first part of `_PARTS` that is in it, and the first after it that is not."""
        if self.percent is not None:
            return 0, round(self.percent * 100)
        return round((self.from_ or 0) * 100), round((100 if self.to is None else self.to) * 100)


@register
class BucketCondition(ConditionModel):
    """A random part of all people, the same ones for ever; see `identity.record.seed_of`."""

    noun: ClassVar[str] = "a bucket condition"
    key: ClassVar[str] = "bucket"
    bucket: BucketModel

    def compile(self) -> Compiled:
        """Compiles to one hash of the person's id."""
        first, past = self.bucket.parts()
        salt = self.bucket.salt

        def check(
            entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES
        ) -> Verdict:
            return first <= part_of(_first_id(entity), salt) < past, None

        words = f"in bucket {first / 100:g} to {past / 100:g} % of {salt!r}"
        return Compiled(check, words, facts=(FACT,))


def _first_id(entity: Facts) -> str:
    """The id by which somebody falls into a bucket."""
    record = entity.state.get(IDENTITY)
    seed = record.get(SEED) if record else None
    return entity.id if seed is None else parse_key(seed).id


def part_of(user_id: str, salt: str) -> int:
    """The part, from 0 up to 9,999, into which somebody falls under a salt."""
    return xxh3_64_intdigest(f"{salt}\n{user_id}".encode()) % _PARTS


def _ids(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else kind_of(value)
        raise refusal(f"must be a list of user ids, not {found}")
    if len(value) > limits.LIST_USERS:
        what = f"has {len(value)} ids, more than {limits.LIST_USERS}"
        raise refusal(what, "divide it into several segments")
    for item in value:
        if not isinstance(item, str) or not item or len(item) > limits.ID_CHARS:
            raise refusal(f"holds {kind_of(item)}, which is not a user id", "put it in quotes")
    return value


@register
class ListCondition(ConditionModel):
    """The people of whom a user id is named, the newest or one that they had before."""

    noun: ClassVar[str] = "a list condition"
    key: ClassVar[str] = "list"
    list: Annotated[Any, BeforeValidator(_ids)]

    def compile(self) -> Compiled:
        """Compiles to one look-up in a set."""
        return Compiled(_listed(self.list), f"in a list of {len(self.list)}", facts=(FACT,))


def _listed(ids: Any) -> Check:
    members = frozenset(ids)

    def check(entity: Facts, now_ms: int, properties: Mapping[str, Any] = NO_PROPERTIES) -> Verdict:
        if entity.kind != USER:
            return False, None
        record = entity.state.get(IDENTITY)
        return entity.id in members or bool(record and has_id(record, members)), None

    return check

"""`{update: {set: {tier: gold}, unset: [trial], add: {orders: 1}}, then: next}`: writes traits.

It is done at once: the steps that follow, and every segment that reads those traits, see it. A
value that is not found, or that cannot be added to, is left as it is, and the trail says so.
"""

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import Field, model_validator

from engine import limits
from engine.issues import kind_of
from engine.journeys.instance import Instance
from engine.journeys.steps.registry import Move, OneWayModel, Step, register
from engine.journeys.steps.values import FromModel, Name, Values, Writer, events_read
from engine.reasons import Reason
from engine.schema import Strict, refusal

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey

_LARGEST: Final = 2**53  # what every reader of a number can hold exactly
_TOLD: Final = 10  # of the traits that are left as they are: a run that says too much spins


class UpdateFields(Strict):
    """What is written, taken away and added to."""

    noun: ClassVar[str] = "an update of the profile"
    set: Values = Field(default_factory=dict)
    unset: Annotated[list[Name], Field(max_length=limits.PROPERTY_KEYS)] = Field(
        default_factory=list
    )
    add: Values = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_trait_once(self) -> "UpdateFields":
        names = [*self.set, *self.unset, *self.add]
        if not names:
            raise refusal("changes nothing", "give it 'set', 'unset' or 'add'")
        for name in names:
            if names.count(name) > 1:
                raise refusal(f"the trait {name!r} is changed twice", "keep one of them")
        for name, value in self.add.items():
            if not isinstance(value, FromModel) and not _is_number(value):
                what = f"add.{name}: must be a number, not {kind_of(value)}"
                raise refusal(what, "write it like 1, -5 or {from: properties.price}")
        for name, value in self.set.items():
            if value is None:
                raise refusal(f"set.{name}: is nothing", f"write unset: [{name}]")
        return self


@register
class UpdateModel(OneWayModel):
    """An updating step as it is written."""

    noun: ClassVar[str] = "an update step"
    key: ClassVar[str] = "update"
    update: UpdateFields

    def reads(self) -> Iterator[tuple[str, str]]:
        """The kept events that values are found in."""
        yield from events_read("update.set", self.update.set)
        yield from events_read("update.add", self.update.add)

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Update(name, self)


class _Update(Step):
    __slots__ = ("_add", "_set", "_then", "_unset")

    def __init__(self, name: str, model: UpdateModel) -> None:
        super().__init__(name)
        self._set = Writer(model.update.set)
        self._add = Writer(model.update.add)
        self._unset = dict.fromkeys(model.update.unset)
        self._then = model.then

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        from engine import profile  # noqa: PLC0415 - it stands above steps, and they write to it

        values, left = self._set.write(act, instance)
        left = [f"{name}: nothing was found at {self._set.paths[name]}" for name in left]
        left.extend(self._sums(act, instance, values))
        values.update(self._unset)
        reason, changed = profile.set_traits(act, values)
        if changed:
            profile.traits_changed(act, changed)
            if act.program.journey_index.watches:
                act.follow_ups.append(("look", None))
        for why in left[:_TOLD]:
            instance.record(act.now, "left as it is", why)
        if len(left) > _TOLD:
            instance.record(act.now, "left as it is", f"{len(left) - _TOLD} more traits")
        if reason is not Reason.ACCEPTED:
            instance.record(act.now, "not updated", f"{reason.name}: the profile is full")
            return self._then, f"the profile was not updated: {reason.name}"
        return (
            self._then,
            f"updated {', '.join(values)}" if values else "there was nothing to write",
        )

    def _sums(self, act: "Activation", instance: Instance, values: dict[str, Any]) -> list[str]:
        """Adds sums to the values; gives what could not be added."""
        amounts, missing = self._add.write(act, instance)
        left = [f"{name}: nothing was found at {self._add.paths[name]}" for name in missing]
        for name, amount in amounts.items():
            before = act.entity.traits.get(name, 0)
            if not _is_number(before) or not _is_number(amount):
                what = before if not _is_number(before) else amount
                left.append(f"{name}: {kind_of(what)} cannot be added")
            elif abs(total := before + amount) > _LARGEST:
                left.append(f"{name}: the sum is too large")
            else:
                values[name] = total
        return left


def _is_number(value: Any) -> bool:
    return value.__class__ is int or (value.__class__ is float and isfinite(value))

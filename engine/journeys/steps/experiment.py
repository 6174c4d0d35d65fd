"""`{experiment: {name: tone, variants: [...], control: {percent: 10, then: end}}}`: a fair test.

A person's variant is drawn once, by the experiment's name, and then kept: in every run, version and
journey with an experiment of that name, and also when percentages change, for as long as the
variant is there. The trail says which it is, and so does the person's `experiments`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from pydantic import Field, model_validator

from engine import limits
from engine.identity.record import seed_of
from engine.journeys.instance import Instance
from engine.journeys.steps.chance import Draw, ShareModel, must_be_whole
from engine.journeys.steps.registry import Step, StepModel, register
from engine.names import DefinitionName
from engine.schema import Strict, refusal

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey
    from engine.journeys.steps.registry import Move

STATE: Final = "experiments"
CONTROL: Final = "control"


class VariantModel(ShareModel):
    """A variant; without a name it is called by the step that it leads to."""

    noun: ClassVar[str] = "a variant"
    name: DefinitionName = ""

    @property
    def label(self) -> str:
        """What the variant is called."""
        return self.name or self.then


class ControlModel(ShareModel):
    """Those who do not get what is tested."""

    noun: ClassVar[str] = "a control group"


class ExperimentFields(Strict):
    """What is tested, and on whom."""

    noun: ClassVar[str] = "an experiment"
    name: DefinitionName
    variants: Annotated[list[VariantModel], Field(min_length=1, max_length=limits.BRANCHES)]
    control: ControlModel | None = None

    @model_validator(mode="after")
    def _shares_and_names(self) -> "ExperimentFields":
        must_be_whole([share for _, share in self.groups()], "variants and control group")
        names = [name for name, _ in self.groups()]
        for name in names:
            if names.count(name) > 1:
                raise refusal(f"two variants are called {name!r}", "give each a 'name' of its own")
        return self

    def groups(self) -> list[tuple[str, ShareModel]]:
        """Variants, then the control group, by name."""
        groups: list[tuple[str, ShareModel]] = [(one.label, one) for one in self.variants]
        if self.control is not None:
            groups.append((CONTROL, self.control))
        return groups


@register
class ExperimentModel(StepModel):
    """An experiment as it is written."""

    noun: ClassVar[str] = "an experiment step"
    key: ClassVar[str] = "experiment"
    experiment: ExperimentFields

    def targets(self) -> Iterator[str]:
        """The steps of the variants, then the control group's."""
        yield from (share.then for _, share in self.experiment.groups())

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Experiment(name, self.experiment)


class _Experiment(Step):
    __slots__ = ("_draw", "_experiment", "_names", "_then")

    def __init__(self, name: str, fields: ExperimentFields) -> None:
        super().__init__(name)
        groups = fields.groups()
        self._experiment = fields.name
        self._draw = Draw([share for _, share in groups])
        self._names = tuple(group for group, _ in groups)
        self._then = {group: share.then for group, share in groups}

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> "Move | None":
        entity, experiment = act.entity, self._experiment
        assigned: dict[str, list[str | int]] = entity.state.get(STATE, {})
        known = assigned.get(experiment)
        group = str(known[0]) if known is not None else ""
        if group in self._then:
            why = f"experiment {experiment!r}: {group}, as before"
        else:
            group = self._names[self._draw.index(seed_of(entity), experiment)]
            why = f"experiment {experiment!r}: {group}"
            entity.state[STATE] = assigned
            assigned[experiment] = [group, act.now]
            while len(assigned) > limits.EXPERIMENTS:
                del assigned[next(iter(assigned))]
            act.note("experiment", experiment, f"assigned to {group}")
        instance.record(act.now, "assigned", why)
        return self._then[group], why

"""`{lookup: {table: products, key: properties.sku, as: product}, then: a, else: b}`: finds a row.

The row is that of the table as it stands at this moment, and is kept like an event of that name, so
templates, splits and later steps find its columns there. It never waits. No such row, no key, or a
table without rows leads to `else`, and what was kept under the name before is gone.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator, Field

from engine import limits
from engine.journeys.context import text_of
from engine.journeys.instance import Instance
from engine.journeys.steps.branches import kept_name
from engine.journeys.steps.registry import END, Move, Step, StepModel, StepName, register
from engine.journeys.steps.values import FromModel, Writer
from engine.names import DefinitionName
from engine.schema import Strict, path_under
from engine.tables.definition import TABLE
from engine.tables.source import TableMissing
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey


class LookupFields(Strict):
    """Which row of which table, and what it is called from here on."""

    noun: ClassVar[str] = "a look-up"
    table: DefinitionName
    key: Annotated[str, path_under("traits", "properties", "first", "events")]
    as_: Annotated[DefinitionName, AfterValidator(kept_name)] = Field(alias="as")
    columns: Annotated[list[str], Field(min_length=1, max_length=limits.TABLE_COLUMNS)] | None = (
        None
    )


@register
class LookupModel(StepModel):
    """A look-up as it is written."""

    noun: ClassVar[str] = "a lookup step"
    key: ClassVar[str] = "lookup"
    lookup: LookupFields
    then: StepName = END
    else_: StepName = Field(default=END, alias="else")

    def targets(self) -> Iterator[str]:
        """The step after a row that was found, and the one after none."""
        yield self.then
        yield self.else_

    def uses(self) -> Iterator[Use]:
        """The table, and the columns that are named."""
        yield Use(TABLE, self.lookup.table, "lookup.table")
        for number, name in enumerate(self.lookup.columns or ()):
            yield Use(TABLE, self.lookup.table, f"lookup.columns[{number}]", part=name)

    def keeps(self) -> Iterator[str]:
        """The name of the row."""
        yield self.lookup.as_

    def reads(self) -> Iterator[tuple[str, str]]:
        """The kept event that the key is found in."""
        event = FromModel.model_validate({"from": self.lookup.key}).event
        if event:
            yield event, "lookup.key"

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return _Lookup(name, self)


class _Lookup(Step):
    __slots__ = ("_as", "_else", "_path", "_table", "_then", "_writer")

    def __init__(self, name: str, model: LookupModel) -> None:
        super().__init__(name)
        fields = model.lookup
        self._table = fields.table
        self._as = fields.as_
        self._path = fields.key
        self._writer = Writer({"key": FromModel.model_validate({"from": fields.key})})
        self._then = model.then
        self._else = model.else_

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        """Finds the row."""
        values, _ = self._writer.write(act, instance)
        key = text_of(values.get("key"))
        why = f"there is no key at {self._path}"
        rows = act.program.rows.get(self._table)
        if rows is None:
            why = f"table {self._table!r} has no rows"
        elif key:
            try:
                row = act.tables.row(act.entity.workspace, rows.content, key)
            except TableMissing as error:
                why = f"table {self._table!r}: {error}"
            else:
                if row is not None:
                    instance.remember(self._as, row)
                    words = f"{key!r} in table {self._table!r}, rows {rows.content[:12]}"
                    instance.record(act.now, "found", words)
                    return self._then, f"found {key!r} in table {self._table!r}"
                why = f"table {self._table!r} has no {key!r}"
        instance.aliases.pop(self._as, None)
        return self._else, f"not found: {why}"

"""`{table: products, key: sku, columns: [sku, name, price]}`, and the rows that it has now."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, NamedTuple

from pydantic import Field, model_validator

from engine import limits
from engine.names import DefinitionName
from engine.schema import Strict, refusal
from engine.uses import Use

TABLE: Final = "table"
ROWS: Final = "rows"

Column = Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TableModel(Strict):
    """A table as it is written."""

    noun: ClassVar[str] = "a table"
    table: DefinitionName
    key: Column
    columns: Annotated[list[Column], Field(min_length=1, max_length=limits.TABLE_COLUMNS)]

    @model_validator(mode="after")
    def _holds_together(self) -> "TableModel":
        for name in self.columns:
            if self.columns.count(name) > 1:
                raise refusal(f"columns: {name!r} stands there twice", "delete one")
        if self.key not in self.columns:
            raise refusal(f"key: {self.key!r} is none of the columns", "add it to 'columns'")
        return self

    @property
    def parts(self) -> list[str]:
        """The columns, which others name."""
        return self.columns


class RowsModel(Strict):
    """The rows of a table, by the hash of their file; an upload writes this, and nobody else."""

    noun: ClassVar[str] = "the rows of a table"
    rows: DefinitionName
    content: Hash
    count: Annotated[int, Field(ge=0, le=limits.TABLE_ROWS)]
    size_bytes: Annotated[int, Field(ge=0, le=limits.TABLE_BYTES)]

    def uses(self) -> Iterator[Use]:
        """The table."""
        yield Use(TABLE, self.rows, "rows")


class Rows(NamedTuple):
    """The compiled form of `RowsModel`."""

    table: str
    content: str


def compile_rows(model: RowsModel) -> Rows:
    """The rows of a document."""
    return Rows(model.rows, model.content)

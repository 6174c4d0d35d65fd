"""Where rows are read: a seam, since the engine opens no files."""

from typing import Final, Protocol

from engine.errors import DenreiError


class TableMissing(DenreiError):
    """The rows of a table are not on this node: a file of the store is lost."""


class Tables(Protocol):
    """Finds rows. What it answers hangs on its arguments alone, today and at any replay."""

    def row(self, workspace: str, content: str, key: str) -> bytes | None:
        """The row with a key, as a msgpack map; None if there is none.

        Raises:
            TableMissing: There are no such rows here.
        """


class _Nothing:
    def row(self, workspace: str, content: str, key: str) -> bytes | None:
        """See `Tables`."""
        msg = f"the rows {content[:12]}… are not in this store"
        raise TableMissing(msg)


NO_TABLES: Final[Tables] = _Nothing()

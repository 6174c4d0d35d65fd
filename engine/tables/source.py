"""Where rows are read: a seam, since the engine opens no files."""

from typing import Final, Protocol

from engine.errors import DenreiError


class TableMissing(DenreiError):
    """The rows of a table are not on this node: a file of the store is lost."""


class TablesUnreadable(DenreiError):
    """Rows are there and cannot be read now, so nobody can say what becomes of who asks for them.

    A shard never takes it for an answer, since a replay elsewhere would get another one: it stops,
    and goes on where it was when its host can read again.
    """


class Tables(Protocol):
    """Finds rows. What it answers hangs on its arguments alone, today and at any replay."""

    def row(self, workspace: str, content: str, key: str) -> bytes | None:
        """The row with a key, as a msgpack map; None if there is none.

        Raises:
            TableMissing: There are no such rows here. Its words are the same on every machine.
            TablesUnreadable: The machine cannot read them.
        """


def missing(content: str) -> TableMissing:
    """The rows of a content are not here."""
    return TableMissing(f"the rows {content[:12]}… are not in this store")


class _Nothing:
    def row(self, workspace: str, content: str, key: str) -> bytes | None:
        """See `Tables`."""
        raise missing(content)


NO_TABLES: Final[Tables] = _Nothing()

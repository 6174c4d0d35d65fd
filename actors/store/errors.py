"""What can be wrong with a store, in words for the person who has to mend it.

Every error says what is wrong, with the file, and what to do. None of them is to be caught and
carried on from: after a failed or unknown commit nobody can know what is on the disk (Linux reports
a failed fsync once and then marks the page clean), so the store is poisoned, its owner exits, and
the next owner reads what is really there.
"""


class StoreError(Exception):
    """Something is wrong with a store.

    Attributes:
        what: What is wrong, and where.
        remedy: What to do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)  # Both in args: these errors travel pickled between actors.
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


class Fenced(StoreError):
    """A newer owner has this shard. Nothing was written. The process must exit."""


class StoreLocked(StoreError):
    """Another live process owns this file, and did not let go in the time given."""


class ForeignStore(StoreError):
    """This is not the store it should be: other counts, another hash, another store's file."""


class TornStore(StoreError):
    """Something that was written is missing or changed. The store is left as it was found."""


class WriteFailed(StoreError):
    """A write failed or its outcome is unknown. The store is poisoned: every later call raises."""


class DiskFull(WriteFailed):
    """There was no room for a write. Nothing of it was committed; the store is poisoned."""

"""The errors that cross a boundary, each with what a caller can do about it.

Inside a shard nothing raises on data: a command that breaks a rule leaves a `Reason`. These are
for what stands around the shards: queues that are full, hosts that are away, names that are not
there. The gateway turns each into one google.rpc status.
"""


class DenreiError(Exception):
    """The base of every error that a caller may see."""


class Overloaded(DenreiError):
    """A bounded queue is full; nothing was accepted, and the same request may be sent again.

    Attributes:
        retry_after_ms: How long to wait before the next try.
        what: The queue or limit, in words.
    """

    def __init__(self, retry_after_ms: int, what: str) -> None:
        super().__init__(f"{what}; try again in {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms
        self.what = what


class Unavailable(DenreiError):
    """The owner of a shard did not answer before the deadline; the outcome is unknown.

    Sending the same ids again is safe: what was applied answers as a duplicate.
    """

    def __init__(self, what: str, retry_after_ms: int = 1_000) -> None:
        super().__init__(what)
        self.retry_after_ms = retry_after_ms
        self.what = what


class NotFound(DenreiError):
    """Something that was named does not exist."""


class Conflict(DenreiError):
    """The state has moved on since the caller read it; read again and decide again."""

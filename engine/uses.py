"""What one definition needs of others, so that nothing that is named can be missing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """Another definition that a definition needs.

    Attributes:
        kind: Its kind.
        name: Its name.
        where: The place that names it: `message.template`.
        channel: The channel that it has to be for, or empty.
        part: What of it is needed, one of its model's `parts`; empty means all of it.
    """

    kind: str
    name: str
    where: str
    channel: str = ""
    part: str = ""

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
    """

    kind: str
    name: str
    where: str
    channel: str = ""

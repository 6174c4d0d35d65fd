"""What a runner has counted since its start, in plain numbers; a host makes metrics of them."""

from dataclasses import dataclass, field
from typing import Any

from engine.reasons import Reason
from engine.shard import Effects


@dataclass(slots=True)
class RunnerStats:
    """Counts since the start; what a recovery replayed is in `replayed` alone.

    Attributes:
        chunks: How many were acknowledged, and
        took_s: how long they took together, from when they came in.
    """

    commands: int = 0
    entries: int = 0
    stage_s: float = 0.0
    commit_s: float = 0.0
    apply_s: float = 0.0
    rows: int = 0
    replayed: int = 0
    recovery_s: float = 0.0
    refused: int = 0
    chunks: int = 0
    took_s: float = 0.0
    entered: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    outcomes: dict[int, int] = field(default_factory=dict)

    def take(self, effects: Effects, elapsed_s: float) -> None:
        """Counts an entry that was applied. Cost: 1 µs an entry."""
        self.entries += 1
        self.commands += len(effects.results)
        self.apply_s += elapsed_s
        _add(self.entered, effects.entered)
        _add(self.left, effects.left)
        _add(self.outcomes, effects.outcomes)

    def moves(self, workspace: str) -> dict[str, dict[str, int]]:
        """How many entered and left each segment: `{entered: {segment: n}, left: {segment: n}}`."""
        return {
            "entered": _of_workspace(self.entered, workspace),
            "left": _of_workspace(self.left, workspace),
        }

    def describe(self) -> dict[str, Any]:
        """The counts by name; messages by what became of them."""
        return {
            "commands": self.commands,
            "entries": self.entries,
            "stage_s": self.stage_s,
            "commit_s": self.commit_s,
            "apply_s": self.apply_s,
            "rows": self.rows,
            "replayed": self.replayed,
            "recovery_s": self.recovery_s,
            "refused": self.refused,
            **{
                f"messages_{Reason(reason).name.lower()}": count
                for reason, count in sorted(self.outcomes.items())
            },
        }


def _of_workspace(counts: dict[str, int], workspace: str) -> dict[str, int]:
    prefix = workspace + "/"
    return {label[len(prefix) :]: n for label, n in counts.items() if label.startswith(prefix)}


def _add(total: dict[Any, int], more: dict[Any, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count

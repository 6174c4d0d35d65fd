"""The lanes of a sender: which are defined, and which are at work.

A lane begins to work with its first message, or as soon as it is known if its carrier may bring
messages of people.
"""

import logging
from collections.abc import Callable
from typing import Any

from actors.carriers import registry
from actors.senders.lane import LaneRunner
from actors.senders.lane_shared import Shared
from engine import limits
from engine.issues import DefinitionError
from engine.lanes.definition import Lane, lane_from
from engine.lanes.rates import Use

_log = logging.getLogger("denrei.sender")


class Lanes:
    """See the module's text.

    Args:
        shared: What all of them use.
        uses: What each had sent before a restart, by its key.
        is_mine: Whether a lane of a workspace lives in this sender.

    Attributes:
        running: Those at work, by `workspace/lane name`.
        listening: The keys of those whose carriers may bring messages of people.
    """

    def __init__(
        self, shared: Shared, uses: dict[str, list[Use]], is_mine: Callable[[str, Lane], bool]
    ) -> None:
        self._shared = shared
        self._uses = uses
        self._is_mine = is_mine
        self._definitions: dict[str, dict[str, Lane]] = {}
        self._versions: dict[str, int] = {}
        self.running: dict[str, LaneRunner] = {}
        self.listening: set[str] = set()

    def version(self, workspace: str) -> int:
        """The newest version of a workspace's lanes that is known; -1: none is."""
        return self._versions.get(workspace, -1)

    def find(self, key: str) -> LaneRunner | None:
        """The lane of this key, which begins to work if it does not yet.

        Returns:
            None if it was never defined, or too many are at work. One that was deleted is found.
        """
        runner = self.running.get(key)
        if runner is not None:
            return runner
        workspace, _, name = key.partition("/")
        lane = self._definitions.get(workspace, {}).get(name)
        if lane is None or len(self.running) >= limits.LANES:
            return None
        runner = self.running[key] = LaneRunner(key, lane, self._uses.pop(key, ()), self._shared)
        return runner

    def configure(self, workspace: str, version: int, bodies: dict[str, Any]) -> None:
        """Takes all lanes that are defined in a workspace, by their names."""
        defined: dict[str, Lane] = {}
        for name, body in bodies.items():
            try:
                defined[name] = lane_from(body)
            except DefinitionError:
                _log.exception("lane %s/%s is not used", workspace, name)
        self._versions[workspace] = version
        self._definitions[workspace] = defined
        for key, runner in list(self.running.items()):
            if key.partition("/")[0] == workspace:
                lane = defined.get(runner.lane.name)
                if lane is None:
                    runner.remove()
                else:
                    runner.configure(lane)
        self._listen(workspace, defined)

    def _listen(self, workspace: str, defined: dict[str, Lane]) -> None:
        """Connects the lanes whose carriers may bring messages of people."""
        for key in [key for key in self.listening if key.partition("/")[0] == workspace]:
            self.listening.discard(key)
        for name, lane in defined.items():
            if registry.listens(lane) and self._is_mine(workspace, lane):
                key = f"{workspace}/{name}"
                self.listening.add(key)
                self.find(key)

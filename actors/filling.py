"""Filling: every entity is brought in line with new definitions, in slices, beside the work.

An entity that is touched is brought up to date at once; this is for those that nobody touches. It
works by commands, so it is journaled and may be cut off anywhere: after a restart it begins again,
and finds most of it done. What new windows would hold of the past comes first (`actors.past`). A
slice is small and a rest follows each, so that an event never waits longer than for one of them.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from actors.past import Past
from actors.store.errors import StoreError
from engine import commands, limits
from engine.errors import Overloaded, Unavailable
from engine.slots import catalog_key

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

_log: Final = logging.getLogger(__name__)
Versions = dict[str, int]
"""The version of each workspace's definitions."""


@dataclass(slots=True)
class _Progress:
    done: Versions = field(default_factory=dict)
    evaluated: int = 0
    error: str = ""
    tries: int = 0
    again_s: float = 0.0


class Filling:
    """Fills the segments of a host's shards; see the module's text.

    Args:
        runners: The shards of the host.
        shards: How many there are in all.
        between: Called after each slice, on the loop.
    """

    def __init__(
        self, runners: Mapping[int, "ShardRunner"], shards: int, between: Callable[[], None]
    ) -> None:
        self._runners = runners
        self._past = {index: Past(runner, shards) for index, runner in runners.items()}
        self._between = between
        self._progress = {index: _Progress() for index in runners}

    async def run(self) -> None:
        """Works until it is cancelled.

        It also begins anew after a start, for a crash may have ended it before.
        """
        while True:
            await asyncio.sleep(limits.REFRESH_PAUSE_S)
            self._between()
            for index, runner in self._runners.items():
                wanted = _versions(runner)
                with contextlib.suppress(Overloaded, Unavailable):  # then it begins again, later
                    if wanted != self._progress[index].done:
                        self._progress[index].tries = 0
                        await self._fill(index, runner, wanted)
                    elif self._may_try_again(self._progress[index]):
                        await self._fill_past(index, wanted)

    def stop(self) -> None:
        """Ends what is under way in a thread; the task is the owner's to cancel."""
        for past in self._past.values():
            past.stop()

    def progress(self, shard: int, workspace: str) -> dict[str, Any]:
        """How far a workspace's definitions have come on a shard.

        Returns:
            `filled`: whether everyone was evaluated; `evaluated` and `entities`, as numbers of all
            entities of the shard; `error`: why the past could not be read, or empty.
        """
        runner, progress = self._runners[shard], self._progress[shard]
        entities = runner.shard.entities
        filled = progress.done.get(workspace, 0) == _versions(runner).get(workspace, 0)
        evaluated = entities if filled else min(progress.evaluated, entities)
        return {
            "filled": filled, "evaluated": evaluated, "entities": entities, "error": progress.error,
        }  # fmt: skip

    async def _fill_past(self, index: int, wanted: Versions) -> None:
        """Puts in what was before; what cannot be read is left for another time."""
        progress, past = self._progress[index], self._past[index]
        try:
            for workspace in wanted:
                if past.is_missing(workspace):
                    await past.fill(workspace)
            progress.error = ""
        except StoreError as error:
            progress.error = str(error)
            progress.tries += 1
            progress.again_s = asyncio.get_running_loop().time() + limits.FILL_AGAIN_S
            _log.error("shard %d: the past is not filled: %s", index, error)

    @staticmethod
    def _may_try_again(progress: _Progress) -> bool:
        now = asyncio.get_running_loop().time()
        return (
            bool(progress.error)
            and progress.tries < limits.FILL_TRIES
            and (now >= progress.again_s)
        )

    async def _fill(self, index: int, runner: "ShardRunner", wanted: Versions) -> None:
        progress = self._progress[index]
        progress.evaluated = 0
        await self._fill_past(index, wanted)
        after = ""
        while _versions(runner) == wanted:
            entities = runner.shard.scan(after, limits.REFRESH_ENTITIES)
            if not entities:
                progress.done = wanted
                return
            after = entities[-1].key
            stale = [
                commands.refresh(entity.key)
                for entity in entities
                if entity.program_version < wanted.get(entity.workspace, 0)
                and entity.key != catalog_key(entity.workspace)
            ]
            if stale:
                await runner.admit(commands.pack_chunk(stale), len(stale), control=True)
            progress.evaluated += len(entities)
            self._between()
            await asyncio.sleep(limits.REFRESH_SLICE_S)


def _versions(runner: "ShardRunner") -> Versions:
    return {name: program.version for name, program in runner.shard.programs.items()}

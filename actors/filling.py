"""Filling: every entity is brought in line with new definitions, in slices, beside the work.

An entity that is touched is brought up to date at once; this is for those that nobody touches. It
works by commands, so it is journaled and may be cut off anywhere: after a restart it begins again,
and finds most of it done. What new windows would hold of the past comes first (`actors.past`). How
much a slice holds, and how long the rest after it is, `actors.filling_pace` says.

A past that cannot be read (a damaged file) keeps nobody from being evaluated. It stands in the
progress, and is tried again after a while, and after twice as long each time.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from actors.filling_ease import LOOK_S, Ease
from actors.filling_pace import Slices, WorkPace
from actors.past import Past
from actors.past_reading import PastReader
from engine import commands, limits
from engine.errors import Unavailable
from engine.slots import catalog_key

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

_log: Final = logging.getLogger(__name__)
Versions = dict[str, int]
"""The version of each workspace's definitions."""


@dataclass(slots=True)
class Trouble:
    """Why the past of a workspace is not filled, and when it is tried again."""

    error: str = ""
    again_s: float = 0.0
    pause_s: float = 0.0

    def again(self, error: Exception, now_s: float) -> None:
        """Notes a try that failed."""
        longer_s = 2.0 * self.pause_s or limits.FILL_AGAIN_S
        self.pause_s = min(longer_s, limits.FILL_LONGEST_S)
        self.again_s = now_s + self.pause_s
        self.error = str(error) or type(error).__name__


@dataclass(slots=True)
class _Progress:
    done: Versions = field(default_factory=dict)
    evaluated: int = 0
    troubles: dict[str, Trouble] = field(default_factory=dict)


class Filling:
    """Fills the segments of a host's shards; see the module's text.

    Args:
        runners: The shards of the host.
        shards: How many there are in all.
        between: Called after each slice, on the loop.
        elsewhere: See `Past`, for a shard.
    """

    def __init__(
        self,
        runners: Mapping[int, "ShardRunner"],
        shards: int,
        between: Callable[[], None],
        elsewhere: Callable[[int], PastReader] | None = None,
    ) -> None:
        self._runners = runners
        # Not the archive's thread: a reading may take long.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="past")
        self._ease = Ease([runner.stats for runner in runners.values()])
        self._past = {
            index: Past(
                runner,
                shards,
                self._thread,
                self._ease,
                None if elsewhere is None else elsewhere(index),
            )
            for index, runner in runners.items()
        }
        self._is_filling = False
        self._between = between
        self._progress = {index: _Progress() for index in runners}

    async def run(self) -> None:
        """Works until it is cancelled.

        It also begins anew after a start, for a crash may have ended it before.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look())
            while True:
                await asyncio.sleep(limits.REFRESH_PAUSE_S)
                self._between()
                for index, runner in self._runners.items():
                    with contextlib.suppress(Unavailable):  # then it begins again, later
                        await self._bring_up(index, runner)

    async def _look(self) -> None:
        """Tells what the host feels of a filling."""
        while True:
            self._ease.look(self._is_filling)
            await asyncio.sleep(LOOK_S)

    async def _bring_up(self, index: int, runner: "ShardRunner") -> None:
        """Fills a shard if it is to be filled."""
        wanted = _versions(runner)
        try:
            if wanted != self._progress[index].done:
                self._is_filling = True
                await self._fill(index, runner, wanted)
            else:
                await self._try_again(index, wanted)
        finally:
            self._is_filling = False

    def hold(self, held: bool) -> None:
        """Lets all filling stand still, or go on from there.

        What is in line is done, and whoever does something is evaluated at once all the same.
        """
        self._ease.hold(held)
        for past in self._past.values():
            past.hold(held)

    def stop(self) -> None:
        """Ends readings that are under way; the task is the owner's to cancel."""
        for past in self._past.values():
            past.stop()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def progress(self, shard: int, workspace: str) -> dict[str, Any]:
        """How far a workspace's definitions have come on a shard.

        Returns:
            `filled`: whether everyone was evaluated; `evaluated` and `entities`, as numbers of all
            entities of the shard; `read`: which part of the past is read, from 0 to 1; `error`: why
            the past could not be read, or empty.
        """
        runner, progress = self._runners[shard], self._progress[shard]
        entities = runner.shard.entities
        filled = progress.done.get(workspace, 0) == _versions(runner).get(workspace, 0)
        trouble = progress.troubles.get(workspace)
        return {
            "filled": filled,
            "evaluated": entities if filled else min(progress.evaluated, entities),
            "entities": entities,
            "read": self._past[shard].read,
            "error": trouble.error if trouble else "",
        }

    async def _fill(self, index: int, runner: "ShardRunner", wanted: Versions) -> None:
        progress = self._progress[index]
        progress.evaluated = 0
        for workspace in wanted:
            if wanted[workspace] != progress.done.get(workspace, 0):
                await self._fill_past(index, workspace)
        if await self._evaluate(index, runner, wanted):
            progress.done = wanted

    # --- the past ---------------------------------------------------------------------------

    async def _fill_past(self, index: int, workspace: str) -> None:
        """Puts in what was before; what cannot be read is left for another time."""
        past, troubles = self._past[index], self._progress[index].troubles
        try:
            if past.is_missing(workspace):
                await past.fill(workspace)
            troubles.pop(workspace, None)
        except Unavailable:
            raise
        except Exception as error:  # a host need not end for it: what it serves needs no past
            now_s = asyncio.get_running_loop().time()
            troubles.setdefault(workspace, Trouble()).again(error, now_s)
            _log.exception("shard %d: the past of %s is not filled", index, workspace)

    async def _try_again(self, index: int, wanted: Versions) -> None:
        now = asyncio.get_running_loop().time()
        for workspace, trouble in list(self._progress[index].troubles.items()):
            if workspace in wanted and now >= trouble.again_s:
                self._is_filling = True
                await self._fill_past(index, workspace)

    # --- everybody --------------------------------------------------------------------------

    async def _evaluate(self, index: int, runner: "ShardRunner", wanted: Versions) -> bool:
        """Evaluates whoever is not yet; False if the definitions have changed meanwhile."""
        progress = self._progress[index]
        slices, pace = Slices(runner, self._ease), WorkPace(self._ease)
        after = ""
        while _versions(runner) == wanted:
            pace.resumed()
            entities = runner.shard.scan(after, limits.REFRESH_ENTITIES)
            if not entities:
                return True
            after = entities[-1].key
            stale = [
                commands.refresh(entity.key)
                for entity in entities
                if entity.program_version < wanted.get(entity.workspace, 0)
                and entity.key != catalog_key(entity.workspace)
            ]
            await asyncio.sleep(pace.rest_s())
            while stale:
                batch = stale[: slices.people]
                await slices.admit(batch)
                del stale[: len(batch)]
                self._between()
            progress.evaluated += len(entities)
        return False


def _versions(runner: "ShardRunner") -> Versions:
    return {name: program.version for name, program in runner.shard.programs.items()}

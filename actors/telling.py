"""What senders are told, each of them until it has done it: whom to forget, and who is honest.

A sender keeps to whom addresses belong (`actors.senders.correspondents`), and only it knows of
whom; and its fraud guard learns from outcomes that only an address knows. So the entity has an
effect for all of them, which stays in its outbox until each has said that it is done, and is handed
over again after a restart of either side; to do it twice does no harm.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from actors import placement
from actors.offer_pump import FIRST_PAUSE_S, LONGEST_PAUSE_S, OfferPump
from engine import commands, limits
from engine.commands import Command
from engine.errors import Overloaded, Unavailable
from engine.messages.message import SMS
from engine.slots import parse_key

if TYPE_CHECKING:
    from actors.shard_runner import ShardRunner

TOLD: Final = frozenset({commands.FORGET, commands.FEEDBACK})


class Telling:
    """See the module's text.

    Args:
        pumps: The ways to all senders.
        spawn: Runs something beside.
    """

    def __init__(
        self,
        pumps: Mapping[str, OfferPump],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._pumps = pumps
        self._phones = [name for name in pumps if placement.is_in_pool(name, SMS)]
        self._spawn = spawn
        self._settled: dict[ShardRunner, list[Command]] = {}

    def add(self, runner: "ShardRunner", command: Command) -> None:
        """Has senders do a command, one of `TOLD`, and settles its effect once all have."""
        operation, key, forward_id = command[:3]
        row: Any = key
        names = list(self._pumps)
        if operation == commands.FEEDBACK:
            workspace, _, address = parse_key(key)
            row = workspace, address, command[3], forward_id
            names = self._phones
        left = set(names)
        done = partial(self._done, runner, commands.settle(key, forward_id), left)
        for name in names:
            self._pumps[name].tell_soon(operation, forward_id, row, partial(done, name))
        if not names:
            self._settle_soon(runner, commands.settle(key, forward_id))

    def _done(self, runner: "ShardRunner", settle: Command, left: set[str], name: str) -> None:
        left.discard(name)
        if not left:
            self._settle_soon(runner, settle)

    def _settle_soon(self, runner: "ShardRunner", settle: Command) -> None:
        """Settles with all others of the shard that are done at this moment."""
        settled = self._settled.setdefault(runner, [])
        settled.append(settle)
        if len(settled) == 1:
            self._spawn(self._settle(runner))

    async def _settle(self, runner: "ShardRunner") -> None:
        settled = self._settled.pop(runner)
        for start in range(0, len(settled), limits.CALL_COMMANDS):
            batch = settled[start : start + limits.CALL_COMMANDS]
            if not await _admit(runner, batch):
                return


async def _admit(runner: "ShardRunner", batch: list[Command]) -> bool:
    """Admits settlements; False if the shard ends: its next owner hands the effects over again."""
    chunk = commands.pack_chunk(batch)
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            await runner.admit(chunk, len(batch), control=True)
        except Overloaded:
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        except Unavailable:
            return False
        else:
            return True

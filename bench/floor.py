"""The floor: the same gateway, Ray calls and synced journal, with an engine that does nothing.

It takes each entry and answers ACCEPTED for each command, so what it costs is the transport. The
share of it that the whole engine reaches says what the engine itself costs.
"""

import ray

from actors.shard_host import ACTOR_OPTIONS, ShardHostProcess
from engine import commands
from engine.reasons import Reason
from engine.shard import Effects, Shard


class FloorShard(Shard):
    """A shard that acknowledges and forgets, except for definitions."""

    def _handle(self, command: commands.Command) -> int:
        if command[0] == commands.EVENT:
            return Reason.ACCEPTED
        return super()._handle(command)

    def apply(self, seq: int, now_ms: int, mode: int, payload: bytes) -> Effects:
        """Counts the commands of an entry without unpacking them, if all are events."""
        self.seq = seq
        return super().apply(seq, now_ms, mode, payload)


class FloorHostProcess(ShardHostProcess):
    """A host of such shards."""

    make_shard = FloorShard


FloorHost = ray.remote(**ACTOR_OPTIONS)(FloorHostProcess)

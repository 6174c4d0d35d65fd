"""The floor: the same gateway, Ray calls and synced journal, with an engine that does nothing.

It acknowledges events without looking at them, so what it costs is the transport and the journal.
The share of it that the whole engine reaches says what the engine itself costs.

What it still does, precisely: of each chunk that begins with an event it reads the first bytes,
for the number of commands that it has to answer for; of a compressed chunk it decompresses the
first block for that, 128 KiB at most. No command is unpacked, nothing is kept, no row is written.
A chunk that begins with anything else (definitions, settlements) goes to the real engine; so a
command of another kind that travels behind an event in one chunk is acknowledged and forgotten,
which a measurement of events alone does not meet.
"""

import ray
import zstandard

from actors.shard_host import ACTOR_OPTIONS, ShardHostProcess
from engine import commands
from engine.packing import unpack_chunks
from engine.reasons import Reason
from engine.shard import Effects, Shard

_HEAD_BYTES = 8  # two array headers, of 5 bytes and of 1, and an operation
_DECOMPRESSOR = zstandard.ZstdDecompressor()
_ACCEPTED = bytes([Reason.ACCEPTED])


class FloorShard(Shard):
    """A shard that acknowledges and forgets events; see the module's text."""

    def apply(self, seq: int, now_ms: int, mode: int, payload: bytes) -> Effects:
        """Answers ACCEPTED for each command of the chunks that begin with an event.

        Cost: per chunk, not per event: 30 to 100 µs for a compressed one, 1 µs for another.
        """
        chunks = unpack_chunks(payload) if payload else []
        counted = [(chunk, *_count(chunk)) for chunk in chunks]
        others = [chunk for chunk, _, events in counted if not events]
        effects = super().apply(seq, now_ms, mode, commands.pack_payload(others))
        answers, results, at = bytes(effects.results), bytearray(), 0
        for _, count, events in counted:
            results += _ACCEPTED * count if events else answers[at : at + count]
            at += 0 if events else count
        effects.results = results
        return effects


def _count(chunk: bytes) -> tuple[int, bool]:
    """How many commands a chunk holds, and whether the first of them is an event."""
    head = chunk[:_HEAD_BYTES]
    if head.startswith(zstandard.FRAME_HEADER):
        head = _DECOMPRESSOR.stream_reader(chunk).read(_HEAD_BYTES)
    first = head[0]
    if first & 0xF0 == 0x90:  # fixarray
        count, at = first & 0x0F, 1
    else:  # array 16, array 32
        at = 3 if first == 0xDC else 5
        count = int.from_bytes(head[1:at], "big")
    return count, count > 0 and head[at + 1] == commands.EVENT


class FloorHostProcess(ShardHostProcess):
    """A host of such shards."""

    make_shard = FloorShard


FloorHost = ray.remote(**ACTOR_OPTIONS)(FloorHostProcess)

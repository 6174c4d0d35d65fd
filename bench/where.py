"""Where each microsecond goes: `python -m bench.where`.

First each stage by itself, in this process (CPU time, the best of several turns). Then a running
instance under full load: CPU time of each process and of each of its threads, an event.
"""

import gc
import os
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from bench.events import shop_events
from bench.measured import DEFINITIONS, MeasuredInstance
from engine import commands, definitions
from engine.shard import Shard
from engine.slots import catalog_key
from gateway.admission import Admission
from gateway.pb.denrei.v1 import events_pb2

NOW_MS = 1_700_000_000_000
USERS = 50_000
BATCH = 300
BATCHES = 400
LOAD = 300_000
THREADS = 4


def main() -> None:
    """Prints both tables."""
    print("each stage by itself, CPU µs an event")
    stages()
    print("\na running instance under full load, CPU µs an event")
    with MeasuredInstance(Path(tempfile.mkdtemp(prefix="denrei-where-")), None) as instance:
        instance.load("profiles", "p", events=100_000, users=100_000)
        pids = instance.pids()
        before = {name: threads(pid) for name, pid in pids.items()}
        loaded = instance.load("shop", "w", events=LOAD, users=100_000)
        print(f"  {loaded['events_per_s']:,.0f} events/s")
        for name, pid in sorted(pids.items()):
            show(name, before[name], threads(pid))


def stages() -> None:
    """Admission, packing, compression, apply, and the row of a checkpoint."""
    source = shop_events(1, USERS, "where")
    made = []
    for _ in range(BATCHES):
        request = events_pb2.PublishBatchRequest(events=islice(source, BATCH))
        made.append(request.SerializeToString())
    parse = events_pb2.PublishBatchRequest.FromString
    line("parse a batch (protobuf)", lambda: [parse(data) for data in made])
    parsed = [parse(data) for data in made]
    admission = Admission(1)
    line("admission", lambda: [admission.admit("w", p.events, NOW_MS) for p in parsed])
    batches = [admission.admit("w", p.events, NOW_MS) for p in parsed]
    parts = [part.commands for batch in batches for part in batch.parts]
    line("pack", lambda: [commands.pack_chunk(part) for part in parts])
    chunks = [commands.pack_chunk(part) for part in parts]
    compress = commands.Compressor().compress
    line("compress", lambda: [compress(chunk) for chunk in chunks])
    payloads = [commands.pack_payload([compress(chunk)]) for chunk in chunks]
    line("decompress and unpack", lambda: [list(commands.unpack_payload(p)) for p in payloads])
    applied(payloads)


def applied(payloads: list[bytes]) -> None:
    """Apply on a shard that knows its users already, and rows."""
    shard = Shard(0, 1, lambda key: None, lambda after, limit: [])
    wire = definitions.to_wire(definitions.parse(DEFINITIONS.read_text()))
    command = commands.apply_definitions(catalog_key("w"), "where", wire, 0)
    effects = shard.apply(1, NOW_MS, 0, commands.pack_payload([commands.pack_chunk([command])]))
    install = effects.forwards[0][3]
    shard.apply(2, NOW_MS, 0, commands.pack_payload([commands.pack_chunk([install])]))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    half = len(payloads) // 2
    for seq, payload in enumerate(payloads[:half], 3):
        shard.apply(seq, NOW_MS + seq * 100, 0, payload)
    started = time.process_time()
    for seq, payload in enumerate(payloads[half:], 3 + half):
        shard.apply(seq, NOW_MS + seq * 100, 0, payload)
    events = (len(payloads) - half) * BATCH
    print(
        f"  {'apply (unpacking included)':32} {(time.process_time() - started) / events * 1e6:6.2f}"
    )
    started = time.process_time()
    rows = shard.take_rows(1 << 30)
    print(
        f"  {'pack a row (µs a row)':32} {(time.process_time() - started) / len(rows) * 1e6:6.2f}"
    )


def line(name: str, work: Callable[[], object]) -> None:
    """Times one stage over all batches, the best of five turns."""
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    print(f"  {name:32} {best / (BATCH * BATCHES) * 1e6:6.2f}")


def threads(pid: int) -> dict[str, tuple[str, float]]:
    """CPU seconds of each thread of a process, by id, with its name."""
    found = {}
    tick = os.sysconf("SC_CLK_TCK")
    for task in Path(f"/proc/{pid}/task").iterdir():
        stat = (task / "stat").read_text()
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        fields = stat[stat.rindex(")") + 2 :].split()
        found[task.name] = (name, (int(fields[11]) + int(fields[12])) / tick)
    return found


def show(
    process: str, before: dict[str, tuple[str, float]], after: dict[str, tuple[str, float]]
) -> None:
    """One process: all of it, and its busiest threads."""
    spent = sorted(
        ((cpu_s - before.get(thread, ("", 0.0))[1]) / LOAD * 1e6, name)
        for thread, (name, cpu_s) in after.items()
    )[::-1]
    busiest = ", ".join(f"{name} {us:.1f}" for us, name in spent[:THREADS] if us >= 0.1)
    print(f"  {process:16} {sum(us for us, _ in spent):6.1f}  ({busiest})")


if __name__ == "__main__":
    main()

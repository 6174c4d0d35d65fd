"""Many definitions: what 200 segments and 20 journeys cost when an event touches a few of them.

The others listen to events and traits of which the load has none, as most of a company's segments
do at any moment: they should cost memory, and nothing an event.
"""

import gc
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench.events import shop_events
from engine import commands, definitions, limits
from engine.shard import Shard
from engine.slots import catalog_key
from gateway.admission import Admission

SEGMENTS = 200
JOURNEYS = 20
BASE = Path(__file__).parent / "definitions.yaml"
_BASE_SEGMENTS = 3
_BASE_JOURNEYS = 3
_TOUCHED = (
    "segment: big-spenders\nwhen: {event: Order Completed, at_least: 10, within: 365d}",
    "segment: named\nwhen: {trait: first_name, exists: true}",
)
_NOW_MS = 1_700_000_000_000
_BATCH = 300
_BATCHES = 200
_USERS = 5_000  # few enough that the first half meets nearly all


def documents(segments: int = SEGMENTS, journeys: int = JOURNEYS) -> Iterator[str]:
    """Texts for `ApplyDefinitions`, each within its limits.

    The bench's own definitions, two more segments that the load touches, and the rest.
    """
    yield BASE.read_text()
    others = [
        *_TOUCHED,
        *map(_segment, range(segments - _BASE_SEGMENTS - len(_TOUCHED))),
        *map(_journey, range(journeys - _BASE_JOURNEYS)),
    ]
    for start in range(0, len(others), limits.DEFINITIONS_PER_APPLY):
        yield "\n---\n".join(others[start : start + limits.DEFINITIONS_PER_APPLY])


def _segment(number: int) -> str:
    conditions = (
        f"{{event: Feature {number} Used, at_least: 3, within: 7d}}",
        f"{{trait: score_{number}, at_least: 50}}",
        f"[{{trait: team_{number}, is: red}}, {{event: Feature {number} Opened, within: 30d}}]",
    )
    return f"segment: other-{number}\nwhen: {conditions[number % len(conditions)]}"


def _journey(number: int) -> str:
    return (
        f"journey: other-{number}\n"
        f"entry: {{event: Feature {number} Used}}\n"
        "steps:\n"
        f"  wait: {{hold: 1d, on: [{{event: Feature {number} Opened, then: end}}], timeout: end}}"
    )


def apply_us(segments: int, journeys: int) -> float:
    """CPU µs an event of `Shard.apply`, in this process, with so many definitions."""
    shard = Shard(0, 1, lambda key: None, lambda after, limit: [])
    for version, text in enumerate(documents(segments, journeys)):
        wire = definitions.to_wire(definitions.parse(text))
        command = commands.apply_definitions(catalog_key("w"), f"many-{version}", wire, version)
        effects = shard.apply(2 * version + 1, _NOW_MS, 0, _payload([command]))
        shard.apply(2 * version + 2, _NOW_MS, 0, _payload([effects.forwards[0][3]]))
    admission, source = Admission(1), shop_events(1, _USERS, "many")
    made = [
        _payload(part.commands)
        for _ in range(_BATCHES)
        for part in admission.admit("w", list(islice(source, _BATCH)), _NOW_MS).parts
    ]
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    seq, half = shard.seq, len(made) // 2
    for payload in made[:half]:
        seq += 1
        shard.apply(seq, _NOW_MS + seq * 100, 0, payload)
    started = time.process_time()
    for payload in made[half:]:
        seq += 1
        shard.apply(seq, _NOW_MS + seq * 100, 0, payload)
    return (time.process_time() - started) / ((len(made) - half) * _BATCH) * 1e6


def _payload(items: list[commands.Command]) -> bytes:
    return commands.pack_payload([commands.pack_chunk(items)])

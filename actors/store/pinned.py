"""What the first start on a store chose, and every later one has to keep.

A lane lives in the sender that a hash of its name gives, out of the senders of its channel. With
another number of senders it would move to another ledger, which knows neither what the lane has
sent in its windows nor which ids were given to the carrier: limits would be passed, and messages
sent twice. So the numbers are written down before any sender starts, and compared ever after. A
channel that is new has no lanes anywhere, and may be added.

A scaled clock needs one origin for all processes and all starts, or time would go back at a
restart. Another factor begins anew, at real time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from actors.store.connection import store_errors, write_atomically
from actors.store.errors import ForeignStore, TornStore
from actors.store.lock import FileLock
from engine import limits

FILE_NAME: Final = "pinned.json"


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a store is started with.

    Attributes:
        senders: How many senders each channel has.
        clock: The scaled clock that was used last, such as `60x`; empty if there was none.
        clock_origin_ms: When it showed real time, Unix milliseconds.
    """

    senders: dict[str, int]
    clock: str = ""
    clock_origin_ms: int = 0


def pin(directory: Path, senders: dict[str, int], clock: str, now_ms: int) -> Pinned:
    """Compares what was chosen with what the store was first started with, and writes what is new.

    Args:
        directory: The store's directory.
        senders: Senders by channel.
        clock: The setting of the clock.
        now_ms: Real time.

    Durability: what is returned is synced.

    Raises:
        ForeignStore: A channel has another number of senders in this store.
        TornStore: `pinned.json` is damaged.
        StoreError: It cannot be read or written.
    """
    path = directory / FILE_NAME
    with store_errors(path, "write"):
        lock = FileLock.acquire(directory / "denrei.lock", limits.STORE_BIRTH_WAIT_S)
        try:
            found = _read(path)
            _check(found.senders, senders, path)
            scaled = clock.endswith("x")
            pinned = Pinned(
                {**found.senders, **senders},
                clock if scaled else found.clock,
                now_ms if scaled and clock != found.clock else found.clock_origin_ms,
            )
            if pinned != found:
                text = json.dumps(asdict(pinned), indent=2, sort_keys=True) + "\n"
                write_atomically(path, text.encode())
        finally:
            lock.release()
    return pinned


def _read(path: Path) -> Pinned:
    if not path.exists():
        return Pinned({})
    try:
        fields: dict[str, Any] = json.loads(path.read_text(errors="replace"))
        senders = {str(channel): int(count) for channel, count in fields["senders"].items()}
        return Pinned(senders, str(fields["clock"]), int(fields["clock_origin_ms"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TornStore(
            f"{path} does not hold what the store was first started with ({error!r})",
            "Restore it from a backup",
        ) from error


def _check(found: dict[str, int], senders: dict[str, int], path: Path) -> None:
    """Checks that no lane would move to another ledger."""
    for channel, count in sorted(senders.items()):
        if found.get(channel, count) != count:
            raise ForeignStore(
                f"{path.parent} has {found[channel]} senders for {channel} (see {path.name}); with "
                f"{count} its lanes would move away from the ledgers that know what they have sent",
                f"Set senders.{channel} to {found[channel]} in denrei.yaml (or DENREI_SENDERS), or "
                "start with a new store",
            )

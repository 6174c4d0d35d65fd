"""What a ledger keeps of limits that lanes share or that count by value; see `engine.lanes.meters`.

A batch's draws stand beside it, by meter and value. When the batch is forgotten they are folded
into one row a minute for each meter and value, and these are kept as long as they count.

A value that names somebody is a hash (`address_hash`), in memory as on disk. Until format 4 it was
the number itself: `hide` puts the hash in its place, so that everything counts on.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgpack

from engine.lanes.limit_values import PAIR, RECIPIENT
from engine.lanes.rates import DAY_MS, MINUTE_MS, Use

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batch_draws (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS draw_use (
    meter TEXT NOT NULL, value TEXT NOT NULL, until_ms INTEGER NOT NULL, from_ms INTEGER NOT NULL,
    units INTEGER NOT NULL, counts_until_ms INTEGER NOT NULL, PRIMARY KEY (meter, value, until_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS draw_use_by_end ON draw_use (counts_until_ms);
"""
FOLD: Final = (
    "INSERT INTO draw_use VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET "
    "units = units + excluded.units, from_ms = min(from_ms, excluded.from_ms), "
    "counts_until_ms = max(counts_until_ms, excluded.counts_until_ms)"
)
PERSONAL: Final = frozenset({RECIPIENT, PAIR})
Rows = Callable[[str, tuple[Any, ...]], Iterable[Any]]
FoldRow = tuple[str, str, int, int, int, int]


def names_somebody(meter: str) -> bool:
    """Whether the values of a meter are addresses, or have one in them."""
    return meter.rsplit("|", 2)[1] in PERSONAL


def hide(rows: Rows, hash_of: Callable[[str], str]) -> None:
    """Puts hashes where a ledger of an earlier format has numbers."""
    for id_, body in list(rows("SELECT id, body FROM batch_draws", ())):
        drawn = {
            meter: (counts_ms, {hash_of(v): units for v, units in values.items()})
            if names_somebody(meter)
            else (counts_ms, values)
            for meter, (counts_ms, values) in msgpack.unpackb(body).items()
        }
        list(rows("UPDATE batch_draws SET body = ? WHERE id = ?", (msgpack.packb(drawn), id_)))
    for meter, value in list(rows("SELECT DISTINCT meter, value FROM draw_use", ())):
        if names_somebody(meter):
            sql = "UPDATE draw_use SET value = ? WHERE meter = ? AND value = ?"
            list(rows(sql, (hash_of(value), meter, value)))


def read(rows: Rows, now_ms: int) -> dict[str, dict[str, list[Use]]]:
    """All that still counts, by meter and value; what has no return time comes with `now_ms`."""
    draws: dict[str, dict[str, list[Use]]] = {}

    def add(meter: str, value: str, use: Use) -> None:
        draws.setdefault(meter, {}).setdefault(value, []).append(use)

    sql = "SELECT meter, value, from_ms, until_ms, units FROM draw_use WHERE counts_until_ms > ?"
    for meter, value, from_ms, until_ms, units in rows(sql, (now_ms,)):
        add(meter, value, Use(from_ms, until_ms, units))
    sql = "SELECT decided_ms, coalesce(returned_ms, ?), body FROM batch JOIN batch_draws USING (id)"
    for decided_ms, returned_ms, body in rows(sql, (now_ms,)):
        for meter, (counts_ms, values) in msgpack.unpackb(body).items():
            if returned_ms + counts_ms >= now_ms:
                for value, units in values.items():
                    add(meter, value, Use(decided_ms, returned_ms, units))
    return draws


def folded(rows: Rows, batch: int, decided_ms: int, returned_ms: int, now_ms: int) -> list[FoldRow]:
    """What a batch drew and what still counts, for `FOLD`."""
    until_ms = -(-returned_ms // MINUTE_MS) * MINUTE_MS
    found: list[FoldRow] = []
    for (body,) in rows("SELECT body FROM batch_draws WHERE id = ?", (batch,)):
        for meter, (counts_ms, values) in msgpack.unpackb(body).items():
            end_ms = until_ms + counts_ms + 1
            if end_ms > now_ms:
                found += [
                    (meter, value, until_ms, decided_ms, units, end_ms)
                    for value, units in values.items()
                ]
    return found


def learnt(uses: Mapping[str, Iterable[Use]]) -> list[FoldRow]:
    """What meters have learnt of the past, by their name, for `FOLD`."""
    return [
        (meter, "", use.latest_ms, use.earliest_ms, use.units, use.latest_ms + DAY_MS)
        for meter, those in uses.items()
        for use in those
    ]

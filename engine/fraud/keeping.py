"""What a restart keeps of a workspace: history and evidence, nothing of codes under way."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from engine import limits
from engine.fraud.book import Book
from engine.fraud.delays import Delays
from engine.fraud.node import Node, area_from, node_from
from engine.fraud.numbers import Seal

_LEAST: Final = 0.02
_SLICE: Final = 100  # nodes that are worked off at once
_NUMBERS: Final = 500  # and numbers


def slices(book: Book, seal: Seal) -> Iterator[list[Any] | None]:
    """Yields None after each slice of work, and at last what `restore` takes.

    A node is kept as it is when it is met, so other work may pass between the slices. Numbers are
    kept as digests.
    """
    for scopes in book.scopes:
        for scope in scopes.values():
            if scope.good or scope.ripe:
                book.flush(scope)
    nodes: list[list[Any]] = []
    for place, node in enumerate(_newest(book)):
        if node.walk >= 0.5 or node.good >= _LEAST:
            nodes.append(node.row())
            if len(nodes) >= limits.FRAUD_SNAPSHOT_NODES:
                break
        if place % _SLICE == _SLICE - 1:
            yield None
    areas: list[list[Any]] = []
    for place, area in enumerate(list(book.areas.values())):
        areas.append(area.row())
        if place % _SLICE == _SLICE - 1:
            yield None
    yield None
    most = limits.FRAUD_SNAPSHOT_NODES
    known = dict(reversed(list(islice(book.known.newest(), most))))
    repeats = {row[0]: row[1:] for row in reversed(list(islice(book.repeats.newest(), most)))}
    yield None
    found: list[list[list[Any]]] = []
    for rows in ([*known.items()], [(number, *row) for number, row in repeats.items()]):
        kept: list[list[Any]] = []
        for start in range(0, len(rows), _NUMBERS):
            kept += [[seal.of(row[0]), *row[1:]] for row in rows[start : start + _NUMBERS]]
            yield None
        found.append(kept)
    yield [
        book.root.row(), areas, nodes[::-1], *found, book.delays.row(),
        {name: each.row() for name, each in book.regional.items()},
    ]  # fmt: skip


def restore(book: Book, rows: list[Any]) -> None:
    """Takes in what `slices` gave."""
    root, areas, nodes, known, repeats, delays, regional = rows
    book.root = area_from(root, book.figures)
    book.trusted = book.root.good >= 3.0
    book.areas = {row[0]: area_from(row, book.figures) for row in areas[: limits.FRAUD_AREAS]}
    book.put([node_from(row) for row in nodes[-book.capacity :]])
    for digest, codes in known:
        book.known.restore(digest, codes)
    for digest, level, at_ms in repeats:
        book.repeats.levels.restore(digest, (level, at_ms))
    book.delays = Delays(delays)
    book.regional = {name: Delays(counts, book.delays) for name, counts in regional.items()}


def of_format_2(rows: list[Any]) -> list[Any]:
    """What the format before this one kept of a workspace, as `restore` takes it."""
    root, areas, nodes, known, delays, regional = rows
    return [
        [*_node_of_2(root), *_area_of_2(root)],
        [[*_node_of_2(row), *_area_of_2(row)] for row in areas],
        [_node_of_2(row) for row in nodes],
        known, [], delays, regional,
    ]  # fmt: skip


def _node_of_2(row: list[Any]) -> list[Any]:
    name, walk, sent, good, born_ms, at_ms = row[:6]
    return [name, walk, max(0.0, sent - good), good, born_ms, at_ms, row[11], row[12]]


def _area_of_2(row: list[Any]) -> list[Any]:
    recent = 0.0 if "/" in row[0] else row[9]
    return [row[7], row[8], recent, row[10], row[13]]


def _newest(book: Book) -> list[Node]:
    return [book.nodes[name] for name in reversed(book.order)]

"""A workspace's catalog is bounded in bytes: old versions make room, newest ones are refused."""

import msgpack
import pytest

from engine import catalog, commands, limits
from engine.reasons import Reason
from engine.shard import Shard
from engine.slots import catalog_key

KEY = catalog_key("w")


class Book:
    """The shard that holds a catalog."""

    def __init__(self) -> None:
        self.shard = Shard(0, 1, lambda key: None, lambda after, limit: [])
        self.requests = 0

    def apply(self, *changes: tuple[str, int]) -> Reason:
        """Applies templates with bodies of so many bytes; 0 deletes."""
        self.requests += 1
        documents = [
            ["template", name, {"channel": "sms", "body": "x" * size} if size else None]
            for name, size in changes
        ]
        command = commands.apply_definitions(
            KEY, f"r{self.requests}", msgpack.packb(documents), self.version
        )
        payload = commands.pack_payload([commands.pack_chunk([command])])
        (result, *_) = self.shard.apply(self.shard.seq + 1, 1_000, 0, payload).results
        self.settle()
        return Reason(result)

    def settle(self) -> None:
        entity = self.shard.peek(KEY)
        assert entity is not None
        entity.outbox.clear()

    @property
    def version(self) -> int:
        entity = self.shard.peek(KEY)
        return entity.traits.get(catalog.VERSION, 0) if entity else 0

    def kept(self, name: str) -> list[int]:
        entity = self.shard.peek(KEY)
        assert entity is not None
        return [version for version, _, _ in catalog.versions(entity.traits, "template", name)]


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setattr(limits, "CATALOG_BYTES", 1_000)
    return Book()


def test_the_oldest_versions_make_room(book: Book) -> None:
    for changes in ([("a", 200)], [("b", 200)], [("a", 200)], [("b", 200)]):
        assert book.apply(*changes) is Reason.ACCEPTED
    assert (book.kept("a"), book.kept("b")) == ([1, 3], [2, 4])
    assert book.apply(("c", 200)) is Reason.ACCEPTED
    assert (book.kept("a"), book.kept("b"), book.kept("c")) == ([3], [2, 4], [5])


def test_newest_versions_that_are_too_much_are_refused_and_change_nothing(book: Book) -> None:
    assert book.apply(("a", 400), ("b", 200)) is Reason.ACCEPTED
    assert book.apply(("a", 300), ("c", 600)) is Reason.TOO_LARGE
    assert (book.version, book.kept("a"), book.kept("c")) == (1, [1], [])
    assert book.apply(("a", 0)) is Reason.ACCEPTED
    assert book.apply(("c", 600)) is Reason.ACCEPTED
    assert (book.kept("a"), book.kept("b"), book.kept("c")) == ([2], [1], [3])


def test_names_that_were_deleted_do_not_pile_up(book: Book) -> None:
    for number in range(50):
        assert book.apply((f"t{number}", 100)) is Reason.ACCEPTED
        assert book.apply((f"t{number}", 0)) is Reason.ACCEPTED
    assert book.kept("t0") == []
    assert book.kept("t49") == [99, 100]

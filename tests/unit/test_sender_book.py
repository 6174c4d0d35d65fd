"""Which ids a sender knows, for how long, and how many of them."""

from typing import cast

import pytest

from actors.senders.book import MessageBook
from actors.senders.ledger_writer import LedgerWriter
from actors.store.ledger import LedgerState, Recovered, SentId
from engine import limits
from engine.reasons import Reason


class NoLedger:
    """Takes nothing."""

    def close_batch(self, batch: int) -> None:
        """See `LedgerWriter`."""


def book_after_a_restart(closed: int) -> MessageBook:
    messages = [
        Recovered(
            SentId(f"old{number}", "k", False), 1, "w/main", "sandbox", 0,
            (Reason.SENT, "", "", f"p{number}"), closed=True,
        )
        for number in range(closed)
    ]  # fmt: skip
    book = MessageBook(cast("LedgerWriter", NoLedger()), 4)
    assert book.recover(LedgerState(2, 2, {}, None, [], messages, [], {}, {}), 0) == []
    return book


def test_the_oldest_settled_ids_make_room_a_batch_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SENT_IDS", 6)
    monkeypatch.setattr(limits, "CALL_COMMANDS", 2)
    book = book_after_a_restart(closed=6)
    book.settled(["new"], 1)
    assert [book.known(f"old{number}") for number in range(6)] == [False] * 2 + [True] * 4
    assert book.known("new")


def test_settled_ids_are_forgotten_after_their_time_and_not_before() -> None:
    book = book_after_a_restart(closed=0)
    book.settled(["first"], 0)
    book.settled(["second"], limits.SENT_IDS_MS)
    assert book.known("first")
    book.settled(["third"], limits.SENT_IDS_MS + 1)
    assert not book.known("first")
    assert book.known("second")


def test_ids_of_messages_in_parts_are_handed_out_once_to_their_lane() -> None:
    messages = [
        Recovered(
            SentId(f"m{number}", "k", False), 1, lane, "smpp", 0,
            (reason, "", "", provider_id), closed=True,
        )
        for number, (lane, reason, provider_id) in enumerate([
            ("w/main", Reason.SENT, "1,2"),
            ("w/main", Reason.SENT, "3"),
            ("w/main", Reason.UNKNOWN_OUTCOME, ""),
            ("w/other", Reason.SENT, "1,2"),
            ("w/main", Reason.SENT, "4,5,6"),
        ])
    ]  # fmt: skip
    book = MessageBook(cast("LedgerWriter", NoLedger()), 4)
    book.recover(LedgerState(2, 2, {}, None, [], messages, [], {}, {}), 0)
    assert book.take_in_parts("w/main") == ["1,2", "4,5,6"]
    assert book.take_in_parts("w/main") == []
    assert book.take_in_parts("w/other") == ["1,2"]


def test_the_oldest_references_make_room_and_the_newest_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SENT_IDS", 128)
    book = book_after_a_restart(closed=0)
    for number in range(200):
        book.remember("w/main", f"p{number}", (0, "k", f"m{number}", "main", "sandbox"))
    found = [book.find("w/main", f"p{number}", last=True) for number in range(200)]
    kept = [number for number, ref in enumerate(found) if ref is not None]
    assert kept == list(range(200 - len(kept), 200))
    assert 125 <= len(kept) <= 128

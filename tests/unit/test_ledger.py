"""What a sender's ledger keeps of its batches, in its own format and in the one before it."""

from pathlib import Path

import apsw
import pytest

from actors.store.errors import ForeignStore
from actors.store.ledger import BatchRow, Ledger, LedgerState, LedgerWork, ResultsRow, SentId
from engine.packing import pack
from engine.reasons import Reason

OWNER = "sender-sms-1"


def loaded(path: Path) -> LedgerState:
    ledger = Ledger(path, OWNER)
    try:
        return ledger.load(2_000)
    finally:
        ledger.close()


def written(path: Path, *works: LedgerWork) -> None:
    ledger = Ledger(path, OWNER)
    ledger.load(1_000)
    for work in works:
        ledger.write(work, 1_000)
    ledger.close()


def batch_of_three(id_: int = 1) -> BatchRow:
    ids = [f"{id_}a", f"{id_}b", f"{id_}c"]
    return BatchRow(id_, "w/main", "sandbox", 3, 1_000, ids, ["k1", "k2", "k3"], [1])


def test_a_batch_without_results_is_in_doubt(tmp_path: Path) -> None:
    written(tmp_path / "l", LedgerWork(batches=[batch_of_three()]))
    state = loaded(tmp_path / "l")
    assert [each.message for each in state.messages] == [
        SentId("1a", "k1", False),
        SentId("1b", "k2", True),
        SentId("1c", "k3", False),
    ]
    assert [each.result for each in state.messages] == [None] * 3
    assert state.unclosed == [1]


def test_results_come_back_with_the_words_of_those_that_have_any(tmp_path: Path) -> None:
    reasons = bytes([Reason.SENT, Reason.CARRIER_REJECTED, Reason.QUEUED])
    row = ResultsRow(1, reasons, ["id-1", "", ""], {1: ("11", "no such number"), 2: ("88", "")})
    written(tmp_path / "l", LedgerWork(batches=[batch_of_three()]), LedgerWork(results=[row]))
    assert [each.result for each in loaded(tmp_path / "l").messages] == [
        (Reason.SENT, "", "", "id-1"),
        (Reason.CARRIER_REJECTED, "11", "no such number", ""),
    ]


def as_format_1(path: Path) -> None:
    """Rewrites a ledger's batch 1 as the first format had it: a row a message in each blob."""
    file = apsw.Connection(str(path))
    sent = [("1a", "k1", False), ("1b", "k2", True), ("1c", "k3", False)]
    told = [(Reason.SENT, "", "", "id-1"), (Reason.CARRIER_REJECTED, "11", "no", ""),
            (Reason.UNKNOWN_OUTCOME, "", "late", "")]  # fmt: skip
    file.execute("UPDATE batch_ids SET body = ? WHERE id = 1", (pack(sent),))
    file.execute("INSERT OR REPLACE INTO batch_results VALUES (1, ?)", (pack(told),))
    file.execute("UPDATE state SET body = ? WHERE name = 'owner'", (pack([1, OWNER]),))
    file.close()


def test_a_ledger_of_the_first_format_opens_and_goes_on_in_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "l"
    written(path, LedgerWork(batches=[batch_of_three()]))
    as_format_1(path)
    written(path, LedgerWork(batches=[batch_of_three(2)]))
    state = loaded(path)
    assert [(each.message, each.result) for each in state.messages[:3]] == [
        (SentId("1a", "k1", False), (Reason.SENT, "", "", "id-1")),
        (SentId("1b", "k2", True), (Reason.CARRIER_REJECTED, "11", "no", "")),
        (SentId("1c", "k3", False), (Reason.UNKNOWN_OUTCOME, "", "late", "")),
    ]
    assert [each.message.id for each in state.messages[3:]] == ["2a", "2b", "2c"]


def test_a_ledger_of_the_first_format_of_another_sender_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l"
    written(path, LedgerWork(batches=[batch_of_three()]))
    as_format_1(path)
    with pytest.raises(ForeignStore, match="sender-sms-2"):
        Ledger(path, "sender-sms-2")

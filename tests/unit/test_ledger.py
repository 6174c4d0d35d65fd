"""What a sender's ledger keeps of its batches, in its own format and in the one before it."""

from pathlib import Path

import apsw
import pytest

from actors.store.errors import ForeignStore
from actors.store.ledger import BatchRow, Ledger, LedgerState, LedgerWork, ResultsRow, SentId
from engine import limits
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


RECIPIENTS = "lane w/main|recipient|segments"
COUNTRIES = "lane w/main|country|messages"
NUMBER = "+4915199887766"


def as_format_3(path: Path, until_ms: int = 90_000) -> None:
    """Rewrites a ledger as it was before format 4: with numbers in its draws, and no secret."""
    file = apsw.Connection(str(path))
    drawn = {RECIPIENTS: (60_000, {NUMBER: 2}), COUNTRIES: (60_000, {"DE": 1})}
    file.execute("INSERT INTO batch_draws VALUES (1, ?)", (pack(drawn),))
    used = (RECIPIENTS, NUMBER, until_ms)
    file.execute("INSERT INTO draw_use VALUES (?, ?, 900, 800, 3, ?)", used)
    file.execute("UPDATE state SET body = ? WHERE name = 'owner'", (pack([3, OWNER]),))
    file.execute("DELETE FROM state WHERE name = 'secret'")
    file.close()


def test_numbers_of_a_ledger_of_format_3_become_hashes_that_count_on(tmp_path: Path) -> None:
    path = tmp_path / "l"
    written(path, LedgerWork(batches=[batch_of_three()], returned=[(1, 1_500)]))
    as_format_3(path)
    ledger = Ledger(path, OWNER, secret=b"of the store")
    draws = ledger.load(2_000).draws
    hidden = ledger.hash.of(NUMBER)
    assert {
        value: sorted(use.units for use in uses) for value, uses in draws[RECIPIENTS].items()
    } == {hidden: [2, 3]}
    assert list(draws[COUNTRIES]) == ["DE"]
    ledger.tidy(2_000)
    ledger.close()
    assert all(NUMBER.encode() not in each.read_bytes() for each in tmp_path.iterdir())
    again = Ledger(path, OWNER, secret=b"of the store")
    assert again.load(2_000).draws == draws
    assert again.hash.of(NUMBER) == hidden
    again.close()


def test_a_ledger_of_another_store_is_refused_for_its_limits_would_count_nobody(
    tmp_path: Path,
) -> None:
    Ledger(tmp_path / "l", OWNER, secret=b"one").close()
    with pytest.raises(ForeignStore, match="another secret"):
        Ledger(tmp_path / "l", OWNER, secret=b"other")


def test_what_counts_no_more_is_forgotten_also_while_nothing_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "l"
    written(path, LedgerWork(batches=[batch_of_three()]))
    as_format_3(path, limits.SENT_IDS_MS + 100_000)
    ledger = Ledger(path, OWNER)
    hidden = ledger.hash.of(NUMBER).encode()
    ledger.write(LedgerWork(closed=[1], returned=[(1, 1_500)]), 1_500)
    for now_ms in (limits.SENT_IDS_MS + 2_000, limits.SENT_IDS_MS + 200_000):
        ledger.write(LedgerWork(), now_ms)
        ledger.tidy(now_ms)
    ledger.close()
    assert all(hidden not in each.read_bytes() for each in tmp_path.iterdir())


def test_two_ledgers_have_two_hashes(tmp_path: Path) -> None:
    one, other = (Ledger(tmp_path / name, OWNER, secret=b"one") for name in "ab")
    assert one.hash.of(NUMBER) != other.hash.of(NUMBER)
    one.close()
    other.close()

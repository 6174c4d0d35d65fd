"""Entries without the erased: what goes, what stays in its place, and what is left untouched."""

import msgpack

from engine import commands
from engine.commands import Command
from engine.entity import Entity
from engine.packing import unpack_chunks
from engine.privacy.hidden import BACK, LATE, NAMED, PREFIX, WHOLE, hidden_key, slot_of_row
from engine.privacy.rewriting import Gone, Rewriter
from engine.shard import Shard
from engine.slots import slot_of

ANN, BOB = "w/user/ann", "w/user/bob"
SECRET = b"a secret of the store"


def event(key: str, id_: str, at_ms: int = 5, size: int = 1) -> Command:
    raw = msgpack.packb({"what": "x" * size})
    return commands.event(key, id_, commands.TRACK, "Bought", at_ms, raw)


def payload(*chunks: list[Command]) -> bytes:
    compressor = commands.Compressor()
    return commands.pack_payload([compressor.compress(commands.pack_chunk(c)) for c in chunks])


def rewritten(gone: Gone, seq: int, packed: bytes, mode: int = 0) -> list[list[Command]]:
    return list(commands.unpack_payload(Rewriter(gone).rewrite(seq, mode, packed)))


def gone(key: str = ANN, mark: str = WHOLE, at: int = 7, upto: int = 9) -> Gone:
    found = Gone(SECRET)
    found.add(key, mark, at, upto, Entity(key, 0).pack())
    return found


def test_all_commands_to_the_erased_go_and_a_tombstone_takes_the_place_of_the_erasure() -> None:
    packed = payload([event(ANN, "1"), event(BOB, "2")], [commands.erase(ANN, "r", False)])
    assert rewritten(gone(), 6, packed) == [[event(BOB, "2")], []]
    tombstone = commands.erased(hidden_key(ANN, SECRET), Entity(ANN, 0).pack())
    assert rewritten(gone(), 7, packed) == [[tombstone, event(BOB, "2")], []]
    assert rewritten(gone(), 10, packed) == [*commands.unpack_payload(packed)]


def test_what_does_not_concern_them_keeps_its_bytes() -> None:
    packed = payload([event(BOB, str(n), size=300) for n in range(20)], [event(BOB, "ann")])
    assert Rewriter(gone()).rewrite(6, 0, packed) is packed
    assert Rewriter(gone()).rewrite(6, 0, b"") == b""


def test_a_chunk_that_was_compressed_is_again() -> None:
    packed = payload([event(BOB, str(n), size=300) for n in range(20)] + [event(ANN, "x")])
    (chunk,) = unpack_chunks(Rewriter(gone()).rewrite(3, 0, packed))
    assert len(chunk) < 1_000
    assert len(rewritten(gone(), 3, packed)[0]) == 20


def test_where_events_drive_the_clock_their_times_stay() -> None:
    packed = payload([event(BOB, "1", 100), event(ANN, "2", 200), event(BOB, "3", 150)])
    one, other = (Shard(0, 1, lambda key: None, lambda after, limit: []) for _ in range(2))
    one.apply(1, 50, 1, packed)
    other.apply(1, 50, 1, Rewriter(gone()).rewrite(1, 1, packed))
    assert one.now == other.now == 200
    bobs = [shard.peek(BOB) for shard in (one, other)]
    assert bobs[0] is not None
    assert bobs[1] is not None
    assert bobs[0].pack() == bobs[1].pack()
    assert other.peek(ANN) is None


def test_an_older_tombstone_makes_room_for_a_newer_one() -> None:
    older = payload([commands.erased(hidden_key(ANN, SECRET), b"old")])
    assert rewritten(gone(), 4, older) == [[]]
    assert rewritten(gone(), 12, older) == [[commands.erased(hidden_key(ANN, SECRET), b"old")]]


def test_a_tombstone_stays_when_it_is_swept_again() -> None:
    tombstone = commands.erased(hidden_key(ANN, SECRET), Entity(ANN, 0).pack())
    once = Rewriter(gone()).rewrite(7, 0, payload([event(ANN, "1"), event(BOB, "2")]))
    assert Rewriter(gone()).rewrite(7, 0, once) == once
    assert rewritten(gone(at=6), 7, once) == [[event(BOB, "2")]]
    assert rewritten(gone(at=6), 6, payload([event(BOB, "1")])) == [[event(BOB, "1")], [tombstone]]
    assert rewritten(gone(at=6), 6, b"") == [[tombstone]]


def test_the_later_of_two_erasures_of_somebody_counts() -> None:
    found = gone(at=3, upto=3)
    found.add(ANN, BACK, 8, 9, b"new")
    assert rewritten(found, 3, payload([event(ANN, "1")])) == [[]]
    assert rewritten(found, 8, payload([event(ANN, "1")])) == [
        [commands.erased(hidden_key(ANN, SECRET), b"new")]
    ]


def test_others_speak_of_a_hash() -> None:
    account = "w/account/acme"
    said = commands.account(account, "f1", account, ANN, 0, b"\x80")
    claim = commands.claim("w/identifier/email:b", "f2", "w/identifier/email:b", ANN, "event-1")
    found = Gone(SECRET)
    found.add(account, NAMED + ANN, 9, 9, b"")
    found.add("w/identifier/email:b", NAMED + ANN, 9, 9, b"")
    ((new_said, new_claim),) = rewritten(found, 9, payload([said, claim]))
    assert new_said == commands.account(account, "f1", account, hidden_key(ANN, SECRET), 0, b"\x80")
    assert new_claim[4:6] == (hidden_key(ANN, SECRET), "")


def test_an_erasure_of_somebody_else_does_not_name_them_either() -> None:
    account = "w/account/acme"
    told = commands.erase(account, "f1", False, owner=BOB, names=[ANN])
    found = Gone(SECRET)
    found.add(account, NAMED + ANN, 9, 9, b"")
    ((new,),) = rewritten(found, 9, payload([told]))
    assert new[7:] == (BOB, [hidden_key(ANN, SECRET)])


def test_what_came_too_late_keeps_its_place_without_what_it_says() -> None:
    late = commands.passed(ANN, "f9", "w/anonymous/a", 1, 5, 0, b"secret", 3)
    found = Gone(SECRET)
    found.add(ANN, LATE + "f9", 4, 4, b"")
    ((emptied,),) = rewritten(found, 4, payload([late]))
    assert emptied == commands.passed(
        ANN, "f9", hidden_key("w/anonymous/a", SECRET), 1, 5, 0, b"", 3
    )
    assert rewritten(found, 5, payload([late])) == [[late]]


def test_a_cursor_does_not_name_them() -> None:
    walked = commands.walked("w/task/news", "w1", "0", ANN, 3, 3, False)
    ((new,),) = rewritten(gone(), 6, payload([walked]))
    assert new[4] == hidden_key(ANN, SECRET)


def test_a_tombstone_stays_in_the_slot_of_its_key() -> None:
    hidden = hidden_key(ANN, SECRET)
    assert hidden.startswith(PREFIX)
    assert "ann" not in hidden
    assert slot_of_row(hidden) == slot_of(ANN) == slot_of_row(ANN)


def test_a_tombstone_is_found_with_the_secret_of_its_store_alone() -> None:
    hidden = {hidden_key(ANN, secret) for secret in (SECRET, b"another", b"")}
    assert len(hidden) == 3


def test_stores_of_earlier_versions_find_their_tombstones() -> None:
    assert hidden_key(ANN, b"") == "~/erased/832-9e0b565c74489cacb75a874e64bb6ae4"

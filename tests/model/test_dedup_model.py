"""Deduplication against the plainest model: sets of texts, two generations."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import dedup, limits
from engine.dedup import FRESH, FULL, SEEN, SeenIds
from engine.packing import pack, unpack


class Plain:
    """What `SeenIds` means, without its hashes and runs."""

    def __init__(self) -> None:
        self.since_ms = 0
        self.young: list[str] = []
        self.old: list[str] = []

    def add(self, id_: str, now_ms: int) -> int:
        if now_ms - self.since_ms >= limits.SEEN_MS:
            self.old = [] if now_ms - self.since_ms >= 2 * limits.SEEN_MS else self.young
            self.young = []
            self.since_ms = now_ms
        if id_ in self.young or id_ in self.old:
            return SEEN
        if len(self.young) >= limits.SEEN_IDS:
            return FULL
        self.young.append(id_)
        return FRESH


step = st.tuples(
    st.sampled_from(("add", "add", "add", "refused", "packed")),
    st.integers(0, 30),
    st.sampled_from((0, 0, 0, 1, limits.SEEN_MS // 3, limits.SEEN_MS, 3 * limits.SEEN_MS)),
)


@settings(deadline=None)
@given(st.lists(step, max_size=80), st.integers(0, 12), st.sampled_from((5, 12, 20_000)))
def test_it_knows_what_it_should(
    steps: list[tuple[str, int, int]], indexed: int, most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup, "_INDEXED", indexed)
        patch.setattr(limits, "SEEN_IDS", most)
        seen, plain, now_ms = SeenIds(), Plain(), limits.SEEN_MS
        for what, number, later_ms in steps:
            now_ms += later_ms
            id_ = f"id-{number}"
            found = seen.add(id_, now_ms)
            assert found == plain.add(id_, now_ms)
            assert (id_ in seen) == (id_ in plain.young or id_ in plain.old)
            if what == "refused" and found == FRESH:
                seen.forget(id_)
                plain.young.remove(id_)
            elif what == "packed":
                packed = pack(seen.pack())
                seen = SeenIds.unpack(unpack(packed))
                assert pack(seen.pack()) == packed


def test_a_hash_across_two_others_is_not_known() -> None:
    run = bytes(range(32))
    assert dedup._holds(run, bytes(range(8, 16)))
    assert not dedup._holds(run, bytes(range(4, 12)))
    crossing = b"aaaa1234" + b"5678bbbb" + b"cccccccc"
    assert b"12345678" in crossing
    assert not dedup._holds(crossing, b"12345678")
    assert dedup._holds(crossing + b"12345678", b"12345678")
    assert dedup._holds(b"x" * 3 + b"ABCDEFGH" + b"x" * 5 + b"ABCDEFGH", b"ABCDEFGH")

"""What the first start on a store chose holds for every later one."""

from pathlib import Path

import pytest

from actors.instance import Instance
from actors.settings import Settings
from actors.store.errors import ForeignStore, TornStore
from actors.store.pinned import FILE_NAME, Pinned, pin


def test_a_lane_never_moves_to_another_ledger(tmp_path: Path) -> None:
    pin(tmp_path, {"sms": 2, "email": 1}, "system", 5)
    words = r"has 2 senders for sms \(see pinned.json\); with 3 .* Set senders.sms to 2"
    with pytest.raises(ForeignStore, match=words):
        pin(tmp_path, {"sms": 3, "email": 1}, "system", 6)
    assert pin(tmp_path, {"sms": 2, "push": 4}, "system", 7).senders == {
        "sms": 2, "email": 1, "push": 4,
    }  # fmt: skip
    with pytest.raises(ForeignStore, match="4 senders for push"):
        pin(tmp_path, {"sms": 2, "push": 1}, "system", 8)


def test_an_instance_with_other_senders_is_refused_before_anything_starts(tmp_path: Path) -> None:
    pin(tmp_path, {"sms": 2}, "system", 5)
    settings = Settings(store=tmp_path, hosts=1, shards=1, senders={"sms": 1})
    instance = Instance(settings, gateway_class=None)
    with pytest.raises(ForeignStore, match="2 senders for sms"):
        instance.start()


def test_a_scaled_clock_keeps_its_origin_until_it_gets_another_factor(tmp_path: Path) -> None:
    assert pin(tmp_path, {}, "60x", 5) == Pinned({}, "60x", 5)
    assert pin(tmp_path, {}, "60x", 6).clock_origin_ms == 5
    assert pin(tmp_path, {}, "system", 7).clock_origin_ms == 5
    assert pin(tmp_path, {}, "60x", 8).clock_origin_ms == 5
    assert pin(tmp_path, {}, "10x", 9).clock_origin_ms == 9


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"senders": 1}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(TornStore, match="Restore it from a backup"):
        pin(tmp_path, {}, "system", 1)

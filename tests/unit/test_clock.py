"""Clocks: what all processes of an instance must agree on."""

import time

import pytest

from actors.clock import make_clock

HOUR_MS = 3_600_000


def test_a_scaled_clock_of_a_process_that_starts_later_shows_the_same_time() -> None:
    origin_ms = time.time_ns() // 1_000_000 - HOUR_MS
    first = make_clock("60x", origin_ms)
    before_ms = first.now_ms()
    started_again = make_clock("60x", origin_ms)
    assert before_ms >= origin_ms + 60 * HOUR_MS
    assert before_ms <= started_again.now_ms() <= first.now_ms()


@pytest.mark.parametrize("spec", ["0x", "-1x", "nanx", "infx", "x", "fast"])
def test_a_clock_without_sense_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=r"a clock needs|write 'system'|could not convert"):
        make_clock(spec, 0)

"""What the rest of the engine calls of privacy; see the package's text."""

from engine.privacy.erasing import take_erase
from engine.privacy.leftovers import (
    after_merge,
    come_back,
    is_late_account,
    is_late_claim,
    is_late_event,
    is_late_kept,
    is_of_the_erased,
    settle_blank,
    without_past,
)
from engine.privacy.record import PRIVACY, SUPPRESSED, is_gone
from engine.privacy.suppressing import take_suppress
from engine.privacy.ties import keep_teller

__all__ = [
    "PRIVACY",
    "SUPPRESSED",
    "after_merge",
    "come_back",
    "is_gone",
    "is_late_account",
    "is_late_claim",
    "is_late_event",
    "is_late_kept",
    "is_of_the_erased",
    "keep_teller",
    "settle_blank",
    "take_erase",
    "take_suppress",
    "without_past",
]

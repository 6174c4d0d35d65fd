"""What the rest of the engine calls of identity; see the package's text."""

from engine.identity.accounts import look_at as look_at_group
from engine.identity.accounts import take_account
from engine.identity.accounts import tell as tell_members
from engine.identity.accounts import tell_again as tell_members_again
from engine.identity.claims import look_at as look_at_identifiers
from engine.identity.claims import take_claim
from engine.identity.links import (
    await_origin,
    hold_back,
    look_at,
    stop_waiting,
    take_kept,
    take_ready,
    wait_again,
)
from engine.identity.record import IDENTITY, MERGED_INTO, merged_into, view
from engine.identity.reserved import look_at as look_at_traits
from engine.identity.stub import (
    call_back,
    open_passed,
    pass_event,
    pass_on,
    pass_through,
    passed_is_taken,
    take_link,
    take_merge,
    take_receipt_of_moved,
    take_receipt_of_stub,
)

__all__ = [
    "IDENTITY",
    "MERGED_INTO",
    "await_origin",
    "call_back",
    "hold_back",
    "look_at",
    "look_at_group",
    "look_at_identifiers",
    "look_at_traits",
    "merged_into",
    "open_passed",
    "pass_event",
    "pass_on",
    "pass_through",
    "passed_is_taken",
    "stop_waiting",
    "take_account",
    "take_claim",
    "take_kept",
    "take_link",
    "take_merge",
    "take_ready",
    "take_receipt_of_moved",
    "take_receipt_of_stub",
    "tell_members",
    "tell_members_again",
    "view",
    "wait_again",
]

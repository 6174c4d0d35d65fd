"""When a lane leaves its carrier alone: after a wish for less traffic, by a rule, by its circuit.

Three things look at the answers of a carrier. A wish for less traffic pauses the lane for as long
as the carrier says, or for a back-off of its own. A rule suspends or slows it
(`engine.lanes.carrier_rules`). The circuit opens when answers fail or never come
(`engine.lanes.circuit`). A failure that says when the message may be tried again is of that message
alone, and is not looked at here.
While a lane is suspended or its circuit is open it is *away*: messages that have another route take
it at once, the others wait.
"""

from collections.abc import Callable, Sequence
from typing import Any

from actors.carriers.base import Outcome, SubmitResult
from engine import backoff
from engine.lanes.carrier_rules import Reactions
from engine.lanes.circuit import Circuit, State
from engine.lanes.definition import Lane

_ANSWERED = frozenset({Outcome.ACCEPTED, Outcome.REJECTED})
_FAILED = frozenset({Outcome.FAILED, Outcome.UNKNOWN})
_NAMES = {outcome: outcome.name.lower() for outcome in Outcome}


class LaneHealth:
    """See the module's text.

    Args:
        lane: The lane.
        name: For back-offs.
        slow: Lowers the lane's rate to a percentage.
    """

    __slots__ = (
        "_name", "_reactions", "_review_ms", "_slow", "_suspended_ms", "_throttles", "circuit",
        "paused_until_ms", "throttled",
    )  # fmt: skip

    def __init__(self, lane: Lane, name: str, slow: Callable[[int, int], None]) -> None:
        self._name = name
        self._slow = slow
        self._reactions = Reactions(lane.reactions)
        self.circuit = Circuit(lane.circuit)
        self.paused_until_ms = 0
        self.throttled = 0
        self._throttles = 0  # batches in a row
        self._suspended_ms = 0
        self._review_ms = 0  # when the next reaction ends

    def configure(self, lane: Lane, now_ms: int) -> None:
        """Takes the rules of a changed lane."""
        self._reactions.configure(lane.reactions)
        self.circuit.configure(lane.circuit)
        self._review(now_ms)

    def room(self, now_ms: int) -> int:
        """How many messages may leave, as far as the carrier is concerned. Cost: 0.3 µs."""
        if self._review_ms and now_ms >= self._review_ms:
            self._review(now_ms)
        if now_ms < self.paused_until_ms or now_ms < self._suspended_ms:
            return 0
        return self.circuit.room(now_ms)

    def away(self, now_ms: int) -> str:
        """Why messages with another route should take it; empty if they may stay."""
        if now_ms < self._suspended_ms:
            held = self._reactions.status(now_ms)
            return next((each["why"] for each in held if each["then"] == "suspend"), "")
        circuit = self.circuit
        if circuit.state is State.CLOSED or circuit.room(now_ms):
            return ""
        return f"its circuit is open: {circuit.why}"

    def next_ms(self, now_ms: int) -> int | None:
        """When time alone will change what may leave; None if it will not."""
        ends = [self.paused_until_ms, self._suspended_ms, self._review_ms]
        if self.circuit.state is State.OPEN:
            ends.append(self.circuit.until_ms)
        return min((at_ms for at_ms in ends if at_ms > now_ms), default=None)

    def fine(self, messages: int, now_ms: int, probe: bool) -> None:
        """The carrier has taken all of a batch. Cost: 0.5 µs."""
        self._throttles = 0
        self.circuit.saw(messages, 0, now_ms, probe)

    def saw(self, results: Sequence[SubmitResult], now_ms: int, probe: bool) -> None:
        """What the carrier said to a batch of which it has not taken everything."""
        answered = failed = 0
        met = False
        last = ""
        asked: list[int] = []
        for result in results:
            outcome = result.outcome
            if outcome is Outcome.FAILED and result.retry_after_ms:
                continue
            answered += outcome in _ANSWERED
            if outcome in _FAILED:
                failed += 1
                last = ", ".join(part for part in (result.code, result.detail[:100]) if part)
            elif outcome is Outcome.THROTTLED:
                asked.append(result.retry_after_ms)
            if outcome is not Outcome.ACCEPTED:
                met |= self._reactions.saw(_NAMES[outcome], result.code, result.detail, now_ms)
        self.circuit.saw(answered, failed, now_ms, probe, last)
        self._pause(asked, now_ms)
        if met:
            self._review(now_ms)

    def status(self, now_ms: int) -> dict[str, Any]:
        """Plain values for a status page: each thing that keeps the lane back, and until when."""
        circuit = self.circuit
        return {
            "paused_ms": max(0, self.paused_until_ms - now_ms),
            "reactions": self._reactions.status(now_ms),
            "circuit": circuit.state.name.lower(),
            "circuit_why": circuit.why,
            "circuit_until_ms": circuit.until_ms if circuit.state is State.OPEN else 0,
            "circuit_opened": circuit.opened,
        }

    def _pause(self, asked: list[int], now_ms: int) -> None:
        if not asked:
            self._throttles = 0
            return
        self._throttles += 1
        self.throttled += len(asked)
        own_ms = backoff.delay_ms(self._throttles, self._name)
        self.paused_until_ms = max(self.paused_until_ms, now_ms + (max(asked) or own_ms))

    def _review(self, now_ms: int) -> None:
        """Which reactions hold now."""
        reactions = self._reactions
        self._suspended_ms = reactions.suspended_until(now_ms)
        self._slow(reactions.percent(now_ms), now_ms)
        self._review_ms = reactions.next_ms(now_ms) or 0

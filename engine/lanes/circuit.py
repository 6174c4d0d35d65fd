"""A lane's circuit breaker: a carrier that fails is left alone, and asked now and then.

Closed: everything goes. When enough of what was given away lately has failed or was never answered,
it opens: nothing goes for a while. Then it is half open: one message at a time goes as a probe. A
few that are answered close it; one that is not opens it again, for twice as long.

An answer is an answer, also a rejection; a wish for less traffic says nothing either way. What was
in flight when it opened says nothing new.
"""

from enum import IntEnum

from msgspec import Struct

from engine.lanes.rates import UNLIMITED


class State(IntEnum):
    """What a circuit lets through."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2


class CircuitRule(Struct, frozen=True):
    """When a circuit opens, and for how long.

    Attributes:
        failures: How many have to fail within the window; 0: it never opens.
        window_ms: The window.
        share: The least part of all that has to fail, in percent.
        open_ms: How long it is open the first time.
        longest_ms: And at most.
        probes: How many probes have to be answered, one after the other.
    """

    failures: int = 20
    window_ms: int = 60_000
    share: int = 50
    open_ms: int = 30_000
    longest_ms: int = 600_000
    probes: int = 3


class Circuit:
    """See the module's text."""

    __slots__ = ("_bad", "_good", "_half_ms", "_open_ms", "_probes", "opened", "probing", "rule",
                 "state", "until_ms", "why")  # fmt: skip

    def __init__(self, rule: CircuitRule) -> None:
        self.rule = rule
        self.state = State.CLOSED
        self.until_ms = 0
        self.why = ""
        self.opened = 0  # times
        self.probing = False  # a probe is in flight
        self._probes = 0
        self._open_ms = rule.open_ms
        self._half_ms = 0  # when the newer half of the window began
        self._good = [0, 0]  # in the newer half of the window, and in the older
        self._bad = [0, 0]

    def configure(self, rule: CircuitRule) -> None:
        """Takes another rule; a changed one begins closed."""
        if rule != self.rule:
            self.__init__(rule)  # type: ignore[misc]

    def room(self, now_ms: int) -> int:
        """How many messages may be given away now."""
        if self.state is State.CLOSED:
            return UNLIMITED
        if self.state is State.OPEN and now_ms >= self.until_ms:
            self.state, self._probes, self.probing = State.HALF_OPEN, 0, False
        return 1 if self.state is State.HALF_OPEN and not self.probing else 0

    def saw(self, good: int, bad: int, now_ms: int, probe: bool, why: str = "") -> None:
        """What a carrier answered to a batch.

        Args:
            good: How many messages it answered.
            bad: How many failed, or were never answered.
            now_ms: The time.
            probe: Whether the batch was a probe.
            why: Of the last that failed, in words.
        """
        if probe:
            self._probed(good, bad, now_ms, why)
        if self.state is not State.CLOSED or not self.rule.failures:
            return
        half_ms = self.rule.window_ms // 2
        if now_ms - self._half_ms >= half_ms:
            old = now_ms - self._half_ms >= 2 * half_ms
            self._good = [0, 0 if old else self._good[0]]
            self._bad = [0, 0 if old else self._bad[0]]
            self._half_ms = now_ms
        self._good[0] += good
        self._bad[0] += bad
        failed, answered = sum(self._bad), sum(self._good)
        share = 100 * failed >= self.rule.share * (failed + answered)
        if bad and failed >= self.rule.failures and share:
            every = failed + answered
            self._open(f"{failed} of the last {every} failed: {why}", now_ms)

    def _probed(self, good: int, bad: int, now_ms: int, why: str) -> None:
        self.probing = False
        if self.state is not State.HALF_OPEN:
            return
        if bad:
            self._open_ms = min(self.rule.longest_ms, self._open_ms * 2)
            self._open(f"a probe failed: {why}", now_ms)
        elif good:
            self._probes += 1
            if self._probes >= self.rule.probes:
                self.state, self.why = State.CLOSED, ""
                self._open_ms = self.rule.open_ms
                self._good, self._bad = [0, 0], [0, 0]

    def _open(self, why: str, now_ms: int) -> None:
        self.state = State.OPEN
        self.until_ms = now_ms + self._open_ms
        self.why = why
        self.opened += 1

"""Publishes chunks of events on one stream, and settles what does not go through at once.

Chunks go in order and a few are in flight, so that the engine is never idle and never flooded.
What the gateway asks to send again is sent again, with the same ids, before anything newer and
while nothing else is in flight; so is everything that is not acknowledged when the stream breaks.
The engine takes an id once, so sending twice is safe. Refusals for good are counted and kept, the
first few with their words.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any, Final

import grpc

from engine.reasons import Reason
from gateway.cli.client import Client, pause_before_retry_s
from gateway.cli.errors import NO_ANSWER, CliError, from_status
from gateway.pb.denrei.v1 import events_pb2

SAMPLES: Final = 20
_AGAIN: Final = frozenset(
    {Reason.OVERLOADED, Reason.UNAVAILABLE, Reason.DEADLINE, Reason.OUTBOX_FULL}
)


class Published:
    """What became of the events so far.

    Attributes:
        accepted: Events that were taken.
        duplicates: Events that had been taken before.
        refused: Events refused for good, by reason.
        again: Events that had to be sent again.
        samples: The first refusals, `(message id, reason, words)`.
        latencies_ms: How long each chunk took from sending to acknowledgement.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.duplicates = 0
        self.refused: Counter[str] = Counter()
        self.again = 0
        self.samples: list[tuple[str, str, str]] = []
        self.latencies_ms: list[float] = []

    @property
    def settled(self) -> int:
        """Events whose outcome is known."""
        return self.accepted + self.duplicates + sum(self.refused.values())

    def percentile_ms(self, share: float) -> float:
        """The acknowledgement time that this share of the chunks did not exceed."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class _Chunk:
    __slots__ = ("events", "sent_at")

    def __init__(self, events: list[Any]) -> None:
        self.events = events
        self.sent_at = time.monotonic()


class Publisher:
    """One stream of chunks; see the module's text. Use it as a context manager.

    Args:
        client: To the gateway.
        in_flight: How many chunks may be unacknowledged.
        chunk: The most events that are sent again together.
    """

    def __init__(self, client: Client, in_flight: int = 4, chunk: int = 500) -> None:
        self.published = Published()
        self._client = client
        self._in_flight = in_flight
        self._chunk = chunk
        self._changed = threading.Condition()
        self._pending: OrderedDict[int, _Chunk] = OrderedDict()
        self._again: list[tuple[int, int, Any]] = []
        self._pause_s = 0.0
        self._sequence = 0
        self._outgoing: SimpleQueue[Any] = SimpleQueue()
        self._error: Exception | None = None
        self._closing = False
        self._heard = True
        self._call: Any = None
        self._thread = threading.Thread(target=self._run, name="acknowledgements", daemon=True)

    def __enter__(self) -> "Publisher":  # noqa: PYI034 - nothing derives from it
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._closing = True
        self._outgoing.put(None)
        if kind is not None and self._call is not None:
            self._call.cancel()
        self._thread.join(timeout=10.0)

    def put(self, events: Sequence[Any]) -> None:
        """Sends a chunk; waits while as many are in flight as may be.

        Raises:
            CliError: The gateway refuses the stream, or is away for too long.
        """
        with self._changed:
            self._settle_again()
            self._wait(lambda: len(self._pending) < self._in_flight or bool(self._again))
            self._settle_again()
            self._send(list(events))

    def drain(self) -> None:
        """Waits until every event has its outcome.

        Raises:
            CliError: As for `put`.
        """
        with self._changed:
            while self._pending or self._again:
                self._wait(lambda: not self._pending)
                self._settle_again()

    def _settle_again(self) -> None:
        """Sends what has to be sent again, oldest first, with nothing else in flight."""
        settled, since = self.published.settled, time.monotonic()
        while self._again:
            self._wait(lambda: not self._pending)
            if self.published.settled > settled:
                settled, since = self.published.settled, time.monotonic()
            elif time.monotonic() - since > self._client.timeout_s:
                raise CliError(
                    f"the gateway has refused the same events for {self._client.timeout_s:g} s: "
                    "its queues stay full",
                    "see `denrei status`: a lane may be too slow for what is replayed",
                )
            self._again.sort(key=lambda item: item[:2])
            now, self._again = self._again[: self._chunk], self._again[self._chunk :]
            pause_s, self._pause_s = self._pause_s, 0.0
            if pause_s:
                self._changed.wait_for(lambda: self._error is not None, pause_s)
            self.published.again += len(now)
            self._send([event for _, _, event in now])
            self._wait(lambda: not self._pending)

    def _send(self, events: list[Any]) -> None:
        self._sequence += 1
        self._pending[self._sequence] = _Chunk(events)
        self._outgoing.put(events_pb2.PublishStreamRequest(sequence=self._sequence, events=events))

    def _wait(self, ready: Any) -> None:
        """Waits for a change that the other thread makes, but not for ever."""
        while not ready():
            settled = self.published.settled
            patient = self._changed.wait_for(
                lambda: ready() or self._error is not None, self._client.timeout_s
            )
            if self._error is not None:
                raise self._error
            if not patient and self.published.settled == settled:
                raise CliError(
                    f"{self._client.address} acknowledged nothing for {self._client.timeout_s:g} s",
                    "see `denrei status`; a second replay of the same file goes on where it can",
                    NO_ANSWER,
                )

    # --- in the thread of acknowledgements --------------------------------------------------

    def _run(self) -> None:
        silent_since = time.monotonic()
        while not self._closing or self._pending:
            try:
                self._call = self._client.events.PublishStream(
                    iter(self._outgoing.get, None), metadata=self._client.metadata
                )
                for acknowledgement in self._call:
                    silent_since = time.monotonic()
                    self._take(acknowledgement)
                return
            except grpc.RpcError as error:
                pause_s = pause_before_retry_s(error)
                silent_s = time.monotonic() - silent_since
                if self._closing or pause_s is None or silent_s > self._client.timeout_s:
                    self._fail(from_status(error))
                    return
                time.sleep(pause_s)
                self._reopen()
            except Exception as error:
                self._fail(error)
                return

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _reopen(self) -> None:
        """Puts everything that is not acknowledged on a new stream, in its order."""
        with self._changed:
            self._outgoing.put(None)
            self._outgoing = SimpleQueue()
            for sequence, chunk in self._pending.items():
                if self._heard:  # a stream that never answered was not sent much
                    self.published.again += len(chunk.events)
                self._outgoing.put(
                    events_pb2.PublishStreamRequest(sequence=sequence, events=chunk.events)
                )
            self._heard = False

    def _take(self, acknowledgement: Any) -> None:
        with self._changed:
            self._heard = True
            chunk = self._pending.pop(acknowledgement.sequence, None)
            if chunk is None:
                return
            published = self.published
            published.latencies_ms.append((time.monotonic() - chunk.sent_at) * 1_000)
            outcomes = acknowledgement.outcomes
            if not any(outcomes):
                published.accepted += len(outcomes)
            else:
                self._take_each(acknowledgement, chunk)
            self._changed.notify_all()

    def _take_each(self, acknowledgement: Any, chunk: _Chunk) -> None:
        published = self.published
        words = {one.index: one.message for one in acknowledgement.rejections}
        for index, outcome in enumerate(acknowledgement.outcomes):
            event = chunk.events[index]
            if outcome == Reason.ACCEPTED:
                published.accepted += 1
            elif outcome == Reason.DUPLICATE:
                published.duplicates += 1
            elif outcome in _AGAIN:
                self._again.append((acknowledgement.sequence, index, event))
                self._pause_s = max(
                    self._pause_s, acknowledgement.retry_delay.ToMilliseconds() / 1_000, 0.05
                )
            else:
                name = Reason(outcome).name
                published.refused[name] += 1
                if len(published.samples) < SAMPLES:
                    text = words.get(index) or words.get(-1, "")
                    published.samples.append((event.message_id, name, text))

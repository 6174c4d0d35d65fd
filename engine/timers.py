"""Timers: which entities to look at, and when.

An entity knows its own timers; this heap only knows a moment at which to look at it, at or before
the earliest of them. A timer that moves later leaves the heap alone: when the moment comes the
entity says when to look again. So a hold that is reset by every event costs nothing here. Each key
has one live entry; entries that a sooner one has replaced are dropped when they come up, and all at
once when they are too many. Nothing here is state: it is rebuilt from the entities at load.
"""

import heapq
from collections.abc import Iterable

_SLACK = 1_000


class TimerHeap:
    """When to look at which key; see the module's text."""

    __slots__ = ("_heap", "_live", "_serial")

    def __init__(self, due: Iterable[tuple[str, int]] = ()) -> None:
        self._live: dict[str, int] = {}
        self._heap: list[tuple[int, str, int]] = []
        self._serial = 0
        for key, due_ms in due:
            self._serial += 1
            self._live[key] = self._serial
            self._heap.append((due_ms, key, self._serial))
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._live)

    def push(self, key: str, due_ms: int) -> None:
        """Looks at a key at a moment; what was planned for it before is forgotten."""
        self._serial += 1
        self._live[key] = self._serial
        heapq.heappush(self._heap, (due_ms, key, self._serial))
        if len(self._heap) > 2 * len(self._live) + _SLACK:
            live = self._live
            self._heap = [entry for entry in self._heap if live.get(entry[1]) == entry[2]]
            heapq.heapify(self._heap)

    def first(self) -> tuple[int, str] | None:
        """The first moment and its key, or None."""
        heap, live = self._heap, self._live
        while heap:
            due_ms, key, serial = heap[0]
            if live.get(key) == serial:
                return due_ms, key
            heapq.heappop(heap)
        return None

    def pop(self) -> str:
        """Takes the first key out. `first` must have found one."""
        _, key, _ = heapq.heappop(self._heap)
        del self._live[key]
        return key

    def horizon_ms(self, now_ms: int, most: int) -> int:
        """The latest time up to `now_ms` by which at most about `most` keys are to be looked at.

        Cost: constant if nothing is due; else a walk over at most `most` entries of the heap.
        """
        heap = self._heap
        due, front = 0, [0]
        while front:
            index = front.pop()
            if index < len(heap) and heap[index][0] <= now_ms:
                due += 1
                if due > most:
                    break
                front += (2 * index + 1, 2 * index + 2)
        if due <= most:
            return now_ms
        last_ms = heap[0][0]
        ahead = [(last_ms, 0)]
        for _ in range(most):
            last_ms, index = heapq.heappop(ahead)
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(heap):
                    heapq.heappush(ahead, (heap[child][0], child))
        return last_ms

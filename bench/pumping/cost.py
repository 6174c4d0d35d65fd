"""What the guard costs: CPU time a message, everything included that it causes.

A stream of honest traffic is given to a guard as a sender gives it, with the codes that are
verified. The time of the whole stream, by the number of its messages, is the cost of a send: the
check, the evidence that it becomes while it ages, and its share of verifications. It is timed in
slices of a few milliseconds, and the least of several runs counts of each, since other programs
only ever add. The first fifth of a stream is not counted: traffic is steady after it. The collector
of garbage is set as a sender sets it.
"""

import sys
from heapq import heappop, heappush
from random import Random
from time import process_time_ns
from typing import Final

from actors.collector import tune_interpreter
from bench.pumping.same import is_compiled
from bench.pumping.scenarios import ORIGIN_MS
from bench.pumping.world import COUNTRIES, Honest, Send
from engine.fraud import FraudGuard
from engine.fraud.figures import DAY_MS
from engine.fraud.policy import guard_from

_RUNS: Final = 7
_SLICE: Final = 100
_DENIED: Final = 20_000
_YOUNG: Final = 50_000  # as a sender has it
_Step = tuple[int, Send, bool]


def _steps(seed: int, days: float, facts: bool, factor: float = 1.0) -> list[_Step]:
    """Sends and verifications in their order."""
    honest = Honest(Random(seed))
    sends: list[Send] = []
    for country in COUNTRIES:
        sends += honest.traffic(country, 0, int(days * DAY_MS), factor)
    sends.sort(key=lambda send: send.at_ms)
    steps: list[_Step] = []
    waiting: list[tuple[int, int, Send]] = []
    for order, send in enumerate(sends):
        while waiting and waiting[0][0] <= send.at_ms:
            at_ms, _, done = heappop(waiting)
            steps.append((ORIGIN_MS + at_ms, done, True))
        if not facts:
            send.facts = {}
        steps.append((ORIGIN_MS + send.at_ms, send, False))
        if send.delay_ms >= 0:
            heappush(waiting, (send.at_ms + send.delay_ms, order, send))
    return steps


def _honest(steps: list[_Step], runs: int) -> tuple[float, FraudGuard]:
    """The cost of a send, and a guard that has seen them all.

    The stream is timed in short slices, and of each slice its quickest run counts.
    """
    least: list[int] = []
    tune_interpreter(_YOUNG)  # what was made for the measurement is not the guard's to look at
    for run in range(runs):
        guard = FraudGuard()
        check, outcome = guard.check, guard.outcome
        for place, start in enumerate(range(0, len(steps), _SLICE)):
            began = process_time_ns()
            for at_ms, send, verified in steps[start : start + _SLICE]:
                if verified:
                    outcome("w", send.number, "verified", at_ms)
                else:
                    check("w", "sms", "otp", send.number, at_ms, send.facts)
            took = process_time_ns() - began
            if not run:
                least.append(took)
            elif took < least[place]:
                least[place] = took
    begin = len(least) // 5
    counted = sum(not verified for _, _, verified in steps[begin * _SLICE :])
    return sum(least[begin:]) / 1_000 / counted, guard


def _texts(guard: FraudGuard, steps: list[_Step], purpose: str) -> float:
    """The cost of a text that is no code, to the numbers of the stream."""
    at_ms = steps[-1][0] + 1
    numbers = [send.number for _, send, verified in steps[-_DENIED:] if not verified]
    began = process_time_ns()
    for number in numbers:
        guard.check("w", "sms", purpose, number, at_ms)
    return (process_time_ns() - began) / 1_000 / len(numbers)


def _denied(guard: FraudGuard) -> float:
    at_ms = ORIGIN_MS + 10 * DAY_MS
    numbers = [f"+44739901{last:04d}" for last in range(10_000)]
    for number in numbers[:200]:
        guard.check("w", "sms", "otp", number, at_ms)
    began = process_time_ns()
    for at in range(_DENIED):
        guard.check("w", "sms", "otp", numbers[at % 10_000], at_ms + at // 100)
    return (process_time_ns() - began) / 1_000 / _DENIED


def report() -> None:
    """Prints it."""
    tune_interpreter(_YOUNG)
    guard_is = "compiled" if is_compiled() else "interpreted"
    print(
        f"The guard is {guard_is}. CPU time, the least of {_RUNS} runs, in microseconds", flush=True
    )
    for facts, words in ((False, "numbers alone"), (True, "with address, device and country")):
        steps = _steps(1, 5, facts)
        least, guard = _honest(steps, _RUNS)
        print(f"  {least:6.1f}  an honest code, {words}: check, ageing, verification")
        for purpose, weight in (("transactional", 0.5), ("transactional", 1.0), ("marketing", 0.1)):
            body = {"guard": "default", "purposes": {purpose: {"weight": weight}}}
            guard.configure("w", guard_from(body))
            cost = min(_texts(guard, steps, purpose) for _ in range(_RUNS))
            print(f"  {cost:6.2f}  a {purpose} text of weight {weight}")
        guard.configure("w", None)
        print(f"  {min(_denied(guard) for _ in range(_RUNS)):6.1f}  a denied attempt")
        began = process_time_ns()
        rows = guard.snapshot()
        took = (process_time_ns() - began) / 1_000_000
        book = guard._books["w"]
        nodes = len(book.nodes) + len(book.areas)
        size = sum(sys.getsizeof(node) + 24 * 12 for node in book.nodes.values())
        kept = len(rows[1]["w"][2])
        print(f"  {nodes} nodes, about {size / 1e6:.1f} MB; a snapshot of {kept}: {took:.1f} ms")
    busy = _steps(1, 0.25, False, 40.0)
    least, _ = _honest(busy, 3)
    print(f"  {least:6.1f}  an honest code by its number alone, 2 a second instead of 1 in 20")
    cheap = FraudGuard()
    began = process_time_ns()
    for at in range(_DENIED):
        cheap.check("w", "email", "marketing", "a@example.com", at)
    print(f"  {(process_time_ns() - began) / 1_000 / _DENIED:6.2f}  a message on another channel")

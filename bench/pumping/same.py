"""Whether the compiled guard and the interpreted one are the same: `make test-wheel`.

Both are built from the same sources, and a compiler may have faults of its own. So each lives
through the same streams, in a process of its own, and writes down every verdict in full, every
block as it is told, and at the end a snapshot, its restoration and what came after that. All of it
has to agree to the last digit. Then the guard's own tests are run with the compiled one.
"""

import subprocess
import sys
from collections.abc import Iterator
from difflib import unified_diff
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bench.pumping.scenarios import ORIGIN_MS, sends
from bench.pumping.unpacked import ROOT, running, unpacked
from bench.pumping.world import Send
from engine.fraud import FraudGuard
from engine.fraud.policy import guard_from

SEED: Final = 1
# Between them they reach every finding, the windows, probes, outages and late verifications.
SCENARIOS: Final = (
    "burst-50",
    "outage",
    "sequence",
    "faked-30",
    "new-country",
    "repeats",
    "pulses",
)
_SENDS: Final = 16_000  # of each: the warm days and most of the last one
_OUTCOMES: Final = ("expired", "undelivered", "legit", "fraud")
_GUARD: Final = {
    "guard": "default",
    "countries": {"FR": "monitor", "ID": "allow"},
    "safe": ["+447401*"],
    "purposes": {"transactional": {"weight": 1.0, "action": "shadow"}},
}
_SHOWN: Final = 20
_TESTS: Final = (
    "test_fraud.py",
    "test_fraud_parts.py",
    "test_fraud_neighbours.py",
    "test_fraud_seasons.py",
)


def lines(name: str) -> Iterator[str]:
    """What a guard says to the messages of a scenario, a line each."""
    guard = FraudGuard()
    guard.seal(b"the same")
    waiting: list[tuple[int, int, Send]] = []
    at_ms = 0
    for order, send in enumerate(islice(sends(name, SEED), _SENDS)):
        while waiting and waiting[0][0] <= send.at_ms:
            done_ms, _, done = heappop(waiting)
            guard.outcome("w", done.number, "verified", ORIGIN_MS + done_ms)
        at_ms = ORIGIN_MS + send.at_ms
        verdict = guard.check("w", "sms", "otp", send.number, at_ms, send.facts, order % 40 - 30)
        if verdict is not None:
            yield f"{order} {tuple(verdict)}"
        elif send.delay_ms >= 0:
            late_ms = 900_000 if order % 50 == 0 else 0  # verified after it was given up
            heappush(waiting, (send.at_ms + send.delay_ms + late_ms, order, send))
        if order % 97 == 0:
            guard.outcome("w", send.number, _OUTCOMES[order // 97 % 4], at_ms)
        if order % 5 == 0:
            other = guard.check("other", "sms", "transactional", send.number, at_ms)
            if other is not None:
                yield f"{order} other {tuple(other)}"
        for block in guard.new_blocks():
            yield f"{order} told {block}"
        if order == _SENDS // 2:
            kept = guard.snapshot()
            yield repr(kept)
            guard = FraudGuard()
            guard.restore(kept)
            guard.configure("w", guard_from(_GUARD))
    yield repr(guard.blocks(at_ms))
    yield repr(guard.counts)
    yield repr(guard.snapshot())


def _said_by(folder: Path | None) -> list[str]:
    command = [*running(folder), "-m", "bench.pumping.same"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def differences(wheel: Path) -> list[str]:
    """In what the guard of a wheel differs from the sources; the first lines of it."""
    with unpacked(wheel) as folder:
        interpreted, compiled = _said_by(None), _said_by(folder)
    if interpreted.pop(0) != "False" or compiled.pop(0) != "True":
        return [f"{wheel} is not compiled: there is nothing to compare (`make wheel` says why)"]
    print(f"{len(interpreted)} lines of verdicts, blocks and snapshots")
    return list(islice(unified_diff(interpreted, compiled, "sources", wheel.name, n=0), _SHOWN))


def passes_tests(wheel: Path) -> bool:
    """Whether the guard of a wheel passes the tests of the guard."""
    tests = [str(ROOT / "tests" / "unit" / name) for name in _TESTS]
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider"]
    with unpacked(wheel) as folder:
        command = [*running(folder), "-m", "pytest", *options, *tests]
        return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def main(arguments: list[str]) -> None:
    """Compares, if a wheel is named; else it is one of the two."""
    if arguments:
        wheel = Path(arguments[0])
        found = differences(wheel)
        print("\n".join(line[:400] for line in found) or "compiled and interpreted are the same")
        raise SystemExit(bool(found) or not passes_tests(wheel))
    print(is_compiled())
    for name in SCENARIOS:
        for line in lines(name):
            print(name, line)


def is_compiled() -> bool:
    """Whether the guard of this process is compiled."""
    guard: Any = sys.modules[FraudGuard.__module__]
    return not str(guard.__file__).endswith(".py")


if __name__ == "__main__":
    main(sys.argv[1:])

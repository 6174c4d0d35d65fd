"""How exactly a lane holds its limits: the rate that it reaches, and whether it is ever over.

`python -m bench.limits` runs real senders with their ledgers over the sandbox carrier, on a clock
that it moves itself, so the figures are of the limits and not of the machine. Each case offers more
than the limit lets through, for some windows; the carrier answers after 0 to 5 ms,
which is what a unit counts longer than its window. It prints the
most that the carrier saw in any sliding window, and the rate from the first message to the last, as
parts of the limit.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack

from actors.clock import ManualClock
from actors.senders.sender import SenderCore
from engine import slots
from engine.commands import Command

_LATENCY_MS: Final = 5
_TURNS: Final = 12  # of the loop, until nothing is left to do before time moves


class Case(NamedTuple):
    """One limit under load.

    Attributes:
        name: What is printed.
        limits: The limits of each lane.
        units: The limit that counts, and
        window_ms: its window.
        windows: For how many of them it runs.
        lanes: How many lanes there are.
        recipients: How many numbers are written to.
        values: To how many of these the limit applies at a time.
        account: Whose lanes they are.
        texts: How many segments a message has.
        kills: How often the sender ends and begins anew.
    """

    name: str
    limits: list[dict[str, Any]]
    units: int
    window_ms: int
    windows: int
    lanes: int = 1
    recipients: int = 10_000
    values: int = 1
    account: str = ""
    texts: int = 1
    kills: int = 0


CASES: Final = (
    Case("100/s", [{"rate": "100/s"}], 100, 1_000, 20),
    Case("1000/s", [{"rate": "1000/s"}], 1_000, 1_000, 10),
    Case("75/min", [{"rate": "75/min"}], 75, 60_000, 5),
    Case("4500/min, in segments", [{"rate": "4500/min"}], 4_500, 60_000, 3, texts=3),
    Case("100/s of what 5 lanes share", [{"rate": "100/s", "of": "x"}], 100, 1_000, 20, 5,
         account="a"),
    Case("1/6s per recipient, 20 of them", [{"rate": "1/6s", "per": "recipient"}], 1, 6_000, 15,
         recipients=20, values=20),
    Case("50/s per country, 2 of them", [{"rate": "50/s", "per": "country"}], 50, 1_000, 15,
         recipients=1_000, values=2),
    Case("100/s with 5 restarts", [{"rate": "100/s"}], 100, 1_000, 30, kills=5),
    Case("100/s shared, with 5 restarts", [{"rate": "100/s", "of": "x"}], 100, 1_000, 30, 3,
         account="a", kills=5),
)  # fmt: skip


class Outcome(NamedTuple):
    """What a case came to: parts of the limit."""

    reached: float
    most: float


def run(case: Case, directory: Path) -> Outcome:
    """Runs one case."""
    return asyncio.run(_run(case, directory))


async def _run(case: Case, directory: Path) -> Outcome:
    clock = ManualClock()
    log = directory / "sandbox" / "carrier"
    log.parent.mkdir()
    log.touch()
    settled: set[str] = set()

    async def report(shard: int, commands: Sequence[Command], size_bytes: int) -> bytes:
        settled.update(command[2] for command in commands if command[5])
        return bytes(len(commands))

    offers = {each[0]: each for each in _messages(case, clock.now_ms())}
    span_ms = case.windows * case.window_ms
    start_ms = clock.now_ms()
    for life in range(case.kills + 1):
        core = await SenderCore.open("sender-sms-1", directory, clock, report, 1)
        await core.configure("w", 1, msgpack.packb(_lanes(case, log.name)))
        waiting = [each for name, each in offers.items() if name not in settled]
        for at in range(0, len(waiting), 1_000):
            batch = [[0, 1, clock.now_ms(), waiting[at : at + 1_000], {"w": 1}]]
            await core.offer(msgpack.packb(batch))
        end_ms = start_ms + span_ms * (life + 1) // (case.kills + 1)
        while clock.now_ms() < end_ms and len(settled) < len(offers):
            await _quiet(core)
            clock.advance(max(1, (clock.next_call_ms() or 0) - clock.now_ms()))
        # As a crash would: nothing is drained.
        await core.close()
    return _measured(case, log, span_ms)


async def _quiet(core: SenderCore) -> None:
    """Lets everything happen that time does not have to move for."""
    turns = 0
    while turns < _TURNS:
        turns += 1
        await asyncio.sleep(0)
        if core._writer._task is not None:
            await asyncio.sleep(0.0003)
            turns = 0


def _messages(case: Case, now_ms: int) -> list[list[Any]]:
    """A little more than the limit lets through."""
    count = int(case.units * case.windows * case.values * 1.1) // case.texts + 10
    body = "x" * (150 * case.texts)
    made = []
    for number in range(count):
        to = number % case.recipients
        country = "+4915112" if "country" in case.name and number % 2 else "+1202555"
        made.append([
            f"{number:032x}", f"w/user/u{number}", "w", f"l{number % case.lanes}", "sms",
            f"{country}{to:0{4 if country[1] == '1' else 6}d}", "transactional", body, "",
            now_ms + 10**10, False, now_ms,
        ])  # fmt: skip
    assert slots.shard_of(slots.slot_of("w/user/u"), 1) == 0
    return made


def _lanes(case: Case, log: str) -> dict[str, Any]:
    options = {"log": log, "latency_ms": [0, _LATENCY_MS], "receipts": False}
    body: dict[str, Any] = {
        "channel": "sms", "carrier": "sandbox", "limits": case.limits, "options": options,
    }  # fmt: skip
    if case.account:
        body["account"] = case.account
    return {f"l{n}": {"lane": f"l{n}", **body} for n in range(case.lanes)}


def _measured(case: Case, log: Path, span_ms: int) -> Outcome:
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    by_value: dict[str, list[tuple[int, int]]] = {}
    for name, _, at, parts, _, _ in rows:
        number = int(name, 16)
        value = ""
        if "recipient" in case.name:
            value = str(number % case.recipients)
        elif "country" in case.name:
            value = str(number % 2)
        by_value.setdefault(value, []).append((int(at), int(parts)))
    most = reached = 0.0
    for seen in by_value.values():
        seen.sort()
        most = max(most, _most(seen, case.window_ms) / case.units)
        took_ms = seen[-1][0] - seen[0][0]
        # What came with the first is where the measured time begins, so it is not in it.
        units = sum(units for at_ms, units in seen if at_ms > seen[0][0] + _LATENCY_MS)
        reached += units / (case.units * took_ms / case.window_ms) / len(by_value)
    assert all(
        first[0] <= later[0] for seen in by_value.values() for first, later in pairwise(seen)
    )
    return Outcome(reached, most)


def _most(seen: list[tuple[int, int]], window_ms: int) -> int:
    most = inside = first = 0
    for at_ms, units in seen:
        inside += units
        while seen[first][0] <= at_ms - window_ms:
            inside -= seen[first][1]
            first += 1
        most = max(most, inside)
    return most


def main() -> None:
    """Runs all cases; exits with 1 if a limit was passed, or 99 % of it not reached."""
    bad = False
    print(f"{'limit':34} {'rate reached':>13} {'most in a window':>17}")
    for case in CASES:
        with tempfile.TemporaryDirectory() as directory:
            outcome = run(case, Path(directory))
        # A restart counts what was in flight as of then, so each costs a little.
        wrong = outcome.most > 1 or outcome.reached < (0.99 if not case.kills else 0.9)
        bad |= wrong
        print(f"{case.name:34} {outcome.reached:12.2%} {outcome.most:16.2%}{' !' * wrong}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

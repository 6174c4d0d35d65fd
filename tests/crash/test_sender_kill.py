"""A sender is killed with SIGKILL again and again, at random points of its work.

The child process is a real `SenderCore` with its ledger, a sandbox carrier that logs what it is
given, and a file in place of the shards. It kills itself at the k-th of the points at which a crash
could hurt (before and after a sync, inside a submit, before and after a receipt is journaled). Each
new child gets all unsettled messages again, as a host would offer them.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest

from actors.carriers.base import CarrierMessage, SubmitResult
from actors.carriers.sandbox import SandboxCarrier
from actors.clock import SystemClock
from actors.senders.sender import SenderCore
from actors.store.ledger import Ledger, LedgerWork
from engine.commands import Command
from engine.reasons import Reason

MESSAGES = 1_200
RATE = 400
KILLS = 20


class Doom:
    """Ends this process at the k-th dangerous point."""

    def __init__(self, at: int) -> None:
        self.left = at

    def point(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def lay_traps(doom: Doom) -> None:
    write, submit = Ledger.write, SandboxCarrier.submit

    def trapped_write(self: Ledger, work: LedgerWork, now_ms: int) -> None:
        doom.point()
        write(self, work, now_ms)
        doom.point()

    async def trapped_submit(
        self: SandboxCarrier, batch: Sequence[CarrierMessage]
    ) -> list[SubmitResult]:
        doom.point()
        results = await submit(self, batch)
        doom.point()
        return results

    Ledger.write = trapped_write  # type: ignore[method-assign]
    SandboxCarrier.submit = trapped_submit  # type: ignore[method-assign]


async def child(directory: Path, doom: Doom, lane: dict[str, Any]) -> None:
    """Sends all that is unsettled, until everything is settled or the end comes."""
    clock, done = SystemClock(), asyncio.Event()
    unsettled = {message[0]: message for message in all_messages()}
    for name, settle, _ in receipts(directory):
        if settle:
            unsettled.pop(name, None)
    log = os.open(directory / "receipts", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def report(shard: int, commands: Sequence[Command], size: int) -> bytes:
        doom.point()
        lines = "".join(f"{c[2]}\t{int(c[5])}\t{int(c[3])}\n" for c in commands)
        os.write(log, lines.encode())
        doom.point()
        for command in commands:
            if command[5]:
                unsettled.pop(command[2], None)
        if not unsettled:
            done.set()
        return bytes(len(commands))

    core = await SenderCore.open("sender-sms-1", directory, clock, report, 1)
    await core.configure("w", 1, msgpack.packb({"main": lane}))
    waiting = list(unsettled.values())
    while waiting:
        part, waiting = waiting[:100], waiting[100:]
        for message in part:
            message[9] = clock.now_ms() + 3_600_000
        batch = [[0, 1, clock.now_ms(), part, {"w": 1}]]
        _, [[code, admissions, _]] = msgpack.unpackb(await core.offer(msgpack.packb(batch)))
        assert code == "ok"
        assert set(admissions) <= {Reason.QUEUED, Reason.DUPLICATE}
    if unsettled:
        await done.wait()
    doom.left = -1
    assert await core.drain(20)
    await core.close()


def all_messages() -> list[list[Any]]:
    return [
        [f"{n:032x}", f"w/user/u{n}", "w", "main", "sms", f"+1202555{n:04d}", "marketing",
         "hi" * (1 + n % 3 * 50), "", 0, False, 0]
        for n in range(MESSAGES)
    ]  # fmt: skip


def receipts(directory: Path) -> list[tuple[str, bool, int]]:
    path = directory / "receipts"
    if not path.exists():
        return []
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [(name, settle == "1", int(reason)) for name, settle, reason in lines]


def most_in_any_window(seen: list[tuple[int, int]], window_ms: int) -> int:
    seen = sorted(seen)
    most = inside = first = 0
    for at, units in seen:
        inside += units
        while seen[first][0] <= at - window_ms:
            inside -= seen[first][1]
            first += 1
        most = max(most, inside)
    return most


def spawn(directory: Path, die_at: int) -> int:
    command = [sys.executable, __file__, str(directory), str(die_at)]
    return subprocess.run(
        command, cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONPATH": "."},
        timeout=120, check=False,
    ).returncode  # fmt: skip


@pytest.mark.timeout(280)
def test_no_id_is_given_away_twice_and_no_limit_passed_whenever_it_is_killed(
    tmp_path: Path,
) -> None:
    seed = int(os.environ.get("DENREI_TEST_SEED", "0")) or random.SystemRandom().randrange(1 << 31)
    print(f"DENREI_TEST_SEED={seed}")
    dice = random.Random(seed)
    kills = 0
    while kills < KILLS:
        code = spawn(tmp_path, dice.choice([dice.randint(1, 12), dice.randint(1, 60)]))
        assert code in {0, -signal.SIGKILL}
        if code == 0:
            break
        kills += 1
    assert spawn(tmp_path, 0) == 0
    assert kills >= 5, "too few kills to prove anything"

    rows = [
        line.split("\t") for line in (tmp_path / "sandbox" / "carrier").read_text().splitlines()
    ]
    given = [row[0] for row in rows]
    assert len(given) == len(set(given)), "an id was given to the carrier twice"
    words: dict[str, set[int]] = defaultdict(set)
    for name, settle, reason in receipts(tmp_path):
        if settle:
            words[name].add(reason)
    assert set(words) == {message[0] for message in all_messages()}
    assert all(len(reasons) == 1 for reasons in words.values()), "two different last words"
    sent = {name for name, reasons in words.items() if reasons == {Reason.SENT}}
    unknown = {name for name, reasons in words.items() if reasons == {Reason.UNKNOWN_OUTCOME}}
    assert sent | unknown == set(words)
    assert sent <= set(given) <= sent | unknown
    print(f"{kills} kills, {len(sent)} sent, {len(unknown)} unknown")
    seen = [(int(at), int(units)) for _, _, at, units, _, _ in rows]
    assert most_in_any_window(seen, 1_000) <= RATE


if __name__ == "__main__":
    where = Path(sys.argv[1])
    fate = Doom(int(sys.argv[2]))
    lay_traps(fate)
    asyncio.run(
        child(
            where,
            fate,
            {
                "lane": "main",
                "channel": "sms",
                "carrier": "sandbox",
                "limits": [{"rate": f"{RATE}/s"}],
                "options": {"log": "carrier", "latency_ms": [0, 4]},
            },
        )
    )

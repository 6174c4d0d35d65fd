"""The past, read by a real process beside a host of this one, on real stores."""

import asyncio
import contextlib
import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import psutil
import pytest

from actors import checkpoint_pace, past_main
from actors.host import Host
from actors.past_main import Pace
from actors.past_process import PastProcess
from actors.past_reading import Wanted
from actors.store.archive import ArchivePolicy
from actors.store.errors import StoreError
from engine import commands, limits
from engine.commands import Command
from engine.computed.retelling import New, Version
from engine.errors import Unavailable
from engine.reasons import Reason
from tests.support import local_engine
from tests.support.local_engine import LocalEngine

PEOPLE = 20
DEFINITIONS = """
trait: revenue
compute: {sum: {event: Order Completed, property: total}}
---
segment: buyers
when: {event: Order Completed, at_least: 3}
---
segment: rich
when: {trait: revenue, at_least: 16}
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hosts with the real reader, and checkpoints that never rest."""
    monkeypatch.setattr(checkpoint_pace, "ROUND_S", 0.02)
    monkeypatch.setattr(checkpoint_pace, "_WAKE_S", 0.0)
    monkeypatch.setattr(limits, "REFRESH_PAUSE_S", 0.005)
    monkeypatch.setattr(limits, "FILL_ENTRIES_HERE", 0)
    monkeypatch.setattr(limits, "FILL_AGAIN_S", 0.01)
    monkeypatch.setattr(limits, "FILL_LONGEST_S", 0.01)
    past = functools.partial(PastProcess, tmp_path)
    monkeypatch.setattr(local_engine, "Host", functools.partial(Host, past=past))


def engine_of(directory: Path) -> LocalEngine:
    engine = LocalEngine(directory, shards=2)
    engine.store.policy = ArchivePolicy(file_entries=3)
    return engine


async def four_orders_each(engine: LocalEngine) -> None:
    """The same whenever it is called."""
    for at in range(4):
        batch: list[Command] = [
            commands.event(
                f"default/user/u{n}", f"m{at}-{n}", commands.TRACK, "Order Completed", 1,
                msgpack.packb({"total": 4}),
            )
            for n in range(PEOPLE)
        ]  # fmt: skip
        assert set(await engine.submit(batch)) <= {Reason.ACCEPTED, Reason.DUPLICATE}


async def archived(engine: LocalEngine) -> None:
    while not sum(
        [await runner.archive() for h in engine.hosts.values() for runner in h.runners.values()]
    ):
        await four_orders_each(engine)


async def told(engine: LocalEngine) -> list[dict[str, object]]:
    await asyncio.sleep(0.02)  # others are to work, too
    args = {"workspace": "default", "segment": "rich"}
    return await engine.router.broadcast("segment", args)


async def until_filled(engine: LocalEngine) -> None:
    while not all(one["filled"] and not one["error"] for one in await told(engine)):
        pass


async def everybody_has_their_past(engine: LocalEngine) -> None:
    for n in range(PEOPLE):
        person = await engine.query("profile", f"default/user/u{n}", workspace="default")
        assert person["traits"]["revenue"] == 16, n
        assert {"rich", "buyers"} <= set(person["segments"])


class Machine:
    """Time, and what of a machine's processors a reader takes and leaves; see `machine`."""

    def __init__(self) -> None:
        self.now_s = self.cpu_s = self.idle_s = 0.0
        self.left = 0.0  # processors that nobody uses
        self.slept: list[float] = []

    def works(self, pace: Pace, own_s: float, waits_s: float) -> None:
        """The reader does a piece of work, on a processor of those that are left, and may rest."""
        self.cpu_s += own_s
        self._pass(own_s + waits_s)
        self.idle_s -= own_s
        pace.rest()

    def sleep(self, rest_s: float) -> None:
        """Stands for `time.sleep`."""
        self.slept.append(rest_s)
        self._pass(rest_s)

    def _pass(self, seconds: float) -> None:
        self.now_s += seconds
        self.idle_s += seconds * self.left


def readers() -> list[psutil.Process]:
    """The readers that this process has started, and that have stood back."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if "actors.past_main" in child.cmdline() and child.nice() > 0:
                found.append(child)
    return found


async def test_everybody_gets_their_past_and_no_reader_is_left(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    async with engine:
        await four_orders_each(engine)
        await archived(engine)
        await engine.apply(DEFINITIONS)
        await until_filled(engine)
        await everybody_has_their_past(engine)
        assert all(one["read"] == 1 for one in await told(engine))
    assert not engine.failures
    assert not readers()


async def test_a_reader_stands_back_and_is_replaced_when_it_is_killed(tmp_path: Path) -> None:
    engine, killed = engine_of(tmp_path), 0
    async with engine:
        await four_orders_each(engine)
        await engine.apply(DEFINITIONS)
        while killed < 2:
            for reader in readers():
                with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):  # it has ended
                    # Where the kernel weighs sessions against each other before it asks for
                    # priorities (autogroups), a session of its own would undo the low priority.
                    assert os.getsid(reader.pid) == os.getsid(0)
                    reader.kill()
                    killed += 1
            await told(engine)
        while not any("ended with -9" in str(one["error"]) for one in await told(engine)):
            pass
        await until_filled(engine)
        await everybody_has_their_past(engine)
    assert not engine.failures


async def test_a_filling_that_is_held_stands_still_until_it_is_let_go(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    async with engine:
        await four_orders_each(engine)
        (host,) = engine.hosts.values()
        host.hold_filling(True)
        await engine.apply(DEFINITIONS)
        while not (found := readers()):
            await told(engine)
        reader = found[0]
        while reader.status() != psutil.STATUS_STOPPED:
            await told(engine)
        spent_s = reader.cpu_times().user
        for _ in range(50):
            assert not any(one["filled"] for one in await told(engine))
        assert reader.cpu_times().user == spent_s
        host.hold_filling(False)
        await until_filled(engine)
        await everybody_has_their_past(engine)
    assert not engine.failures


async def test_a_host_takes_a_reader_along_that_it_holds(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    async with engine:
        await four_orders_each(engine)
        await engine.apply(DEFINITIONS)
        while not readers():
            await told(engine)
        (host,) = engine.hosts.values()
        host.hold_filling(True)
        await engine.crash_host()
        assert not readers()


async def test_a_damaged_archive_is_told_in_words_and_tried_again(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    async with engine:
        await four_orders_each(engine)
        await archived(engine)
        good = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.zst"))}
        for path, data in good.items():
            path.write_bytes(data[:-20])
        await engine.apply(DEFINITIONS)
        while not any("cannot be decompressed" in str(one["error"]) for one in await told(engine)):
            pass
        for path, data in good.items():
            path.write_bytes(data)
        await until_filled(engine)
        await everybody_has_their_past(engine)
    assert not engine.failures


async def test_a_host_that_stops_takes_its_reader_along(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    async with engine:
        await four_orders_each(engine)
        await engine.apply(DEFINITIONS)
        while not readers():
            await told(engine)
        await engine.crash_host()
        assert not readers()
        await engine.start_host()
        await until_filled(engine)
        await everybody_has_their_past(engine)
    assert not engine.failures


def some_wanted() -> Wanted:
    since = Version(2, 9, b"\x90")
    news = New(
        since, {"revenue": {"sum": {"event": "Paid", "property": "total"}}}, {"revenue": "x"}
    )
    return Wanted("w", ("a", "b"), (news,), (Version(1, 1, b"\x90"), since), (0, 2), 7, 11, b"s")


def test_what_is_wanted_survives_the_way_to_a_process() -> None:
    wanted = some_wanted()
    assert Wanted.unpack(wanted.pack()) == wanted
    assert wanted.readings == 2


def test_a_store_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no store"):
        list(PastProcess(tmp_path / "no", 0).found(some_wanted(), print))


def test_a_reader_that_was_stopped_before_it_began_reads_nothing(tmp_path: Path) -> None:
    reader = PastProcess(tmp_path, 0)
    reader.stop()
    with pytest.raises(Unavailable, match="closing"):
        list(reader.found(some_wanted(), print))
    assert not readers()


HOST = """
import select, subprocess, sys
reader = subprocess.Popen(
    [sys.executable, "-m", "actors.past_main", sys.argv[1], "0"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)
if len(sys.argv) > 2:
    reader.stdin.write(open(sys.argv[2], "rb").read())
    reader.stdin.close()
    select.select([reader.stdout], [], [])
print(reader.pid, flush=True)
sys.stdin.read()
"""


def orphan_of(*args: str) -> psutil.Process:
    """A reader whose host was killed (-9)."""
    with subprocess.Popen(
        [sys.executable, "-c", HOST, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as host:
        assert host.stdout is not None
        reader = psutil.Process(int(host.stdout.readline()))
        host.kill()
    return reader


def test_a_reader_does_not_outlive_a_host_that_never_asked(tmp_path: Path) -> None:
    orphan_of(str(tmp_path)).wait(timeout=60)


async def test_a_reader_does_not_outlive_a_host_that_does_not_listen_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has more to say than the pipe holds, so it is in the middle of it when its host dies."""
    asked: list[Wanted] = []

    def found(self: PastProcess, wanted: Wanted, told: object) -> Iterator[Command]:
        asked.append(wanted)
        yield from ()

    monkeypatch.setattr(PastProcess, "found", found)
    engine = LocalEngine(tmp_path, shards=1)
    async with engine:
        people = [f"default/user/{'long' * 20}{n}" for n in range(2_000)]
        assert await engine.submit(
            [commands.event(each, "m", commands.TRACK, "Order Completed", 1) for each in people]
        )
        await engine.apply("segment: buyers\nwhen: {event: Order Completed, at_least: 1}")
        while not asked:
            await told(engine)
        file = tmp_path / "wanted"
        file.write_bytes(asked[0].pack())
        orphan = await asyncio.to_thread(orphan_of, str(tmp_path), str(file))
        await asyncio.to_thread(orphan.wait, 60)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which a reader works and rests; it takes no time."""
    machine = Machine()
    monkeypatch.setattr(time, "perf_counter", lambda: machine.now_s)
    monkeypatch.setattr(time, "thread_time", lambda: machine.cpu_s)
    monkeypatch.setattr(time, "sleep", machine.sleep)
    monkeypatch.setattr(past_main, "idle_s", lambda: machine.idle_s)
    return machine


def test_a_reader_rests_when_it_had_to_wait(machine: Machine) -> None:
    machine.left = 1.0
    pace = Pace()
    for _ in range(10):  # until it has looked often enough
        machine.works(pace, 0.3, waits_s=0.0)
    machine.slept.clear()
    for took_s, own_s in ((0.001, 0.001), (0.1, 0.1), (0.11, 0.1), (0.5, 0.1)):
        machine.works(pace, own_s, waits_s=took_s - own_s)
    assert sum(machine.slept) == pytest.approx(0.05 + 0.4)


@pytest.mark.parametrize(
    ("left", "taken"),
    [(1.0, 1.0), (0.8, 0.1), (0.4, 0.05), (0.24, 0.03), (0.0, 0.03)],
)
def test_a_reader_takes_a_small_part_of_what_is_left(
    machine: Machine, left: float, taken: float
) -> None:
    machine.left = left
    pace = Pace(least=0.03)
    for _ in range(20):
        machine.works(pace, 0.3, waits_s=0.0)
    cpu_s, now_s = machine.cpu_s, machine.now_s
    for _ in range(100):
        machine.works(pace, 0.002, waits_s=0.0)
    assert (machine.cpu_s - cpu_s) / (machine.now_s - now_s) == pytest.approx(taken, rel=0.01)


def test_what_the_machine_has_left_is_read_from_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stat = tmp_path / "stat"
    monkeypatch.setattr(past_main, "_STAT", str(stat))
    hertz = os.sysconf("SC_CLK_TCK")
    stat.write_text(f"cpu  11 22 33 {5 * hertz} {2 * hertz} 44 55 66 0 0\ncpu0 1 2 3 4 5 6 7\n")
    assert past_main.idle_s() == 7.0


def test_a_reader_that_has_done_much_at_once_goes_on_when_there_is_room(machine: Machine) -> None:
    machine.left = 8.0
    machine.works(Pace(least=0.03), 0.5, waits_s=0.0)
    assert sum(machine.slept) < 5.0, "it asked again before the rest was over"


@pytest.mark.parametrize("text", [None, "", "cpu  0 0 0 0 0 0 0 0 0 0\n"])
def test_where_the_system_does_not_tell_there_is_plenty(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None
) -> None:
    stat = tmp_path / "stat"
    monkeypatch.setattr(past_main, "_STAT", str(stat))
    if text is not None:
        stat.write_text(text)
    before, began_s = past_main.idle_s(), time.perf_counter()
    while (passed_s := time.perf_counter() - began_s) <= 0:
        pass
    assert past_main.share((past_main.idle_s() - before) / passed_s, least=0.1) == 1.0

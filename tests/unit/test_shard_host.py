"""A host's process whose start fails: it keeps no lock, and tells why until that is mended."""

import asyncio
from pathlib import Path
from typing import Any

import msgpack
import pytest

from actors import host_protocol
from actors.directory import QUERY
from actors.settings import Settings
from actors.shard_host import ShardHostProcess
from actors.store.directory import SqliteStore
from actors.wire import Wire, socket_path
from engine import limits
from engine.shard import Shard
from tests.unit.store_helpers import create


def process(store: Path, class_: type[ShardHostProcess] = ShardHostProcess) -> ShardHostProcess:
    return class_(0, Settings(store=store, hosts=1, shards=2).plain(2))


class Unrecoverable(Shard):
    def recover(self, *args: Any) -> None:
        if self.index == 1:
            raise RuntimeError("shard 1 can't be recovered")
        super().recover(*args)


class UnrecoverableHost(ShardHostProcess):
    make_shard = Unrecoverable


@pytest.mark.parametrize("fails", ["open", "recover"])
def test_a_start_that_failed_leaves_no_lock_and_says_the_same_again(
    tmp_path: Path, fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REOPEN_S", 0.0)
    monkeypatch.setattr(limits, "TAKE_OVER_S", 0.0)
    store = create(tmp_path)
    words = "shard 1 can't be recovered"
    if fails == "open":
        (tmp_path / "shard-001.db").unlink()
        words = "shard-001.db"

    async def main() -> None:
        host = process(tmp_path, ShardHostProcess if fails == "open" else UnrecoverableHost)
        for _ in range(2):  # the second would be StoreLocked, by this process itself
            failure, _ = await host.start()
            assert words in failure
            assert "is held by" not in failure
            assert asyncio.all_tasks() == {asyncio.current_task()}
        with pytest.raises(RuntimeError, match=words):
            await host.submit(b"")
        store.open_shard(0, 0).close()

    asyncio.run(main())


def test_attempts_are_apart(tmp_path: Path) -> None:
    create(tmp_path)
    (tmp_path / "shard-001.db").unlink()

    async def main() -> None:
        host = process(tmp_path)
        epochs = []
        for _ in range(3):
            assert "shard-001.db" in (await host.start())[0]
            shard = SqliteStore.open(tmp_path).open_shard(0, 0)
            epochs.append(shard.epoch)
            shard.close()
        assert epochs == [2, 3, 4]  # this test's own; the host has opened it once

    asyncio.run(main())


def test_it_is_called_by_wire_while_it_serves(tmp_path: Path) -> None:
    create(tmp_path)
    path = socket_path(str(tmp_path), "shard-host-0")
    assert path is not None

    async def main() -> None:
        host, wire = process(tmp_path), Wire(path)
        assert not await wire.open()
        assert (await host.start())[0] == ""
        assert await wire.open()
        question = msgpack.packb([1, "status", {}])
        code, answer = msgpack.unpackb(await wire.call(QUERY, question, 10))
        assert (code, answer["shard"]) == (host_protocol.OK, 1)
        await host.stop()
        with pytest.raises(ConnectionError):
            await wire.call(QUERY, question, 10)
        assert not path.exists()
        assert not await wire.open()

    asyncio.run(main())

"""Who runs an instance on a store: how `down` and clients find it.

The process that runs an instance holds a lock on `denrei.pid` in the store for as long as it
lives. So the id in that file is that of the instance if, and only if, the lock is held: an id that
the system gave to another process meanwhile is never mistaken for it. `running.json` beside it
says where the instance serves.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from actors.store.connection import write_atomically
from actors.store.errors import StoreLocked
from actors.store.lock import FileLock
from gateway.cli.errors import CliError

# `actors.instance` names the same files; that module needs Ray, and `down` does not.
PID_FILE: Final = "denrei.pid"
RAY_TOKEN_FILE: Final = "ray.token"
RUNNING_FILE: Final = "running.json"
KEY_FILE: Final = "dev.key"


@dataclass(frozen=True, slots=True)
class Running:
    """An instance that serves.

    Attributes:
        pid: The process that runs it.
        address: Where its gateway listens, `host:port`.
        dashboard: The address of Ray's dashboard, or empty.
        store: The directory of its store.
        key_file: Where the development key lies, or empty.
        clock: Its clock's setting.
        tls: Whether its gateway speaks TLS.
        http: Where carriers reach it, `https://…`; see docs/operations.md.
    """

    pid: int
    address: str
    dashboard: str
    store: str
    key_file: str
    clock: str
    tls: bool
    http: str = ""


class Owner:
    """The claim of this process to run the instance of a store.

    Args:
        store: The store's directory; made if it is missing.

    Raises:
        CliError: Another process runs an instance on it.
    """

    def __init__(self, store: Path) -> None:
        store.mkdir(parents=True, exist_ok=True)
        self._store = store
        try:
            self._lock = FileLock.acquire(store / PID_FILE, 0.0)
        except StoreLocked:
            raise CliError(
                f"process {_pid(store)} runs an instance on {store} already",
                f"stop it with `denrei down --store {store}`, or choose another --store",
            ) from None

    def serves(self, running: Running) -> None:
        """Tells clients where the instance serves."""
        write_atomically(self._store / RUNNING_FILE, (json.dumps(asdict(running)) + "\n").encode())

    def release(self) -> None:
        """Gives the claim back."""
        (self._store / RUNNING_FILE).unlink(missing_ok=True)
        self._lock.release()


def owner_pid(store: Path) -> int:
    """The process that runs an instance on a store; 0 if there is none."""
    path = store / PID_FILE
    if not path.exists():
        return 0
    lock = FileLock.share(path)
    if lock is None:
        return _pid(store)
    lock.release()
    return 0


def running(store: Path) -> Running | None:
    """The instance that serves on a store; None if there is none, or none yet."""
    pid = owner_pid(store)
    try:
        found = Running(**json.loads((store / RUNNING_FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return found if pid and found.pid == pid else None


def _pid(store: Path) -> int:
    try:
        return int((store / PID_FILE).read_text().split()[0])
    except (ValueError, IndexError):
        return 0

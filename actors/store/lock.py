"""The lock that makes one process the owner of a file for as long as it lives.

flock belongs to the open file, and the kernel drops it when the last process that holds it dies,
however it dies; a frozen process keeps it. So there is never a moment with two owners on one
machine. (Not on NFS: a store belongs on a local disk.) The lock file is never removed: whoever
locked a removed file would own nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from actors.store.errors import StoreLocked

_POLL_S: Final = 0.02


class FileLock:
    """An exclusive lock on a file beside the one it guards, held until `release` or death."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path, wait_s: float) -> FileLock:
        """Takes the lock and writes this process's id into the file.

        Args:
            path: The lock file; made if it is missing.
            wait_s: How long to wait for a holder to die. 0 tries once.

        Raises:
            StoreLocked: It is still held; the words name the holder's process id.
        """
        deadline = time.monotonic() + wait_s
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if _try_lock(descriptor, fcntl.LOCK_EX):
                if _same_file(path, descriptor):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                    return cls(path, descriptor)
            elif time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise StoreLocked(
                    f"{path} is held by process {holder or 'unknown'} after {wait_s:g} s",
                    "Stop that process (or wait for it to end), then start again",
                )
            os.close(descriptor)
            time.sleep(_POLL_S)

    @classmethod
    def share(cls, path: Path) -> FileLock | None:
        """Keeps an owner out for the moment of a read, or returns None if there is one."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if _try_lock(descriptor, fcntl.LOCK_SH):
            return cls(path, descriptor)
        os.close(descriptor)
        return None

    def release(self) -> None:
        """Gives the lock back; does nothing the second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False

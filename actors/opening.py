"""Opening what an actor serves from: once, and again some time after a failure.

An actor whose store or ledger can't be opened stays alive and says why: to end its process would be
a loop of restarts that nobody sees. What was wrong may be mended while it waits.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from engine import limits

logger = logging.getLogger(__name__)

Opened = TypeVar("Opened")


class Opening(Generic[Opened]):
    """What is opened by whoever asks for it first; all others wait for that.

    Args:
        name: The actor's name.
        open_: Opens it; raises if that can't be done, and has let go of everything then.

    Attributes:
        now: What was opened; None before, and after `stop`.
    """

    def __init__(self, name: str, open_: Callable[[], Awaitable[Opened]]) -> None:
        self.now: Opened | None = None
        self._name = name
        self._open = open_
        self._error = ""
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._again_s = 0.0

    async def get(self) -> Opened:
        """What was opened.

        Raises:
            RuntimeError: It can't be opened, or was stopped; the text says which and why.
        """
        loop = asyncio.get_running_loop()
        if self._task is None and not self._stopped and loop.time() >= self._again_s:
            self._task = loop.create_task(self._try())
        if self._task is not None:
            await asyncio.shield(self._task)
        if self.now is None:
            msg = f"{self._name} does not serve: {self._error or 'it was stopped'}"
            raise RuntimeError(msg)
        return self.now

    async def start(self) -> tuple[str, int]:
        """Opens it, or waits for whoever does.

        Returns:
            An empty text or why it can't serve; and the process, for operators and tests.
        """
        if self._stopped:
            return "it was stopped", os.getpid()
        with contextlib.suppress(RuntimeError):
            await self.get()
        return self._error, os.getpid()

    async def stop(self) -> Opened | None:
        """Gives what was opened, or is just being opened, to be closed; opens nothing any more."""
        self._stopped = True
        if self._task is not None:
            await asyncio.shield(self._task)
        opened, self.now = self.now, None
        return opened

    async def _try(self) -> None:
        try:
            opened = await self._open()
        except Exception as error:
            logger.exception("%s can't be opened", self._name)
            self._error = f"{type(error).__name__}: {error}"
            self._again_s = asyncio.get_running_loop().time() + limits.REOPEN_S
            self._task = None  # a later call tries again
            return
        self._error = ""
        self.now = opened

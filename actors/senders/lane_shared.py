"""What all lanes of a sender use."""

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from actors.carriers.base import Inbound
from actors.carriers.registry import CarrierSetup, LaneMemory
from actors.clock import Clock
from actors.codes import Codes
from actors.mail.tokens import MAIL_KEY
from actors.senders.book import MessageBook
from actors.senders.ledger_writer import LedgerWriter
from actors.senders.screen import Screen
from actors.store.address_hash import AddressHash
from actors.store.ledger_draws import PERSONAL
from engine.lanes.definition import Lane
from engine.lanes.limit_values import Values
from engine.lanes.meters import Meters
from engine.lanes.queue import QueuedMessage
from engine.lanes.turns import Turns


class Shared:
    """What all lanes of a sender use.

    Attributes:
        meters: What lanes draw on together.
        hash: Hashes addresses as the ledger has them.
    """

    __slots__ = (
        "_allow", "_directory", "_memories", "_turns", "_values", "batches", "book",
        "callback_url", "clock", "codes", "fail", "hash", "inbound", "meters", "screen",
        "secrets", "seed", "writer",
    )  # fmt: skip

    def __init__(
        self,
        clock: Clock,
        writer: LedgerWriter,
        book: MessageBook,
        screen: Screen,
        seed: int,
        first_batch: int,
        fail: Callable[[BaseException], object],
        inbound: Callable[[str, Lane, Sequence[Inbound]], Awaitable[None]],
        callback_url: str = "",
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        codes: Codes | None = None,
        meters: Meters | None = None,
        hash_: AddressHash | None = None,
        allow: Sequence[str] = (),
        directory: Path | None = None,
    ) -> None:
        self.clock = clock
        self.writer = writer
        self.book = book
        self.screen = screen
        self.seed = seed
        self.batches = itertools.count(first_batch)
        self.fail = fail
        self.inbound = inbound
        self.callback_url = callback_url
        self.secrets = secrets or {}
        self.codes = codes
        self._allow = allow
        self._directory = directory
        self.meters = meters if meters is not None else Meters()
        self.hash = hash_ or AddressHash(b"", b"")
        self._values = Values()
        self._turns: dict[str, Turns] = {}
        self._memories: dict[str, LaneMemory] = {}  # one a lane

    def setup(self, key: str, lane: Lane) -> CarrierSetup:
        """What a lane's adapter is made from."""
        url = f"{self.callback_url}/v1/carriers/{key}/" if self.callback_url else ""
        secrets = self.secrets.get(key.partition("/")[0], {})
        mail_key = self.codes.derive(MAIL_KEY) if self.codes is not None else b""
        memory = self._memories.get(key)
        if memory is None:
            memory = self._memories[key] = LaneMemory(self.book.take_in_parts(key))
        return CarrierSetup(
            lane, key, self.clock, self.seed, url, secrets, mail_key, self._allow,
            self._directory, memory,
        )  # fmt: skip

    def value_of(self, message: QueuedMessage, per: str, sender: str) -> str:
        """By what a message counts in a limit: see `Values.of`. What names somebody is a hash."""
        value = self._values.of(message, per, sender)
        return self.hash.of(value) if per in PERSONAL else value

    def turns(self, account: str) -> Turns:
        """Whose turn it is among the lanes of an account."""
        return self._turns.setdefault(account, Turns())

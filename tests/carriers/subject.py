"""What an adapter brings to the conformance suite: itself, and a peer that does as it is told.

An adapter joins the suite with one file beside this one, `subject_<carrier>.py`, which holds a
`Subject` and decorates it with `subject`. The suite finds it there; a carrier of the registry
without one fails it.
"""

import asyncio
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, ClassVar, Self

from actors.carriers import registry
from actors.carriers.base import (
    Carrier,
    CarrierMessage,
    CarrierReceipt,
    Inbound,
    Outcome,
    SubmitResult,
)
from actors.clock import Clock, SystemClock
from engine.lanes.definition import Lane, lane_from
from tests import carriers
from tests.support.peers import LOOPBACK

WAIT_S = 60.0
SENDER = "+12025550100"
ODD_ADDRESSES = (
    "", " ", "\0", "+", "+1", "+" + "9" * 40, "00441632960000", "+1202555\u0661234", "Ann", "{{x}}",
    "a@b.example\r\nRCPT TO:<eve@example.org>", "\ud800", "😀" * 200, "a" * 5_000, "{}",
    "[" * 50_000, "=?utf-8?b?DQpCY2M6IGVAZS5vcmc=?=@example.org", "é@example.org",
    "ann@" + "a" * 64 + ".example",
)  # fmt: skip


class Fate(Enum):
    """What a peer can be told to do with a message."""

    TAKEN = "taken"  # and never heard of again
    DELIVERED = "delivered"  # taken, and then told to have arrived
    UNDELIVERED = "undelivered"  # taken, and then told not to have arrived
    TWICE = "twice"  # taken, and told twice to have arrived
    REJECTED = "rejected"  # for good
    FAILED = "failed"  # for now
    THROTTLED = "throttled"  # with the wish for less traffic
    LOST = "lost"  # the peer has the request and never answers it


OUTCOMES = {
    Fate.TAKEN: Outcome.ACCEPTED,
    Fate.DELIVERED: Outcome.ACCEPTED,
    Fate.UNDELIVERED: Outcome.ACCEPTED,
    Fate.TWICE: Outcome.ACCEPTED,
    Fate.REJECTED: Outcome.REJECTED,
    Fate.FAILED: Outcome.FAILED,
    Fate.THROTTLED: Outcome.THROTTLED,
    Fate.LOST: Outcome.UNKNOWN,
}


class Subject:
    """An adapter and its peer; a subclass says how. One is made for each test.

    Attributes:
        carrier: The adapter's name in the registry.
        channel: The channel of the lane it is tested in.
        fates: What its peer can be told to do.
        sender: The lane's sender.
        body: The body of messages whose text does not matter.
        mixes: Whether messages of several fates can stand in one batch.
        confirms: Whether the carrier is told that a receipt was taken, so that one which was not
            comes again. `confirmed` then counts what the peer has heard.
    """

    carrier: ClassVar[str]
    channel: ClassVar[str] = "sms"
    fates: ClassVar[frozenset[Fate]] = frozenset(Fate)
    sender: ClassVar[str] = SENDER
    body: ClassVar[str] = "hello"
    mixes: ClassVar[bool] = True
    confirms: ClassVar[bool] = False

    async def open(self) -> None:
        """Starts the peer, or skips the test with the reason why it cannot be had here."""

    async def close(self) -> None:
        """Ends the peer."""

    def options(self) -> dict[str, Any]:
        """The options of the lane, for the peer that runs."""
        return {}

    def setup(self, lane: Lane) -> registry.CarrierSetup:
        """What the adapter is made from, with whatever else it needs."""
        return registry.CarrierSetup(lane, "w/main", self.clock, seed=7, allow=LOOPBACK)

    def made(self, carrier: Carrier) -> None:
        """Is told of the adapter, for peers that call it back."""

    def unreachable(self) -> dict[str, Any]:
        """Options that lead to nobody, of an adapter that has to reach somebody."""
        raise NotImplementedError

    def message(self, number: int, fate: Fate) -> CarrierMessage:
        """A message, the peer having been told what to do with it.

        The simple way is an address that stands for a fate: overwrite `address`.
        """
        return CarrierMessage(
            f"{number:032x}", self.channel, self.sender, self.address(number, fate), "", self.body,
            1, 0, "transactional", self.clock.now_ms() + 3_600_000, "", None, f"w/user/u{number}",
        )  # fmt: skip

    def address(self, number: int, fate: Fate) -> str:
        """An address of a recipient that stands for a fate."""
        return f"+1202555{list(Fate).index(fate)}{number % 1_000:03d}"

    def odd_addresses(self) -> list[str]:
        """Addresses that nobody should have and some have all the same."""
        return list(ODD_ADDRESSES)

    def confirmed(self) -> int:
        """How many receipts the peer was told to have been taken."""
        raise NotImplementedError

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()


class Running:
    """An adapter in a lane, beside its peer; what it told.

    Attributes:
        receipts: What it delivered.
        inbound: What people sent.
        gate: Receipts are journaled while it is set; it is, at first.
        waiting: How many receipts wait at the gate.
    """

    def __init__(self, subject: Subject, options: dict[str, Any] | None = None) -> None:
        self.subject = subject
        self.receipts: list[CarrierReceipt] = []
        self.inbound: list[Inbound] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.carrier: Carrier
        self._options = options
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        options = self.subject.options() if self._options is None else self._options
        lane = lane_of(self.subject, options)
        self.carrier = registry.make(self.subject.setup(lane))
        self.subject.made(self.carrier)
        await self.carrier.start(self._deliver, self._inbound)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.carrier.stop()

    async def submit(self, messages: Sequence[CarrierMessage]) -> list[SubmitResult]:
        async with asyncio.timeout(WAIT_S):
            return await self.carrier.submit(messages)

    async def until(self, done: Callable[[], bool]) -> None:
        """Waits until something is true, asked after whatever the adapter tells."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(done)

    def told(self, reference: CarrierMessage, result: SubmitResult) -> list[CarrierReceipt]:
        """The receipts that name a message."""
        return [
            each
            for each in self.receipts
            if (each.provider_id and each.provider_id == result.provider_id)
            or each.reference == reference.id
        ]

    async def _deliver(self, receipts: Sequence[CarrierReceipt]) -> None:
        self.waiting += len(receipts)
        await self._tell()
        await self.gate.wait()
        self.waiting -= len(receipts)
        self.receipts += receipts
        await self._tell()

    async def _inbound(self, messages: Sequence[Inbound]) -> None:
        self.inbound += messages
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def lane_of(subject: Subject, options: dict[str, Any]) -> Lane:
    """The lane that the subject is tested in."""
    body = {"lane": "main", "channel": subject.channel, "carrier": subject.carrier}
    return lane_from({**body, "options": options, "sender": subject.sender})


_SUBJECTS: dict[str, type[Subject]] = {}


def subject(made: type[Subject]) -> type[Subject]:
    """Puts a subject into the suite."""
    _SUBJECTS[made.carrier] = made
    return made


def subjects() -> dict[str, type[Subject]]:
    """All subjects, by their adapter's name."""
    for module in pkgutil.iter_modules(carriers.__path__):
        if module.name.startswith("subject_"):
            importlib.import_module(f"{carriers.__name__}.{module.name}")
    return dict(sorted(_SUBJECTS.items()))

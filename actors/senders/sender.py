"""A sender: admits messages from shards, sends them through lanes, and tells what became of them.

A lane lives in exactly one sender, so its limits need no agreement with anybody. A message is safe
here without being written at its admission: its shard keeps it in its outbox until it has the last
word, and offers it again when this sender's incarnation changes. What must be written before it
happens is in the ledger: that an id is about to be given to a carrier. So after any crash an id is
either still to be sent, or has its last word, or is an unknown outcome; see `book`,
`lane`, `store/ledger`.

`SenderCore` knows nothing of Ray. Its clock, its way to the shards, and its seed are handed in.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgpack
from msgspec.msgpack import Decoder

from actors.carriers.base import Callback, CallbackReply
from actors.clock import Clock
from actors.codes import Codes
from actors.senders.book import MessageBook
from actors.senders.correspondents import Correspondents
from actors.senders.inbound import InboundDesk
from actors.senders.lane import LaneRunner
from actors.senders.lane_shared import Shared
from actors.senders.lanes import Lanes
from actors.senders.ledger_writer import LedgerWriter
from actors.senders.offers import OfferDesk
from actors.senders.reports import Report, Reporter
from actors.senders.screen import Screen
from actors.store.errors import StoreError
from actors.store.ledger import Ledger
from engine import limits
from engine.errors import DenreiError
from engine.fraud import Figures, FraudGuard
from engine.lanes.definition import Lane
from engine.lanes.meters import Meters
from engine.packing import pack
from engine.reasons import Reason

_callback: Final = Decoder(Callback).decode
_CONNECT_S: Final = 2.0  # how long a call-back waits for a lane that has just begun
_log = logging.getLogger("denrei.sender")


class SenderCore:
    """One sender; see the module's text.

    Make it with `open`, end it with `drain` and `close`.
    """

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        clock: Clock,
        report: Report,
        shards: int,
        seed: int,
        fail: Callable[[BaseException], object],
        policy: Figures | None,
        event_time: bool,
        is_mine: Callable[[str, Lane], bool],
        callback_url: str,
        secrets: Mapping[str, Mapping[str, str]],
        codes: Codes | None = None,
        carrier_allow: Sequence[str] = (),
        directory: Path | None = None,
    ) -> None:
        self.name = name
        self._clock = clock
        now_ms = clock.now_ms()
        state = ledger.load(now_ms)
        self.incarnation = str(state.incarnation)
        self._writer = LedgerWriter(ledger, clock, fail)
        self._book = MessageBook(self._writer, shards)
        self._book.reporter = Reporter(report, self._settled)
        guard = FraudGuard(policy)
        _seal(guard, ledger)
        guard.restore(state.fraud, state.blocks)
        _seal(guard, ledger)  # a snapshot from before there was a secret brings none
        self._screen = Screen(guard, self._writer, state.looks, now_ms)
        path = ledger.path.with_suffix(".correspondents")
        self._correspondents = Correspondents(path, ledger.hash)
        self._inbound = InboundDesk(report, shards, clock, self._correspondents)
        shared = Shared(
            clock,
            self._writer,
            self._book,
            self._screen,
            seed,
            state.next_batch,
            fail,
            self._inbound.take,
            callback_url,
            secrets,
            codes=codes,
            meters=Meters(state.draws),
            hash_=ledger.hash,
            allow=carrier_allow,
            directory=directory,
        )
        self._lanes = Lanes(shared, state.uses, is_mine)
        self._offers = OfferDesk(
            state.epochs, event_time, clock, self._writer, self._book, self._lanes, self._inbound
        )
        self._callbacks = 0
        for each in self._book.recover(state, now_ms):
            self._book.tell(each, now_ms)

    @classmethod
    async def open(
        cls,
        name: str,
        directory: Path,
        clock: Clock,
        report: Report,
        shards: int,
        *,
        seed: int = 0,
        fail: Callable[[BaseException], object] = lambda error: None,
        policy: Figures | None = None,
        event_time: bool = False,
        is_mine: Callable[[str, Lane], bool] = lambda workspace, lane: True,
        callback_url: str = "",
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        wait_s: float = 10.0,
        codes: Codes | None = None,
        secret: bytes = b"",
        carrier_allow: Sequence[str] = (),
    ) -> "SenderCore":
        """Opens a sender's ledger and tells the shards what it knew and they may not.

        Args:
            name: Its name, such as `sender-sms-1`; its ledger is `<name>.ledger` in `directory`.
            directory: Where the ledger is; made if it is missing.
            clock: The clock that carriers live by; not one that events move.
            report: The way to the shards; see `reports`.
            shards: How many shards there are.
            seed: For jitter and for carriers that simulate.
            fail: Called when the ledger cannot be written any more, or a lane has ended by a
                defect; the owner has to exit.
            policy: The figures of the fraud check.
            event_time: Whether events move the shards' clocks. Days may then pass there while a
                message waits for a moment, so its whole validity counts from its arrival here.
            is_mine: Whether a lane of a workspace lives here; one whose carrier brings messages of
                people is then connected as soon as it is known.
            callback_url: The address of the HTTP door, for carriers to call back.
            secrets: What lanes prove themselves with to carriers, by workspace and name.
            wait_s: How long to wait for the process that had the ledger before.
            codes: Opens the seals of one-time codes.
            secret: The store's; see `actors.store.address_hash`.
            carrier_allow: Networks that carriers over HTTP may be in although they are not public.

        Raises:
            StoreError: The ledger is locked, foreign or damaged.

        Durability: The new incarnation is synced when it returns.
        """
        path = directory / f"{name}.ledger"
        ledger = await asyncio.to_thread(Ledger, path, name, wait_s, secret)
        try:
            return cls(
                name, ledger, clock, report, shards, seed, fail, policy, event_time, is_mine,
                callback_url, secrets or {}, codes, carrier_allow, directory,
            )  # fmt: skip
        except BaseException:
            ledger.close()  # or its lock keeps out this very process when it tries again
            raise

    async def offer(self, batch: bytes) -> bytes:
        """Takes messages from the shards of a host.

        Args:
            batch: msgpack `[[shard, epoch, shard_now_ms, messages, versions], …]`; a message is
                what `engine.messages.message.Message.offer` makes, expiring by the shard's clock;
                versions are those of the lanes, by workspace. No messages is a heartbeat.

        Returns:
            msgpack `[incarnation, [[code, admissions, retry_after_ms], …]]`, one answer for each
            shard, none of which depends on the others. Code `ok`: one `Reason` byte a message:
            QUEUED, DUPLICATE (it is here already: fine) or QUEUE_FULL (offer it again after the
            delay). Code `stale_epoch`: a newer owner of the shard was seen. Code `need_lanes`:
            call `configure` first. With another code than `ok` nothing was taken of this shard.
            A new incarnation means that what waited in memory is gone: offer all that is unsettled.

        Durability: None: the shard's outbox keeps the message until its last word.
        Cost: 3 µs a message.
        """
        packed: bytes = msgpack.packb([self.incarnation, await self._offers.take(batch)])
        return packed

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        """Takes the lanes of a workspace; an older version than the known one changes nothing.

        Args:
            workspace: The workspace.
            version: Its catalog's version.
            lanes: msgpack `{name: body}`, all lanes that are defined; and the workspace's guard as
                `guard/default`, if it has one.
        """
        if version < self._lanes.version(workspace):
            return
        bodies = msgpack.unpackb(lanes)
        self._screen.configure(workspace, bodies.pop("guard/default", None))
        self._lanes.configure(workspace, version, bodies)

    async def callback(self, lane_key: str, request: bytes) -> bytes:
        """Brings what a carrier sent by HTTP to its lane's adapter.

        Args:
            lane_key: `workspace/lane name`.
            request: `carriers.base.Callback`, packed.

        Returns:
            `CallbackReply`, packed; or nothing if the lane is not known: call `configure` first.

        Durability: What the request told is journaled if the reply is a 2xx.
        """
        runner = self._lanes.find(lane_key)
        if runner is None:
            return b""
        if self._callbacks >= limits.HTTP_REQUESTS or self._offers.draining:
            return pack(CallbackReply(503, "try again\n"))
        self._callbacks += 1
        try:
            async with asyncio.timeout(limits.CALLBACK_S):
                reply = await self._call_back(runner, _callback(request))
        except TimeoutError:
            reply = CallbackReply(503, "the shards took too long\n")
        except DenreiError as error:
            reply = CallbackReply(503, f"{error}\n")
        except Exception:
            _log.exception("lane %s could not take a call-back", lane_key)
            reply = CallbackReply(500, "a defect of the adapter; the sender's log holds it\n")
        finally:
            self._callbacks -= 1
        return pack(reply)

    async def _call_back(self, runner: LaneRunner, request: Callback) -> CallbackReply:
        until = asyncio.get_running_loop().time() + _CONNECT_S
        while runner.carrier is None:
            if runner.error or not runner.defined or asyncio.get_running_loop().time() > until:
                return CallbackReply(503, "the lane has no carrier\n")
            await asyncio.sleep(0.01)
        return await runner.carrier.callback(request)

    async def cancel(self, batch: bytes) -> None:
        """Keeps messages from leaving. One that has left stays as it is; its receipt says so.

        Args:
            batch: msgpack `[[shard, epoch, messages], …]`; each message an id, or the whole offer,
                so that one that is not here yet is refused when it comes.
        """
        self._offers.cancel(batch)

    async def feedback(self, batch: bytes) -> None:
        """Tells the fraud guard what became of codes, and what people say of numbers.

        Args:
            batch: msgpack `[[workspace, e164, what, id], …]`; see `FraudGuard.outcome` for `what`.
                What has an id counts once.

        Durability: With the guard's next snapshot; see `screen`.
        """
        self._screen.feedback(msgpack.unpackb(batch), self._clock.now_ms())

    async def forget(self, keys: bytes) -> None:
        """Forgets to whom addresses belong, as far as it is about entities that are erased.

        Args:
            keys: msgpack; their keys.

        Durability: Synced when it returns.
        """
        await self._correspondents.forget(msgpack.unpackb(keys))

    async def drain(self, timeout_s: float) -> bool:
        """Stops sending and finishes what is under way, for a clean shutdown.

        What waits stays unsettled in the shards, which offer it again to the next incarnation.

        Returns:
            True if everything was told and written in time.
        """
        self._offers.draining = True
        told = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(runner.land() for runner in self._lanes.running.values()))
                await self._book.reporter.idle()
                self._writer.fraud(self._screen.snapshot())
                with contextlib.suppress(StoreError):
                    await self._writer.flush()
                    told = True
        return told

    async def tidy(self) -> None:
        """Forgets what is old of what was sent; to be called once in a while."""
        if not self._offers.draining:
            self._screen.looks.tidy(self._clock.now_ms())
            with contextlib.suppress(StoreError):  # who waits for the ledger has been told
                await self._writer.tidy()

    async def close(self) -> None:
        """Ends everything; `drain` first, or it is as if the process had died."""
        await asyncio.gather(*(runner.stop() for runner in self._lanes.running.values()))
        await self._book.reporter.stop()
        await self._correspondents.close()
        await self._writer.close()

    def status(self) -> dict[str, Any]:
        """Plain values for a status page and for metrics."""
        return {
            "name": self.name,
            "incarnation": self.incarnation,
            "held": len(self._book.held),
            "in_doubt": len(self._book.open),
            "receipts_waiting": len(self._book.reporter),
            "receipts_told": self._book.reporter.told,
            "commits": self._writer.commits,
            "counts": {**self._offers.counts, **self._inbound.counts},
            "outcomes": {Reason(each).name: n for each, n in self._book.outcomes.items()},
            "blocks": self._screen.blocks(self._clock.now_ms()),
            "lanes": [runner.status() for runner in self._lanes.running.values()],
        }

    def _settled(self, message_ids: list[str]) -> None:
        looks = self._screen.looks
        if len(looks):
            for message_id in message_ids:
                looks.end(message_id)
        self._book.settled(message_ids, self._clock.now_ms())


def _seal(guard: FraudGuard, ledger: Ledger) -> None:
    """Gives the guard a secret, if it has none: it keeps digests of numbers in the ledger."""
    if not guard.secret:
        guard.seal(ledger.hash.derive("fraud guard"))

"""A sender: admits messages from shards, sends them through lanes, and tells what became of them.

A lane lives in exactly one sender, so its limits need no agreement with anybody. A message is safe
here without being written at its admission: its shard keeps it in its outbox until it has the last
word, and offers it again when this sender's incarnation changes. What must be written before it
happens is in the ledger: that an id is about to be given to a carrier. So after any crash an id is
either still to be sent, or has its last word, or is an unknown outcome; see `sender_book`,
`sender_lane`, `store/ledger`.

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

from actors.carriers import registry
from actors.carriers.base import Callback, CallbackReply
from actors.clock import Clock
from actors.codes import Codes
from actors.senders.book import MessageBook
from actors.senders.correspondents import Correspondents
from actors.senders.inbound import InboundDesk
from actors.senders.lane import LaneRunner
from actors.senders.lane_shared import Shared
from actors.senders.ledger_writer import LedgerWriter
from actors.senders.reports import Report, Reporter
from actors.senders.screen import Screen
from actors.store.errors import StoreError
from actors.store.ledger import Ledger
from engine import limits
from engine.errors import DenreiError
from engine.fraud import Figures, FraudGuard
from engine.issues import DefinitionError
from engine.lanes.definition import Lane, lane_from
from engine.lanes.meters import Meters
from engine.lanes.queue import QueuedMessage, rooms
from engine.lanes.rates import Use
from engine.messages.message import SMS, TRANSACTIONAL
from engine.packing import pack
from engine.reasons import Reason

# An offer is unpacked straight into what waits in a lane's queue.
_OFFERS: Final = Decoder(list[tuple[int, int, int, list[QueuedMessage], dict[str, int]]])
_CANCELS: Final = Decoder(list[tuple[int, int, list[str | QueuedMessage]]])
_callback: Final = Decoder(Callback).decode
_QUEUED: Final = Reason.QUEUED  # a member is found slowly, and this is asked of each message
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
        self._event_time = event_time
        self._clock = clock
        now_ms = clock.now_ms()
        state = ledger.load(now_ms)
        self.incarnation = str(state.incarnation)
        self._epochs = state.epochs
        self._uses: dict[str, list[Use]] = state.uses
        self._writer = LedgerWriter(ledger, clock, fail)
        self._book = MessageBook(self._writer, shards)
        self._book.reporter = Reporter(report, self._settled)
        guard = FraudGuard(policy)
        _seal(guard, ledger)
        guard.restore(state.fraud, state.blocks)
        _seal(guard, ledger)  # a snapshot from before there was a secret brings none
        self._screen = Screen(guard, self._writer)
        path = ledger.path.with_suffix(".correspondents")
        self._correspondents = Correspondents(path, ledger.hash)
        self._inbound = InboundDesk(report, shards, clock, self._correspondents)
        self._is_mine = is_mine
        self._listening: set[str] = set()
        self._callbacks = 0
        self._shared = Shared(
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
        self._definitions: dict[str, dict[str, Lane]] = {}
        self._versions: dict[str, int] = {}
        self._lanes: dict[str, LaneRunner] = {}
        self._draining = False
        self._rooms = rooms(limits.SENDER_QUEUE_MESSAGES)
        self.counts = dict.fromkeys(("offered", "admitted", "duplicate", "full", "stale"), 0)
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
            report: The way to the shards; see `sender_reports`.
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
        answers = [await self._take(*part) for part in _OFFERS.decode(batch)]
        packed: bytes = msgpack.packb([self.incarnation, answers])
        return packed

    async def _take(
        self,
        shard: int,
        epoch: int,
        shard_now_ms: int,
        messages: list[QueuedMessage],
        versions: dict[str, int],
    ) -> tuple[str, bytes, int]:
        """One shard's messages; see `offer`."""
        known_epoch = self._epochs.get(shard, -1)
        if epoch < known_epoch:
            self.counts["stale"] += 1
            return "stale_epoch", b"", 0
        for workspace in {message.workspace for message in messages}:
            if self._versions.get(workspace, -1) < versions.get(workspace, 0):
                return "need_lanes", b"", 0
        if epoch > known_epoch:
            self._epochs[shard] = epoch
            await self._writer.epoch(shard, epoch)
            if epoch < self._epochs[shard]:  # a newer owner came meanwhile
                self.counts["stale"] += 1
                return "stale_epoch", b"", 0
        now_ms = self._clock.now_ms()
        admissions = bytearray()
        touched: dict[str, LaneRunner] = {}
        for message in messages:
            message.shard = shard
            # The two clocks may show different times: what is carried over is the remaining time.
            since_ms = message.created_ms if self._event_time else shard_now_ms
            message.expires_ms += now_ms - since_ms
            admissions.append(self._admit(message, touched))
        for runner in touched.values():
            runner.wake()
        self.counts["offered"] += len(messages)
        full = admissions.count(Reason.QUEUE_FULL)
        self.counts["full"] += full
        return "ok", bytes(admissions), limits.OFFER_PAUSE_MS if full else 0

    async def configure(self, workspace: str, version: int, lanes: bytes) -> None:
        """Takes the lanes of a workspace; an older version than the known one changes nothing.

        Args:
            workspace: The workspace.
            version: Its catalog's version.
            lanes: msgpack `{name: body}`, all lanes that are defined; and the workspace's guard as
                `guard/default`, if it has one.
        """
        if version < self._versions.get(workspace, -1):
            return
        defined: dict[str, Lane] = {}
        bodies = msgpack.unpackb(lanes)
        self._screen.configure(workspace, bodies.pop("guard/default", None))
        for name, body in bodies.items():
            try:
                defined[name] = lane_from(body)
            except DefinitionError:
                _log.exception("lane %s/%s is not used", workspace, name)
        self._versions[workspace] = version
        self._definitions[workspace] = defined
        for key, runner in list(self._lanes.items()):
            if key.partition("/")[0] == workspace:
                lane = defined.get(runner.lane.name)
                if lane is None:
                    runner.remove()
                else:
                    runner.configure(lane)
        self._listen(workspace, defined)

    def _listen(self, workspace: str, defined: dict[str, Lane]) -> None:
        """Connects the lanes whose carriers may bring messages of people."""
        for key in [key for key in self._listening if key.partition("/")[0] == workspace]:
            self._listening.discard(key)
        for name, lane in defined.items():
            if registry.listens(lane) and self._is_mine(workspace, lane):
                key = f"{workspace}/{name}"
                self._listening.add(key)
                if key not in self._lanes:
                    self._new_lane(key)

    async def callback(self, lane_key: str, request: bytes) -> bytes:
        """Brings what a carrier sent by HTTP to its lane's adapter.

        Args:
            lane_key: `workspace/lane name`.
            request: `carriers.base.Callback`, packed.

        Returns:
            `CallbackReply`, packed; or nothing if the lane is not known: call `configure` first.

        Durability: What the request told is journaled if the reply is a 2xx.
        """
        runner = self._lanes.get(lane_key) or self._new_lane(lane_key)
        if runner is None:
            return b""
        if self._callbacks >= limits.HTTP_REQUESTS or self._draining:
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
        for shard, epoch, messages in _CANCELS.decode(batch):
            if epoch >= self._epochs.get(shard, -1):
                for message in messages:
                    self._cancel(message, shard)

    async def feedback(self, batch: bytes) -> None:
        """Tells the fraud guard what became of codes, and what people say of numbers.

        Args:
            batch: msgpack `[[workspace, e164, what, id], …]`; see `FraudGuard.outcome` for `what`.
                What has an id counts once.

        Durability: With the guard's next snapshot; see `sender_screen`.
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
        self._draining = True
        told = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(runner.land() for runner in self._lanes.values()))
                await self._book.reporter.idle()
                self._writer.fraud(self._screen.snapshot())
                with contextlib.suppress(StoreError):
                    await self._writer.flush()
                    told = True
        return told

    async def tidy(self) -> None:
        """Forgets what is old of what was sent; to be called once in a while."""
        if not self._draining:
            with contextlib.suppress(StoreError):  # who waits for the ledger has been told
                await self._writer.tidy()

    async def close(self) -> None:
        """Ends everything; `drain` first, or it is as if the process had died."""
        await asyncio.gather(*(runner.stop() for runner in self._lanes.values()))
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
            "counts": {**self.counts, **self._inbound.counts},
            "outcomes": {Reason(each).name: n for each, n in self._book.outcomes.items()},
            "blocks": self._screen.blocks(self._clock.now_ms()),
            "lanes": [runner.status() for runner in self._lanes.values()],
        }

    def _admit(self, message: QueuedMessage, touched: dict[str, LaneRunner]) -> Reason:
        book = self._book
        if book.known(message.id):
            self.counts["duplicate"] += 1
            return Reason.DUPLICATE
        rooms, held = self._rooms, len(book.held)
        if self._draining or (held >= rooms[-1] and held >= rooms[message.level]):
            return Reason.QUEUE_FULL
        key = f"{message.workspace}/{message.lane}"
        runner = self._lanes.get(key) or self._new_lane(key)
        if runner is None or not runner.defined:
            book.hold(message)
            why = f"lane '{message.lane}' is not defined"
            book.finish(message, Reason.NO_ROUTE, self._clock.now_ms(), detail=why)
            return Reason.QUEUED
        if not message.last and runner.away is not None:
            book.hold(message)
            book.finish(message, runner.away[0], self._clock.now_ms(), detail=runner.away[1])
            return Reason.QUEUED
        if message.channel == SMS:
            message.units = runner.parts(message.body)
        if message.resend_unknown and message.purpose != TRANSACTIONAL:
            message.resend_unknown = False  # a code is not sent twice, nor is marketing
        reason = runner.queue.put(message)
        if reason is _QUEUED:
            book.hold(message)
            touched[key] = runner
            self.counts["admitted"] += 1
            if key in self._listening:
                self._inbound.met(message)
        return reason

    def _new_lane(self, key: str) -> LaneRunner | None:
        workspace, _, name = key.partition("/")
        lane = self._definitions.get(workspace, {}).get(name)
        if lane is None or len(self._lanes) >= limits.LANES:
            return None
        runner = self._lanes[key] = LaneRunner(key, lane, self._uses.pop(key, ()), self._shared)
        return runner

    def _cancel(self, offer: str | QueuedMessage, shard: int) -> None:
        now_ms = self._clock.now_ms()
        id_ = offer if isinstance(offer, str) else offer.id
        held = self._book.held.get(id_)
        if held is not None:
            runner = self._lanes.get(f"{held.workspace}/{held.lane}")
            if runner is not None and runner.cancel(id_) is not None:
                self._book.finish(held, Reason.CANCELLED, now_ms, code=held.code)
        elif not isinstance(offer, str) and not self._book.known(id_):
            doubt = id_ in self._book.open
            offer.shard = shard
            self._book.hold(offer)
            reason = Reason.UNKNOWN_OUTCOME if doubt else Reason.CANCELLED
            self._book.finish(offer, reason, now_ms)

    def _settled(self, message_ids: list[str]) -> None:
        self._book.settled(message_ids, self._clock.now_ms())


def _seal(guard: FraudGuard, ledger: Ledger) -> None:
    """Gives the guard a secret, if it has none: it keeps digests of numbers in the ledger."""
    if not guard.secret:
        guard.seal(ledger.hash.derive("fraud guard"))

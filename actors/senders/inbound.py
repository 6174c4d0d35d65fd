"""What people send to us, from a lane's carrier to the shards of whoever sent it.

An adapter confirms a message to its carrier only when it is journaled, so a carrier brings again
what was lost on the way, and a repeat changes nothing: each has an id made of its lane and of the
carrier's own id. How long an adapter is kept waiting has a bound; past it it hears of an error, and
its carrier brings the message again.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from xxhash import xxh3_128_hexdigest

from actors.carriers.base import Inbound
from actors.clock import Clock
from actors.senders.correspondents import Correspondents
from actors.senders.reports import Report
from engine import commands, limits
from engine.errors import DenreiError, Unavailable
from engine.issues import shortened
from engine.lanes.definition import Lane
from engine.lanes.queue import QueuedMessage
from engine.messages.inbound import CARRIER, Received
from engine.messages.keywords import keyword_of
from engine.messages.message import PHONE_CHANNELS
from engine.messages.phone import Phones
from engine.packing import pack
from engine.reasons import Reason
from engine.slots import ADDRESS, PROFILES, shard_of, slot_of

_log = logging.getLogger("denrei.sender")
# The shard will take it later. What else it may answer is the last word.
_LATER: Final = frozenset(
    {Reason.OVERLOADED, Reason.UNAVAILABLE, Reason.DEADLINE, Reason.OUTBOX_FULL}
)
_COMMAND_BYTES: Final = 200


class InboundDesk:
    """See the module's text.

    Args:
        report: The way to the shards; see `reports`.
        shards: How many there are.
        clock: The node's clock.
        known: To whom addresses belong.
    """

    def __init__(self, report: Report, shards: int, clock: Clock, known: Correspondents) -> None:
        self._report = report
        self._shards = shards
        self._clock = clock
        self._known = known
        self._phones = Phones()
        self.counts = dict.fromkeys(("inbound", "inbound_repeated", "inbound_refused"), 0)

    def met(self, message: QueuedMessage) -> None:
        """Notes to whom an address belongs that a message goes to."""
        if message.key.split("/", 2)[1] in PROFILES:
            address = self._address(message.channel, message.to)
            now_ms = self._clock.now_ms()
            self._known.met(message.workspace, address, message.key, now_ms)

    async def take(self, lane_key: str, lane: Lane, messages: Sequence[Inbound]) -> None:
        """Takes in what people sent through a lane.

        Args:
            lane_key: `workspace/lane name`.
            lane: The lane.
            messages: What came; `limits.INBOUND_BATCH` are journaled at a time.

        Raises:
            Unavailable: Some are not journaled; all may be brought again.

        Durability: All are journaled when it returns.
        """
        for at in range(0, len(messages), limits.INBOUND_BATCH):
            await self._take(lane_key, lane, messages[at : at + limits.INBOUND_BATCH])

    async def _take(self, lane_key: str, lane: Lane, messages: Sequence[Inbound]) -> None:
        workspace = lane_key.partition("/")[0]
        by_shard: dict[int, list[commands.Command]] = {}
        for message in messages:
            received = self._read(lane_key, lane, message)
            if not received.sender:
                self.counts["inbound_refused"] += 1
                continue
            key = f"{workspace}/{ADDRESS}/{received.sender}"
            owner = await self._known.owner(workspace, received.sender)
            command = commands.inbound(key, CARRIER, pack(received), owner)
            by_shard.setdefault(shard_of(slot_of(key), self._shards), []).append(command)
        await asyncio.gather(*(self._journal(*each) for each in by_shard.items()))

    async def _journal(self, shard: int, waiting: list[commands.Command]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + limits.INBOUND_TRY_S
        pause_s = limits.REPORT_PAUSE_S
        why = ""
        while True:
            size = sum(_COMMAND_BYTES + len(each[1]) + len(each[3]) for each in waiting)
            try:
                async with asyncio.timeout_at(until):
                    results = await self._report(shard, waiting, size)
                waiting = self._taken(waiting, results)
            except (DenreiError, TimeoutError) as error:
                why = str(error)
            if not waiting:
                return
            if loop.time() + pause_s >= until:
                msg = f"shard {shard} takes no messages of people: {why}"
                raise Unavailable(msg)
            await asyncio.sleep(pause_s)
            pause_s = min(limits.REPORT_LONGEST_PAUSE_S, pause_s * 2)

    def _taken(self, waiting: list[commands.Command], results: bytes) -> list[commands.Command]:
        """Counts what was taken or refused for good; gives what has to go again."""
        if len(results) != len(waiting):
            return waiting
        later: list[commands.Command] = []
        for command, result in zip(waiting, results, strict=True):
            if result in _LATER:
                later.append(command)
            elif result == Reason.ACCEPTED:
                self.counts["inbound"] += 1
            elif result == Reason.DUPLICATE:
                self.counts["inbound_repeated"] += 1
            else:
                self.counts["inbound_refused"] += 1
                _log.warning("%s was refused: %s", command[1], Reason(result).name)
        return later

    def _read(self, lane_key: str, lane: Lane, message: Inbound) -> Received:
        """The message as it is journaled, within bounds."""
        sender = self._address(lane.channel, message.sender)
        body = shortened(message.body, limits.INBOUND_BODY_CHARS)
        keyword, word = keyword_of(body) if lane.options.get("keywords", True) else ("", "")
        name = message.provider_id or pack(
            [sender, message.to, message.body, message.at_ms, message.media]
        )
        if isinstance(name, str):
            name = name.encode()
        values = dict(list((message.values or {}).items())[: limits.INBOUND_VALUES])
        return Received(
            xxh3_128_hexdigest(lane_key.encode() + b"!" + name),
            lane.channel,
            lane.name,
            message.provider_id[: limits.ID_CHARS],
            sender,
            message.to[: limits.ID_CHARS],
            body,
            message.at_ms,
            tuple(each[: limits.INBOUND_VALUE_CHARS] for each in message.media)[
                : limits.INBOUND_MEDIA
            ],
            {
                key[: limits.NAME_CHARS]: value[: limits.INBOUND_VALUE_CHARS]
                for key, value in values.items()
            },
            keyword,
            word,
        )

    def _address(self, channel: str, written: str) -> str:
        """An address as entities are named by it: a number in E.164, an e-mail in lower case."""
        written = written.strip()
        if channel in PHONE_CHANNELS:
            written = self._phones.read(written).e164 or written
        elif channel == "email":
            written = written.lower()
        return written[: limits.ID_CHARS]

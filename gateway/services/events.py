"""EventsService: events in, one at a time, in batches, or as a stream."""

import asyncio
from collections.abc import AsyncIterator

from actors.clock import SystemClock
from engine import limits
from engine.errors import DenreiError
from engine.reasons import Reason
from gateway import errors, views
from gateway.admission import Admission
from gateway.batch import Batch
from gateway.binding import Call
from gateway.pb.denrei.v1 import events_pb2
from gateway.properties import Refused
from gateway.replies import fill
from gateway.seams import Clock, Router


class EventsService:
    """See events.proto.

    Args:
        router: The way to the shards.
        clock: The time; the time of receipt is real time if events drive it.
    """

    def __init__(self, router: Router, clock: Clock) -> None:
        self._router = router
        event_time = clock.mode == 1
        self._clock = SystemClock() if event_time else clock
        self._admission = Admission(router.shards, event_time)
        self.traffic = dict.fromkeys(("accepted", "duplicate", "refused"), 0)

    async def publish(
        self, request: events_pb2.PublishRequest, call: Call
    ) -> events_pb2.PublishResponse:
        """Takes one event.

        Durability: The event is synced and applied when it returns.
        """
        if not request.HasField("event"):
            raise errors.invalid("event", "event is not set")
        batch = self._admission.admit(call.workspace, [request.event], self._clock.now_ms())
        for item in batch.rejected:
            field = f"event.{item.field}" if item.field else "event"
            raise errors.bad_request(item.reason, [(field, item.message)])
        await batch.settle(batch.post(self._router, call.deadline), call.deadline)
        batch.count(self.traffic)
        for item in batch.rejected:
            raise errors.refused(item.reason, message=item.message)
        (command,) = batch.parts[0].commands
        return events_pb2.PublishResponse(
            message_id=command[2], outcome=views.reason(batch.outcomes[0])
        )

    async def publish_batch(
        self, request: events_pb2.PublishBatchRequest, call: Call
    ) -> events_pb2.PublishBatchResponse:
        """Takes a batch.

        Durability: Events with the outcome ACCEPTED or DUPLICATE are synced and applied.
        Cost: About 4 µs of this process an event, and a share of one call to each host.
        """
        batch = self._admit(request, call)
        await batch.settle(batch.post(self._router, call.deadline), call.deadline)
        batch.count(self.traffic)
        return fill(events_pb2.PublishBatchResponse(outcomes=views.reasons(batch.outcomes)), batch)

    async def publish_stream(
        self, requests: AsyncIterator[events_pb2.PublishStreamRequest], call: Call
    ) -> None:
        """Takes chunks and acknowledges each when it is durable; reads on while it waits."""
        window = _Window()
        writing = asyncio.Lock()

        async def acknowledge(
            sequence: int, batch: Batch, futures: "list[asyncio.Future[bytes]]", deadline: float
        ) -> None:
            try:
                await batch.settle(futures, deadline)
                batch.count(self.traffic)
                response = events_pb2.PublishStreamResponse(
                    sequence=sequence, outcomes=views.reasons(batch.outcomes)
                )
                fill(response, batch)
            except (DenreiError, TimeoutError) as error:
                response = _refused(sequence, len(batch.outcomes), error)
            async with writing:
                await call.write(response)
            window.leave(batch.size_bytes)

        async with asyncio.TaskGroup() as group:
            async for request in requests:
                try:
                    batch = self._admit(request, call)
                except (errors.StatusError, Refused) as error:
                    async with writing:
                        await call.write(_refused(request.sequence, len(request.events), error))
                    continue
                await window.enter(batch.size_bytes)
                deadline = call.item_deadline()
                futures = batch.post(self._router, deadline)
                group.create_task(acknowledge(request.sequence, batch, futures, deadline))

    def _admit(
        self, request: events_pb2.PublishBatchRequest | events_pb2.PublishStreamRequest, call: Call
    ) -> Batch:
        """Checks a batch as a whole, then its events."""
        events = request.events
        if not events:
            raise errors.invalid("events", "events is empty")
        if len(events) > limits.BATCH_EVENTS:
            text = f"{len(events)} events are more than {limits.BATCH_EVENTS}; send several batches"
            raise errors.bad_request(Reason.TOO_LARGE, [("events", text)])
        sent_at = request.sent_at if request.HasField("sent_at") else None
        batch = self._admission.admit(call.workspace, events, self._clock.now_ms(), sent_at)
        if batch.size_bytes > limits.BATCH_BYTES:
            text = f"{batch.size_bytes} bytes are more than {limits.BATCH_BYTES}"
            raise errors.bad_request(
                Reason.TOO_LARGE, [("events", f"{text}; send several batches")]
            )
        return batch


class _Window:
    """What a stream may have in work: a number of chunks, and of bytes."""

    def __init__(self) -> None:
        self._chunks = 0
        self._size_bytes = 0
        self._left = asyncio.Event()

    async def enter(self, size_bytes: int) -> None:
        """Waits for room; while it waits the stream is not read."""
        while self._chunks >= limits.STREAM_CHUNKS_IN_FLIGHT or (
            self._chunks and self._size_bytes + size_bytes > limits.STREAM_BYTES_IN_FLIGHT
        ):
            self._left.clear()
            await self._left.wait()
        self._chunks += 1
        self._size_bytes += size_bytes

    def leave(self, size_bytes: int) -> None:
        """Makes room again."""
        self._chunks -= 1
        self._size_bytes -= size_bytes
        self._left.set()


def _refused(sequence: int, items: int, error: Exception) -> events_pb2.PublishStreamResponse:
    """The acknowledgement of a chunk that was refused as a whole."""
    reason, field, message, retry_ms = errors.summary(error)
    response = events_pb2.PublishStreamResponse(
        sequence=sequence, outcomes=[views.reason(reason)] * items
    )
    response.rejections.add(
        index=-1, reason=reason, field=field, message=message, retry=retry_ms > 0
    )
    if retry_ms:
        response.retry_delay.FromMilliseconds(retry_ms)
    return response

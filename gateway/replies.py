"""What batch replies have in common: the details of refused items."""

from typing import TypeVar

from gateway import views
from gateway.batch import Batch
from gateway.pb.denrei.v1 import events_pb2, messages_pb2

Response = TypeVar(
    "Response",
    events_pb2.PublishBatchResponse,
    events_pb2.PublishStreamResponse,
    messages_pb2.SendMessagesResponse,
)


def fill(response: Response, batch: Batch) -> Response:
    """Adds a batch's rejections, and when to try again, to its response.

    Rejections go by position: those found at the door and those of the shards come in between.
    """
    for position, reason, field, message, retry in sorted(batch.rejected):
        response.rejections.add(
            index=position, reason=views.reason(reason), field=field, message=message, retry=retry
        )
    if batch.retry_ms:
        response.retry_delay.FromMilliseconds(batch.retry_ms)
    return response

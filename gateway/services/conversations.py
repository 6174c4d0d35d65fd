"""ConversationsService: what people sent to us."""

from typing import Any

from engine import limits
from engine.slots import shard_of, slot_of
from gateway import names, views
from gateway.binding import Call
from gateway.pb.denrei.v1 import conversations_pb2
from gateway.seams import Router


class ConversationsService:
    """See conversations.proto.

    Args:
        router: The way to the shards.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def list_received_messages(
        self, request: conversations_pb2.ListReceivedMessagesRequest, call: Call
    ) -> conversations_pb2.ListReceivedMessagesResponse:
        """Lists what is kept; of a profile that became a part of another one, that one's."""
        key = names.entity_key(call.workspace, request.parent, "parent")
        found: dict[str, Any] = {}
        for _ in range(limits.MERGES):
            shard = shard_of(slot_of(key), self._router.shards)
            found = await self._router.query(shard, "inbound", {"key": key}, call.remaining_s())
            if not found["merged_into"]:
                break
            key = found["merged_into"]
        return conversations_pb2.ListReceivedMessagesResponse(
            messages=[_view(key, values) for values in reversed(found["items"])]
        )


def _view(key: str, values: dict[str, Any]) -> conversations_pb2.ReceivedMessage:
    return conversations_pb2.ReceivedMessage(
        name=f"{names.entity_name(key)}/receivedMessages/{values['id']}",
        channel=views.CHANNELS[values["channel"]],
        lane=f"lanes/{values['lane']}",
        sender=values.get("from", ""),
        to=values.get("to", ""),
        body=values["body"],
        media=values.get("media", ()),
        provider_id=values.get("provider_id", ""),
        keyword=values.get("keyword", ""),
        time=views.time(values["at_ms"]),
        carrier_values=values.get("carrier", {}),
    )

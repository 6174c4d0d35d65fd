"""Events as the Segment Spec writes them, turned into commands as the door does it.

    {"type": "track", "userId": "ann", "event": "Order Completed", "properties": {"total": 12}}

The door's checks are its own (`gateway.admission`); here what comes in is taken as good.
"""

from collections.abc import Mapping
from typing import Any, Final

from engine import commands
from engine.commands import Command
from engine.packing import pack
from engine.slots import ANONYMOUS, USER

# For each type: what holds its name, and what its values.
_SHAPES: Final = {
    "identify": ("", "traits"),
    "track": ("event", "properties"),
    "page": ("name", "properties"),
    "screen": ("name", "properties"),
    "group": ("groupId", "traits"),
    "alias": ("previousId", ""),
}


def key_of(workspace: str, user: str, anonymous: str) -> str:
    """The key of the entity that an event with these ids is for."""
    return f"{workspace}/{USER}/{user}" if user else f"{workspace}/{ANONYMOUS}/{anonymous}"


def command_of(workspace: str, event: Mapping[str, Any], now_ms: int, message_id: str) -> Command:
    """The command of an event.

    Args:
        workspace: Whose event it is.
        event: The event, with `type`, `userId` or `anonymousId`, and what its type asks for;
            `timestamp` is in Unix milliseconds.
        now_ms: The moment of receipt, which is the event's time if it has none.
        message_id: Its id if it has no `messageId`.
    """
    type_ = event["type"]
    name, values = _SHAPES[type_]
    user, anonymous = event.get("userId", ""), event.get("anonymousId", "")
    data, context = event.get(values), event.get("context")
    return commands.event(
        key_of(workspace, user, anonymous),
        event.get("messageId") or message_id,
        commands.EVENT_TYPES.index(type_),
        event.get(name, ""),
        min(event.get("timestamp", now_ms), now_ms),
        pack(data) if data else b"",
        pack(context) if context else b"",
        anonymous if user else "",
    )

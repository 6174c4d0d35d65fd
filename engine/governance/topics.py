"""Consent: who may be written to about what.

A person says it for a channel as a whole or for a topic on a channel, and the newest word counts
(`engine.governance.consents` takes it in). Whoever has unsubscribed from a channel gets no
marketing on it, whatever they have said of topics. A topic is opt-in (only who subscribed to it
gets it) or opt-out (who unsubscribed does not). A transactional message is asked about its topic
alone, if it has one, and a one-time code about nothing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from engine.governance.policy import ALL, OPT_IN, OPT_OUT
from engine.messages.message import MARKETING, Message, SendRequest

if TYPE_CHECKING:
    from engine.governance.policy import Policy

SUBSCRIBED: Final = "subscribed"
UNSUBSCRIBED: Final = "unsubscribed"
UNKNOWN: Final = "unknown"  # what Segment calls "did not subscribe"
STATUSES: Final = (SUBSCRIBED, UNSUBSCRIBED, UNKNOWN)
_NOBODY_SAID: Final = (UNKNOWN, 0)

Consents = Mapping[str, Any]


def refused(policy: "Policy | None", consents: Consents, request: SendRequest | Message) -> str:
    """Why a message may not be sent for want of consent, or an empty text."""
    channel, topic = request.channel, request.topic
    if request.purpose == MARKETING:
        wants = OPT_OUT if policy is None else policy.channels.get(channel, OPT_OUT)
        why = _refusal(consents, channel, ALL, wants, f"{channel} at all")
        if why:
            return why
    if not topic:
        return ""
    if policy is None:
        return _refusal(consents, channel, topic, OPT_OUT, f"topic {topic!r} by {channel}")
    offered = policy.topics.get(topic)
    if offered is None:
        return f"the policy has no topic {topic!r}"
    wants = offered.get(channel, "")
    if not wants:
        return f"the policy has topic {topic!r} not by {channel}"
    return _refusal(consents, channel, topic, wants, f"topic {topic!r} by {channel}")


def _refusal(consents: Consents, channel: str, topic: str, wants: str, of: str) -> str:
    status, at_ms = consents.get(f"{channel}/{topic}", _NOBODY_SAID)[:2]
    if status == UNSUBSCRIBED:
        when = datetime.fromtimestamp(at_ms / 1000, UTC)
        return f"unsubscribed from {of} on {when:%Y-%m-%d %H:%M} UTC"
    if wants == OPT_IN and status != SUBSCRIBED:
        return f"not subscribed to {of}, which is opt-in"
    return ""

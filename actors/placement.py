"""Placement: which host owns which shard, and what actors are called.

Placement only balances; that a shard has one writer is the store's doing (law 3). So a stale
placement costs a retry and never a wrong write.
"""

from typing import Final
from zlib import crc32

from engine.messages.message import EMAIL, PHONE_CHANNELS, PUSH, SMS

NAMESPACE = "denrei"
POOLS: Final = (SMS, EMAIL, PUSH)  # of senders, each named for its first channel
SUPERVISOR = "supervisor"


def host_name(index: int) -> str:
    """The actor name of a shard host."""
    return f"shard-host-{index}"


def gateway_name(index: int) -> str:
    """The actor name of a gateway."""
    return f"gateway-{index}"


def sender_name(channel: str, index: int) -> str:
    """The actor name of a sender; they count from 1."""
    return f"sender-{channel}-{index}"


def caller_name(index: int) -> str:
    """The actor name of a caller of webhooks; they count from 1."""
    return f"caller-{index}"


def caller_of(receiver: str, callers: int) -> str:
    """The caller that makes a receiver's webhooks: one knows all that it gets."""
    return caller_name(crc32(receiver.encode()) % callers + 1)


def host_of(shard: int, shards: int, hosts: int) -> str:
    """The host of a shard: contiguous ranges, as even as can be."""
    return host_name(shard * hosts // shards)


def shards_of(host: int, shards: int, hosts: int) -> list[int]:
    """The shards of a host, the inverse of `host_of`."""
    return [shard for shard in range(shards) if shard * hosts // shards == host]


def pool_of(channel: str) -> str:
    """The pool of senders that a channel's lanes live in.

    All channels to a phone share one, so that one fraud guard sees them all.
    """
    return SMS if channel in PHONE_CHANNELS else channel


def is_in_pool(name: str, channel: str) -> bool:
    """Whether a sender, or a caller of webhooks, is in the pool of a channel's lanes."""
    return name.rpartition("-")[0] == f"sender-{pool_of(channel)}"


def sender_of(workspace: str, channel: str, lane: str, pool_size: int) -> str:
    """The sender that a lane lives in: a hash of its name."""
    return sender_name(pool_of(channel), crc32(f"{workspace}/{lane}".encode()) % pool_size + 1)


def home_of(workspace: str, lane: str, account: str) -> tuple[str, str]:
    """The place by which a lane is given to a sender: a workspace and a name, for `sender_of`.

    All lanes of an account have one place, whosever they are, so that what they share is counted in
    one sender. A lane keeps its account for ever (`engine.lanes.definition.check_account`).
    """
    return ("account", account) if account else (workspace, lane)

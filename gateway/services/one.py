"""One command to one entity: most calls are just that."""

from engine import limits
from engine.commands import Command
from engine.slots import shard_of, slot_of
from gateway import errors
from gateway.batch import Batch
from gateway.binding import Call
from gateway.seams import Router


async def post(router: Router, command: Command, size_bytes: int, call: Call) -> Batch:
    """Does a command, whatever its outcome.

    Args:
        router: The way to the shards.
        command: The command; its second item is the entity's key.
        size_bytes: Roughly what it holds besides ids and names.
        call: The call that asks for it.

    Returns:
        The batch of this one item, settled.

    Durability: An outcome of ACCEPTED or DUPLICATE is synced.
    """
    batch = Batch(1)
    key = command[1]
    shard = shard_of(slot_of(key), router.shards)
    batch.place(0, shard, command, size_bytes + len(key) + 2 * limits.ID_CHARS)
    await batch.settle(batch.post(router, call.deadline), call.deadline)
    return batch


async def do(router: Router, command: Command, size_bytes: int, call: Call) -> int:
    """Does a command; its outcome.

    Args:
        router: The way to the shards.
        command: As for `post`.
        size_bytes: As for `post`.
        call: As for `post`.

    Raises:
        StatusError: It was refused.
    """
    batch = await post(router, command, size_bytes, call)
    for item in batch.rejected:
        raise errors.refused(item.reason)
    return batch.outcomes[0]

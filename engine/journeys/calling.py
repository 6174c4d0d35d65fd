"""Webhooks on their way: asked for by a run, handed to a caller, taken back.

A webhook is an effect in the outbox of its person, like a message: it is journaled before it is
made, handed over again after a restart with the same id, and dropped only with its answer, or when
nobody waits for that any more. Callers take it through the door that senders have for messages; see
`actors.callers.webhooks`.

An instance waits for at most one webhook, and its number in the instance's memory gives the id. So
an answer that comes late, or twice, or after the run went round to the same step again, is told
apart without being kept.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine import commands, limits
from engine.commands import Command
from engine.packing import pack
from engine.slots import parse_key, shard_of, slot_of

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.instance import Instance

CHANNEL: Final = "webhook"  # of its offers, where a message's have its own


class Request(NamedTuple):
    """A webhook that is to be made; see `commands.call`."""

    receiver: str
    method: str
    url: str
    headers: tuple[tuple[str, str, str], ...]
    body: str
    secret: str
    retries: int
    timeout_ms: int


def ask(act: "Activation", instance: "Instance", request: Request) -> bool:
    """Asks for a webhook whose answer the instance waits for; False if the outbox is full.

    Durability: The effect is part of the entity; it is handed out once the entry is durable.
    """
    entity = act.entity
    if len(entity.outbox) >= limits.OUTBOX:
        return False
    instance.memory = int(act.next_id()[:16], 16) >> 1 | 1
    id_ = id_of(instance)
    command = commands.call(entity.key, id_, instance.id, *request, act.now + request.timeout_ms)
    entity.outbox[id_] = (shard_of(slot_of(entity.key), act.shards), pack(command))
    act.effects.sends.append(offer_of(command))
    return True


def id_of(instance: "Instance") -> str:
    """The id of the webhook that an instance waits for, if it waits for one."""
    return f"{instance.id[:16]}{instance.memory:016x}"


def take_back(act: "Activation", instance: "Instance") -> None:
    """Takes back the webhook that an instance waits for, if there is one: nobody waits any more.

    It may have been made, or just be under way: who it goes to has to live with that.
    """
    _take_back(act, id_of(instance))


def take_back_all(act: "Activation") -> None:
    """Takes back all webhooks of the entity at work."""
    for id_ in list(act.entity.outbox):
        _take_back(act, id_)


def _take_back(act: "Activation", id_: str) -> None:
    entity = act.entity
    forward = entity.outbox.get(id_)
    if forward is None:
        return
    command = commands.unpack_command(forward[1])
    if command[0] == commands.CALL:
        del entity.outbox[id_]
        blank = (*command[:5], "", "", (), "", "", 0, 0, 0)
        act.effects.cancels.append(offer_of(blank))


def offer_of(command: Command) -> tuple[Any, ...]:
    """A webhook as a caller takes it: what it shares with a message stands where a message has it.

    See `engine.messages.message.Message.offer` and, for the whole, `actors.callers.webhooks.Call`.
    """
    (
        _, key, call_id, instance, receiver, method, url, headers, body, secret, retries,
        timeout_ms, expires_ms,
    ) = command  # fmt: skip
    return (
        call_id, key, parse_key(key).workspace, receiver, CHANNEL, url, "", body, secret,
        expires_ms, method, headers, retries, timeout_ms, instance,
    )  # fmt: skip

"""`channels:` of a message step: the next channel is tried when one does not succeed.

    channels: [{push: cart_push, success: read, within: 3h}, {email: cart_email}]

The run waits at the step until a channel has succeeded, or the last one is handed out: that one is
not waited for. A channel that fails at once (no address, no consent, a text that cannot be made)
takes no time. When one fails later, or its time is up, the next goes out, rendered then, and what
has not left is called back. What arrives after it was given up is a double, and is recorded as one.
What may follow a message that the fraud guard has stopped, `engine.fallback.success` says.

A step keeps nothing: which channel is being tried is the instance's memory, and the message its
newest.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol

from pydantic import AfterValidator, Field, model_validator

from engine import limits
from engine.conditions import Compiled
from engine.durations import up_to
from engine.fallback.success import DELIVERED, SUCCESSES, may_follow, replace, why_not
from engine.issues import listed
from engine.journeys.instance import Instance
from engine.journeys.steps.registry import Move, Step, park
from engine.messages.message import CHANNELS
from engine.names import DefinitionName
from engine.reasons import Reason
from engine.schema import Strict, path_under, refusal

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey
    from engine.messages.message import Message


class ChannelModel(Strict):
    """One of several channels: the field that is called like the channel names the template."""

    noun: ClassVar[str] = "a channel"
    sms: DefinitionName | None = None
    email: DefinitionName | None = None
    push: DefinitionName | None = None
    whatsapp: DefinitionName | None = None
    voice: DefinitionName | None = None
    rcs: DefinitionName | None = None
    success: Literal["sent", "delivered", "read"] = DELIVERED
    within: Annotated[int, up_to(limits.FALLBACK_WITHIN_MS)] | None = None
    to: Annotated[str, path_under("traits", "properties")] | None = None
    lane: DefinitionName | None = None

    @model_validator(mode="after")
    def _one_channel(self) -> "ChannelModel":
        named = [channel for channel in CHANNELS if getattr(self, channel) is not None]
        if len(named) != 1:
            what = f"names {listed(named)} at once" if named else "names no channel"
            raise refusal(what, "write one channel and its template: {push: cart_push}")
        return self

    @property
    def channel(self) -> str:
        """Its channel."""
        return next(channel for channel in CHANNELS if getattr(self, channel) is not None)

    @property
    def template(self) -> str:
        """Its template."""
        template: str = getattr(self, self.channel)
        return template

    @property
    def wanted(self) -> int:
        """The outcome that is a success."""
        return SUCCESSES[self.success]


def _check(models: list[ChannelModel]) -> list[ChannelModel]:
    for number, model in enumerate(models):
        is_last = number == len(models) - 1
        if not is_last and model.within is None:
            raise refusal(
                f"channel {model.channel} has no 'within'",
                "say how long it may take before the next is tried: within: 3h",
            )
        if is_last and {"within", "success"} & model.model_fields_set:
            raise refusal(
                f"'within' and 'success' stand with {model.channel}, the last channel",
                "nothing follows it: delete them",
            )
    return models


ChannelList = Annotated[
    list[ChannelModel],
    Field(min_length=1, max_length=limits.MESSAGE_FALLBACKS),
    AfterValidator(_check),
]


class Sends(Protocol):
    """What sends on one channel."""

    def send(self, act: "Activation", instance: Instance, journey: "Journey") -> str:
        """Sends, if it can be; gives what became of it, in words."""


class ChannelsStep(Step):
    """See the module's text.

    Attributes:
        only_if: What must hold for each of its messages, or None.
    """

    __slots__ = ("_then", "_ways", "only_if")

    def __init__(
        self,
        name: str,
        ways: Sequence[tuple[ChannelModel, Sends]],
        only_if: Compiled | None,
        then: str,
    ) -> None:
        super().__init__(name, conditions=() if only_if is None else (only_if,))
        self.only_if = only_if
        self._ways = [(one.channel, one.within or 0, sends) for one, sends in ways]
        self._then = then

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        """Tries the channels in turn."""
        return self._go(act, instance, journey, 0, "", "")

    def on_message(
        self, act: "Activation", instance: Instance, message: "Message", done: bool
    ) -> Move | None:
        """Moves on, or tries the next channel."""
        if done:
            why = f"{message.channel} message {message.id} was {Reason(message.status).name}"
            return self._then, why
        if message.status == Reason.CANCELLED:
            return self._then, f"{message.channel} message {message.id} was called back"
        return self._next(act, instance, message.id, why_not(message, 0))

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        """The time of a channel is up: tries the next."""
        message_id = instance.messages[-1] if instance.messages else ""
        message = act.entity.kept.get(message_id)
        within_ms = self._ways[min(instance.memory, len(self._ways) - 1)][1]
        if message is None:
            return self._next(act, instance, "", "its message is forgotten")
        if not message.wanted:
            return self._then, f"{message.channel} message {message.id} is not waited for any more"
        why = why_not(message, within_ms)
        act.cancel(message_id, why)
        return self._next(act, instance, message_id, why)

    def _next(self, act: "Activation", instance: Instance, before: str, why: str) -> Move | None:
        journey = act.program.journeys[instance.pin]
        return self._go(act, instance, journey, instance.memory + 1, before, why)

    def _go(
        self,
        act: "Activation",
        instance: Instance,
        journey: "Journey",
        first: int,
        before: str,
        why: str,
    ) -> Move | None:
        """Tries channels in turn, from the given one on, until one is handed out."""
        if self.only_if is not None:
            newest = act.properties_of(instance.newest)
            if not self.only_if.check(act.entity, act.now, newest)[0]:
                words = f"only_if does not hold, {self.only_if.words}"
                instance.record(act.now, "not sent", words)
                return self._then, f"the message was not sent: {words}"
        outcome = "no channel is left"
        stopped = _stopped(act, instance, before)
        for at in range(first, len(self._ways)):
            channel, within_ms, sends = self._ways[at]
            if not may_follow(stopped, channel):
                outcome = f"no {channel} goes out in the place of what is {Reason(stopped).name}"
                continue
            if why:
                instance.record(act.now, "falls back", why)
            known = instance.messages[-1:]
            outcome = sends.send(act, instance, journey)
            if instance.messages[-1:] == known:
                why = outcome
                continue
            replace(act, before, instance.messages[-1], why)
            if at == len(self._ways) - 1:
                return self._then, outcome
            instance.memory = at
            park(act, instance, act.now + within_ms)
            return None
        replace(act, before, "", "")
        return self._then, outcome


def _stopped(act: "Activation", instance: Instance, message_id: str) -> int:
    """How the fraud guard has stopped a message of a step, or one that it replaces; 0: not."""
    for earlier in reversed(instance.messages) if message_id else ():
        message = act.entity.kept.get(earlier)
        if message is None or message_id not in (message.id, message.instead):
            continue
        if message.status in (Reason.FRAUD_BLOCKED, Reason.FRAUD_SHADOWED):
            return message.status
        message_id = message.id
    return 0

"""`{message: {purpose: ..., channel: ..., template: ...}, then: next}`: sends one message.

It is rendered here and now, so that it is never stale. Whatever becomes of it (queued, no address,
no route, a template that cannot be rendered), the trail says so and the instance goes on: a
message that cannot be sent is no reason to lose the person's place. So does one whose `only_if`
does not hold at that moment.

In place of `channel` and `template` it may have `channels`: several, of which the next is tried
when one does not succeed; see `engine.journeys.steps.channels`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from engine import limits
from engine.conditions import Compiled, Condition
from engine.conditions.paths import resolver
from engine.content.templates import RenderError
from engine.durations import up_to
from engine.journeys.context import template_context, text_of
from engine.journeys.instance import Instance
from engine.journeys.steps.channels import ChannelList, ChannelModel, ChannelsStep
from engine.journeys.steps.registry import DELAY_MS, Move, OneWayModel, Step, register
from engine.messages.message import Channel, SendRequest
from engine.names import DefinitionName
from engine.reasons import Reason
from engine.schema import Strict, path_under, refusal
from engine.uses import Use

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey


class MessageFields(Strict):
    """What is sent, how, and to which address."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["channel", "template"]}, {"required": ["channels"]}]
        }
    )
    noun: ClassVar[str] = "a message"
    purpose: Literal["otp", "transactional", "marketing"]
    channel: Channel | None = None
    template: DefinitionName | None = None
    channels: ChannelList | None = None
    to: Annotated[str, path_under("traits", "properties")] | None = None
    lane: DefinitionName | None = None
    validity: Annotated[int, up_to(DELAY_MS)] = limits.VALIDITY_MS
    resend_unknown: bool = False
    topic: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)] | None = None
    tags: Annotated[list[DefinitionName], Field(max_length=limits.MESSAGE_TAGS)] = Field(
        default_factory=list
    )

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> "MessageFields":
        if self.channels is None:
            for field in ("channel", "template"):
                if getattr(self, field) is None:
                    raise refusal(f"{field!r} is missing", "or write 'channels', a list")
            return self
        for field in ("channel", "template", "to", "lane"):
            if getattr(self, field) is not None:
                raise refusal(f"{field!r} stands beside 'channels'", "each channel has its own")
        return self

    def each(self) -> list["MessageFields"]:
        """The messages of its channels, in their order, or itself."""
        if self.channels is None:
            return [self]
        return [self._by(one) for one in self.channels]

    def _by(self, one: ChannelModel) -> "MessageFields":
        own = {name: getattr(one, name) for name in ("channel", "template", "to", "lane")}
        return self.model_copy(update={**own, "channels": None})


@register
class MessageModel(OneWayModel):
    """A message step as it is written."""

    noun: ClassVar[str] = "a message step"
    key: ClassVar[str] = "message"
    message: MessageFields
    only_if: Condition | None = None

    def uses(self) -> Iterator[Use]:
        """The template, the lane if one is named, and the segments that `only_if` reads."""
        fields = self.message
        if self.only_if is not None:
            for segment in self.only_if.compile().segments:
                yield Use("segment", segment, "only_if")
        for number, one in enumerate(fields.each()):
            place = "message" if fields.channels is None else f"message.channels[{number}]"
            name, channel = one.template or "", one.channel or ""
            yield Use(
                "template", name, f"{place}.{'template' if one is fields else channel}", channel
            )
            if one.lane:
                yield Use("lane", one.lane, f"{place}.lane", channel)
        if fields.topic:
            yield Use("policy", "default", "message.topic", part=fields.topic)

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        only_if = None if self.only_if is None else self.only_if.compile()
        fields = self.message
        if fields.channels is None:
            return _Message(name, fields, only_if, self.then)
        last = len(fields.channels) - 1
        ways = [
            (one, _Message(name, each, None, self.then, 0 if at == last else one.wanted))
            for at, (one, each) in enumerate(zip(fields.channels, fields.each(), strict=True))
        ]
        return ChannelsStep(name, ways, only_if, self.then)


class _Message(Step):
    __slots__ = (
        "_fields", "_find", "_from_event", "_tags", "_then", "_to", "_topic", "_wanted", "_words",
        "only_if",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        fields: MessageFields,
        only_if: Compiled | None,
        then: str,
        wanted: int = 0,
    ) -> None:
        super().__init__(name, conditions=() if only_if is None else (only_if,))
        self.only_if = only_if
        self._tags = tuple(sorted(set(fields.tags)))
        self._topic = fields.topic or ""
        root, _, path = (fields.to or "").partition(".")
        self._find = resolver(path) if path else None
        self._from_event = root == "properties"
        self._to = fields.to
        self._wanted = wanted
        self._fields = (
            fields.channel or "", fields.purpose, fields.template or "", fields.validity,
            fields.lane or "", fields.resend_unknown,
        )  # fmt: skip
        self._then = then
        self._words = f"{fields.channel} template {fields.template!r}"

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        outcome = self.send(act, instance, journey)
        return self._then, outcome

    def send(self, act: "Activation", instance: Instance, journey: "Journey") -> str:
        """Sends it, if it can be; gives what became of it, in words."""
        channel, purpose, name, validity_ms, lane, resend_unknown = self._fields
        template = act.program.templates.get(name)
        if template is None or not template.serves(channel):
            why = f"TEMPLATE_MISSING, no {channel} template {name!r}"
            return self._not_sent(act, instance, why)
        newest = act.properties_of(instance.newest)
        only_if = self.only_if
        if only_if is not None and not only_if.check(act.entity, act.now, newest)[0]:
            return self._not_sent(act, instance, f"only_if does not hold, {only_if.words}")
        to = ""  # the profile's address for the channel
        if self._find is not None:
            to = text_of(self._find(newest if self._from_event else act.entity.traits))
            if not to:
                return self._not_sent(act, instance, f"NO_ADDRESS, there is no {self._to}")
        context = template_context(act, instance, newest)
        try:
            rendered = template.render(context, channel)
        except RenderError as error:
            why = f"template {name!r}: {error}"
            request = SendRequest(channel, to, purpose, "", template=name, instance=instance.id)
            act.send_failed(request, Reason.RENDER_FAILED, why)
            instance.record(act.now, "not sent", f"RENDER_FAILED, {why}")
            return "the message was not sent: RENDER_FAILED"
        message_id, reason = act.send(
            SendRequest(
                channel,
                to,
                purpose,
                rendered.body,
                rendered.subject,
                name,
                validity_ms,
                lane,
                resend_unknown,
                instance.id,
                rendered.warnings,
                self._tags,
                self._topic,
                journey.priority,
                context,
                rendered.content,
                wanted=self._wanted,
            )
        )
        if reason is not _QUEUED and reason is not _HELD:
            why = act.why(message_id) if reason > _HELD else ""
            words = f"{reason.name}, {self._words}"
            instance.record(act.now, "not sent", f"{words}: {why}" if why else words)
            return f"the message was not sent: {reason.name}"
        sent = instance.messages
        instance.messages = (*sent, message_id)[-limits.MESSAGES :] if sent else (message_id,)
        words = f"{self._words}, message {message_id}"
        if rendered.warnings:
            words += "; " + ", ".join(rendered.warnings)
        if reason is _HELD:
            instance.record(act.now, "held", f"{words}: {act.why(message_id)}")
            return "the message is held"
        instance.record(act.now, "sent", words)
        return "the message is queued"

    def _not_sent(self, act: "Activation", instance: Instance, why: str) -> str:
        """Records what never became a message in both trails."""
        instance.record(act.now, "not sent", why)
        act.note("message", instance.journey, f"not sent at step {self.name!r}: {why}")
        return f"the message was not sent: {why.partition(',')[0]}"


# To find a member of its enum takes ten times as long as a global.
_QUEUED: Final = Reason.QUEUED
_HELD: Final = Reason.HELD

"""`{webhook: {url: ..., body: ..., save_as: name}, then: good, else: bad}`: asks another system.

The run waits for the answer, at most `timeout`. A status of 200 to 299 leads to `then`, everything
else to `else`. With `save_as` the answer is kept like an event of that name: `status`, `body` (JSON
as it came, other text as text) and, if it failed, `error`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from engine import limits
from engine.content.templates import RenderError
from engine.durations import render
from engine.journeys import calling
from engine.journeys.instance import Instance
from engine.journeys.steps.registry import END, Move, Step, StepModel, StepName, park, register
from engine.journeys.steps.webhook_request import Asking, WebhookFields
from engine.packing import pack

if TYPE_CHECKING:
    from engine.activation import Activation
    from engine.journeys.compile import Journey


@register
class WebhookModel(StepModel):
    """A webhook step as it is written."""

    noun: ClassVar[str] = "a webhook step"
    key: ClassVar[str] = "webhook"
    webhook: WebhookFields
    then: StepName = END
    else_: StepName = Field(default=END, alias="else")

    def targets(self) -> Iterator[str]:
        """The step after a good answer, and the one after any other."""
        yield self.then
        yield self.else_

    def at_once(self) -> Iterator[str]:
        """What cannot be asked leads on at once."""
        yield self.else_

    def keeps(self) -> Iterator[str]:
        """The name of the answer."""
        if self.webhook.save_as is not None:
            yield self.webhook.save_as

    def reads(self) -> Iterator[tuple[str, str]]:
        """The kept events that the body is made of."""
        yield from self.webhook.events_read()

    def compile(self, name: str, key_path: str) -> Step:
        """Compiles the step."""
        return WebhookStep(name, self)


class WebhookStep(Step):
    """The compiled form; `answered` is what its answer does."""

    __slots__ = ("_asking", "_else", "_save_as", "_then", "_timeout_ms")

    def __init__(self, name: str, model: WebhookModel) -> None:
        super().__init__(name)
        self._asking = Asking(model.webhook)
        self._save_as = model.webhook.save_as or ""
        self._timeout_ms = model.webhook.timeout
        self._then = model.then
        self._else = model.else_

    def enter(self, act: "Activation", instance: Instance, journey: "Journey") -> Move | None:
        """Asks, and waits."""
        instance.memory = 0
        try:
            request, missing = self._asking.fill_in(act, instance)
        except RenderError as error:
            return self._failed(act, instance, 0, f"not called: {error}")
        if not calling.ask(act, instance, request):
            why = f"not called: {limits.OUTBOX} effects are waiting already"
            return self._failed(act, instance, 0, why)
        words = f"{request.method} {request.url}, webhook {calling.id_of(instance)}"
        instance.record(act.now, "called", "; ".join([words, *missing]))
        park(act, instance, act.now + self._timeout_ms)
        return None

    def answered(
        self,
        act: "Activation",
        instance: Instance,
        status: int,
        answer: bytes,
        words: str,
        error: str,
    ) -> Move:
        """Takes the answer; see `commands.called`."""
        instance.memory = 0
        if error:
            return self._failed(act, instance, status, error, answer, words)
        if self._save_as:
            instance.remember(self._save_as, answer)
        instance.record(act.now, "answered", f"{status}, {words}")
        return self._then, f"the webhook answered {status}"

    def on_timer(self, act: "Activation", instance: Instance) -> Move | None:
        """Goes on without an answer."""
        calling.take_back(act, instance)
        instance.memory = 0
        return self._failed(act, instance, 0, f"no answer within {render(self._timeout_ms)}")

    def _failed(
        self,
        act: "Activation",
        instance: Instance,
        status: int,
        why: str,
        answer: bytes = b"",
        words: str = "",
    ) -> Move:
        if self._save_as:
            instance.remember(self._save_as, answer or pack({"status": status, "error": why}))
        instance.record(act.now, "failed", f"{why}, {words}" if words else why)
        act.note("webhook", instance.journey, f"step {self.name!r}: {why}")
        return self._else, f"the webhook failed: {why}"

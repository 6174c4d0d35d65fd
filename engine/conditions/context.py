"""`{context: language, is: de}`: what the newest event said of the person's language and place."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from engine import event_context
from engine.conditions.dates import FACT as ZONE
from engine.conditions.operators import Comparison
from engine.conditions.paths import MISSING
from engine.conditions.registry import NO_PROPERTIES, Compiled, register
from engine.issues import did_you_mean, listed
from engine.schema import refusal

FACT = "context"
# What goes by a person's clock reads no condition, but the zone that contexts tell of.
READS_ZONE = Compiled(
    lambda entity, now_ms, properties=NO_PROPERTIES: (True, None), "", facts=(ZONE,)
)


def _path(value: Any) -> Any:
    if value not in event_context.PATHS:
        hint = did_you_mean(value, event_context.PATHS) or f"take {listed(event_context.PATHS)}"
        raise refusal(f"{value!r} of a context is not kept", hint)
    return value


@register
class ContextCondition(Comparison):
    """A part of the newest context that names it, compared with a value."""

    noun: ClassVar[str] = "a context condition"
    key: ClassVar[str] = "context"
    context: Annotated[str, BeforeValidator(_path)]

    def compile(self) -> Compiled:
        """Compiles to two look-ups and one comparison."""
        path = self.context

        def get(entity: Any, properties: Any) -> Any:
            found = event_context.value(entity, path)
            return MISSING if found is None else found

        return self.compile_with(get, facts=(FACT,))

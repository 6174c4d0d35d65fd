"""Texts that hold nothing but names: `Hi {{ profile.first_name }}!`, as most messages do.

To put words into such a text takes less than to ask a template engine for it. What comes out is
what minijinja says, or nothing: only texts and whole numbers are put in, whose form is the same
everywhere; and when a template is compiled minijinja is asked once whether it reads the text in the
same way. Whatever is different or missing is minijinja's.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from minijinja import Environment

_NAME: Final = re.compile(r"\{\{\s*([a-z_]\w*)\.([a-z_]\w*)\s*\}\}", re.ASCII | re.IGNORECASE)


class PlainText:
    """One such text; see the module's text."""

    __slots__ = ("_before", "_names")

    def __init__(self, source: str) -> None:
        self._before, *rest = _NAME.split(source)
        # Each name in its two parts, and the text after it.
        self._names = [*zip(rest[::3], rest[1::3], rest[2::3], strict=True)]

    def say(self, context: Mapping[str, Any]) -> str | None:
        """The text with its words in it; None if one is missing, or is no text or whole number.

        Cost: 0.2 µs a name.
        """
        said = self._before
        try:
            for name, inner, after in self._names:
                word = context[name][inner]
                kind = word.__class__
                if kind is not str and kind is not int:
                    return None
                said = f"{said}{word}{after}"
        except (LookupError, TypeError):  # quicker than to ask first: nearly always all are there
            return None
        return said

    def is_said_by(self, environment: Environment, part: str) -> bool:
        """Whether a template of an environment says the same, whatever the words are."""
        context: dict[str, dict[str, str]] = {}
        for number, (name, inner, _) in enumerate(self._names):
            context.setdefault(name, {})[inner] = f"<{number} & 'more'>\n"
        said = self.say(context)
        try:
            return said is not None and environment.render_template(part, **context) == said
        except Exception:  # filters raise what Python's values raise
            return False


def plain_texts(environment: Environment, sources: Mapping[str, str]) -> tuple[PlainText, ...]:
    """The plain texts of all parts of a template, or none if one is more than that."""
    texts = {part: PlainText(source) for part, source in sources.items()}
    if all(text.is_said_by(environment, part) for part, text in texts.items()):
        return tuple(texts.values())
    return ()

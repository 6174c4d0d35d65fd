"""Where something stands in what a carrier sends, and what a request to it is written like.

A path is names and numbers with dots between, `messages.0.id`; a `*` stands for each value of a
list, so a path may lead to many. A request is a template of minijinja, or a map whose texts are
templates: they are filled in first and written as JSON or as a form after, so no text of a message
can be anything but a text there.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from minijinja import Environment, TemplateError
from pydantic import AfterValidator, Field, StringConstraints

from engine import limits

_DEPTH: Final = 10
_FROM: Final = "$from"


def find(data: Any, path: str) -> Iterator[Any]:
    """The values that a path leads to; none if it leads nowhere. An empty path is all of it."""
    parts = path.split(".") if path else []
    yield from _walk(data, parts)


def first(data: Any, path: str) -> Any:
    """The first value that a path leads to, or None."""
    return next(find(data, path), None) if path else None


def text(data: Any, path: str) -> str:
    """The first value that a path leads to as a text; empty if there is none, or none to read."""
    return plain(first(data, path))


def plain(value: Any) -> str:
    """A value as a text without half characters, which JSON may hold; empty if it is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)[: limits.HTTP_VALUE_CHARS].encode(errors="replace").decode()
    return ""


def _walk(data: Any, parts: list[str]) -> Iterator[Any]:
    if not parts:
        yield data
        return
    part, rest = parts[0], parts[1:]
    if part == "*":
        if isinstance(data, list):
            for value in data:
                yield from _walk(value, rest)
    elif isinstance(data, Mapping):
        if part in data:
            yield from _walk(data[part], rest)
    elif isinstance(data, list) and part.isascii() and part.isdigit() and int(part[:9]) < len(data):
        yield from _walk(data[int(part[:9])], rest)


class Unrenderable(Exception):
    """A request can't be written for a message; nothing has left."""


def _new() -> Environment:
    environment = Environment(undefined_behavior="chainable")
    environment.fuel = limits.RENDER_STEPS
    return environment


def _good(template: str) -> str:
    try:
        _new().add_template("template", template)
    except TemplateError as error:
        msg = f"it is no template: {error.message}"
        raise ValueError(msg) from None
    return template


def _good_shape(shape: Any, depth: int = 0) -> Any:
    if depth > _DEPTH:
        msg = f"it is nested more than {_DEPTH} deep"
        raise ValueError(msg)
    if isinstance(shape, str):
        _good(shape)
    elif isinstance(shape, dict):
        if _FROM in shape and (len(shape) > 1 or not isinstance(shape[_FROM], str)):
            msg = f"'{_FROM}' stands alone and names where a value stands"
            raise ValueError(msg)
        for value in shape.values():
            _good_shape(value, depth + 1)
    elif isinstance(shape, list):
        for value in shape:
            _good_shape(value, depth + 1)
    return shape


Template = Annotated[str, Field(max_length=limits.BODY_CHARS), AfterValidator(_good)]
Shape = Annotated[dict[str, Any], AfterValidator(_good_shape)]
Path = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=200)]


class Renderer:
    """Fills in templates; each is compiled once."""

    def __init__(self) -> None:
        self._environment = _new()
        self._names: dict[str, str] = {}  # plain ones: what a name ends with decides on escapes

    def text(self, template: str, context: dict[str, Any]) -> str:
        """A template filled in.

        Raises:
            Unrenderable: It costs too much, or asks for what cannot be.
        """
        name = self._names.get(template)
        if name is None:
            name = self._names[template] = f"t{len(self._names)}"
            self._environment.add_template(name, template)
        try:
            return self._environment.render_template(name, **context)
        except TemplateError as error:
            raise Unrenderable(str(error)[:200]) from None

    def shape(self, shape: Any, context: dict[str, Any]) -> Any:
        """A map, list or text with its templates filled in.

        What a template leaves empty is left out of maps and lists, and a map that loses all it has
        goes with it. `{$from: content.buttons}` is
        the value that stands there, whatever it is.
        """
        if isinstance(shape, str):
            return self.text(shape, context)
        if isinstance(shape, dict):
            if _FROM in shape:
                return first(context, shape[_FROM])
            made = {name: self.shape(value, context) for name, value in shape.items()}
            kept = {name: value for name, value in made.items() if not _is_nothing(value)}
            return kept if kept or not shape else None
        if isinstance(shape, list):
            return [
                value for value in (self.shape(v, context) for v in shape) if not _is_nothing(value)
            ]
        return shape


def _is_nothing(value: Any) -> bool:
    return value is None or value == ""


def read_json(body: bytes | str) -> Any:
    """A body as JSON; None if it is none, or too deep to be read."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None

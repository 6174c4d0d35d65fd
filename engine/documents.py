"""Definition texts (YAML or JSON, several documents) as plain values.

YAML is read event by event, without recursion and by the core schema of YAML 1.2: `on` is a key
and not a boolean, `12:30` is text, a date is text. What would make the same text mean two things,
or a small text mean a large one, is refused: keys given twice, anchors and aliases, tags, depth.
So whatever comes out can be packed, and packs to about the size it was written in.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from engine import limits
from engine.issues import DefinitionError, Issue

_INT: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(text: str, source: str) -> list[tuple[Any, int]]:
    """The documents of a text, each with the line it begins at.

    Raises:
        DefinitionError: The text is not YAML or JSON, or uses what is refused; one issue, with
            line and column.
    """
    if len(text) > limits.BATCH_BYTES:
        raise _error(source, f"the text has more than {limits.BATCH_BYTES} characters")
    if text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
            value = _checked(value, source)
            return [(item, 1) for item in (value if isinstance(value, list) else [value])]
        except json.JSONDecodeError:
            pass  # YAML in flow style opens the same way
        except RecursionError:
            raise _error(source, "the JSON is nested too deeply") from None
        except ValueError as error:
            raise _error(source, str(error)) from None
    try:
        return [(value, line) for value, line in _yaml(text, source) if value is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _error(source, f"{place}not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise _error(source, f"not YAML: {str(error).splitlines()[0]}") from None


def _yaml(text: str, source: str) -> Iterator[tuple[Any, int]]:
    """Builds values from parser events with a stack of its own."""
    stack: list[_Node] = []
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.DocumentStartEvent):
            stack = [_Node([], event)]
        elif isinstance(event, yaml.DocumentEndEvent):
            value, line = stack[0].items[0]
            yield value, line
        elif isinstance(event, yaml.AliasEvent):
            raise _at(event, source, f"'*{event.anchor}' is an alias; write the value out")
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            _refuse_marks(event, source)
            if isinstance(event, yaml.ScalarEvent):
                stack[-1].add(_scalar(event, source), event, source)
                continue
            if len(stack) > limits.DOCUMENT_DEPTH:
                raise _at(event, source, f"nested more than {limits.DOCUMENT_DEPTH} deep")
            stack.append(_Node({} if isinstance(event, yaml.MappingStartEvent) else [], event))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            node = stack.pop()
            stack[-1].add(node.finish(), node.start, source)


class _Node:
    """A map or list that is being read; a document is a list with one item."""

    def __init__(self, value: "dict[str, Any] | list[Any]", start: Any) -> None:
        self.value = value
        self.start = start
        self.items: list[tuple[Any, int]] = []
        self.key: str | None = None

    def add(self, value: Any, event: Any, source: str) -> None:
        """Takes the next key or value."""
        if isinstance(self.value, list):
            self.value.append(value)
            self.items.append((value, event.start_mark.line + 1))
        elif self.key is not None:
            self.value[self.key] = value
            self.key = None
        elif isinstance(value, (dict, list)) or value is None:
            raise _at(event, source, "a key must be text")
        else:
            key = event.value  # as it was written: `on`, `yes` and `1` are keys like any other
            if key in self.value:
                raise _at(event, source, f"the key {key!r} is given twice")
            self.key = key

    def finish(self) -> Any:
        """The value, complete."""
        return self.value


def _refuse_marks(event: Any, source: str) -> None:
    if event.anchor:
        raise _at(event, source, f"'&{event.anchor}' is an anchor; write values out")
    if event.tag not in (None, "!"):
        raise _at(event, source, f"the tag {event.tag!r} is not allowed")


def _scalar(event: Any, source: str) -> Any:
    text: str = event.value
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _at(event, source, "the text is not valid Unicode") from None
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
            raise _at(event, source, f"the number {text[:40]} does not fit into 64 bits")
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise _at(event, source, f"the number {text[:40]} is too large")
        return number
    return text


def _checked(value: Any, source: str, depth: int = 0) -> Any:
    """The value of a JSON text, with what YAML is refused for refused too."""
    if depth > limits.DOCUMENT_DEPTH:
        raise _error(source, f"nested more than {limits.DOCUMENT_DEPTH} deep")
    if isinstance(value, dict):
        for key, item in value.items():
            _checked(key, source, depth + 1)
            _checked(item, source, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _checked(item, source, depth + 1)
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _error(source, "the text is not valid Unicode") from None
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise _error(source, f"the number {str(value)[:40]} does not fit into 64 bits")
    elif value in (float("inf"), float("-inf")):
        raise _error(source, "a number is too large")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            msg = f"the key {key!r} is given twice"
            raise ValueError(msg)
        value[key] = item
    return value


def _refuse_constant(word: str) -> None:
    msg = f"{word} is not a number of JSON"
    raise ValueError(msg)


def _at(event: Any, source: str, what: str) -> DefinitionError:
    mark = event.start_mark
    return _error(source, f"line {mark.line + 1}, column {mark.column + 1}: {what}")


def _error(source: str, what: str) -> DefinitionError:
    return DefinitionError([Issue(source, what, source=source)])

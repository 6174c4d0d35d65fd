"""Templates: the words of a message, compiled once, rendered when the message is due.

A template is strict when it is defined and lenient when it is sent. At definition time it is
rendered against the document's `sample`, and a name that the sample lacks is an error: a typing
error is found before anyone gets it. At send time a profile that lacks a name still gets its
message, with nothing in that place and a warning in the record, one for each name.

Rendering must be a function of the template and its context. minijinja has no clock and no
randomness; what is left is that it sees the methods of Python's maps and lists, where a name is
missing (`event.items` would print a method, and `event.pop('x')` would change the profile). So a
template that could reach a method sees its data through `_Map` and `_List`, which have none.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, cast

from minijinja import Environment, TemplateError
from msgspec import Struct
from pydantic import Field, model_validator

from engine import limits
from engine.content.down import NotShown, render_down
from engine.content.model import ContentModel
from engine.content.plain import plain_texts
from engine.content.template_functions import Functions
from engine.errors import DenreiError
from engine.issues import Issue, did_you_mean
from engine.messages.message import EMAIL, PUSH, WHATSAPP
from engine.names import DefinitionName
from engine.schema import Strict, refusal

NAMES: Final = ("profile", "event", "first", "events", "data", "user_id", "journey", "key")
_FUNCTIONS: Final = ("range",)
_SPACE: Final = re.compile(r"\s+")
_METHODS: Final = sorted(
    name for name in {*dir(dict), *dir(list), *dir(tuple)} if not name.startswith("_")
)
_REACHES_METHODS: Final = re.compile(
    rf"\.\s*(?:{'|'.join(_METHODS)})\b"  # event.items
    rf"|['\"](?:{'|'.join(_METHODS)})['\"]"  # event['items'], map(attribute='items')
    r"|\[\s*[^'\"\d\s\]-]"  # event[profile.x]
    r"|\battr\b|~|\bformat\b"  # names that are put together
)


_ASKED: Final = re.compile(rb"(?:\s*\.\s*\w+|\[[^\]]*\])*")  # `.y.z` after an undefined `x`


class RenderError(DenreiError):
    """A template that cannot be rendered with this context, and why, in words."""


class Rendered(Struct, frozen=True, gc=False):
    """A rendered template.

    Attributes:
        body: The text.
        subject: The subject (email) or title (push); else empty.
        warnings: One line for each name that was not there, at most
            `limits.RENDER_WARNINGS`.
        content: What the channel shows beyond the text, a JSON object; or empty.
    """

    body: str
    subject: str
    warnings: tuple[str, ...] = ()
    content: str = ""


class TemplateModel(Strict):
    """A template as it is written."""

    noun: ClassVar[str] = "a template"
    template: DefinitionName
    channel: Literal["sms", "email", "push", "whatsapp", "voice", "rcs", "any"]
    subject: Annotated[str, Field(min_length=1, max_length=limits.BODY_CHARS)] | None = None
    title: Annotated[str, Field(min_length=1, max_length=limits.BODY_CHARS)] | None = None
    body: Annotated[str, Field(min_length=1, max_length=limits.BODY_CHARS)] | None = None
    html: Annotated[str, Field(min_length=1, max_length=limits.HTML_CHARS)] | None = None
    content: ContentModel | None = None
    sample: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _headline_fits_channel(self) -> "TemplateModel":
        if self.body is None and self.content is None:
            raise refusal("'body' is missing", "a template has a body, or content, or both")
        if self.html is not None and self.channel not in (EMAIL, ANY):
            raise refusal(f"'html' belongs to channel email, not {self.channel}")
        for field, channel in _HEADLINES.items():
            given = getattr(self, field) is not None
            if self.channel == ANY:
                continue
            if given and channel != self.channel:
                raise refusal(f"{field!r} belongs to channel {channel}, not {self.channel}")
            if not given and channel == self.channel:
                raise refusal(f"{field!r} is missing: channel {channel} needs it")
        return self

    @property
    def headline(self) -> str:
        """The subject or title, or an empty text."""
        return self.subject or self.title or ""


ANY: Final = "any"  # the channel of a template that is good for all
_HEADLINES: Final = {"subject": EMAIL, "title": PUSH}
_HTML: Final = "html.html"  # minijinja escapes what stands in a template whose name ends like this
_IN_CONTENT: Final = "content."


class Template:
    """A compiled template.

    Attributes:
        name: Its name.
        channel: The channel it is written for.
        longest: How many characters its body may have, rendered.
        may_be_plain: Whether `engine.content.plain` may render it; not if somebody changes what
            its environment writes.
    """

    longest: ClassVar[int] = limits.BODY_CHARS
    may_be_plain: ClassVar[bool] = True
    __slots__ = (
        "_careful", "_content", "_environment", "_functions", "_has_subject", "_is_text", "_names",
        "_one", "_parts", "_plain", "_sources", "channel", "name",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        channel: str,
        body: str,
        subject: str,
        html: str = "",
        content: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.channel = channel
        self._content = content
        given = {"body": body, "subject": subject, _HTML: html}
        self._sources = {part: text for part, text in given.items() if text}
        self._sources |= {f"{_IN_CONTENT}{path}": text for path, text in _texts(content)}
        self._parts = tuple(self._sources)
        self._has_subject = bool(subject)
        self._careful = any(map(_REACHES_METHODS.search, self._sources.values()))
        self._environment = _environment()
        self._functions = Functions(self._environment)
        for part, source in self._sources.items():
            self._environment.add_template(part, source)
        self._is_text = self._content is None and _HTML not in self._sources
        self._names = self._reads()
        is_plain = self._is_text and self.may_be_plain
        self._plain = plain_texts(self._environment, self._sources) if is_plain else ()
        # As most messages are: a body, nothing beside it, and nothing in it but names.
        self._one = self._plain[0] if len(self._plain) == 1 and body else None

    def _reads(self) -> tuple[str, ...] | None:
        """The names of its context that it can reach; None if it sets names of its own.

        A name costs more to hand over than to find out that nobody asks for it.
        """
        if any("{%" in source for source in self._sources.values()):
            return None
        read = {"profile"}  # which functions look into, for its locale and its zone
        for part in self._parts:
            read |= self._environment.undeclared_variables_in_template(part)
        return tuple(sorted(read))

    @property
    def environment(self) -> Environment:
        """What it is rendered in, for who has functions to add."""
        return self._environment

    def serves(self, channel: str) -> bool:
        """Whether it is good for messages by a channel."""
        return self.channel == channel or self.channel == ANY

    def render(self, context: Mapping[str, Any], channel: str = "") -> Rendered:
        """Renders the template.

        Args:
            context: Some of `NAMES`; nothing in it is changed.
            channel: By which channel it is sent; empty means its own.

        Raises:
            RenderError: It cannot be rendered, even leniently (arithmetic with a name that is
                missing, too long a text, too many steps, an approved template with a gap).

        Cost: 1 µs for a plain text, else 3–5 µs, if every name is there; 100 µs and more if some
            are missing.
        """
        if self._one is not None:
            one = self._one.say(context)
            if one is not None and len(one) <= self.longest:
                return Rendered(one, "", (), "")
        said = self._say_plainly(context) if self._plain else None
        warnings: tuple[str, ...] = ()
        if said is None:
            said, warnings = self._say(context)
        content = ""
        if self._is_text:
            body, subject = said[0], said[1] if self._has_subject else ""
        else:
            body, subject, content = self._show(said, channel or self.channel)
        if len(body) > self.longest:
            msg = f"the text has {len(body)} characters, more than {self.longest}"
            raise RenderError(msg)
        if subject:
            subject = _SPACE.sub(" ", subject).strip()  # a line break would begin a new header
        return Rendered(body, subject, warnings, content)

    def _say_plainly(self, context: Mapping[str, Any]) -> list[str] | None:
        """Every part as a plain text, or None if one cannot be said so."""
        said: list[str] = []
        for text in self._plain:
            part = text.say(context)
            if part is None:
                return None
            said.append(part)
        return said

    def _say(self, context: Mapping[str, Any]) -> tuple[list[str], tuple[str, ...]]:
        """Every part as minijinja renders it, and a warning for each name that is missing."""
        names = self._names
        if names is not None:
            context = {name: context[name] for name in names if name in context}
        if self._careful:
            context = {name: _wrapped(value) for name, value in context.items()}
        render = self._environment.render_template
        try:
            return [render(part, **context) for part in self._parts], ()
        except Exception as error:  # filters raise what Python's values raise
            if getattr(error, "kind", "") != "UndefinedError":
                raise RenderError(_sentence(error)) from None
            said = self._render_leniently(context)
            return said, tuple(f"{name} is undefined" for name in self._undefined(context))

    def _show(self, said: list[str], channel: str) -> tuple[str, str, str]:
        """Body, headline and rich form of what is more than a text."""
        parts = dict(zip(self._parts, said, strict=True))
        body, subject, rich = parts.get("body", ""), parts.get("subject", ""), {}
        if self._content is not None:
            texts = iter([text for part, text in parts.items() if part.startswith(_IN_CONTENT)])
            try:
                shown = render_down(_filled(self._content, texts), channel)
            except NotShown as error:
                raise RenderError(str(error)) from None
            body, subject, rich = body or shown.text, subject or shown.headline, shown.rich
        if channel == EMAIL and _HTML in parts:
            rich = {"html": parts[_HTML]}
        packed = json.dumps(rich, ensure_ascii=False, separators=(",", ":")) if rich else ""
        if len(packed) > limits.HTML_CHARS:
            msg = f"its content has {len(packed)} characters, more than {limits.HTML_CHARS}"
            raise RenderError(msg)
        return body, subject, packed

    def check(self, sample: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """What is wrong with it, judged by a sample of its context: `(part, what, hint)`."""
        context = {**dict.fromkeys(("user_id", "journey", "key"), "sample"), **sample}
        if "event" in context:
            context.setdefault("first", context["event"])
        known = (*NAMES, *(name for name in sample if name not in NAMES))
        for part in self._sources:
            names = self._environment.undeclared_variables_in_template(part)
            for name in sorted(names.difference(known, _FUNCTIONS)):
                hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
                yield part, f"{name!r} is not known here", hint
                return
            for name in self._undefined(context, part):
                shown = name if " " in name else repr(name)
                yield part, f"{shown} is not in the sample", "correct it, or add it to 'sample'"
                return
        channel = WHATSAPP if self.channel == ANY else self.channel  # which is the strictest
        try:
            self.render(context, channel)
        except RenderError as error:
            yield "content" if self._content is not None else "body", str(error), ""

    def _render_leniently(self, context: Mapping[str, Any]) -> list[str]:
        environment = self._environment
        environment.undefined_behavior = "chainable"
        self._functions.lenient = True
        try:
            return [environment.render_template(part, **context) for part in self._parts]
        except Exception as error:  # as in `render`
            raise RenderError(_sentence(error)) from None
        finally:
            environment.undefined_behavior = _STRICT
            self._functions.lenient = False

    def _undefined(self, context: Mapping[str, Any], only: str = "") -> list[str]:
        """The names that are missing: renders strictly, blanking each name that it trips over."""
        functions = self._functions
        functions.lenient = True  # they tell what they lack, and go on
        functions.missing.clear()
        names: dict[str, None] = {}
        for part, text in self._sources.items():
            source = text.encode()
            while len(names) < limits.RENDER_WARNINGS and only in ("", part):
                try:
                    self._environment.render_str(source.decode(), **context)
                except TemplateError as error:
                    name, blanked = _blank(source, error)
                    if name:
                        names[name] = None
                    if blanked is None:
                        break
                    source = blanked
                except Exception:  # as in `render`, where it is told
                    break
                else:
                    break
        functions.lenient = False
        return [*names, *functions.missing][: limits.RENDER_WARNINGS]


def compile_template(model: TemplateModel) -> Template:
    """The template of a document.

    Raises:
        ValueError: It is not a template; the message says where and why.
    """
    try:
        return Template(
            model.template,
            model.channel,
            model.body or "",
            model.headline,
            model.html or "",
            model.content.plain() if model.content is not None else None,
        )
    except TemplateError as error:
        raise ValueError(_sentence(error)) from None


def check_template(model: TemplateModel, where: str) -> Iterator[Issue]:
    """What is wrong with a template that only rendering shows."""
    try:
        template = compile_template(model)
    except ValueError as error:
        part = "body" if model.body else "content"
        yield Issue(where, f"{part}: {error}", field=part)
        return
    headline = "subject" if model.channel == EMAIL else "title"
    for part, what, hint in template.check(model.sample):
        field = {"subject": headline, _HTML: "html"}.get(part, part)
        yield Issue(where, f"{field}: {what}", hint, field)


def _texts(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in content, with where it stands: `cards[0].title`."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from _texts(value, f"{path}.{name}" if path else name)
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _texts(value, f"{path}[{number}]")
    elif content is not None:
        yield path, content


def _filled(content: Any, texts: Iterator[str]) -> Any:
    """Content with its texts replaced, in the order of `_texts`."""
    if isinstance(content, Mapping):
        return {name: _filled(value, texts) for name, value in content.items()}
    if isinstance(content, list):
        return [_filled(value, texts) for value in content]
    return next(texts)


_STRICT: Final[Any] = "semi_strict"  # undefined names fail, but `{% if name %}` may ask for them


def _environment() -> Environment:
    return Environment(undefined_behavior=_STRICT, fuel=limits.RENDER_STEPS, debug=True)


def _sentence(error: Exception) -> str:
    if not isinstance(error, TemplateError):
        return str(error)
    what = error.detail or error.kind
    if error.kind == "OutOfFuel":
        what = f"it takes more than {limits.RENDER_STEPS} steps to render"
    elif error.kind == "TemplateNotFound":
        what = "other templates cannot be included"
    return f"line {error.line}: {what}" if error.line else what


def _blank(source: bytes, error: TemplateError) -> tuple[str, bytes | None]:
    """The undefined name that an error tells of, and the source with an empty text in its place."""
    quoted = re.match(r"`(.*)` is undefined", error.detail or "")
    if error.kind != "UndefinedError" or quoted is None or error.range is None:
        return "", None
    name = quoted[1]
    wanted = name.encode()
    start, end = error.range  # in bytes; of the name, or of what was asked of it
    found = source.rfind(wanted, 0, max(end, start + len(wanted)))
    if found < 0 or found + len(wanted) < start:
        return name, None
    asked = _ASKED.match(source, found + len(wanted))
    return name, source[:found] + b'""' + source[asked.end() if asked else end :]


class _Map(dict[str, Any]):
    """A map that has items and nothing else: no methods that a template could call."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        raise AttributeError(name)

    def __getitem__(self, name: str) -> Any:
        return _wrapped(dict.__getitem__(self, name))


class _List(list[Any]):
    """A list that has items and nothing else."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        raise AttributeError(name)

    def __getitem__(self, index: Any) -> Any:
        return _wrapped(list.__getitem__(self, index))

    def __iter__(self) -> Iterator[Any]:
        return iter([_wrapped(value) for value in list.__iter__(self)])


def _wrapped(value: Any) -> Any:
    kind = value.__class__
    if kind is dict:
        return _Map(value)
    return _List(cast("list[Any]", value)) if kind in (list, tuple) else value

"""What a webhook asks: its URL, headers and body as they are written, and as a run fills them in.

The host is written out, so no profile can choose where a request goes. What templates put into the
rest of the URL is percent-encoded, all of it; if anything there is missing, or would climb up a
path, nothing is called: `/users/` is another question than `/users/7`. A body that is a map becomes
JSON whatever its values are: each text in it is a template, `{from: properties.cart_id}` is the
value itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, cast
from urllib.parse import quote, urlsplit

import msgspec
from minijinja import TemplateError
from pydantic import AfterValidator, Field, PlainValidator, model_validator

from engine import limits
from engine.content.templates import NAMES, RenderError, Template
from engine.durations import up_to
from engine.issues import did_you_mean, kind_of
from engine.journeys.calling import Request
from engine.journeys.context import template_context
from engine.journeys.instance import Instance
from engine.journeys.steps.branches import kept_name
from engine.journeys.steps.values import FromModel, Writer
from engine.names import DefinitionName
from engine.schema import Strict, refusal

if TYPE_CHECKING:
    from engine.activation import Activation

_SHAPE: Final = re.compile(
    r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?([/?].*)?", re.DOTALL
)
_TAGS: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_TAG: Final = re.compile(r"\{[{%#]")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FORBIDDEN: Final = (
    "host", "content-length", "transfer-encoding", "connection", "accept-encoding",
    "webhook-id", "webhook-timestamp", "webhook-signature", "idempotency-key",
)  # fmt: skip
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"


class SecretModel(Strict):
    """A header whose value ends with a secret of the caller's settings."""

    noun: ClassVar[str] = "a header with a secret"
    secret: DefinitionName
    prefix: Annotated[str, Field(max_length=limits.WEBHOOK_HEADER_CHARS)] = ""


def _header(value: Any) -> Any:
    if isinstance(value, dict):
        value = SecretModel.model_validate(value)
    elif not isinstance(value, str):
        raise refusal(f"must be text, not {kind_of(value)}", "put it in quotes")
    text = value.prefix if isinstance(value, SecretModel) else value
    if len(text) > limits.WEBHOOK_HEADER_CHARS:
        raise refusal(f"is longer than {limits.WEBHOOK_HEADER_CHARS} characters")
    if not text.isascii() or any(ord(character) < 32 for character in text):
        raise refusal("holds a character that no header may hold")
    return value


Header = Annotated[
    str | SecretModel, PlainValidator(_header, json_schema_input_type=str | SecretModel)
]


class WebhookFields(Strict):
    """What is asked, how long, and how often."""

    noun: ClassVar[str] = "a webhook"
    url: Annotated[str, Field(min_length=1, max_length=limits.WEBHOOK_URL_CHARS)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: Annotated[dict[str, Header], Field(max_length=limits.WEBHOOK_HEADERS)] = Field(
        default_factory=dict
    )
    body: Any = None
    timeout: Annotated[int, up_to(limits.WEBHOOK_LONGEST_MS)] = limits.WEBHOOK_TIMEOUT_MS
    retries: Annotated[int, Field(ge=0, le=limits.WEBHOOK_MOST_RETRIES)] = limits.WEBHOOK_RETRIES
    secret: DefinitionName | None = None
    save_as: Annotated[DefinitionName, AfterValidator(kept_name)] | None = None

    @model_validator(mode="after")
    def _can_be_asked(self) -> "WebhookFields":
        host_of(self.url)
        for name in self.headers:
            if not _HEADER.fullmatch(name):
                raise refusal(f"headers: {name!r} is not the name of a header")
            if name.lower() in _FORBIDDEN:
                raise refusal(f"headers: {name!r} is written by Denrei itself", "delete it")
        if self.method == "GET" and self.body is not None:
            raise refusal("'body' stands in a GET, which has none", "say method: POST")
        _Url(self.url).check("url")
        body = Body(self.body)
        if body.template is not None:
            body.template.check("body")
        return self

    def events_read(self) -> Iterator[tuple[str, str]]:
        """The kept events that values of the body are found in."""
        for place, value in Body(self.body).finds.items():
            if value.event:
                yield value.event, f"webhook.body{place}"


def host_of(url: str) -> str:
    """The host and port that a URL goes to, in the form in which receivers are told apart.

    Raises:
        PydanticCustomError: It is no URL that can be called.
    """
    shape = _SHAPE.fullmatch(url)
    if shape is None or not _is_plain(_TAGS.sub("", url)):
        hint = "write it like https://api.example.com/carts; only what follows the host may vary"
        if "@" in url.partition("/")[2].partition("/")[2].partition("/")[0]:
            hint = "write {Authorization: {secret: name, prefix: 'Basic '}} into 'headers'"
        raise refusal(f"{url!r} is not a URL with its host written out", hint)
    scheme, host, port, _ = shape.groups()
    try:
        number = urlsplit(f"{scheme}://{host}{port or ''}").port
    except ValueError as error:
        raise refusal(f"url: {error}") from None
    return f"{host.lower()}:{number or (443 if scheme == 'https' else 80)}"


def _is_plain(url: str) -> bool:
    return url.isascii() and not any(character <= " " for character in url)


class _Template(Template):
    """A template outside of a message."""

    longest: ClassVar[int] = limits.WEBHOOK_BODY_CHARS
    may_be_plain: ClassVar[bool] = False  # a URL writes its values in a form of its own
    __slots__ = ()

    def __init__(self, text: str, names: tuple[str, ...] = ()) -> None:
        super().__init__("webhook", "", text, "")
        self._environment.add_filter("tojson", _tojson)
        unknown = self._environment.undeclared_variables_in_template("body")
        for name in sorted(unknown.difference(_NAMES, names)):
            known = did_you_mean(name, _NAMES) or f"there are {', '.join(_NAMES)}"
            msg = f"{name!r} is not known here; {known}"
            raise ValueError(msg)


_NAMES: Final = (*(name for name in NAMES if name != "data"), "range")


class _Checked:
    """A template that is compiled when it is first needed, so that a model can say its errors."""

    __slots__ = ("_finish", "_names", "_text")

    def __init__(self, text: str, names: tuple[str, ...] = ()) -> None:
        self._text = text
        self._names = names

    def check(self, where: str) -> None:
        """Raises a refusal if it is no template."""
        try:
            self.compile()
        except (ValueError, TemplateError) as error:
            what, _, hint = str(getattr(error, "detail", None) or error).partition("; ")
            raise refusal(f"{where}: {what}", hint) from None

    def compile(self) -> Template:
        """The template."""
        return _Template(self._text, self._names)


class _Url(_Checked):
    """The template of a URL: what it puts in is percent-encoded."""

    __slots__ = ()

    def compile(self) -> Template:
        """See `_Checked`."""
        template = super().compile()
        template.environment.finalizer = cast("Any", _quoted)
        return template


def _quoted(value: Any) -> str:
    if value is None:
        return ""
    if value is True or value is False:
        return str(value).lower()
    return quote(str(value), safe="")


class Body:
    """A body as it is written, and the template that makes it.

    Attributes:
        template: The template, or None if there is no body.
        finds: The values that are found elsewhere, by their place in the body.
        type: Its content type.
    """

    __slots__ = ("finds", "template", "type")

    def __init__(self, value: Any) -> None:
        self.finds: dict[str, FromModel] = {}
        self.template: _Checked | None = None
        self.type = ""
        if value is None:
            return
        if isinstance(value, str):
            self.type, text = _TEXT, value
        else:
            self.type, text = _JSON, self._write(value, "")
        if len(text) > limits.WEBHOOK_BODY_CHARS:
            raise refusal(f"body: is longer than {limits.WEBHOOK_BODY_CHARS} characters")
        self.template = _Checked(text, tuple(map(_name, range(len(self.finds)))))

    def _write(self, value: Any, place: str) -> str:
        """The text of a JSON value, with templates in it."""
        if isinstance(value, str):
            if _TAG.search(value):
                return "{% filter tojson %}" + value + "{% endfilter %}"
            return dumps(value)
        if isinstance(value, list):
            items = (self._write(item, f"{place}[{n}]") for n, item in enumerate(value))
            return f"[{','.join(items)}]"
        if isinstance(value, dict):
            if list(value) == ["from"]:
                self.finds[place] = FromModel.model_validate(value)
                return f"{{{{ {_name(len(self.finds) - 1)} }}}}"
            for name in value:
                if not isinstance(name, str) or _TAG.search(name):
                    raise refusal(f"body{place}: {name!r} cannot be a name", "templates are values")
            members = (f"{dumps(n)}:{self._write(v, f'{place}.{n}')}" for n, v in value.items())
            return f"{{{','.join(members)}}}"
        if value is None or isinstance(value, bool | int | float):
            return dumps(value)
        what = f"body{place}: {kind_of(value)} cannot be written as JSON"
        raise refusal(what, "put it in quotes")


def _name(number: int) -> str:
    return f"_from{number}"


class Asking:
    """A webhook, compiled: what a run asks, filled in."""

    __slots__ = ("_body", "_fields", "_receiver", "_url", "_writer")

    def __init__(self, fields: WebhookFields) -> None:
        body = Body(fields.body)
        self._url = _Url(fields.url).compile()
        self._body = None if body.template is None else body.template.compile()
        self._writer = Writer({_name(n): value for n, value in enumerate(body.finds.values())})
        self._receiver = host_of(fields.url)
        headers = tuple(
            (name, value, "") if isinstance(value, str) else (name, value.prefix, value.secret)
            for name, value in fields.headers.items()
        )
        if body.type and "content-type" not in map(str.lower, fields.headers):
            headers = (*headers, ("Content-Type", body.type, ""))
        self._fields = (
            fields.method, headers, fields.secret or "", fields.retries, fields.timeout
        )  # fmt: skip

    def fill_in(self, act: "Activation", instance: Instance) -> tuple[Request, list[str]]:
        """The request, and in words what was missing in its body.

        Raises:
            RenderError: It cannot be asked, and why.
        """
        method, headers, secret, retries, timeout_ms = self._fields
        context = template_context(act, instance, act.properties_of(instance.newest))
        url = self._url.render(context)
        if url.warnings:
            raise RenderError(f"the URL lacks something: {', '.join(url.warnings)}")
        if not _is_plain(url.body):
            raise RenderError(f"the URL holds a space, or what must be encoded: {url.body}")
        if len(url.body) > limits.WEBHOOK_URL_CHARS:
            raise RenderError(f"the URL is longer than {limits.WEBHOOK_URL_CHARS} characters")
        if not {".", ".."}.isdisjoint(url.body.partition("?")[0].split("/")):
            raise RenderError(f"the URL climbs up its path: {url.body}")
        body, missing = "", []
        if self._body is not None:
            values, names = self._writer.write(act, instance)
            texts = {name: _tojson(value) for name, value in values.items()}
            rendered = self._body.render({**context, **dict.fromkeys(names, "null"), **texts})
            missing = [*rendered.warnings, *(f"nothing at {self._writer.paths[n]}" for n in names)]
            body = rendered.body
        request = Request(
            self._receiver, method, url.body, headers, body, secret, retries, timeout_ms
        )
        return request, missing


def _tojson(value: Any) -> str:
    return msgspec.json.encode(_plain(value)).decode()


def _plain(value: Any) -> Any:
    """A value without what templates put around maps and lists; see `engine.content.templates`."""
    if isinstance(value, dict):
        items = cast("Callable[[Mapping[str, Any]], Any]", dict.items)(value)
        return {str(name): _plain(item) for name, item in items}
    if isinstance(value, list):
        return [_plain(item) for item in list.__iter__(value)]
    return value

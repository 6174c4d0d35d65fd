"""The options of `carrier: http`: a carrier's API described in YAML; see docs/http-carriers.md."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from actors.carriers.base import InboundOptions, SecretName
from actors.carriers.http.paths import Path, Shape, Template
from actors.carriers.http.signatures import Header, Signature
from engine import limits
from engine.names import DefinitionName

# Where messages go is said by who defines the lane, not by what stands in a message.
_FIXED_HOST: Final = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(?:[/?]|$)")
_REPORTED: Final = ("sent", "delivered", "read", "undelivered", "partially_delivered")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _texts(value: Any) -> Any:
    """YAML reads 0 and true as no texts; carriers' codes are."""
    return [
        str(one).lower() if isinstance(one, bool) else str(one) if isinstance(one, int) else one
        for one in _listed(value)
    ]


Status = Annotated[str, StringConstraints(pattern=r"^[1-5](xx|[0-9]{2})$")]
Texts = Annotated[list[Annotated[str, Field(max_length=200)]], BeforeValidator(_texts)]


class BasicAuth(_Model):
    """A name and a password."""

    user: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^:]+$")]
    password: SecretName


class HeaderAuth(_Model):
    """A secret in a header, such as `Authorization: Bearer …`."""

    header: Header = "authorization"
    prefix: Annotated[str, Field(max_length=50)] = "Bearer "
    value: SecretName


class OutcomeRule(_Model):
    """What an answer means: the first rule that fits counts.

    Attributes:
        status: HTTP statuses, such as 400 or 4xx; left out, all.
        code: What stands at the answer's `code`; left out, anything.
        outcome: What it means.
    """

    status: Annotated[list[Status], BeforeValidator(_texts)] | None = None
    code: Texts | None = None
    outcome: Literal["accepted", "rejected", "failed", "throttled", "unknown"]

    def fits(self, status: int, code: str) -> bool:
        """Whether an answer is one of those that the rule is about."""
        if self.code is not None and code not in self.code:
            return False
        if self.status is None:
            return True
        return any(one in {str(status), f"{status // 100}xx"} for one in self.status)


class AnswerModel(_Model):
    """Where things stand in an answer: paths into its JSON."""

    id: Path | None = None
    code: Path | None = None
    detail: Path | None = None


class ReportsModel(_Model):
    """Where things stand in what the carrier reports.

    Attributes:
        items: The reports, if one call brings several.
        id: The carrier's id of the message.
        reference: Our id of it, if the carrier was told it.
        status: What became of it.
        statuses: What the carrier's words mean, by ours.
        code: The carrier's code.
        detail: The carrier's words.
    """

    items: Path | None = None
    id: Path | None = None
    reference: Path | None = None
    status: Path
    statuses: dict[
        Literal["sent", "delivered", "read", "undelivered", "partially_delivered"], Texts
    ]
    code: Path | None = None
    detail: Path | None = None

    @model_validator(mode="after")
    def _names_its_message(self) -> "ReportsModel":
        if self.id is None and self.reference is None:
            msg = "a report has to name its message: write 'id' or 'reference'"
            raise ValueError(msg)
        return self


class InboundModel(_Model):
    """Where things stand in what people send.

    Attributes:
        items: The messages, if one call brings several.
        where: Only messages in which these paths lead to these texts.
        id: The carrier's id of it.
        sender: Who sent it.
        to: The number or address of ours.
        body: The text.
        media: Addresses of pictures and files.
        values: What else to keep, by a name of your own.
    """

    items: Path | None = None
    where: dict[Path, Texts] = Field(default_factory=dict)
    id: Path
    sender: Path
    to: Path | None = None
    body: Path | None = None
    media: Path | None = None
    values: Annotated[dict[DefinitionName, Path], Field(max_length=limits.INBOUND_VALUES)] = Field(
        default_factory=dict
    )


class ChallengeModel(_Model):
    """The question by which a carrier finds out whether an address is ours, in a GET.

    Attributes:
        token: The name of the query's field with the secret that the carrier was given.
        secret: That secret.
        echo: The name of the field that it wants to see again.
    """

    token: Annotated[str, Field(max_length=100)] = "hub.verify_token"
    secret: SecretName
    echo: Annotated[str, Field(max_length=100)] = "hub.challenge"


class HttpOptions(InboundOptions):
    """How a carrier's API is called, and how it calls back.

    Attributes:
        url: Where a message goes, a template.
        method: How.
        headers: More headers, templates.
        auth: What proves who asks.
        secrets: Names of secrets that templates may read as `secrets.name`.
        json: The body as JSON, a map whose texts are templates.
        form: The body as a form, likewise; a list gives its field several times.
        body: The body as one template, with `content_type`.
        content_type: What such a body is.
        answer: Where things stand in an answer.
        outcomes: What answers mean, where it is not what HTTP says.
        reports: What the carrier tells of messages.
        inbound: What people send.
        signature: How its calls are known to be the carrier's.
        challenge: How it finds out that the address is ours.
        reply: What its calls are answered with.
        window: How many requests are under way at once.
        timeout_s: How long one may take.
    """

    url: Template
    method: Literal["POST", "PUT", "GET"] = "POST"
    headers: Annotated[dict[Header, Template], Field(max_length=20)] = Field(default_factory=dict)
    auth: BasicAuth | HeaderAuth | None = None
    secrets: Annotated[list[DefinitionName], Field(max_length=10)] = Field(default_factory=list)
    json_: Shape | None = Field(None, alias="json")
    form: Shape | None = None
    body: Template | None = None
    content_type: Annotated[str, Field(max_length=100)] = "text/plain; charset=utf-8"
    answer: AnswerModel = AnswerModel()
    outcomes: Annotated[list[OutcomeRule], Field(max_length=50)] = Field(default_factory=list)
    reports: ReportsModel | None = None
    inbound: InboundModel | None = None
    signature: Signature | None = None
    challenge: ChallengeModel | None = None
    reply: Annotated[str, Field(max_length=1_000)] = ""
    window: Annotated[int, Field(ge=1, le=limits.HTTP_WINDOW)] = 50
    timeout_s: Annotated[float, Field(gt=0, le=50)] = 15.0

    @model_validator(mode="after")
    def _holds_together(self) -> "HttpOptions":
        if sum(given is not None for given in (self.json_, self.form, self.body)) > 1:
            msg = "write one of 'json', 'form' and 'body'"
            raise ValueError(msg)
        if not _FIXED_HOST.match(self.url):
            msg = "'url' must begin with http(s)://host/, without a template in the host"
            raise ValueError(msg)
        if (self.reports or self.inbound) and self.signature is None:
            msg = "without 'signature' anybody could report: say how its calls are known"
            raise ValueError(msg)
        return self

    def meanings(self) -> Mapping[str, str]:
        """Our words for the carrier's."""
        found = self.reports.statuses if self.reports else {}
        return {word.lower(): ours for ours, words in found.items() for word in words}

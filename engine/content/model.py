"""The content of a template as it is written: one of several shapes, none of any one channel.

    content: {card: {title: "{{ event.item }}", text: Still there?, media: "https://…/shoe.jpg",
                     actions: [{url: "https://…/cart", label: To the cart}],
                     replies: [{label: Remind me, id: later}]}}

Every text in it is a template. Compiled, all shapes are one plain map with the fields of `Content`.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, model_validator

from engine import limits
from engine.content.approved import (
    ContentSid,
    ContentVariables,
    Index,
    Language,
    Name,
    Variable,
    Variables,
    are_named,
)
from engine.issues import listed
from engine.schema import Strict, refusal

Text = Annotated[str, Field(min_length=1, max_length=limits.BODY_CHARS)]
Label = Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
Media = Annotated[str, Field(min_length=1, max_length=limits.MEDIA_URL_CHARS)]


class ReplyModel(Strict):
    """An answer to tap."""

    noun: ClassVar[str] = "a reply"
    label: Label
    id: Label | None = None


class ActionModel(Strict):
    """Something to tap that opens a page, or calls."""

    noun: ClassVar[str] = "an action"
    label: Label
    url: Media | None = None
    call: Label | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> "ActionModel":
        if (self.url is None) == (self.call is None):
            raise refusal("an action has either 'url' or 'call'")
        return self


Actions = Annotated[list[ActionModel], Field(max_length=limits.CONTENT_ITEMS)]
Replies = Annotated[list[ReplyModel], Field(max_length=limits.CONTENT_ITEMS)]


class CardModel(Strict):
    """A picture, a title, a text, and what to tap."""

    noun: ClassVar[str] = "a card"
    title: Text
    text: Text | None = None
    media: Media | None = None
    actions: Actions = Field(default_factory=list)
    replies: Replies = Field(default_factory=list)


class QuickRepliesModel(Strict):
    """A question and its answers."""

    noun: ClassVar[str] = "quick replies"
    text: Text
    replies: Annotated[list[ReplyModel], Field(min_length=1, max_length=limits.CONTENT_ITEMS)]


class CallToActionModel(Strict):
    """A text and what to do."""

    noun: ClassVar[str] = "a call to action"
    text: Text
    actions: Annotated[list[ActionModel], Field(min_length=1, max_length=limits.CONTENT_ITEMS)]


class MediaModel(Strict):
    """A picture, a film, a sound or a file."""

    noun: ClassVar[str] = "media"
    url: Media
    text: Text | None = None


class CarouselModel(Strict):
    """Cards side by side."""

    noun: ClassVar[str] = "a carousel"
    text: Text | None = None
    cards: Annotated[list[CardModel], Field(min_length=2, max_length=limits.CONTENT_ITEMS)]


class ItemModel(Strict):
    """A line of a list."""

    noun: ClassVar[str] = "an item"
    title: Label
    text: Label | None = None
    id: Label | None = None


class ListModel(Strict):
    """A list to choose from."""

    noun: ClassVar[str] = "a list"
    text: Text
    button: Label = "Choose"
    items: Annotated[list[ItemModel], Field(min_length=1, max_length=limits.CONTENT_ITEMS)]


class LocationModel(Strict):
    """A place."""

    noun: ClassVar[str] = "a location"
    latitude: Label
    longitude: Label
    name: Label | None = None
    address: Text | None = None


class ReferenceModel(Strict):
    """A template that a provider has approved: by its name, by Twilio's id for it, or by both."""

    noun: ClassVar[str] = "a template reference"
    name: Name | None = None
    language: Language | None = None
    content_sid: ContentSid | None = None

    @model_validator(mode="after")
    def _refers_to_one(self) -> "ReferenceModel":
        if self.name is None and self.content_sid is None:
            hint = "'name' and 'language' are what WhatsApp knows it by, 'content_sid' is Twilio's"
            raise refusal(f"{self.noun} has neither 'name' nor 'content_sid'", hint)
        if (self.name is None) != (self.language is None):
            given, lacks = ("name", "language") if self.name else ("language", "name")
            raise refusal(f"{lacks!r} is missing: {given!r} alone names no approved template")
        return self

    def reference(self) -> dict[str, Any]:
        """What `engine.content.down` has to know of it, as a plain map of texts."""
        return self.model_dump(exclude_none=True)


class HeaderModel(Strict):
    """What stands above the body of an approved template."""

    noun: ClassVar[str] = "a header"
    text: Text | None = None
    variable: Variable | None = None
    image: Media | None = None
    video: Media | None = None
    document: Media | None = None
    filename: Label | None = None
    location: LocationModel | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "HeaderModel":
        kinds = ("text", "image", "video", "document", "location")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise refusal(f"a header is one of {listed(kinds)}, not {len(given)} of them")
        for field, of in (("variable", "text"), ("filename", "document")):
            if getattr(self, field) is not None and given != [of]:
                raise refusal(f"{field!r} belongs to {of!r}, not to {given[0]!r}")
        return self


class ButtonModel(Strict):
    """What fills a button of an approved template; one that has nothing to fill is not written."""

    noun: ClassVar[str] = "a button"
    url: Media | None = None
    quick_reply: Label | None = None
    copy_code: Label | None = None
    index: Index | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> "ButtonModel":
        kinds = ("url", "quick_reply", "copy_code")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise refusal(f"a button is one of {listed(kinds)}, not {len(given)} of them")
        return self


class TemplateReferenceModel(ReferenceModel):
    """A template that a provider has approved, what fills it, and the text where there is none."""

    text: Text
    variables: Variables = Field(default_factory=dict)
    header: HeaderModel | None = None
    buttons: Annotated[list[ButtonModel], Field(max_length=limits.APPROVED_BUTTONS)] = Field(
        default_factory=list
    )
    content_variables: ContentVariables = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> "TemplateReferenceModel":
        named = are_named(self.variables)
        if self.content_variables and self.content_sid is None:
            raise refusal("'content_variables' is Twilio's, and there is no 'content_sid'")
        for field in ("header", "buttons"):
            if getattr(self, field) and self.name is None:
                hint = "what Twilio's template has there is one of its 'content_variables'"
                raise refusal(f"{field!r} is WhatsApp's, and there is no 'name'", hint)
        header = self.header
        if header is not None and header.text is not None and self.variables:
            if named and header.variable is None:
                raise refusal("header: 'variable' is missing, since the variables have names")
            if not named and header.variable is not None:
                raise refusal("header: 'variable' is a name, and the variables are numbered")
        indexes = [index for index, _ in self._indexed()]
        for index in indexes:
            if indexes.count(index) > 1:
                hint = "'index' counts all buttons of the approved template, from 0"
                raise refusal(f"buttons: two of them have the index {index}", hint)
        return self

    def _indexed(self) -> Iterator[tuple[int, ButtonModel]]:
        """The buttons, each with its place among all those of the approved template."""
        for place, button in enumerate(self.buttons):
            yield (place if button.index is None else button.index), button

    def reference(self) -> dict[str, Any]:
        """See `ReferenceModel`."""
        values = self.model_dump(exclude_none=True, exclude={"text", "buttons"})
        values["buttons"] = [
            {**button.model_dump(exclude_none=True), "index": str(index)}
            for index, button in self._indexed()
        ]
        return values


class AuthenticationModel(Strict):
    """A one-time code."""

    noun: ClassVar[str] = "an authentication code"
    code: Label
    text: Text
    template: ReferenceModel | None = None


_SHAPES: Final = (
    "text", "media", "quick_replies", "call_to_action", "card", "carousel", "list", "location",
    "template", "authentication",
)  # fmt: skip


class ContentModel(Strict):
    """The content of a template: exactly one of these."""

    noun: ClassVar[str] = "content"
    text: Text | None = None
    media: MediaModel | None = None
    quick_replies: QuickRepliesModel | None = None
    call_to_action: CallToActionModel | None = None
    card: CardModel | None = None
    carousel: CarouselModel | None = None
    list: ListModel | None = None
    location: LocationModel | None = None
    template: TemplateReferenceModel | None = None
    authentication: AuthenticationModel | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "ContentModel":
        given = [shape for shape in _SHAPES if getattr(self, shape) is not None]
        if len(given) != 1:
            hint = f"there are {', '.join(_SHAPES)}"
            raise refusal(f"content has {len(given)} shapes; give it one", hint)
        return self

    def plain(self) -> dict[str, Any]:
        """The content as a plain map; see `engine.content.down`."""
        if self.text is not None:
            return {"text": self.text}
        if self.template is not None:
            return {"text": self.template.text, "template": self.template.reference()}
        shape = next(name for name in _SHAPES if getattr(self, name) is not None)
        values: dict[str, Any] = getattr(self, shape).model_dump(exclude_none=True)
        if shape == "media":
            values["media"] = values.pop("url")
        elif shape == "location":
            return {"location": values}
        return values

"""The content of a template as it is written: one of several shapes, none of any one channel.

    content: {card: {title: "{{ event.item }}", text: Still there?, media: "https://…/shoe.jpg",
                     actions: [{url: "https://…/cart", label: To the cart}],
                     replies: [{label: Remind me, id: later}]}}

Every text in it is a template. Compiled, all shapes are one plain map with the fields of `Content`.
"""

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, model_validator

from engine import limits
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


class AuthenticationModel(Strict):
    """A one-time code."""

    noun: ClassVar[str] = "an authentication code"
    code: Label
    text: Text


_SHAPES: Final = (
    "text", "media", "quick_replies", "call_to_action", "card", "carousel", "list", "location",
    "authentication",
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
        shape = next(name for name in _SHAPES if getattr(self, name) is not None)
        values: dict[str, Any] = getattr(self, shape).model_dump(exclude_none=True)
        if shape == "media":
            values["media"] = values.pop("url")
        elif shape == "location":
            return {"location": values}
        return values

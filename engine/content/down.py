"""Renders content down to what a channel can show; what it cannot becomes text, and is never lost.

Content is a plain map with any of `title`, `text`, `media` (an address), `actions` (maps with
`label`, and `url` or `call`), `replies` (`label`, `id`), `items` and `button`, `cards` (the same
again), `location`, `code`. The bounds are those of the channels: WhatsApp's interactive messages,
RCS agent messages, and the notifications of browsers.
"""

import html
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from engine.messages.message import EMAIL, PUSH, RCS, VOICE, WHATSAPP

Plain = Mapping[str, Any]

_WHATSAPP_BUTTONS: Final = 3
_WHATSAPP_BUTTON_CHARS: Final = 20
_WHATSAPP_ROWS: Final = 10
_WHATSAPP_ROW_CHARS: Final = 24
_WHATSAPP_ROW_TEXT_CHARS: Final = 72
_WHATSAPP_BODY_CHARS: Final = 1_024
_RCS_SUGGESTIONS: Final = 11
_RCS_CARD_SUGGESTIONS: Final = 4
_RCS_CARDS: Final = 10
_RCS_LABEL_CHARS: Final = 25
_RCS_TITLE_CHARS: Final = 200
_RCS_TEXT_CHARS: Final = 2_000
_PUSH_ACTIONS: Final = 2  # that browsers show


class Shown(NamedTuple):
    """What a channel shows.

    Attributes:
        text: All that it says, in words; the whole message where nothing richer is possible.
        headline: A subject or title, if the content has one.
        rich: The channel's own form; empty if the text is all.
    """

    text: str
    headline: str
    rich: dict[str, Any]


def render_down(content: Plain, channel: str) -> Shown:
    """The content on a channel. Cost: a few µs."""
    make = _RICH.get(channel)
    rich = make(content) if make is not None else {}
    said = _spoken(content) if channel == VOICE else _written(content)
    return Shown("\n".join(said), str(content.get("title") or ""), rich)


# In words.


def _written(content: Plain) -> Iterator[str]:
    """Everything, a line each."""
    yield from _spoken(content)
    if media := content.get("media"):
        yield media
    for action in content.get("actions", ()):
        yield f"{action['label']}: {action.get('url') or action['call']}"
    replies = content.get("replies", ())
    if replies:
        yield f"({' / '.join(reply['label'] for reply in replies)})"
    for card in content.get("cards", ()):
        yield ""
        yield from _written(card)


def _spoken(content: Plain) -> Iterator[str]:
    """What can be said aloud: no addresses of pages and pictures."""
    for name in ("title", "text"):
        if said := content.get(name):
            yield said
    for number, item in enumerate(content.get("items", ()), 1):
        yield f"{number}. {item['title']}" + (f": {item['text']}" if item.get("text") else "")
    if place := content.get("location"):
        named = [place.get("name"), place.get("address")]
        yield ", ".join(filter(None, named)) or f"{place['latitude']}, {place['longitude']}"


# E-mail.


def _email(content: Plain) -> dict[str, Any]:
    return {"html": "\n".join(_html(content))}


def _html(content: Plain) -> Iterator[str]:
    if media := content.get("media"):
        yield f'<p><img src="{html.escape(media)}" alt="" style="max-width:100%"></p>'
    if title := content.get("title"):
        yield f"<h2>{html.escape(title)}</h2>"
    if text := content.get("text"):
        yield f"<p>{html.escape(text).replace(chr(10), '<br>')}</p>"
    if items := content.get("items"):
        rows = (
            f"<li>{html.escape(': '.join(filter(None, (one['title'], one.get('text')))))}</li>"
            for one in items
        )
        yield f"<ol>{''.join(rows)}</ol>"
    if content.get("location"):
        yield f"<p>{html.escape(next(_spoken({'location': content['location']})))}</p>"
    for action in content.get("actions", ()):
        address = action.get("url") or f"tel:{action['call']}"
        yield f'<p><a href="{html.escape(address)}">{html.escape(action["label"])}</a></p>'
    if replies := content.get("replies"):
        labels = " / ".join(html.escape(reply["label"]) for reply in replies)
        yield f"<p>({labels})</p>"
    for card in content.get("cards", ()):
        yield "<hr>"
        yield from _html(card)


# Push.


def _push(content: Plain) -> dict[str, Any]:
    rich: dict[str, Any] = {}
    if media := content.get("media"):
        rich["image"] = media
    links = [action["url"] for action in content.get("actions", ()) if action.get("url")]
    if links:
        rich["url"] = links[0]
    taps = [
        {"action": reply.get("id") or reply["label"], "title": reply["label"]}
        for reply in content.get("replies", ())
    ]
    taps += [
        {"action": action.get("url") or f"tel:{action['call']}", "title": action["label"]}
        for action in content.get("actions", ())
    ]
    if taps:
        rich["actions"] = taps[:_PUSH_ACTIONS]
    return rich


# WhatsApp: the `type` of a message and what stands under it, as the Cloud API has them.


def _whatsapp(content: Plain) -> dict[str, Any]:
    if content.get("code"):
        return {"type": "authentication", "authentication": {"code": content["code"]}}
    if place := content.get("location"):
        return {"type": "location", "location": dict(place)}
    replies, items = content.get("replies", ()), content.get("items", ())
    links = [action for action in content.get("actions", ()) if action.get("url")]
    lines = [*_spoken(_without(content, "items"))]
    is_list = bool(items) or len(replies) > _WHATSAPP_BUTTONS
    if replies or items:  # beside which there are no links, and in a list no picture
        shown_apart = () if is_list else ("media",)
        lines = [*_written(_without(content, "items", "replies", *shown_apart))]
    body = {"text": "\n".join(lines)}
    too_many = len(replies) + len(items) > _WHATSAPP_ROWS
    if content.get("cards") or too_many or len(body["text"]) > _WHATSAPP_BODY_CHARS:
        return {}  # the text says it all
    if is_list:
        rows = [_row(one) for one in (*items, *replies)]
        button = _cut(content.get("button") or "Choose", _WHATSAPP_BUTTON_CHARS)
        action = {"button": button, "sections": [{"rows": rows}]}
        return _interactive("list", body, action, content)
    if replies:
        buttons = [
            {
                "type": "reply",
                "reply": {
                    "id": one.get("id") or one["label"],
                    "title": _cut(one["label"], _WHATSAPP_BUTTON_CHARS),
                },
            }
            for one in replies
        ]
        return _interactive("button", body, {"buttons": buttons}, content)
    if len(links) == 1 and len(content.get("actions", ())) == 1:
        label = _cut(links[0]["label"], _WHATSAPP_BUTTON_CHARS)
        parameters = {"display_text": label, "url": links[0]["url"]}
        return _interactive("cta_url", body, {"name": "cta_url", "parameters": parameters}, content)
    if (media := content.get("media")) and not content.get("actions"):
        return {"type": "image", "image": {"link": media, "caption": body["text"]}}
    return {}


def _interactive(
    kind: str, body: dict[str, str], action: dict[str, Any], content: Plain
) -> dict[str, Any]:
    interactive: dict[str, Any] = {"type": kind, "body": body, "action": action}
    if (media := content.get("media")) and kind != "list":
        interactive["header"] = {"type": "image", "image": {"link": media}}
    return {"type": "interactive", "interactive": interactive}


def _row(one: Plain) -> dict[str, str]:
    title = str(one.get("title") or one["label"])
    row = {"id": str(one.get("id") or title), "title": _cut(title, _WHATSAPP_ROW_CHARS)}
    if one.get("text"):
        row["description"] = _cut(one["text"], _WHATSAPP_ROW_TEXT_CHARS)
    return row


def _without(content: Plain, *names: str) -> Plain:
    return {name: value for name, value in content.items() if name not in names}


# RCS: an agent message's `contentMessage`.


def _rcs(content: Plain) -> dict[str, Any]:
    cards = content.get("cards")
    if any(map(_is_too_much, cards or (content,))):
        return {}  # the text says it all
    if cards and len(cards) <= _RCS_CARDS:
        carousel = {"cardWidth": "MEDIUM", "cardContents": [_rcs_card(card) for card in cards]}
        return {"contentMessage": {"richCard": {"carouselCard": carousel}}}
    if cards:
        return {}
    if content.get("title") or content.get("media"):
        card = {"cardOrientation": "VERTICAL", "cardContent": _rcs_card(content)}
        return {"contentMessage": {"richCard": {"standaloneCard": card}}}
    suggestions = _suggestions(content, _RCS_SUGGESTIONS)
    if not suggestions:
        return {}
    text = "\n".join(_spoken(content))
    return {"contentMessage": {"text": text, "suggestions": suggestions}}


def _is_too_much(content: Plain) -> bool:
    """Whether something would be cut off that nobody could see then."""
    card = content.get("title") or content.get("media")
    most = _RCS_CARD_SUGGESTIONS if card else _RCS_SUGGESTIONS
    taps = sum(len(content.get(name, ())) for name in ("replies", "items", "actions"))
    return taps > most or len(content.get("text") or "") > _RCS_TEXT_CHARS


def _rcs_card(content: Plain) -> dict[str, Any]:
    card: dict[str, Any] = {}
    if title := content.get("title"):
        card["title"] = _cut(title, _RCS_TITLE_CHARS)
    if text := content.get("text"):
        card["description"] = _cut(text, _RCS_TEXT_CHARS)
    if media := content.get("media"):
        card["media"] = {"height": "MEDIUM", "contentInfo": {"fileUrl": media}}
    if suggestions := _suggestions(content, _RCS_CARD_SUGGESTIONS):
        card["suggestions"] = suggestions
    return card


def _suggestions(content: Plain, most: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in (*content.get("replies", ()), *content.get("items", ())):
        label = str(one.get("label") or one["title"])
        reply = {"text": _cut(label, _RCS_LABEL_CHARS), "postbackData": one.get("id") or label}
        found.append({"reply": reply})
    for one in content.get("actions", ()):
        does = (
            {"openUrlAction": {"url": one["url"]}}
            if one.get("url")
            else {"dialAction": {"phoneNumber": one["call"]}}
        )
        said = {"text": _cut(one["label"], _RCS_LABEL_CHARS), "postbackData": one["label"]}
        found.append({"action": {**said, **does}})
    return found[:most]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


_RICH: Final[Mapping[str, Callable[[Plain], dict[str, Any]]]] = {
    EMAIL: _email,
    PUSH: _push,
    WHATSAPP: _whatsapp,
    RCS: _rcs,
}

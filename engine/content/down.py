"""Renders content down to what a channel can show; what it cannot becomes text, and is never lost.

Content is a plain map with any of `title`, `text`, `media` (an address), `actions` (maps with
`label`, and `url` or `call`), `replies` (`label`, `id`), `items` and `button`, `cards` (the same
again), `location`, `code`, `template` (what a provider has approved, see `engine.content.model`).
The bounds are those of the channels: WhatsApp's interactive messages, RCS agent messages, and the
notifications of browsers.

An approved template is not what a message says but a name for it, and each provider has its own. So
its form holds what each of them takes, and whichever carrier the message goes by finds its own:
`type` and `template` for WhatsApp's Cloud API, `content_sid` and `content_variables` for Twilio.
"""

import html
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from engine.errors import DenreiError
from engine.messages.message import EMAIL, PUSH, RCS, VOICE, WHATSAPP

Plain = Mapping[str, Any]

_WHATSAPP_BUTTONS: Final = 3
_WHATSAPP_BUTTON_CHARS: Final = 20
_WHATSAPP_ROWS: Final = 10
_WHATSAPP_ROW_CHARS: Final = 24
_WHATSAPP_ROW_TEXT_CHARS: Final = 72
_WHATSAPP_BODY_CHARS: Final = 1_024
_WHATSAPP_CODE_CHARS: Final = 15  # of one to copy
_WHATSAPP_MEDIA: Final = ("image", "video", "document")
_RCS_SUGGESTIONS: Final = 11
_RCS_CARD_SUGGESTIONS: Final = 4
_RCS_CARDS: Final = 10
_RCS_LABEL_CHARS: Final = 25
_RCS_TITLE_CHARS: Final = 200
_RCS_TEXT_CHARS: Final = 2_000
_PUSH_ACTIONS: Final = 2  # that browsers show


class NotShown(DenreiError):
    """Content that a channel would refuse as it is filled in, and why, in words."""


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
    """The content on a channel. Cost: a few µs.

    Raises:
        NotShown: What fills an approved template is empty, or too long.
    """
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
    if reference := content.get("template"):
        return _approved(_with_code(reference, content["code"]) if "code" in content else reference)
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


# What a provider has approved: both forms, as far as the reference has them.


def _approved(reference: Plain) -> dict[str, Any]:
    if not reference.get("name"):
        return _twilio(reference)
    language = _filling("the language", reference["language"]).replace("-", "_")
    template: dict[str, Any] = {"name": reference["name"], "language": {"code": language}}
    if components := [*_components(reference)]:
        template["components"] = components
    return {"type": "template", "template": template, **_twilio(reference)}


def _components(reference: Plain) -> Iterator[dict[str, Any]]:
    """What fills an approved template, as the Cloud API has it."""
    if header := reference.get("header"):
        yield {"type": "header", "parameters": [_header(header)]}
    if variables := _variables(reference.get("variables", {})):
        parameters = [
            {"type": "text", "text": text}
            if name.isdecimal()
            else {"type": "text", "parameter_name": name, "text": text}
            for name, text in variables.items()
        ]
        yield {"type": "body", "parameters": parameters}
    for button in reference.get("buttons", ()):
        yield _button(button)


def _header(header: Plain) -> dict[str, Any]:
    if place := header.get("location"):
        return {"type": "location", "location": dict(place)}
    if "text" in header:
        named = {"parameter_name": header["variable"]} if "variable" in header else {}
        return {"type": "text", **named, "text": _filling("the header", header["text"])}
    kind = next(kind for kind in _WHATSAPP_MEDIA if kind in header)
    media = {"link": _filling("the header", header[kind])}
    if "filename" in header:
        media["filename"] = _filling("the filename", header["filename"])
    return {"type": kind, kind: media}


def _button(button: Plain) -> dict[str, Any]:
    if "url" in button:
        kind, parameter = "url", {"type": "text", "text": _filling("a button", button["url"])}
    elif "copy_code" in button:
        code = _code(button["copy_code"])
        kind, parameter = "copy_code", {"type": "coupon_code", "coupon_code": code}
    else:
        payload = _filling("a button", button["quick_reply"])
        kind, parameter = "quick_reply", {"type": "payload", "payload": payload}
    return {"type": "button", "sub_type": kind, "index": button["index"], "parameters": [parameter]}


def _twilio(reference: Plain) -> dict[str, Any]:
    if not reference.get("content_sid"):
        return {}
    given = {**reference.get("variables", {}), **reference.get("content_variables", {})}
    variables = {"content_variables": _variables(given)} if given else {}
    return {"content_sid": reference["content_sid"], **variables}


def _with_code(reference: Plain, code: str) -> Plain:
    """A reference to a template for codes: its one variable is the code, and so is its button."""
    code = _code(code)
    return {**reference, "variables": {"1": code}, "buttons": [{"index": "0", "url": code}]}


def _variables(given: Mapping[str, str]) -> dict[str, str]:
    """Filled-in variables; those with numbers in the order of these."""
    names = sorted(given, key=lambda name: int(name) if name.isdecimal() else 0)
    return {name: _filling(f"variable {name}", given[name]) for name in names}


def _code(text: str) -> str:
    code = _filling("the code", text)
    if len(code) > _WHATSAPP_CODE_CHARS:
        msg = f"the code has {len(code)} characters, and WhatsApp's have {_WHATSAPP_CODE_CHARS}"
        raise NotShown(msg)
    return code


def _filling(what: str, text: str) -> str:
    """A text that stands in an approved template: never empty, and all on one line."""
    text = " ".join(text.split())
    if not text:
        msg = f"{what} of the approved template is empty; give it a word with default('…')"
        raise NotShown(msg)
    return text


# RCS: an agent message's `contentMessage`; or a template of Twilio's.


def _rcs(content: Plain) -> dict[str, Any]:
    if (reference := content.get("template")) and "code" not in content:
        return _twilio(reference)
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

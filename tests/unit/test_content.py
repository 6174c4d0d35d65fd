"""Content: written once, shown by each channel as well as it can, and never lost."""

import html
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journey_helpers import Town

from engine import definitions
from engine.content.down import render_down
from engine.content.model import ContentModel
from engine.content.templates import Template
from engine.issues import DefinitionError
from engine.messages.message import CHANNELS
from engine.program import EMPTY

CARD = {
    "title": "Red shoe",
    "text": "Still there?",
    "media": "https://acme.example/shoe.jpg",
    "actions": [{"label": "To the cart", "url": "https://acme.example/cart"}],
    "replies": [{"label": "Remind me", "id": "later"}],
}


def plain(**content: Any) -> dict[str, Any]:
    return ContentModel.model_validate(content).plain()


def test_a_card_on_each_channel() -> None:
    card = plain(card=CARD)
    shown = {channel: render_down(card, channel) for channel in CHANNELS}
    text = (
        "Red shoe\nStill there?\nhttps://acme.example/shoe.jpg\n"
        "To the cart: https://acme.example/cart\n(Remind me)"
    )
    assert (shown["sms"].text, shown["sms"].rich) == (text, {})
    assert (shown["voice"].text, shown["voice"].rich) == ("Red shoe\nStill there?", {})
    assert (shown["email"].text, shown["email"].headline) == (text, "Red shoe")
    assert '<a href="https://acme.example/cart">To the cart</a>' in shown["email"].rich["html"]
    assert shown["push"].rich == {
        "image": "https://acme.example/shoe.jpg",
        "url": "https://acme.example/cart",
        "actions": [
            {"action": "later", "title": "Remind me"},
            {"action": "https://acme.example/cart", "title": "To the cart"},
        ],
    }
    interactive = shown["whatsapp"].rich["interactive"]
    assert interactive["type"] == "button"
    assert interactive["action"]["buttons"][0]["reply"] == {"id": "later", "title": "Remind me"}
    content = shown["rcs"].rich["contentMessage"]["richCard"]["standaloneCard"]["cardContent"]
    assert content["title"] == "Red shoe"
    assert [next(iter(one)) for one in content["suggestions"]] == ["reply", "action"]


def test_too_many_answers_for_buttons_become_a_list_and_then_words() -> None:
    def replies(count: int) -> dict[str, Any]:
        given = [{"label": f"Answer {n}"} for n in range(count)]
        return plain(quick_replies={"text": "Which?", "replies": given})

    kinds = [
        render_down(replies(count), "whatsapp").rich.get("interactive", {}).get("type")
        for count in (3, 4, 10, 11)
    ]
    assert kinds == ["button", "list", "list", None]
    assert "Answer 10" in render_down(replies(11), "whatsapp").text


def test_other_shapes() -> None:
    place = plain(location={"latitude": "52.5", "longitude": "13.4", "name": "Shop"})
    assert render_down(place, "whatsapp").rich["type"] == "location"
    assert render_down(place, "sms").text == "Shop"
    code = plain(authentication={"code": "123456", "text": "Your code is 123456"})
    assert render_down(code, "whatsapp").rich == {}
    assert render_down(code, "sms").text == "Your code is 123456"
    one = plain(call_to_action={"text": "Hi", "actions": [{"label": "Go", "url": "https://a.b"}]})
    assert render_down(one, "whatsapp").rich["interactive"]["type"] == "cta_url"
    cards = plain(carousel={"cards": [CARD, {"title": "Blue"}]})
    carousel = render_down(cards, "rcs").rich["contentMessage"]["richCard"]["carouselCard"]
    assert [card["title"] for card in carousel["cardContents"]] == ["Red shoe", "Blue"]
    assert render_down(cards, "sms").text.endswith("(Remind me)\n\nBlue")
    listed = plain(list={"text": "Sizes", "items": [{"title": "41"}, {"title": "42", "text": "x"}]})
    assert render_down(listed, "sms").text == "Sizes\n1. 41\n2. 42: x"
    rows = render_down(listed, "whatsapp").rich["interactive"]["action"]["sections"][0]["rows"]
    assert rows[1] == {"id": "42", "title": "42", "description": "x"}
    picture = plain(media={"url": "https://a.b/c.jpg", "text": "Look"})
    assert render_down(picture, "whatsapp").rich["image"]["link"] == "https://a.b/c.jpg"


WORDS = st.text(min_size=1, max_size=30)
REPLY = st.fixed_dictionaries({"label": WORDS}, optional={"id": WORDS})
ACTION = st.one_of(
    st.fixed_dictionaries({"label": WORDS, "url": WORDS}),
    st.fixed_dictionaries({"label": WORDS, "call": WORDS}),
)
CARDS = st.fixed_dictionaries(
    {"title": WORDS},
    optional={"text": WORDS, "media": WORDS, "actions": st.lists(ACTION, max_size=6),
              "replies": st.lists(REPLY, max_size=13)},
)  # fmt: skip
CONTENT = st.one_of(
    st.builds(lambda card: plain(card=card), CARDS),
    st.builds(
        lambda cards: plain(carousel={"cards": cards}), st.lists(CARDS, min_size=2, max_size=12)
    ),
    st.builds(
        lambda text, replies: plain(quick_replies={"text": text, "replies": replies}),
        WORDS, st.lists(REPLY, min_size=1, max_size=13),
    ),
)  # fmt: skip


@given(CONTENT, st.sampled_from(CHANNELS))
def test_nothing_that_was_written_is_lost_and_no_bound_is_passed(
    content: dict[str, Any], channel: str
) -> None:
    shown = render_down(content, channel)
    everything = json.dumps([shown.text, shown.rich], ensure_ascii=False)
    written = json.loads(everything)[0]
    if channel != "voice":
        for card in content.get("cards", [content]):
            for one in (*card.get("actions", ()), *card.get("replies", ())):
                assert one["label"] in written
                if shown.rich and channel in ("whatsapp", "rcs") and one.get("url"):
                    # The text is not shown beside the channel's own form, which is whole as well.
                    assert one["url"] in _texts(shown.rich)
        if shown.rich and channel == "email":
            for reply in content.get("replies", ()):
                assert html.escape(reply["label"]) in shown.rich["html"]
    interactive = shown.rich.get("interactive", {})
    action = interactive.get("action", {})
    assert len(action.get("buttons", ())) <= 3
    assert all(len(one["reply"]["title"]) <= 20 for one in action.get("buttons", ()))
    assert all(len(rows["rows"]) <= 10 for rows in action.get("sections", ()))
    assert len(interactive.get("body", {}).get("text", "")) <= 1_024
    assert len(shown.rich.get("actions", ())) <= 2


def _texts(value: Any) -> str:
    """All texts in a form, joined."""
    if isinstance(value, dict):
        return "\n".join(map(_texts, value.values()))
    if isinstance(value, list):
        return "\n".join(map(_texts, value))
    return str(value)


def test_links_stand_in_the_text_where_there_are_answers_to_tap() -> None:
    body = render_down(plain(card=CARD), "whatsapp").rich["interactive"]["body"]["text"]
    assert body == "Red shoe\nStill there?\nTo the cart: https://acme.example/cart"
    many = {**CARD, "replies": [{"label": f"Answer {n}"} for n in range(4)]}
    body = render_down(plain(card=many), "whatsapp").rich["interactive"]["body"]["text"]
    assert body.splitlines()[2:] == [CARD["media"], "To the cart: https://acme.example/cart"]


@pytest.mark.parametrize(("channel", "most"), [("whatsapp", 1_024), ("rcs", 2_000)])
def test_a_text_that_is_too_long_for_a_form_is_not_cut_but_sent_as_text(
    channel: str, most: int
) -> None:
    answers = [{"label": "Yes"}]
    fits = plain(quick_replies={"text": "x" * most, "replies": answers})
    long = plain(quick_replies={"text": "x" * (most + 1), "replies": answers})
    assert render_down(fits, channel).rich
    assert render_down(long, channel).rich == {}


SALE = """
template: sale
channel: any
content:
  card:
    title: "{{ event.item }} < half price"
    text: "Hi {{ profile.name }}"
    actions: [{url: "https://acme.example/{{ event.item }}", label: Look}]
sample: {event: {item: Shoe}, profile: {name: Ann}}
"""


def test_one_template_serves_all_channels() -> None:
    (document,) = definitions.parse(SALE)
    definitions.check([document], EMPTY)
    lanes = "".join(
        f"---\n{{lane: by-{channel}, channel: {channel}, carrier: sandbox}}\n"
        for channel in CHANNELS
    )
    steps = "\n".join(
        f"  s{n}: {{message: {{purpose: marketing, channel: {channel}, template: sale}}, "
        f"then: {f's{n + 1}' if n + 1 < len(CHANNELS) else 'end'}}}"
        for n, channel in enumerate(CHANNELS)
    )
    journey = f"---\njourney: j\nentry: {{event: Go}}\nsteps:\n{steps}\n"
    town = Town(SALE + lanes + journey)
    town.identify(name="Ann", phone="+4915112345678", email="a@example.org", push_token="t")
    town.track("Go", item="Shoe")
    messages = {one.channel: one for one in town.person().messages.values()}
    assert set(messages) == set(CHANNELS)
    assert messages["sms"].body == ("Shoe < half price\nHi Ann\nLook: https://acme.example/Shoe")
    assert messages["email"].subject == "Shoe < half price"
    shown = json.loads(messages["email"].content)["html"]
    assert "<h2>Shoe &lt; half price</h2>" in shown
    assert json.loads(messages["whatsapp"].content)["interactive"]["type"] == "cta_url"
    assert messages["voice"].content == ""


def test_html_is_escaped_and_stands_beside_the_text() -> None:
    template = Template("t", "email", "Hi {{ data.name }}", "Hi", "<p>{{ data.name }}</p>")
    rendered = template.render({"data": {"name": "<Ann>"}})
    assert rendered.body == "Hi <Ann>"
    assert json.loads(rendered.content) == {"html": "<p>&lt;Ann&gt;</p>"}


def test_a_name_that_is_missing_in_content_is_told_and_left_empty() -> None:
    template = Template("t", "sms", "", "", "", plain(text="Hi {{ profile.name }}!"))
    rendered = template.render({"profile": {}})
    assert (rendered.body, rendered.warnings) == ("Hi !", ("profile.name is undefined",))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("", "'body' is missing"),
        ("body: x\nhtml: y", "'html' belongs to channel email"),
        ("content: {}", "content has 0 shapes"),
        ("content: {text: a, card: {title: b}}", "content has 2 shapes"),
        ("content: {text: '{{ x }}'}", "'x' is not known here"),
        ("content: {text: '{{ x'}", "content: line 1"),
        ("content: {call_to_action: {text: a, actions: [{label: b}]}}", "either 'url' or 'call'"),
        ("content: {carousel: {cards: [{title: a}]}}", "is too short: at least 2"),
    ],
)
def test_what_is_no_content_is_refused(fields: str, told: str) -> None:
    text = f"template: t\nchannel: sms\n{fields}"
    with pytest.raises(DefinitionError, match=told):
        definitions.check(definitions.parse(text), EMPTY)

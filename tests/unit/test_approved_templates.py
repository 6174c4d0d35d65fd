"""A template that a provider has approved: written once, in the form that each carrier takes."""

import json
from pathlib import Path
from typing import Any

import pytest
from journey_helpers import Town

from actors.carriers.base import CarrierMessage
from actors.codes import Codes, reveal_codes
from engine import commands, definitions
from engine.content.down import NotShown, render_down
from engine.content.model import ContentModel
from engine.content.templates import RenderError, Template
from engine.issues import DefinitionError
from engine.messages.message import CHANNELS
from engine.program import EMPTY
from engine.reasons import Reason
from engine.verification.sealed import SEALED

SID = "HX0123456789abcdef0123456789abcdef"
CART: dict[str, Any] = {
    "text": "Hi Ann, your hat is waiting.",
    "name": "cart_reminder",
    "language": "en_US",
    "variables": {"2": "hat", "1": "Ann"},
    "header": {"image": "https://acme.example/hat.jpg"},
    "buttons": [{"url": "cart/7"}, {"quick_reply": "later"}, {"copy_code": "SALE10", "index": 4}],
}
TWILIO = {"content_sid": SID, "content_variables": {"3": "cart/7"}}


def plain(**content: Any) -> dict[str, Any]:
    return ContentModel.model_validate(content).plain()


def on_whatsapp(**fields: Any) -> dict[str, Any]:
    return render_down(plain(template={**CART, **fields}), "whatsapp").rich


def components(**fields: Any) -> dict[str, Any]:
    return {one["type"]: one for one in on_whatsapp(**fields)["template"]["components"]}


def test_whatsapps_cloud_api_gets_name_language_and_what_fills_it() -> None:
    def button(kind: str, index: str, **parameter: str) -> dict[str, Any]:
        return {"type": "button", "sub_type": kind, "index": index, "parameters": [parameter]}

    image = {"type": "image", "image": {"link": "https://acme.example/hat.jpg"}}
    words = [{"type": "text", "text": "Ann"}, {"type": "text", "text": "hat"}]
    assert on_whatsapp() == {
        "type": "template",
        "template": {
            "name": "cart_reminder",
            "language": {"code": "en_US"},
            "components": [
                {"type": "header", "parameters": [image]},
                {"type": "body", "parameters": words},
                button("url", "0", type="text", text="cart/7"),
                button("quick_reply", "1", type="payload", payload="later"),
                button("copy_code", "4", type="coupon_code", coupon_code="SALE10"),
            ],
        },
    }


def test_a_template_without_anything_to_fill_is_its_name_and_language() -> None:
    bare = plain(template={"text": "Hi", "name": "hello", "language": "de"})
    expected = {"name": "hello", "language": {"code": "de"}}
    assert render_down(bare, "whatsapp").rich == {"type": "template", "template": expected}


def test_variables_may_have_names() -> None:
    found = components(variables={"item": "hat", "name": "Ann"}, header=None)
    assert found["body"]["parameters"] == [
        {"type": "text", "parameter_name": "item", "text": "hat"},
        {"type": "text", "parameter_name": "name", "text": "Ann"},
    ]
    header = {"text": "1 May", "variable": "start"}
    found = components(variables={"item": "hat"}, header=header)
    assert found["header"]["parameters"] == [
        {"type": "text", "parameter_name": "start", "text": "1 May"}
    ]


@pytest.mark.parametrize(
    ("header", "parameter"),
    [
        ({"text": "1 May"}, {"type": "text", "text": "1 May"}),
        ({"video": "https://a/b.mp4"}, {"type": "video", "video": {"link": "https://a/b.mp4"}}),
        (
            {"document": "https://a/b.pdf", "filename": "bill.pdf"},
            {"type": "document", "document": {"link": "https://a/b.pdf", "filename": "bill.pdf"}},
        ),
        (
            {"location": {"latitude": "52.5", "longitude": "13.4", "name": "Shop"}},
            {
                "type": "location",
                "location": {"latitude": "52.5", "longitude": "13.4", "name": "Shop"},
            },
        ),
    ],
)
def test_headers(header: dict[str, Any], parameter: dict[str, Any]) -> None:
    assert components(header=header)["header"]["parameters"] == [parameter]


def test_twilio_gets_the_id_and_all_variables_beside_it() -> None:
    rich = on_whatsapp(**TWILIO)
    assert rich["template"]["name"] == "cart_reminder"
    assert rich["content_sid"] == SID
    assert rich["content_variables"] == {"1": "Ann", "2": "hat", "3": "cart/7"}
    alone = plain(template={"text": "Hi", "content_sid": SID, "variables": {"1": "Ann"}})
    expected = {"content_sid": SID, "content_variables": {"1": "Ann"}}
    assert render_down(alone, "whatsapp").rich == expected
    assert render_down(alone, "rcs").rich == expected


def test_all_other_channels_get_the_text() -> None:
    content = plain(template={**CART, **TWILIO})
    for channel in CHANNELS:
        assert render_down(content, channel).text == CART["text"]
    assert render_down(plain(template=CART), "rcs").rich == {}
    for channel in ("sms", "voice", "push"):
        assert render_down(content, channel).rich == {}
    assert render_down(content, "email").rich == {"html": f"<p>{CART['text']}</p>"}


def test_a_code_is_the_variable_and_the_button_of_a_template_for_codes() -> None:
    reference = {"name": "login_code", "language": "en", "content_sid": SID}
    code = plain(authentication={"code": "123456", "text": "It is 123456", "template": reference})
    word = {"type": "text", "text": "123456"}
    assert render_down(code, "whatsapp").rich == {
        "type": "template",
        "template": {
            "name": "login_code",
            "language": {"code": "en"},
            "components": [
                {"type": "body", "parameters": [word]},
                {"type": "button", "sub_type": "url", "index": "0", "parameters": [word]},
            ],
        },
        "content_sid": SID,
        "content_variables": {"1": "123456"},
    }
    assert render_down(code, "rcs").rich == {}
    assert render_down(code, "sms").text == "It is 123456"
    unapproved = plain(authentication={"code": "123456", "text": "It is 123456"})
    assert render_down(unapproved, "whatsapp") == ("It is 123456", "", {})


def test_what_fills_a_template_is_one_line_and_never_empty() -> None:
    found = components(variables={"1": " Ann \n\tSmith     Jones "})
    assert found["body"]["parameters"][0]["text"] == "Ann Smith Jones"
    for fields, told in (
        ({"variables": {"1": "{{ x }}"}}, "variable 1 of the approved template is empty"),
        ({"language": "{{ x }}"}, "the language of the approved template is empty"),
        ({"header": {"text": "{{ x }}"}}, "the header of the approved template is empty"),
        ({"header": {"image": "{{ x }}"}}, "the header of the approved template is empty"),
        ({"buttons": [{"url": "\n"}]}, "a button of the approved template is empty"),
        ({"buttons": [{"copy_code": "x" * 16}]}, "16 characters"),
        ({**TWILIO, "content_variables": {"3": " "}}, "variable 3"),
    ):
        content = _blanked(plain(template={**CART, **fields}))
        with pytest.raises(NotShown, match=told):
            render_down(content, "whatsapp")


def _blanked(value: Any) -> Any:
    """Content as it is when `{{ x }}` gave nothing."""
    if isinstance(value, dict):
        return {name: _blanked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_blanked(each) for each in value]
    return value.replace("{{ x }}", "")


def test_a_person_who_lacks_what_a_template_needs_is_not_sent_half_of_one() -> None:
    content = plain(template={**CART, "variables": {"1": "{{ profile.name }}"}})
    template = Template("cart", "any", "", "", "", content)
    with pytest.raises(RenderError, match="variable 1 of the approved template is empty"):
        template.render({"profile": {}}, "whatsapp")
    assert template.render({"profile": {}}, "sms").body == CART["text"]


def test_a_language_may_be_the_persons() -> None:
    content = plain(template={**CART, "language": "{{ profile.locale | default('en_US') }}"})
    template = Template("cart", "whatsapp", "", "", "", content)
    for profile, code in (({"locale": "pt-BR"}, "pt_BR"), ({}, "en_US")):
        rendered = template.render({"profile": profile})
        assert json.loads(rendered.content)["template"]["language"] == {"code": code}


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("name: a, language: de", "'text' is missing"),
        ("text: a", "a template reference has neither 'name' nor 'content_sid'; 'name' and"),
        ("text: a, name: b", "'language' is missing: 'name' alone"),
        ("text: a, language: de", "neither 'name' nor 'content_sid'"),
        (f"text: a, language: de, content_sid: {SID}", "'name' is missing: 'language' alone"),
        ("text: a, name: Cart Reminder, language: de", "did you mean 'cart_reminder'?"),
        (f"text: a, name: {SID}, language: de", "write it as 'content_sid'"),
        ("text: a, name: b, language: en-us", "'en-us' is no language .* did you mean 'en_US'?"),
        ("text: a, name: b, language: english", "'english' is no language .* 'de' and 'en_US'"),
        ("text: a, name: b, langauge: de", "'langauge' is not a field .* did you mean 'language'?"),
        ("text: a, content_sid: HX12", "'HX12' is no id of Twilio's Content API; it is HX and 32"),
        ("text: a, name: b, language: de, content_variables: {1: x}", "there is no 'content_sid'"),
        (f"text: a, content_sid: {SID}, header: {{text: x}}", "'header' is WhatsApp's, and there"),
        (f"text: a, content_sid: {SID}, buttons: [{{url: x}}]", "one of its 'content_variables'"),
        ("text: a, name: b, language: de, variables: [x]", "variables: must be a map, not a list"),
        ("text: a, name: b, language: de, variables: {1: x, 3: y}", "2 is missing: variables are"),
        ("text: a, name: b, language: de, variables: {1: x, n: y}", "1 is a number and 'n' a name"),
        ("text: a, name: b, language: de, variables: {First: x}", "did you mean 'first'?"),
        ("text: a, name: b, language: de, header: {}", "a header is one of text, image, video"),
        (
            "text: a, name: b, language: de, header: {image: x, filename: y}",
            "belongs to 'document'",
        ),
        (
            "text: a, name: b, language: de, header: {text: x}, variables: {n: y}",
            "header: 'variable' is missing, since the variables have names",
        ),
        (
            "text: a, name: b, language: de, header: {text: x, variable: v}, variables: {1: y}",
            "the variables are numbered",
        ),
        ("text: a, name: b, language: de, buttons: [{}]", "one of url, quick_reply or copy_code"),
        ("text: a, name: b, language: de, buttons: [{qick_reply: x}]", "mean 'quick_reply'?"),
        ("text: a, name: b, language: de, buttons: [{url: x, index: 10}]", "must be at most 9"),
        (
            "text: a, name: b, language: de, buttons: [{url: x}, {url: y, index: 0}]",
            "two of them have the index 0",
        ),
        ("text: a, name: b, language: de, variables: {1: '{{ x }}'}", "'x' is not known here"),
    ],
)
def test_what_is_no_reference_is_refused(reference: str, told: str) -> None:
    text = f"template: t\nchannel: any\ncontent: {{template: {{{reference}}}}}"
    with pytest.raises(DefinitionError, match=told):
        definitions.check(definitions.parse(text), EMPTY)


def test_what_a_sample_leaves_empty_is_told_when_it_is_defined() -> None:
    text = """
template: t
channel: any
content: {template: {text: Hi, name: a, language: de, variables: {1: "{{ data.name }}"}}}
sample: {data: {name: ""}}
"""
    with pytest.raises(DefinitionError, match="content: variable 1 of the approved template"):
        definitions.check(definitions.parse(text), EMPTY)


PHONE = "+4915112345678"
KEY = f"w/address/{PHONE}"
LOGIN = f"""
{{lane: wa, channel: whatsapp, carrier: sandbox, prefixes: ["+"]}}
---
template: code_whatsapp
channel: whatsapp
content:
  authentication:
    code: "{{{{ data.code }}}}"
    text: "{{{{ data.code }}}} is your code at {{{{ data.brand }}}}."
    template: {{name: login_code, language: en, content_sid: {SID}}}
sample: {{data: {{code: "123456", brand: Acme}}}}
---
verification: login
brand: Acme
channels: [whatsapp]
templates: {{whatsapp: {{en: code_whatsapp}}}}
"""


def test_a_code_reaches_the_parameters_of_a_template_at_the_sender_alone(tmp_path: Path) -> None:
    codes, town = Codes(tmp_path), Town(LOGIN)
    sealed = codes.seal(KEY, "482913")
    start = commands.start(KEY, "r1", "login", "", "", "", b"." * 32, sealed, {})
    applied = town.apply(start)
    assert Reason(applied.results[-1]) is Reason.ACCEPTED
    entity = town.shard.peek(KEY)
    assert entity is not None
    (message,) = entity.messages.values()
    assert (message.body, message.facts) == (
        "****** is your code at Acme.",
        {SEALED: sealed, "code_length": "6"},
    )
    assert message.content.count("******") == 3
    assert "482913" not in f"{message.body}{message.content}{message.facts}"
    leaving = CarrierMessage(
        message.id, "whatsapp", "", PHONE, "", message.body, 1, 0,
        content=message.content, facts=message.facts, key=KEY,
    )  # fmt: skip
    (ready,), refused = reveal_codes([leaving], codes)
    assert not refused
    shown = json.loads(ready.content)
    word = {"type": "text", "text": "482913"}
    assert [one["parameters"] for one in shown["template"]["components"]] == [[word], [word]]
    assert shown["content_variables"] == {"1": "482913"}
    assert "*" not in ready.content

"""Money and dates in templates: what is written, for whom, and what cannot be."""

from typing import Any

import pytest
from minijinja import Environment

from engine import definitions
from engine.content.template_functions import Functions
from engine.content.templates import RenderError, Template
from engine.program import EMPTY


def written(text: str, profile: dict[str, Any] | None = None, **event: Any) -> str:
    environment = Environment()
    Functions(environment)
    return environment.render_str(text, profile=profile or {}, event=event)


@pytest.mark.parametrize(
    ("text", "value", "locale", "expected"),
    [
        ("money('USD')", 1234.5, None, "$1,234.50"),
        ("money('USD')", 1234, None, "$1,234.00"),
        ("money", 5, None, "$5.00"),
        ("money('usd')", "19.999", None, "$20.00"),
        ("money('USD')", 2.675, None, "$2.68"),
        ("money('USD')", -3, None, "-$3.00"),
        ("money('USD')", -0.001, None, "$0.00"),
        ("money('JPY')", 1234.5, None, "¥1,235"),
        ("money('KWD')", 1.5, None, "KWD\u00a01.500"),
        ("money('CHF')", 1, None, "CHF\u00a01.00"),
        ("money('EUR')", 1234567.8, "de-DE", "1.234.567,80\u00a0€"),
        ("money('EUR')", 1234.5, "fr", "1\u202f234,50\u00a0€"),
        ("money('EUR')", 1234.5, "pl_PL", "1\u00a0234,50\u00a0€"),
        ("money('EUR')", 1234.5, "nl", "€\u00a01.234,50"),
        ("money('EUR')", 1234.5, "xx", "€1,234.50"),
        ("money('EUR', locale='de')", 1, "en", "1,00\u00a0€"),
    ],
)  # fmt: skip
def test_money(text: str, value: object, locale: str | None, expected: str) -> None:
    profile = {"locale": locale} if locale else {}
    assert written(f"{{{{ event.x | {text} }}}}", profile, x=value) == expected


@pytest.mark.parametrize(
    ("text", "value", "zone", "expected"),
    [
        ("date", "2026-07-01T22:30:00Z", None, "2026-07-01"),
        ("date", "2026-07-01T22:30:00Z", "Europe/Berlin", "2026-07-02"),
        ("date('%d %B %Y, %H:%M')", "2026-07-01T22:30:00Z", "Europe/Berlin", "02 July 2026, 00:30"),
        ("date('%a %e %b, %I:%M %p')", "2026-07-01T12:05:00Z", None, "Wed 1 Jul, 12:05 PM"),
        ("date('%I %p')", "2026-07-01T00:05:00Z", None, "12 AM"),
        ("date('%A', zone='Asia/Tokyo')", "2026-07-01T22:30:00Z", "UTC", "Thursday"),
        ("date('%H:%M')", "2026-07-01T10:00", "America/New_York", "10:00"),
        ("date('%H:%M')", 1782864000, "Asia/Kathmandu", "05:45"),
        ("date('%y%m%d 100%%')", "2026-07-01", None, "260701 100%"),
        ("date('%S')", "2026-07-01T00:00:07Z", "Mars/Olympus", "07"),
    ],
)
def test_dates(text: str, value: object, zone: str | None, expected: str) -> None:
    profile = {"timezone": zone} if zone else {}
    assert written(f"{{{{ event.x | {text} }}}}", profile, x=value) == expected


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("money", "much", "the text 'much' is no amount of money"),
        ("money", True, "true is no amount of money"),
        ("money", float("nan"), "is no amount of money"),
        ("money", 1e300, "is no amount of money"),
        ("money('EURO')", 1, "the text 'EURO' is no currency; write it like EUR"),
        ("date", "soon", "the text 'soon' is no date"),
        ("date('%Q')", "2026-07-01", "'%Q' is not known in a date; there are %Y"),
        ("date('100%')", "2026-07-01", "'%' is not known in a date"),
        ("date('%Y', zone='Mars')", "2026-07-01", "'Mars' is no time zone"),
    ],
)
def test_what_cannot_be_written_is_an_error(text: str, value: object, message: str) -> None:
    template = Template("t", "sms", f"{{{{ event.x | {text} }}}}", "")
    with pytest.raises(RenderError) as caught:
        template.render({"profile": {}, "event": {"x": value}})
    assert message in str(caught.value)


@pytest.mark.parametrize("function", ["money('EUR')", "date('%H')"])
def test_what_is_not_there_leaves_a_gap_and_a_warning(function: str) -> None:
    template = Template("t", "sms", f"Total: {{{{ event.x | {function} }}}}.", "")
    rendered = template.render({"profile": {}, "event": {}})
    name = function.partition("(")[0]
    assert rendered.body == "Total: ."
    assert rendered.warnings == (f"a value for {name} is undefined",)
    again = template.render({"profile": {}, "event": {"x": 1782864000}})
    assert again.warnings == ()


def test_what_is_not_in_the_sample_is_refused() -> None:
    text = (
        "template: t\nchannel: sms\nbody: \"{{ event.total | money('EUR') }}\"\n"
        "sample: {event: {totl: 5}}"
    )
    with pytest.raises(definitions.DefinitionError) as caught:
        definitions.check(definitions.parse(text), EMPTY)
    assert str(caught.value) == (
        "template 't': body: a value for money is not in the sample; "
        "correct it, or add it to 'sample'"
    )


def test_default_and_pluralize_are_there() -> None:
    template = Template(
        "t", "sms", "{{ event.n }} item{{ event.n | pluralize }}, {{ event.x | default('-') }}", ""
    )
    assert template.render({"profile": {}, "event": {"n": 2}}).body == "2 items, -"
    assert template.render({"profile": {}, "event": {"n": 1}}).body == "1 item, -"


def test_a_profile_behind_a_wrapper_has_its_zone_and_locale_too() -> None:
    template = Template(
        "t", "sms", "{{ event['items'][0] | money('EUR') }} {{ event.at | date('%H') }}", ""
    )
    profile = {"locale": "de", "timezone": "Asia/Tokyo"}
    event = {"items": [5], "at": "2026-07-01T00:00:00Z"}
    assert template.render({"profile": profile, "event": event}).body == "5,00\u00a0€ 09"

"""Templates: strict when defined, lenient when sent, and a function of their context alone."""

from typing import Any

import pytest

from engine import limits
from engine.content.templates import (
    RenderError,
    Template,
    TemplateModel,
    check_template,
    compile_template,
)
from engine.issues import Issue


def template(body: str, subject: str = "") -> Template:
    return Template("t", "email" if subject else "sms", body, subject)


def issues(**fields: Any) -> list[str]:
    model = TemplateModel.model_validate({"template": "t", "channel": "sms", **fields})
    return [str(issue) for issue in check_template(model, "template 't'")]


def test_it_renders_body_and_subject() -> None:
    rendered = template("Hi {{ profile.name }}", "{{ event.item }} waits").render(
        {"profile": {"name": "Ann"}, "event": {"item": "shoe"}}
    )
    assert (rendered.body, rendered.subject, rendered.warnings) == ("Hi Ann", "shoe waits", ())


def test_loops_tests_and_filters_work() -> None:
    body = (
        "{% for line in event.lines %}{{ line.n }} x {{ line.sku|upper }}; {% endfor %}"
        "{% if profile.vip %}thanks{% else %}welcome{% endif %} "
        "{{ profile.name|default('friend') }}"
    )
    context = {"event": {"lines": [{"n": 1, "sku": "a"}, {"n": 2, "sku": "b"}]}, "profile": {}}
    rendered = template(body).render(context)
    assert rendered.body == "1 x A; 2 x B; welcome friend"
    assert rendered.warnings == ()  # it asked whether they are there


@pytest.mark.parametrize(
    ("body", "expected", "missing"),
    [
        ("a {{ profile.x }} b", "a  b", ["profile.x"]),
        ("{{ profile.x.y.z }}", "", ["profile.x"]),
        ("{{ profile['x'] }}!", "!", ["profile['x']"]),
        ("{{ profile.x }}{{ event.y }}{{ profile.x }}", "", ["profile.x", "event.y"]),
        ("ä€ {{ profile.x }} ü {{ event.y|upper }}", "ä€  ü ", ["profile.x", "event.y"]),
        ("{% for l in event.lines %}{{ l.n }}{% endfor %}", "", ["event.lines"]),
        ("{% for l in event.two %}{{ l.n }},{% endfor %}", "1,,", ["l.n"]),
        ("{{ profile.x }} {{ profile.x|default('d') }}", " d", ["profile.x"]),
        ("{{ first }}{{ key }}", "", ["first", "key"]),
        ("{{ event.items }}{{ event['keys'] }}", "", ["event.items", "event['keys']"]),
    ],
)
def test_what_is_missing_leaves_a_gap_and_one_warning_for_each_name(
    body: str, expected: str, missing: list[str]
) -> None:
    context = {"profile": {}, "event": {"two": [{"n": 1}, {}]}}
    rendered = template(body).render(context)
    assert rendered.body == expected
    assert rendered.warnings == tuple(f"{name} is undefined" for name in missing)


def test_warnings_are_bounded() -> None:
    body = "".join(f"{{{{ profile.x{number} }}}}" for number in range(20))
    assert len(template(body).render({"profile": {}}).warnings) == 8


def test_a_template_is_strict_again_after_it_was_lenient() -> None:
    one = template("{{ profile.x }}")
    for _ in range(2):
        assert one.render({"profile": {}}).warnings == ("profile.x is undefined",)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{{ event.n * 2 }}", "line 1: tried to use * operator"),
        ("{% for i in range(100000) %}{% endfor %}", "line 1: it takes more than 100000 steps"),
        ("{{ 'x' * 5000 }}", f"the text has 5000 characters, more than {limits.BODY_CHARS}"),
        ("{{ profile.pop('name') }}", "pop"),
        ("{{ profile.update({'a': 1}) }}", "update"),
        ("{{ event.lines.append(1) }}", "append"),
        ("{{ profile['cl' ~ 'ear']() }}", ""),
    ],
)
def test_what_cannot_be_rendered_is_an_error_and_changes_nothing(body: str, words: str) -> None:
    context: dict[str, Any] = {"profile": {"name": "Ann"}, "event": {"lines": [1]}}
    with pytest.raises(RenderError) as error:
        template(body).render(context)
    assert words in str(error.value)
    assert context == {"profile": {"name": "Ann"}, "event": {"lines": [1]}}


@pytest.mark.parametrize("source", ["{{ event.items }}", "{{ event[profile.which] }}"])
def test_a_property_named_like_a_method_is_a_property(source: str) -> None:
    context = {"event": {"items": "two shoes"}, "profile": {"which": "items"}}
    assert template(source).render(context).body == "two shoes"
    body = template("{% for i in event.items %}{{ i.values }}{% endfor %}")
    assert body.render({"event": {"items": [{"values": 1}, {"values": 2}]}}).body == "12"


@pytest.mark.parametrize(
    "body", ["{{ event }}", "{{ event.l }}", "{{ event.items }}{{ event }}", "{{ profile.items }}"]
)
def test_the_same_context_gives_the_same_text(body: str) -> None:
    texts = {template(body).render({"event": {"l": [{"a": 1}], "m": {}}, "profile": {}}).body
             for _ in range(5)}  # fmt: skip
    assert len(texts) == 1
    assert " at 0x" not in texts.pop()


def test_a_subject_is_one_line() -> None:
    rendered = template("x", "Hi {{ profile.name }}").render({"profile": {"name": "A\r\nBcc: b"}})
    assert rendered.subject == "Hi A Bcc: b"


def test_nothing_random_and_no_clock_is_within_reach() -> None:
    for body in ("{{ now() }}", "{{ [1, 2]|random }}", "{{ lipsum() }}", "{{ debug() }}",
                 "{{ namespace() }}"):  # fmt: skip
        assert issues(body=body), body


def test_a_sample_that_has_every_name_is_fine() -> None:
    body = "{{ profile.a }} {{ event.b }} {{ first.b }} {{ user_id }} {{ journey }} {{ key }}"
    assert issues(body=body, sample={"profile": {"a": 1}, "event": {"b": 2}}) == []
    assert issues(body="{% for i in range(3) %}{{ loop.index }}{{ i }}{% endfor %}") == []
    assert issues(body="{{ order.id }}", sample={"order": {"id": 5}}) == []


def test_a_field_of_an_issue_is_the_one_that_was_written() -> None:
    model = TemplateModel.model_validate(
        {"template": "t", "channel": "push", "title": "{{ profile.x }}", "body": "b"}
    )
    (issue,) = check_template(model, "template 't'")
    assert issue == Issue(
        "template 't'", "title: 'profile' is not in the sample",
        "correct it, or add it to 'sample'", "title",
    )  # fmt: skip


def test_syntax_errors_tell_the_line() -> None:
    model = TemplateModel.model_validate({"template": "t", "channel": "sms", "body": "a\nb {{ x"})
    with pytest.raises(ValueError, match="line 2: unexpected end of input"):
        compile_template(model)

"""Plain texts: what is put together without the template engine reads as by the engine."""

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.content.plain import plain_texts
from engine.content.templates import Template, _environment

_pieces = st.lists(
    st.sampled_from(
        [
            "{{ profile.a }}", "{{event.b}}", "{{\n first.c }}", "{{ profile.a }}", "100 % of {",
            "}}", "\n", "\r\n", "{{- event.b }}", "{{ event.b -}} ", "{# no #}", "{{ 'x' }}",
            "%s %% \0", "{% if event.b %}y{% endif %}", "{{ profile.a|upper }}",
            "{{ profile.a.b }}", "{{ key }}", "{{ event.none|money }}",
        ]
    ),
    max_size=6,
)  # fmt: skip
_words = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=5),
    st.integers(-(2**70), 2**70),
    st.sampled_from([None, True, 1.5, 1e22, [1], {"b": "x"}, b"x"]),
)


class _Engines(Template):
    """A template that is rendered by the engine, however plain."""

    may_be_plain: ClassVar[bool] = False
    __slots__ = ()


@given(_pieces, _words, _words, _words)
def test_it_says_what_the_engine_says(pieces: list[str], a: Any, b: Any, c: Any) -> None:
    text = "x" + "".join(pieces)
    context = {"profile": {"a": a}, "event": {"b": b}, "first": {"c": c}, "key": "k"}
    said: list[Any] = []
    for kind in (Template, _Engines):
        try:
            rendered = kind("t", "sms", text, "").render(context)
            said.append((rendered.body, rendered.warnings))
        except Exception as error:
            said.append((type(error), str(error)))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("Hi {{ profile.name }}, 5 % off {{event.sku}}", True),
        ("Hello\n", False),  # the engine drops the last line's end
        ("Hello", True),
        ("{{ profile.name|upper }}", False),
        ("{% if profile.name %}Hi{% endif %}", False),
        ("{{ profile.address.city }}", False),
    ],
)
def test_only_names_are_plain(text: str, is_plain: bool) -> None:
    environment = _environment()
    environment.add_template("body", text)
    assert bool(plain_texts(environment, {"body": text})) is is_plain


def test_what_is_missing_is_left_to_the_engine_and_told() -> None:
    rendered = Template("t", "sms", "Hi {{ profile.name }}!", "").render({"profile": {}})
    assert (rendered.body, rendered.warnings) == ("Hi !", ("profile.name is undefined",))


def test_numbers_and_texts_are_put_in_as_they_are() -> None:
    context = {"profile": {"name": "<Ann> & {{ x }}"}, "event": {"n": 7}}
    template = Template("t", "email", "{{ event.n }} for {{ profile.name }}", "{{ event.n }}\n!")
    rendered = template.render(context)
    assert (rendered.body, rendered.subject) == ("7 for <Ann> & {{ x }}", "7 !")

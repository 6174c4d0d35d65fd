"""Malformed definitions, each with the exact sentence that a person gets; and what passes."""

import json
from typing import Any

import pytest

from engine import limits
from engine.definition_kinds import KINDS
from engine.definitions import DefinitionError, Document, check, from_wire, parse, to_wire
from engine.issues import listed
from engine.program import EMPTY, Program, advance

DEFINED = """
journey: cart
entry: {event: Product Added, key: properties.cart_id}
exit: [{event: Order Completed, same: properties.cart_id}]
steps:
  wait:
    hold: 2h
    on: [{event: Product Added, same: properties.cart_id, reset: true}]
    timeout: nudge
  nudge: {message: {purpose: marketing, channel: sms, template: cart_sms, lane: sms-main}}
---
segment: vip
when: {event: Order Completed, at_least: 3, within: 90d}
---
segment: rich-vip
when: [{segment: vip}, {trait: rich, is: true}]
---
template: cart_sms
channel: sms
body: "Hi {{ profile.first_name }}"
sample: {profile: {first_name: Ann}}
---
lane: sms-main
channel: sms
carrier: sandbox
sender: "+15005550006"
prefixes: ["+1", "+44"]
limits: [{rate: 100/s}, {rate: 3000/min}, {rate: 200000/day, zone: America/Los_Angeles}]
"""
DURATION = "write it like 90s, 15m, 2h, 1d, 2w or 1h30m"
OPERATORS = (
    "is, is_not, in, not_in, above, at_least, below, at_most, contains, contains_any, "
    "not_contains, starts_with, ends_with, exists, before, after, within_last, within_next, "
    "more_than_ago or more_than_ahead"
)


@pytest.fixture(scope="module")
def program() -> Program:
    documents = parse(DEFINED, "defined.yaml")
    check(documents, EMPTY)
    return advance(EMPTY, 1, from_wire(to_wire(documents)))


def complaints(text: str, program: Program) -> str:
    with pytest.raises(DefinitionError) as error:
        check(parse(text, "f.yaml"), program)
    return str(error.value)


TEXTS = [
    ("", "f.yaml: there is no definition in it"),
    ("---\n---\n", "f.yaml: there is no definition in it"),
    ("a: [", "f.yaml: line 2, column 1: not YAML: did not find expected node content"),
    ("a: 1\na: 2", "f.yaml: line 2, column 1: the key 'a' is given twice"),
    ("a: &x 1", "f.yaml: line 1, column 4: '&x' is an anchor; write values out"),
    ("a: *x", "f.yaml: line 1, column 4: '*x' is an alias; write the value out"),
    ("a: !!set {b}", "f.yaml: line 1, column 4: the tag 'tag:yaml.org,2002:set' is not allowed"),
    ("[a]: 1", "f.yaml: line 1, column 1: a key must be text"),
    (
        "a: " + "9" * 24,
        f"f.yaml: line 1, column 4: the number {'9' * 24} does not fit into 64 bits",
    ),
    ("a: 1e999", "f.yaml: line 1, column 4: the number 1e999 is too large"),
    ("a: " + "[" * 60, "f.yaml: line 1, column 43: nested more than 40 deep"),
    ('{"a": 1, "a": 2}', "f.yaml: the key 'a' is given twice"),
    ('{"a": NaN}', "f.yaml: NaN is not a number of JSON"),
    ('{"a": "\\ud800"}', "f.yaml: the text is not valid Unicode"),
    ('{"a": ' + "9" * 24 + "}", f"f.yaml: the number {'9' * 24} does not fit into 64 bits"),
    ("[" * 100_000, "f.yaml: the JSON is nested too deeply"),
    ("- a\n- b", "f.yaml:1: a definition is a map, not a list"),
    ("hello", "f.yaml:1: a definition is a map, not the text 'hello'"),
    (
        "journy: x",
        (f"f.yaml:1: the definition has none of {listed(KINDS)}; did you mean 'journey'?"),
    ),
    ("\n\n---\nx: 1", f"f.yaml:4: the definition has none of {listed(KINDS)}"),
    (
        "journey: j\nsegment: s",
        "f.yaml:1: the definition is journey and segment at once; divide it with '---'",
    ),
    (
        "journey: a b",
        "f.yaml:1: journey: 'a b' is not a name; use letters, digits, '-', '_' and '.'",
    ),
    ("journey: 5", "f.yaml:1: journey: must be a name, not the number 5; put it in quotes"),
    (f"lane: {'x' * 201}", "f.yaml:1: lane: the name is longer than 200 characters"),
]


@pytest.mark.parametrize(("text", "message"), TEXTS)
def test_texts_that_are_not_definitions(text: str, message: str, program: Program) -> None:
    assert complaints(text, program) == message


JOURNEYS = [
    ("steps: {a: {delay: 1d}}", "'entry' is missing"),
    ("entry: {event: A}", "'steps' is missing"),
    ("entry: {event: A}\nsteps: {}", "steps: must not be empty"),
    ("entry: {event: A}\nsteps: [a]", "steps: must be a map, not a list"),
    (
        "entry: {event: A}\nstep: {a: {delay: 1d}}",
        "'step' is not a field of a journey; did you mean 'steps'?",
    ),
    (
        "entry: A\nsteps: {a: {delay: 1d}}",
        "entry: must be an entry written as a map, not the text 'A'",
    ),
    (
        "entry: {evnt: A}\nsteps: {a: {delay: 1d}}",
        (
            "entry: is not an entry: it has none of event, segment, api, schedule or broadcast; "
            "did you mean 'event'?"
        ),
    ),
    (
        "entry: {event: 5}\nsteps: {a: {delay: 1d}}",
        "entry.event: must be the name of an event, not the number 5",
    ),
    (
        "entry: {event: ' '}\nsteps: {a: {delay: 1d}}",
        "entry.event: is empty; write the name of an event",
    ),
    (
        "entry: {event: A, key: cart_id}\nsteps: {a: {delay: 1d}}",
        "entry.key: 'cart_id' does not begin with 'properties'; did you mean 'properties.cart_id'?",
    ),
    (
        "entry: {event: A, key: property.cart_id}\nsteps: {a: {delay: 1d}}",
        (
            "entry.key: 'property.cart_id' does not begin with 'properties'; "
            "did you mean 'properties.cart_id'?"
        ),
    ),
    (
        "entry: {event: A, key: properties..x}\nsteps: {a: {delay: 1d}}",
        "entry.key: 'properties..x' is not a path; write it like 'properties.name'",
    ),
    (
        "entry: {event: A, where: [{property: p, is: []}]}\nsteps: {a: {delay: 1d}}",
        "entry.where[0].is: must be text, a number, true or false, not a list",
    ),
    (
        "entry: {event: A}\nexit: [{event: B, then: x}]\nsteps: {a: {delay: 1d}}",
        (
            "exit[0]: 'then' is not a field of an exit rule; "
            "its fields are event, where, same or goal"
        ),
    ),
    (
        "entry: {event: A}\nexit: [" + "{event: B}," * 21 + "]\nsteps: {a: {delay: 1d}}",
        "exit: is too long: at most 20 are allowed",
    ),
]


@pytest.mark.parametrize(("rest", "message"), JOURNEYS)
def test_journeys(rest: str, message: str, program: Program) -> None:
    assert complaints(f"journey: j\n{rest}", program) == f"journey 'j': {message}"


STEPS = [
    ("a: 5", "step 'a': must be a step written as a map, not the number 5"),
    ("a:", "step 'a': must be a step written as a map, not nothing"),
    (
        "a: {dely: 1d}",
        (
            "step 'a': is not a step: it has none of delay, emit, end, experiment, goal, hold, "
            "leave, lookup, message, paths, random, rate, split, start, update or webhook; "
            "did you mean 'delay'?"
        ),
    ),
    (
        "a: {delay: 1d, hold: 2h}",
        "step 'a': is two steps at once: delay and hold; make them two steps",
    ),
    (
        "a b: {delay: 1d}",
        "step 'a b': 'a b' is not a name; use letters, digits, '-', '_' and '.'",
    ),
    ("end: {delay: 1d}", "steps: 'end' is the built-in last step; choose another name for yours"),
    ("a: {delay: 60}", f"step 'a': delay: 60 has no unit; {DURATION}"),
    ("a: {delay: soon}", f"step 'a': delay: 'soon' is not a duration; {DURATION}"),
    (
        "a: {delay: 0s}",
        "step 'a': delay: '0s' is no time at all; the shortest duration is 1s",
    ),
    (
        "a: {delay: 731d}",
        "step 'a': delay: '731d' is longer than 730d, the longest that is allowed",
    ),
    (
        "a: {delay: 1d, thn: b}",
        "step 'a': 'thn' is not a field of a delay step; did you mean 'then'?",
    ),
    ("a: {delay: 1d, then: [b]}", "step 'a': then: must be a name, not a list; put it in quotes"),
    (
        "a: {delay: 1d, then: bb}\nb: {delay: 1d}",
        "step 'a' goes to 'bb', which does not exist; did you mean 'b'?",
    ),
    ("a: {delay: 1d, then: zzz}", "step 'a' goes to 'zzz', which does not exist"),
    (
        "a: {delay: 1d}\nb: {delay: 1d}",
        "step 'b' is never reached; lead a step to it, or delete it",
    ),
    ("a: {hold: 1d, on: []}", "step 'a': on: must not be empty"),
    ("a: {hold: 1d, on: [{}]}", "step 'a': on[0]: 'event' is missing"),
    (
        "a: {hold: 1d, on: [{event: X, rset: true}]}",
        "step 'a': on[0]: 'rset' is not a field of a branch of a hold; did you mean 'reset'?",
    ),
    (
        "a: {hold: 1d, on: [{event: X, reset: yes}]}",
        "step 'a': on[0].reset: must be true or false, not the text 'yes'",
    ),
    (
        "a: {hold: 1d, on: [{event: X, reset: true, then: end}]}",
        "step 'a': on[0]: 'reset' stands beside 'then'; a branch restarts the time or moves on",
    ),
    (
        "a: {hold: 1d, timeout: b}",
        "step 'a' goes to 'b', which does not exist",
    ),
    (
        "a: {split: [{then: end}]}",
        "step 'a': split[0]: 'when' is missing",
    ),
    (
        "a: {split: [{when: {trait: x}}]}",
        (
            f"step 'a': split[0].when: the condition on 'x' compares it with nothing; "
            f"add one of {OPERATORS}"
        ),
    ),
    (
        "a: {split: [{when: {trait: x, is: 1}, then: a}]}",
        "the loop 'a' → 'a' never waits; put a delay or a hold into it",
    ),
    (
        (
            "a: {delay: 1d, then: b}\n"
            "b: {split: [{when: {trait: x, is: 1}, then: c}]}\n"
            "c: {message: {purpose: otp, channel: sms, template: cart_sms}, then: b}"
        ),
        "the loop 'b' → 'c' → 'b' never waits; put a delay or a hold into it",
    ),
    ("a: {message: {}}", "step 'a': message: 'purpose' is missing"),
    (
        "a: {message: {purpose: promo, channel: sms, template: cart_sms}}",
        "step 'a': message.purpose: must be otp, transactional or marketing, not the text 'promo'",
    ),
    (
        "a: {message: {purpose: otp, channel: smss, template: cart_sms}}",
        (
            "step 'a': message.channel: must be sms, email, push, whatsapp, voice or rcs, "
            "not the text 'smss'; did you mean 'sms'?"
        ),
    ),
    (
        "a: {message: {purpose: otp, channel: sms, template: cart_sm}}",
        "step 'a': message.template: there is no template 'cart_sm'; did you mean 'cart_sms'?",
    ),
    (
        "a: {message: {purpose: otp, channel: email, template: cart_sms}}",
        "step 'a': message.template: template 'cart_sms' is for sms, the message for email",
    ),
    (
        "a: {message: {purpose: otp, channel: sms, template: cart_sms, lane: sms}}",
        "step 'a': message.lane: there is no lane 'sms'",
    ),
    (
        "a: {message: {purpose: otp, channel: sms, template: cart_sms, to: phone}}",
        (
            "step 'a': message.to: 'phone' does not begin with 'traits' or 'properties'; "
            "did you mean 'traits.phone'?"
        ),
    ),
    ("a: {end: false}", "step 'a': end: must be true, not false"),
    (
        "a: {split: [{when: {segment: vipp}}]}",
        "step 'a': split[0].when: there is no segment 'vipp'; did you mean 'vip'?",
    ),
    (
        "a: {hold: 1h, on: [{event: X, where: [{segment: vipp}]}]}",
        "step 'a': on[0].where: there is no segment 'vipp'; did you mean 'vip'?",
    ),
]


@pytest.mark.parametrize(("steps", "message"), STEPS)
def test_steps(steps: str, message: str, program: Program) -> None:
    indented = "\n".join(f"  {line}" for line in steps.splitlines())
    text = f"journey: j\nentry: {{event: Go}}\nsteps:\n{indented}"
    found = complaints(text, program)
    assert found.splitlines()[0] == f"journey 'j': {message}"


CONDITIONS = [
    ("5", "when: must be a condition written as a map, not the number 5"),
    ("[]", "when: must not be an empty list of conditions"),
    (
        "{trat: x, is: 1}",
        (
            "when: is not a condition: it has none of all, any, bucket, consent, context, event, "
            "everyone, list, not, property, segment, sequence or trait; did you mean 'trait'?"
        ),
    ),
    (
        "{trait: x, segment: vip}",
        "when: is two conditions at once: segment and trait; write them as a list",
    ),
    (
        "{trait: x, at_leest: 1}",
        "when: 'at_leest' is not a field of a trait condition; did you mean 'at_least'?",
    ),
    (
        "{property: x, is: 1}",
        "when: a segment has no event whose property it could read; use a trait, or count an event",
    ),
    ("{event: X, at_least: 0}", "when: 'at_least: 0' is always true; write 1 or more"),
    ("{event: X, at_least: -1}", "when.at_least: must be at least 0, not -1"),
    ("{event: X, at_least: 1000}", "when.at_least: must be at most 999, not 1000"),
    ("{event: X, at_least: '3'}", "when.at_least: must be a whole number, not the text '3'"),
    (
        "{event: X, at_least: 5, at_most: 2}",
        "when: at least 5 and at most 2 is never true; swap the counts",
    ),
    (
        "{event: X, exactly: 1, at_most: 2}",
        "when: 'exactly' stands beside another count; keep one of them",
    ),
    (
        "{event: X, within: 401d}",
        "when.within: '401d' is longer than 400d, the longest that is allowed",
    ),
    ("{event: X, within: 7}", f"when.within: 7 has no unit; {DURATION}"),
    (
        "{event: X, wthin: 7d}",
        "when: 'wthin' is not a field of an event condition; did you mean 'within'?",
    ),
    ("{trait: x, above: true}", "when.above: must be a number or text, not true"),
    ("{trait: x, in: 1}", "when.in: must be a list with at least one value, not the number 1"),
    ("{trait: x, in: []}", "when.in: must be a list with at least one value, not an empty list"),
    ("{trait: x, exists: 1}", "when.exists: must be true or false, not the number 1"),
    ("{trait: x, starts_with: 1}", "when.starts_with: must be text, not the number 1"),
    ("{trait: '', is: 1}", "when.trait: must not be empty"),
    (
        "{any: [{all: [{not: {trait: x}}]}]}",
        (
            "when.any[0].all[0].not: the condition on 'x' compares it with nothing; add one "
            f"of {OPERATORS}"
        ),
    ),
    (
        "{not: " * 10 + "{trait: x, is: 1}" + "}" * 10,
        "when: conditions are nested more than 10 deep",
    ),
    ("{segment: s}", "the segments 's' → 's' read each other in a circle"),
    ("{segment: vp}", "when: there is no segment 'vp'; did you mean 'vip'?"),
]


@pytest.mark.parametrize(("condition", "message"), CONDITIONS)
def test_conditions(condition: str, message: str, program: Program) -> None:
    found = complaints(f"segment: s\nwhen: {condition}", program)
    assert found == f"segment 's': {message}"


OTHERS = [
    (
        "template: t\nchannel: fax\nbody: x",
        "channel: must be sms, email, push, whatsapp, voice, rcs or any, not the text 'fax'",
    ),
    ("template: t\nchannel: sms", "'body' is missing; a template has a body, or content, or both"),
    ("template: t\nchannel: email\nbody: x", "'subject' is missing: channel email needs it"),
    ("template: t\nchannel: push\nbody: x", "'title' is missing: channel push needs it"),
    (
        "template: t\nchannel: sms\nsubject: a\nbody: x",
        "'subject' belongs to channel email, not sms",
    ),
    (
        f"template: t\nchannel: sms\nbody: {'x' * (limits.BODY_CHARS + 1)}",
        "body: is too long: at most 4096 are allowed",
    ),
    (
        "template: t\nchannel: sms\nbody: 'Hi {{ profil.x }}'",
        "body: 'profil' is not known here; did you mean 'profile'?",
    ),
    (
        "template: t\nchannel: sms\nbody: 'Hi {{ profile.x }}'\nsample: {profile: {y: 1}}",
        "body: 'profile.x' is not in the sample; correct it, or add it to 'sample'",
    ),
    (
        "template: t\nchannel: email\nsubject: '{{ event.x }}'\nbody: x\nsample: {event: {}}",
        "subject: 'event.x' is not in the sample; correct it, or add it to 'sample'",
    ),
    (
        "template: t\nchannel: sms\nbody: '{{ profile.x'",
        "body: line 1: unexpected end of input, expected end of variable block",
    ),
    ("template: t\nchannel: sms\nbody: '{{ 1|foo }}'", "body: line 1: filter foo is unknown"),
    (
        "template: t\nchannel: sms\nbody: \"{% include 'x' %}\"",
        "body: line 1: other templates cannot be included",
    ),
    (
        "template: t\nchannel: sms\nbody: '{% for i in range(100000) %}{% endfor %}'",
        "body: line 1: it takes more than 100000 steps to render",
    ),
    (
        "lane: l\nchannel: sms\ncarrier: x\nlimits: [{rate: 5}]",
        (
            "limits[0].rate: must be a rate, not the number 5; "
            "write it like 100/s, 3000/min, 5000/h, 2/day, or 1/6s"
        ),
    ),
    (
        "lane: l\nchannel: sms\ncarrier: x\nlimits: [{rate: 5/mn}]",
        "limits[0].rate: 'mn' is not a window of a rate; did you mean 'min'?",
    ),
    (
        "lane: l\nchannel: sms\ncarrier: x\nlimits: [{rate: 0/s}]",
        "limits[0].rate: '0/s' lets nothing through; delete the lane instead",
    ),
    (
        "lane: l\nchannel: sms\ncarrier: x\nlimits: [{rate: 5/s, zone: UTC}]",
        "limits[0]: 'zone' stands beside 5/s; only a number per day has a zone",
    ),
    (
        "lane: l\nchannel: sms\ncarrier: x\nlimits: [{rate: 5/day, zone: Europe/Berln}]",
        (
            "limits[0].zone: must be a time zone, not the text 'Europe/Berln'; "
            "did you mean 'Europe/Berlin'?"
        ),
    ),
    (
        "lane: l\nchannel: sms\ncarrier: x\nlimits: [{rate: 5/day, zone: ../../etc/passwd}]",
        (
            "limits[0].zone: must be a time zone, not the text '../../etc/passwd'; "
            "write it like America/Los_Angeles"
        ),
    ),
    (
        "lane: l\nchannel: sms\ncarrier: x\nprefixes: ['44']",
        "'44' is not the beginning of a phone number; did you mean '+44'?",
    ),
    (
        "lane: l\nchannel: email\ncarrier: x\nprefixes: ['+']",
        "prefix '+' on channel email; write [\"*\"]",
    ),
    (
        "lane: l\nchannel: sms\ncarrier: x\nprefixes: ['+1', '+1']",
        "a prefix is given twice",
    ),
    (
        "lane: l\nchannel: sms\ncarrier: x\noptions: fast",
        "options: must be a map, not the text 'fast'",
    ),
]


@pytest.mark.parametrize(("text", "message"), OTHERS)
def test_templates_and_lanes(text: str, message: str, program: Program) -> None:
    kind, name = text.split("\n", 1)[0].split(": ")
    assert complaints(text, program) == f"{kind} {name!r}: {message}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            [Document("template", "cart_sms", None)],
            ("template 'cart_sms': it is used by journey 'cart' (step 'nudge': message.template); "
            "change that first"),
        ),
        (
            [Document("lane", "sms-main", None)],
            ("lane 'sms-main': it is used by journey 'cart' (step 'nudge': message.lane); "
            "change that first"),
        ),
        (
            [Document("segment", "vip", None)],
            "segment 'vip': it is used by segment 'rich-vip' (when); change that first",
        ),
        (
            [Document("segment", "vipp", None)],
            "segment 'vipp': it does not exist; did you mean 'vip'?",
        ),
        (
            [Document("lane", "l", {"lane": "l", "channel": "push", "carrier": "x"})] * 2,
            "lane 'l': it is defined twice; keep one of them",
        ),
        (
            [Document("template", "cart_sms",
                      {"template": "cart_sms", "channel": "push", "title": "t", "body": "b"})],
            ("template 'cart_sms': template 'cart_sms' is for push, but journey 'cart' "
            "(step 'nudge': message.template) needs sms"),
        ),
        (
            [Document("segment", "vip", {"segment": "vip", "when": {"segment": "rich-vip"}})],
            "segment 'vip': the segments 'vip' → 'rich-vip' → 'vip' read each other in a circle",
        ),
        ([Document("role", "a", {})], "role 'a': there is no kind 'role' of definition"),
        (
            [Document("template", "t", {"template": "t", "body": "x" * 300_000})],
            ("template 't': it has 300022 bytes, more than 262144\n"
            "template 't': 'channel' is missing\n"
            "template 't': body: is too long: at most 4096 are allowed"),
        ),
        (
            [Document("segment", "s", {"segment": "t", "when": {"trait": "x", "is": 1}})],
            "segment 's': its body has another name: 't'",
        ),
    ],
)  # fmt: skip
def test_changes_against_what_is_defined(
    changes: list[Document], message: str, program: Program
) -> None:
    with pytest.raises(DefinitionError) as error:
        check(changes, program)
    assert str(error.value) == message


def test_too_many_at_once(program: Program) -> None:
    changes = [
        Document("segment", f"s{n}", {"segment": f"s{n}", "when": {"trait": "x", "is": 1}})
        for n in range(limits.DEFINITIONS_PER_APPLY + 1)
    ]
    with pytest.raises(DefinitionError, match="101 definitions at once, more than 100"):
        check(changes, program)


def test_all_that_is_wrong_is_told_at_once_with_its_source_and_field(program: Program) -> None:
    text = "segment: a\nwhen: {trait: x, at_leest: 1}\n---\nlane: l\nchannel: fx\ncarrier: 5"
    with pytest.raises(DefinitionError) as error:
        check(parse(text, "f.yaml"), program)
    assert [(i.source, i.where, i.field) for i in error.value.issues] == [
        ("f.yaml:1", "segment 'a'", "when"),
        ("f.yaml:4", "lane 'l'", "channel"),
        ("f.yaml:4", "lane 'l'", "carrier"),
    ]


def test_what_uses_and_what_is_used_may_go_in_one_change(program: Program) -> None:
    check([Document("journey", "cart", None), Document("template", "cart_sms", None)], program)
    check([Document("segment", "rich-vip", None), Document("segment", "vip", None)], program)


def test_loops_through_a_hold_or_a_delay_are_fine(program: Program) -> None:
    text = """
journey: j
entry: {event: Go}
steps:
  a: {hold: 1d, on: [{event: X, then: b}], timeout: a}
  b: {split: [{when: {trait: x, is: 1}, then: a}], else: c}
  c: {delay: 1d, then: b}
"""
    check(parse(text), program)


def test_yaml_reads_by_its_newer_rules_and_json_means_the_same() -> None:
    (document,) = parse(
        "segment: on\nwhen: {all: [{trait: yes, is: no}, {trait: t, is: 12:30}, "
        "{trait: d, is: 2026-01-01}, {trait: n, is: 0x1F}, {trait: q, is: '1'}, "
        "{trait: f, is: 1.50}, {trait: b, is: true}, {trait: 7, is: -3}]}"
    )
    expected: dict[str, Any] = {
        "segment": "on",
        "when": {
            "all": [
                {"trait": "yes", "is": "no"},
                {"trait": "t", "is": "12:30"},
                {"trait": "d", "is": "2026-01-01"},
                {"trait": "n", "is": "0x1F"},
                {"trait": "q", "is": "1"},
                {"trait": "f", "is": 1.5},
                {"trait": "b", "is": True},
                {"trait": 7, "is": -3},
            ]
        },
    }
    assert document == Document("segment", "on", expected, "the text:1")
    assert parse(json.dumps(expected)) == [document]
    assert parse(json.dumps([expected, expected])) == [document, document]


def test_flow_style_yaml_is_not_mistaken_for_json() -> None:
    assert parse("{segment: s, when: {trait: x, is: 1}}")[0].name == "s"


def test_the_wire_carries_what_was_read(program: Program) -> None:
    documents = parse(DEFINED)
    assert from_wire(to_wire(documents)) == [(d.kind, d.name, d.body) for d in documents]


def refused(text: str) -> list[str]:
    try:
        check(parse(text), EMPTY)
    except DefinitionError as error:
        return [issue.what for issue in error.issues]
    return []


def test_no_text_makes_anything_but_issues() -> None:
    """Every beginning of a good text is either good or refused in words."""
    found = [refused(DEFINED[:end]) for end in range(0, len(DEFINED), 23)]
    assert sum(map(bool, found)) > 20
    assert all(what for issues in found for what in issues)


def test_no_event_is_called_by_a_control_character() -> None:
    with pytest.raises(DefinitionError, match="holds a control character"):
        check(parse('segment: s\nwhen: {event: "a\\x1fb"}'), EMPTY)

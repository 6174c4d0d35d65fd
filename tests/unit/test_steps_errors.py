"""What is wrong with a step is told where it stands, with what to do."""

import pytest
from journey_helpers import SMS_LANE

from engine import definitions
from engine.program import EMPTY, Program, advance

REST = f"""
---
segment: vip
when: {{trait: points, at_least: 100}}
---
template: hi
channel: sms
body: Hi
---
journey: other
entry: {{event: Other}}
steps: {{a: {{delay: 1d}}}}
---
{SMS_LANE}
"""
DURATION = "write it like 90s, 15m, 2h, 1d, 2w or 1h30m"
MOMENT = "write a time (09:30), a date (2026-12-24) or a path (traits.renews_at)"


@pytest.fixture(scope="module")
def program() -> Program:
    documents = definitions.parse(REST.strip().removeprefix("---"))
    return advance(EMPTY, 1, definitions.from_wire(definitions.to_wire(documents)))


def complaint(steps: str, program: Program) -> str:
    text = f"journey: j\nentry: {{event: Go}}\nsteps: {{{steps}}}"
    with pytest.raises(definitions.DefinitionError) as caught:
        definitions.check(definitions.parse(text), program)
    return str(caught.value.issues[0]).removeprefix("journey 'j': ")


ERRORS = [
    # Delays.
    ("a: {delay: {}}", "step 'a': delay: is not a delay: a map without between, until or window"),
    (
        "a: {delay: {untill: '09:00'}}",
        (
            "step 'a': delay: is not a delay: a map without between, until or window; "
            "did you mean 'until'?"
        ),
    ),
    (
        "a: {delay: {until: '09:00', between: [1h, 2h]}}",
        "step 'a': delay: is two delays at once: between and until; make them two steps",
    ),
    (
        "a: {delay: {between: 1h}}",
        "step 'a': delay: 'between' must be two durations; write it like [1h, 3h]",
    ),
    (
        "a: {delay: {between: [1h, soon]}}",
        f"step 'a': delay.between[1]: 'soon' is not a duration; {DURATION}",
    ),
    (
        "a: {delay: {between: [3h, 1h]}}",
        "step 'a': delay: between 3h and 1h there is no time; write the shorter one first",
    ),
    (
        "a: {delay: {until: 9}}",
        f"step 'a': delay.until: must be a moment, not the number 9; {MOMENT}",
    ),
    ("a: {delay: {until: '25:00'}}", f"step 'a': delay.until: '25:00' is not a moment; {MOMENT}"),
    (
        "a: {delay: {until: trait.renews}}",
        "step 'a': delay.until: 'trait.renews' is not a moment; did you mean 'traits.renews'?",
    ),
    (
        "a: {delay: {until: traits.}}",
        "step 'a': delay.until: 'traits.' is not a path; write it like traits.name",
    ),
    (
        "a: {delay: {until: '09:00', days: [monday]}}",
        (
            "step 'a': delay.days[0]: must be a day of the week, not the text 'monday'; "
            "did you mean 'mon'?"
        ),
    ),
    ("a: {delay: {until: '09:00', days: []}}", "step 'a': delay.days: must not be empty"),
    (
        "a: {delay: {until: 2026-12-24, days: [mon]}}",
        "step 'a': delay: 'days' stands beside a date; only a time of day has days",
    ),
    (
        "a: {delay: {until: '09:00', before: 1h}}",
        (
            "step 'a': delay: 'before' stands beside a moment of your own; "
            "only a path such as traits.renews_at has it"
        ),
    ),
    (
        "a: {delay: {until: traits.x, before: 1h, after: 1h}}",
        "step 'a': delay: 'before' stands beside 'after'; keep one of them",
    ),
    (
        "a: {delay: {until: '09:00', zone: Europe/Berln}}",
        (
            "step 'a': delay.zone: must be a time zone, not the text 'Europe/Berln'; "
            "did you mean 'Europe/Berlin'?"
        ),
    ),
    (
        "a: {delay: {until: traits.x, time: noon}}",
        "step 'a': delay.time: must be a time of day, not the text 'noon'; write it like 09:30",
    ),
    (
        "a: {delay: {window: ['09:00']}}",
        "step 'a': delay: 'window' must be two times of day; write it like [\"09:00\", \"18:00\"]",
    ),
    (
        "a: {delay: {window: ['09:00', '09:00']}}",
        "step 'a': delay: 'window' opens and closes at the same time; leave it out",
    ),
    (
        "a: {delay: 1d, past: end}",
        "step 'a': 'past' stands beside a delay whose end always lies ahead; delete it",
    ),
    (
        "a: {delay: {until: traits.x}, then: b}, b: {split: [{when: {trait: x, is: 1}, then: a}]}",
        "the loop 'a' → 'b' → 'a' never waits; put a delay or a hold into it",
    ),
    # Holds and paths.
    (
        "a: {hold: 1d, on: [{segmnt: vip}]}",
        (
            "step 'a': on[0]: is not a branch: it has none of event, segment, already or when; "
            "did you mean 'segment'?"
        ),
    ),
    (
        "a: {hold: 1d, on: [{event: X, segment: vip}]}",
        "step 'a': on[0]: is two branches at once: event and segment; make them two branches",
    ),
    (
        "a: {hold: 1d, on: [{segment: vpi}]}",
        ("step 'a': on[0].segment: there is no segment 'vpi'; did you mean 'vip'?"),
    ),
    (
        "a: {hold: 1d, on: [{already: {segment: vpi}}]}",
        "step 'a': on[0].already: there is no segment 'vpi'; did you mean 'vip'?",
    ),
    (
        "a: {hold: 1d, on: [{when: {property: x, is: 1}}]}",
        (
            "step 'a': on[0].when: 'when' has no event whose property it could read; "
            "use {event: ..., where: ...}, {already: ...}, or a trait"
        ),
    ),
    (
        "a: {hold: 1d, on: [{when: {trait: x, is: 1}, then: a}]}",
        "the loop 'a' → 'a' never waits; put a delay or a hold into it",
    ),
    (
        "a: {hold: 1d, on: [{segment: vip, on: leave}]}",
        "step 'a': on[0].on: must be entered or left, not the text 'leave'",
    ),
    (
        "a: {hold: 1d, on: [{event: X}], resets: 3}",
        "step 'a': 'resets' stands in a hold without a branch that resets; delete it",
    ),
    (
        "a: {hold: 1d, on: [{event: X, reset: true}], resets: 1001}",
        "step 'a': resets: must be at most 1000, not 1001",
    ),
    (
        "a: {hold: 1d, on: [{event: X, as: first}]}",
        "step 'a': on[0].as: 'first' is the event that began the run; choose another name",
    ),
    (
        "a: {hold: 1d, on: [{event: X, as: pay-ment}]}",
        "step 'a': on[0].as: templates cannot write 'pay-ment'; use letters, digits and '_'",
    ),
    (
        "a: {message: {purpose: marketing, channel: sms, template: hi}, only_if: {segment: vpi}}",
        "step 'a': only_if: there is no segment 'vpi'; did you mean 'vip'?",
    ),
    (
        "a: {message: {purpose: marketing, channel: sms, template: hi}, only_fi: {segment: vip}}",
        "step 'a': 'only_fi' is not a field of a message step; did you mean 'only_if'?",
    ),
    (
        "a: {hold: 1d, on: [{already: {trait: x, is: 1}, then: a}]}",
        "the loop 'a' → 'a' never waits; put a delay or a hold into it",
    ),
    ("a: {paths: [{event: X}]}", "step 'a': 'within' is missing"),
    ("a: {paths: [], within: 1d}", "step 'a': paths: must not be empty"),
    (
        "a: {paths: [{event: X, reset: true}], within: 1d}",
        "step 'a': 'reset' stands in a path; paths lead on; a hold can begin anew",
    ),
    ("a: {goal: {event: X}}", "step 'a': 'within' is missing"),
    (
        "a: {goal: {event: X, then: end}, within: 1d}",
        "step 'a': 'goal' has a way of its own; write 'then' beside 'goal'",
    ),
    # Kept events.
    (
        (
            "a: {hold: 1d, on: [{event: X, as: payment, then: b}]}, "
            "b: {split: [{when: {property: x, is: 1}}], of: paymnt}"
        ),
        "step 'b': of: no branch keeps an event as 'paymnt'; did you mean 'payment'?",
    ),
    (
        "a: {emit: {event: X, properties: {total: {from: events.payment.total}}}}",
        (
            "step 'a': emit.properties.total: no branch keeps an event as 'payment'; "
            "write 'as: payment' in a branch of a hold"
        ),
    ),
    # Chance.
    (
        "a: {random: [{percent: 50}, {percent: 40}]}",
        "step 'a': the branches are 90 percent together, not 100; 10 are missing",
    ),
    (
        "a: {random: [{percent: 50}, {percent: 60}]}",
        "step 'a': the branches are 110 percent together, not 100; 10 are too many",
    ),
    (
        "a: {random: [{percent: 0}, {percent: 100}]}",
        "step 'a': random[0].percent: 0 percent is not above 0 and at most 100",
    ),
    (
        "a: {random: [{percent: half}]}",
        (
            "step 'a': random[0].percent: must be a percentage, not the text 'half'; "
            "write it like 50 or 12.5"
        ),
    ),
    (
        "a: {random: [{percent: 33.333}, {percent: 66.667}]}",
        "step 'a': random[0].percent: 33.333 percent has more than two decimals",
    ),
    (
        "a: {experiment: {name: x, variants: [{percent: 90}], control: {percent: 5}}}",
        (
            "step 'a': experiment: variants and control group are 95 percent together, not 100; "
            "5 are missing"
        ),
    ),
    (
        "a: {experiment: {name: x, variants: [{percent: 50}, {percent: 50}]}}",
        "step 'a': experiment: two variants are called 'end'; give each a 'name' of its own",
    ),
    (
        "a: {rate: {per_minute: 600, people: 5}}",
        ("step 'a': rate: 5 people pass in less than a second at 600 a minute; leave the step out"),
    ),
    (
        "a: {rate: {per_minute: 1, people: 2000000}}",
        (
            "step 'a': rate: 2000000 people take 1388d21h20m at 1 a minute, longer than 730d; "
            "let more pass"
        ),
    ),
    (
        "a: {rate: {per_minute: 0, people: 5}}",
        "step 'a': rate.per_minute: must be at least 1, not 0",
    ),
    # Writing.
    ("a: {update: {}}", "step 'a': update: changes nothing; give it 'set', 'unset' or 'add'"),
    (
        "a: {update: {set: {x: 1}, unset: [x]}}",
        "step 'a': update: the trait 'x' is changed twice; keep one of them",
    ),
    (
        "a: {update: {add: {x: much}}}",
        (
            "step 'a': update: add.x: must be a number, not the text 'much'; "
            "write it like 1, -5 or {from: properties.price}"
        ),
    ),
    ("a: {update: {set: {x: null}}}", "step 'a': update: set.x: is nothing; write unset: [x]"),
    (
        "a: {update: {set: {x: {from: propertys.y}}}}",
        (
            "step 'a': update.set.x.from: 'propertys.y' does not begin with "
            "'traits', 'properties', 'first' or 'events'; did you mean 'traits.y'?"
        ),
    ),
    (
        "a: {update: {set: {x: {from: events.payment}}}}",
        (
            "step 'a': update.set.x: 'events.payment' is a whole event; "
            "write it like events.payment.total"
        ),
    ),
    ("a: {emit: {properties: {}}}", "step 'a': emit: 'event' is missing"),
    (
        "a: {start: {journey: othr}}",
        ("step 'a': start.journey: there is no journey 'othr'; did you mean 'other'?"),
    ),
    (
        "a: {leave: {journey: othr}}",
        ("step 'a': leave.journey: there is no journey 'othr'; did you mean 'other'?"),
    ),
]


@pytest.mark.parametrize(("steps", "message"), ERRORS, ids=[steps for steps, _ in ERRORS])
def test_errors(steps: str, message: str, program: Program) -> None:
    assert complaint(steps, program) == message


GOOD = [
    "a: {delay: {until: '9:30'}}",
    "a: {delay: {until: '23:59:59', days: [sat, sun], zone: UTC}}",
    "a: {delay: {until: 2026-12-24T18:00:00+01:00}, past: end}",
    "a: {delay: {until: properties.trip.departs, after: 2h, time: '08:00'}}",
    "a: {delay: {until: '08:00'}, then: a}",
    "a: {hold: 1d, on: [{segment: vip, reset: true}], resets: 5}",
    "a: {paths: [{already: {segment: vip}}, {event: X}], within: 1d, ranked: true, else: a}",
    "a: {random: [{percent: 33.33}, {percent: 33.33}, {percent: 33.34}]}",
    "a: {random: [{percent: 100}], sticky: true}",
    "a: {experiment: {name: x, variants: [{name: v, percent: 100}]}}",
    "a: {update: {set: {x: {a: [1, 2]}}, add: {y: -1.5}}}",
    "a: {leave: {journey: j}}",
]


@pytest.mark.parametrize("steps", GOOD)
def test_what_is_good_is_taken(steps: str, program: Program) -> None:
    definitions.check(
        definitions.parse(f"journey: j\nentry: {{event: Go}}\nsteps: {{{steps}}}"), program
    )


def test_a_circle_is_refused_only_if_it_can_be_gone_round_without_waiting(program: Program) -> None:
    text = """
    journey: j
    entry: {event: Go}
    steps:
      wait: {hold: 1d, on: [{already: {segment: vip}, then: paths}], timeout: again}
      again: {random: [{percent: 50, then: wait}, {percent: 50, then: line}]}
      line: {rate: {per_minute: 1, people: 60}, then: when}
      when: {delay: {until: traits.x}, then: wait, past: done}
      done: {goal: {event: X}, within: 1d, then: again, else: paths}
      paths: {paths: [{already: {segment: vip}, then: again}], within: 1d, ranked: true}
    """
    definitions.check(definitions.parse(text), program)
    with pytest.raises(definitions.DefinitionError) as caught:
        definitions.check(definitions.parse(text.replace(", ranked: true", "")), program)
    assert "the loop 'wait' → 'paths' → 'again' → 'wait' never waits" in str(caught.value)


BROADCAST = "{broadcast: {everyone: true}}"
SEGMENT = "{segment: vip}"
SCHEDULE = '{schedule: "0 9 * * *", audience: {everyone: true}}'
HINT = "read a trait, or let an entry bring an event: {event: …} or {api: true}"
NO_EVENTS = [
    (BROADCAST, "[{event: X, same: properties.id}]", "w: {delay: 1d}", "exit[0].same", "id"),
    (
        SEGMENT,
        "[]",
        "w: {hold: 1d, on: [{event: X, same: properties.a.b}]}",
        "step 'w': on[0].same",
        "a.b",
    ),
    (SCHEDULE, "[]", "w: {delay: {until: properties.at}}", "step 'w': delay.until", "at"),
    (
        BROADCAST,
        "[]",
        "w: {split: [{when: {any: [{trait: x, is: 1}, {property: x, is: 1}]}}]}",
        "step 'w': split[0].when",
        "x",
    ),
    (
        SEGMENT,
        "[]",
        (
            "w: {hold: 1d, on: [{event: X}], timeout: s}, "
            "s: {split: [{when: {property: x, is: 1}}], of: first}"
        ),
        "step 's': split[0].when",
        "x",
    ),
    (
        SEGMENT,
        "[]",
        "w: {update: {set: {x: {from: properties.x}}}}",
        "step 'w': update.set.x",
        "x",
    ),
    (
        SEGMENT,
        "[]",
        "w: {update: {set: {x: {from: first.x}}}}",
        "step 'w': update.set.x",
        "x",
    ),
    (
        BROADCAST,
        "[]",
        "w: {emit: {event: X, properties: {y: {from: properties.x}}}}",
        "step 'w': emit.properties.y",
        "x",
    ),
    (
        BROADCAST,
        "[]",
        "w: {hold: 1d, on: [{already: {property: x, is: 1}}]}",
        "step 'w': on[0].already",
        "x",
    ),
    (
        BROADCAST,
        "[]",
        "w: {goal: {event: X, same: properties.x}, within: 1d}",
        "step 'w': goal.same",
        "x",
    ),
]


@pytest.mark.parametrize(("entry", "exits", "steps", "field", "what"), NO_EVENTS)
def test_what_no_run_can_have_is_not_read(
    entry: str, exits: str, steps: str, field: str, what: str, program: Program
) -> None:
    text = f"journey: j\nentry: {{}}\nexit: {exits}\nsteps: {{{steps}}}"
    with pytest.raises(definitions.DefinitionError) as caught:
        definitions.check(definitions.parse(text.replace("{}", entry, 1)), program)
    (issue,) = caught.value.issues
    assert f"{field}: no run has a property {what!r}: a run is begun by a " in str(issue)
    assert str(issue).endswith(HINT)
    for others in ("{event: Go}", "{api: true}"):  # some runs have an event
        several = f"[{entry}, {others}]"
        definitions.check(definitions.parse(text.replace("{}", several, 1)), program)


@pytest.mark.parametrize(
    "steps",
    [
        "w: {hold: 1d, on: [{event: X, then: u}]}, u: {delay: {until: properties.at}}",
        (
            "w: {paths: [{event: X, then: u}], within: 1d, else: w2}, w2: {delay: 1d, then: u},"
            " u: {split: [{when: {property: x, is: 1}}]}"
        ),
        "w: {split: [{when: {property: segment, is: vip}}]}",
        "w: {update: {set: {x: {from: first.segment}}}}",
        "w: {hold: 1d, on: [{event: X, where: [{property: x, is: 1}]}]}",
        "w: {split: [{when: {event: X, where: {property: x, is: 1}}}]}",
        (
            "w: {hold: 1d, on: [{event: X, as: kept, then: s}]},"
            " s: {split: [{when: {property: x, is: 1}}], of: kept}"
        ),
    ],
)
def test_what_an_event_brings_on_the_way_may_be_read(steps: str, program: Program) -> None:
    text = f"journey: j\nentry: {SEGMENT}\nsteps: {{{steps}}}"
    definitions.check(definitions.parse(text), program)

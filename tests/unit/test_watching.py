"""Conditions that end or move runs by time alone: at their moment, wherever a run has got to."""

from journey_helpers import Town


def test_a_rule_keeps_its_moment_when_a_step_moves_on_before_it() -> None:
    town = Town("""
journey: j
entry: {event: Go}
exit:
  - {when: {trait: ends, more_than_ago: 1s}}
steps:
  wait:
    hold: 30d
    on: [{when: {trait: opens, more_than_ago: 1s}, then: next}]
  next: {delay: 60d}
""")
    town.identify(opens="2001-09-10T00:00:00Z", ends="2001-09-11T00:00:00Z")
    town.track("Go")
    town.at("20d")
    run = town.only()
    assert [(time, what) for time, _, what, _ in town.trail(run)] == [
        ("0s", "entered"),
        ("80001s", "entered"),
        ("166401s", "exited"),
    ]

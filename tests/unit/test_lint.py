"""`denrei lint`: the errors of apply without an instance, and warnings that are certain."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine import definitions
from engine.lint import check
from gateway.cli.main import app
from tests.support.docs import ROOT

CART = """
journey: cart
entry: {event: Product Added}
exit: [{event: Order Completed}]
steps:
  wait: {delay: 2h, then: nudge}
  nudge: {message: {purpose: marketing, channel: sms, template: nudge}}
---
template: nudge
channel: sms
body: Hi
---
lane: sms
channel: sms
carrier: sandbox
prefixes: ["+"]
"""


def _warnings(text: str) -> list[str]:
    return [str(issue) for issue in check(definitions.parse(text, "cart.yaml"))]


def test_what_is_good_has_no_warnings() -> None:
    assert _warnings(CART) == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            CART + "---\ntemplate: other\nchannel: sms\nbody: x\n",
            "template 'other': no journey uses it; fine, if it is sent by the API",
        ),
        (
            CART.replace("exit: [{event: Order Completed}]\n", ""),
            (
                "journey 'cart': it waits at step 'wait' and has no exit rule: nobody leaves "
                "before its end; add 'exit', say for the event that it wants"
            ),
        ),
        (
            CART.replace("channel: sms\ncarrier", "channel: push\ncarrier").replace(
                'prefixes: ["+"]\n', ""
            ),
            (
                "journey 'cart': step 'nudge': message.template: there is no lane for sms, so it "
                "ends as NO_ROUTE; define a lane with channel sms"
            ),
        ),
        (
            CART.replace("then: nudge}", "then: which}").replace(
                "  nudge: {",
                "  which:\n    split:\n      - {when: {trait: a, is: 1}, then: nudge}\n"
                "      - {when: {trait: a, is: 1}}\n  nudge: {",
            ),
            "journey 'cart': step 'which': split[1] is never taken; it asks what split[0] asks",
        ),
    ],
    ids=["unused template", "no way out", "no lane", "never taken"],
)
def test_warnings(text: str, warning: str) -> None:
    assert _warnings(text) == [warning]


def test_without_any_lane_nothing_is_said_of_lanes() -> None:
    assert _warnings(CART.partition("---\nlane")[0]) == []


def test_a_journey_that_never_waits_needs_no_exit() -> None:
    text = CART.replace("  wait: {delay: 2h, then: nudge}\n", "")
    assert _warnings(text.replace("exit: [{event: Order Completed}]\n", "")) == []


def _run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["lint", *map(str, arguments)], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_errors_are_those_of_apply_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "cart.yaml"
    file.write_text(CART.replace("template: nudge}", "template: nugde}") + "---\nsegmnt: x\n")
    code, output = _run(file)
    assert code == 5
    assert f"{file}:18: error: the definition has none of journey" in output
    assert "did you mean 'segment'?" in output
    file.write_text(CART.replace("template: nudge}", "template: nugde}"))
    code, output = _run(file)
    assert code == 5
    words = "journey 'cart': step 'nudge': message.template: there is no template 'nugde'"
    assert f"{file}:2: error: {words}; did you mean 'nudge'?" in output
    assert "3 definitions, 1 error, 0 warnings" in output


def test_warnings_fail_only_if_asked(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CART + "---\ntemplate: other\nchannel: sms\nbody: x\n")
    code, output = _run(tmp_path)
    assert (code, "a.yaml:18: warning: template 'other'" in output) == (0, True), output
    assert _run(tmp_path, "--strict")[0] == 5
    code, output = _run(tmp_path, "--json")
    assert json.loads(output)["severity"] == "warning"


def test_the_examples_hold_together() -> None:
    for folder in ("cdnow", "cart-abandonment"):
        code, output = _run(ROOT / "examples" / folder)
        assert (code, ", 0 errors, " in output) == (0, True), output

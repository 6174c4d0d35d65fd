"""What a journey does, read as a specification: each test is one rule and its edge."""

import msgpack
import pytest
from journey_helpers import SMS_LANE, Town
from msgspec import structs

from engine import commands, limits
from engine.activation import Activation
from engine.journeys import run
from engine.journeys.instance import Instance
from engine.reasons import Reason

TEMPLATE = """
template: cart_sms
channel: sms
body: "Hi {{ profile.first_name }}: {{ event.item }} (first {{ first.item }}),
  {{ journey }} {{ key }}"
sample: {profile: {first_name: Ann}, event: {item: shoe}}
"""
CART = f"""
journey: cart
entry: {{event: Product Added, key: properties.cart_id}}
exit: [{{event: Order Completed, same: properties.cart_id}}]
steps:
  wait:
    hold: 2h
    on:
      - {{event: Product Added, same: properties.cart_id, reset: true}}
      - {{event: Cart Shared, where: [{{property: friends, at_least: 2}}], then: nudge}}
    timeout: nudge
  nudge: {{message: {{purpose: marketing, channel: sms, template: cart_sms}}, then: pause}}
  pause: {{delay: 1d}}
---
{TEMPLATE}
---
{SMS_LANE}
"""


@pytest.fixture
def town() -> Town:
    town = Town(CART)
    town.identify(first_name="Ann", phone="+12025550123")
    return town


def journey(steps: str, entry: str = "{event: Go}", more: str = "") -> str:
    return f"journey: j\nentry: {entry}\n{more}\nsteps:\n{steps}\n---\n{TEMPLATE}\n---\n{SMS_LANE}"


# --- Entry ---------------------------------------------------------------------------------------


def test_an_event_with_another_name_enters_nobody(town: Town) -> None:
    town.track("Product Viewed", cart_id="c1")
    assert not town.running()


def test_the_entry_event_begins_a_run_at_the_first_step(town: Town) -> None:
    town.track("Product Added", cart_id="c1")
    instance = town.only()
    assert (instance.journey, instance.version, instance.key) == ("cart", 1, "c1")
    assert (instance.step, instance.status, instance.due_ms) == (
        "wait", "running", town.now + 7_200_000,
    )  # fmt: skip
    assert town.trail(instance) == [("0s", "wait", "entered", "event 'Product Added'")]


def test_an_identify_or_group_with_the_name_of_an_event_is_not_that_event(town: Town) -> None:
    town.happen(commands.GROUP, "Product Added", "ann", {"cart_id": "c1"})
    assert not town.running()


def test_entry_filters_must_all_hold() -> None:
    entry = "{event: Go, where: [{property: price, at_least: 10}, {trait: vip, is: true}]}"
    town = Town(journey("  a: {delay: 1d}", entry))
    town.track("Go", price=10)
    assert not town.running()
    town.identify(vip=True)
    town.track("Go", price=9)
    assert not town.running()
    town.track("Go", price=10)
    assert town.only().trail[0][3] == (
        "event 'Go' where property 'price' at least 10 and trait 'vip' is true"
    )


@pytest.mark.parametrize("value", [None, "", True, ["c1"], {"id": "c1"}, "c" * 501])
def test_without_a_usable_key_there_is_no_entry_and_the_trail_says_so(
    town: Town, value: object
) -> None:
    town.track("Product Added", **({} if value is None else {"cart_id": value}))
    assert not town.running()
    assert town.notes("journey") == [
        "cart: not entered: event 'Product Added' has no usable properties.cart_id"
    ]


def test_each_key_has_a_run_of_its_own(town: Town) -> None:
    for key in ("c1", "c2", 3):
        town.track("Product Added", cart_id=key)
    assert [instance.key for instance in town.running()] == ["c1", "c2", "3"]
    assert len({instance.id for instance in town.running()}) == 3


def test_the_numbers_12_and_12_0_and_the_text_12_are_one_key(town: Town) -> None:
    for key in (12, 12.0, "12"):
        town.track("Product Added", cart_id=key)
    assert town.only().key == "12"


def test_a_second_entry_event_is_no_entry_while_the_run_of_its_key_lives() -> None:
    town = Town(journey("  a: {delay: 1h}"))
    town.track("Go")
    first = town.only().id
    town.track("Go")
    assert town.only().id == first
    town.at("1h")
    town.track("Go")
    assert [i.id == first for i in (*town.ended(), *town.running())] == [True, False]


def test_one_event_may_begin_runs_of_several_journeys() -> None:
    one = "entry: {event: Go}\nsteps: {a: {delay: 1h}}"
    town = Town(f"journey: b\n{one}\n---\njourney: a\n{one}")
    town.track("Go")
    assert [instance.journey for instance in town.running()] == ["a", "b"]


def test_past_the_limit_a_run_is_refused_and_the_trail_says_so(town: Town) -> None:
    for number in range(limits.INSTANCES + 1):
        town.track("Product Added", cart_id=f"c{number}")
    assert len(town.running()) == limits.INSTANCES
    assert town.notes("journey")[-1] == "cart: not entered: 64 instances are running already"


# --- Hold ----------------------------------------------------------------------------------------


def test_a_hold_times_out_at_the_exact_millisecond(town: Town) -> None:
    town.track("Product Added", cart_id="c1", item="shoe")
    town.now = town.start + 7_199_999
    town.apply()
    assert town.only().step == "wait"
    town.now += 1
    town.apply()
    assert town.only().step == "pause"
    assert town.trail(town.only())[1] == ("7200s", "nudge", "entered", "timeout after 2h")


def test_a_reset_restarts_the_time_from_the_event_and_keeps_the_newest_context(town: Town) -> None:
    town.track("Product Added", cart_id="c1", item="shoe")
    town.at("1h")
    town.track("Product Added", cart_id="c1", item="hat")
    instance = town.only()
    assert (instance.step, instance.due_ms) == ("wait", town.start + 3 * 3_600_000)
    assert town.trail(instance)[1] == (
        "3600s", "wait", "reset", "event 'Product Added' with the same cart_id",
    )  # fmt: skip
    town.at("2h")
    assert town.only().step == "wait"
    town.at("3h")
    assert town.bodies() == ["Hi Ann: hat (first shoe), cart c1"]


def test_same_lets_only_the_run_of_that_key_react(town: Town) -> None:
    town.track("Product Added", cart_id="c1")
    town.track("Product Added", cart_id="c2")
    town.at("1h")
    town.track("Product Added", cart_id="c2")
    assert [i.due_ms - town.start for i in town.running()] == [2 * 3_600_000, 3 * 3_600_000]


def test_same_of_a_property_that_is_not_the_key_compares_with_the_first_event() -> None:
    steps = "  a: {hold: 1h, on: [{event: Back, same: properties.shop}]}"
    town = Town(journey(steps))
    town.track("Go", shop="north", cart="x")
    town.track("Back", shop="south")
    town.track("Back")
    assert town.only().status == "running"
    town.track("Back", shop="north")
    assert town.only().trail[-1][2:] == ("completed", "event 'Back' with the same shop")
    assert not town.person().timers


def test_same_never_matches_if_the_first_event_lacks_the_property() -> None:
    town = Town(journey("  a: {hold: 1h, on: [{event: Back, same: properties.shop}]}"))
    town.track("Go")
    town.track("Back")
    town.track("Back", shop="")
    assert town.only().status == "running"


def test_a_branch_moves_on_at_once_if_its_filters_hold(town: Town) -> None:
    town.track("Product Added", cart_id="c1", item="shoe")
    town.track("Cart Shared", friends=1)
    assert town.only().step == "wait"
    town.track("Cart Shared", friends=2, item="shared shoe")
    assert town.only().step == "pause"
    assert town.trail(town.only())[1][3] == (
        "event 'Cart Shared' where property 'friends' at least 2"
    )
    assert town.bodies() == ["Hi Ann: shared shoe (first shoe), cart c1"]
    town.at("2h")  # the hold's timer is gone
    assert town.only().step == "pause"


def test_of_several_branches_the_first_that_matches_wins() -> None:
    town = Town(
        journey(
            "  a: {hold: 1h, on: ["
            "{event: X, where: [{property: n, above: 5}], then: b}, {event: X, then: c}]}\n"
            "  b: {delay: 1d}\n  c: {delay: 1d}"
        )
    )
    town.track("Go")
    town.track("X", n=5)
    assert town.only().step == "c"


def test_the_entry_event_never_moves_the_run_that_it_begins() -> None:
    more = "exit: [{event: Go, where: [{property: bye, is: true}]}]"
    town = Town(journey("  a: {hold: 1h, on: [{event: Go, then: b}]}\n  b: {delay: 1d}", more=more))
    town.track("Go", bye=True)
    assert town.only().step == "a"
    town.track("Go")
    assert town.only().step == "b"


# --- Delay and split -----------------------------------------------------------------------------


def test_delays_in_a_row_add_up_exactly_even_if_the_clock_jumps() -> None:
    town = Town(journey("  a: {delay: 1h, then: b}\n  b: {delay: 1d, then: c}\n  c: {delay: 1h}"))
    town.track("Go")
    town.at("3d")
    assert town.trail(town.only()) == [
        ("0s", "a", "entered", "event 'Go'"),
        ("3600s", "b", "entered", "delay of 1h is over"),
        ("90000s", "c", "entered", "delay of 1d is over"),
        ("93600s", "c", "completed", "delay of 1h is over"),
    ]
    assert town.only().ended_ms == town.start + 93_600_000
    assert not town.person().timers


def test_a_split_takes_the_first_branch_that_holds_and_else_otherwise() -> None:
    town = Town(
        journey(
            "  s: {split: [{when: {trait: points, at_least: 100}, then: gold},"
            " {when: {property: vip, is: true}, then: silver}], else: plain}\n"
            "  gold: {delay: 1d}\n  silver: {delay: 1d}\n  plain: {delay: 1d}"
        )
    )
    town.identify("gold", points=100)
    town.track("Go", "gold", vip=True)
    town.track("Go", "silver", vip=True)
    town.track("Go", "plain")
    assert [town.only(user).step for user in ("gold", "silver", "plain")] == [
        "gold", "silver", "plain",
    ]  # fmt: skip
    assert [town.only(user).trail[1][3] for user in ("gold", "silver", "plain")] == [
        "trait 'points' at least 100", "property 'vip' is true", "no branch matched",
    ]  # fmt: skip


def test_a_split_counts_the_events_of_its_own_condition() -> None:
    town = Town(
        journey(
            "  a: {delay: 1h, then: s}\n"
            "  s: {split: [{when: {event: X, at_least: 2, within: 2h}, then: b}]}\n"
            "  b: {end: true}"
        )
    )
    town.track("Go")
    town.track("X")
    town.track("X")
    town.at("1h")
    assert town.only().trail[-1][1:] == ("b", "completed", "reached 'b'")


# --- Message -------------------------------------------------------------------------------------


def test_a_message_is_rendered_when_it_is_due_and_its_outcome_is_in_the_trail(town: Town) -> None:
    town.track("Product Added", cart_id="c1", item="shoe")
    town.identify(first_name="Anna")
    town.at("2h")
    (message,) = town.person().messages.values()
    assert message.body == "Hi Anna: shoe (first shoe), cart c1"
    assert (message.to, message.purpose, message.instance) == (
        "+12025550123", "marketing", town.only().id,
    )  # fmt: skip
    assert town.only().trail[-2:] == [
        (town.now, "nudge", "sent", f"sms template 'cart_sms', message {message.id}"),
        (town.now, "pause", "entered", "the message is queued"),
    ]


def test_a_missing_name_leaves_a_gap_and_a_warning(town: Town) -> None:
    town.track("Product Added", cart_id="c1")
    town.at("2h")
    (message,) = town.person().messages.values()
    assert message.body == "Hi Ann:  (first ), cart c1"
    assert message.warnings == ("event.item is undefined", "first.item is undefined")
    assert town.only().trail[-2][3].endswith("; event.item is undefined, first.item is undefined")


def test_a_message_that_cannot_go_is_recorded_and_the_run_goes_on(town: Town) -> None:
    town.track("Product Added", "bob", cart_id="c1")
    town.at("2h")
    assert town.only("bob").step == "pause"
    assert [line[1:] for line in town.only("bob").trail[2:]] == [
        ("nudge", "not sent", "NO_ADDRESS, sms template 'cart_sms'"),
        ("pause", "entered", "the message was not sent: NO_ADDRESS"),
    ]


def test_a_template_that_cannot_be_rendered_is_recorded_and_the_run_goes_on() -> None:
    text = journey("  a: {message: {purpose: otp, channel: sms, template: sum}, then: b}\n"
                   "  b: {delay: 1h}")  # fmt: skip
    town = Town(
        text + "\n---\ntemplate: sum\nchannel: sms\nbody: '{{ event.n * 2 }}'\n"
        "sample: {event: {n: 1}}"
    )
    town.track("Go")
    assert town.only().step == "b"
    assert town.only().trail[1][2] == "not sent"
    assert town.only().trail[1][3].startswith("RENDER_FAILED, template 'sum': line 1: tried to use")
    (message,) = town.person().messages.values()
    assert (Reason(message.status), message.instance) == (Reason.RENDER_FAILED, town.only().id)
    note = f"{message.id}: not sent: RENDER_FAILED, template 'sum': line 1: tried to use"
    assert town.notes("message")[0].startswith(note)


def test_an_address_may_come_from_the_event_and_never_falls_back_to_another() -> None:
    town = Town(
        journey(
            "  a: {message: {purpose: otp, channel: sms, template: cart_sms,"
            " to: properties.number}, then: b}\n  b: {delay: 1h}"
        )
    )
    town.identify(phone="+12025550123")
    town.track("Go", number="+12025550199")
    assert [m.to for m in town.person().messages.values()] == ["+12025550199"]
    town.at("1h")
    town.track("Go")
    assert len(town.person().messages) == 1
    assert town.running()[0].trail[1][3] == "NO_ADDRESS, there is no properties.number"


def test_a_template_that_was_deleted_under_a_running_instance_is_recorded(town: Town) -> None:
    town.track("Product Added", cart_id="c1")
    town.define("", ("journey", "cart"), ("template", "cart_sms"))
    town.at("2h")
    assert town.only().trail[2][3] == "TEMPLATE_MISSING, no sms template 'cart_sms'"


# --- Exit ----------------------------------------------------------------------------------------


def test_an_exit_rule_acts_at_once_mid_hold(town: Town) -> None:
    town.track("Product Added", cart_id="c1")
    town.at("1h")
    town.track("Order Completed", cart_id="c2")
    assert town.only().status == "running"
    town.track("Order Completed", cart_id="c1")
    instance = town.only()
    assert (instance.status, instance.ended_ms, instance.due_ms) == ("exited", town.now, 0)
    assert town.trail(instance)[-1] == (
        "3600s", "wait", "exited", "event 'Order Completed' with the same cart_id",
    )  # fmt: skip
    assert not town.person().timers
    town.at("2h")
    assert not town.bodies()


def test_an_exit_rule_acts_at_once_mid_delay_and_cancels_what_has_not_left(town: Town) -> None:
    town.track("Product Added", cart_id="c1", item="shoe")
    town.at("3h")
    assert town.only().step == "pause"
    (message,) = town.person().messages.values()
    town.track("Order Completed", cart_id="c1")
    assert town.only().status == "exited"
    assert town.person().messages[message.id].cancelled
    assert [offer[0] for offer in town.effects[-1].cancels] == [message.id]
    assert (
        "cancel asked: journey 'cart': event 'Order Completed' with the same cart_id"
        in town.notes("message")[-1]
    )


def test_an_exit_rule_is_asked_before_a_branch_of_the_same_event() -> None:
    more = "exit: [{event: X, where: [{property: bye, is: true}]}]"
    steps = "  a: {hold: 1h, on: [{event: X, then: b}]}\n  b: {delay: 1d}"
    town = Town(journey(steps, more=more))
    town.track("Go")
    town.track("X", bye=True)
    assert town.only().status == "exited"


def test_an_event_that_exits_and_enters_does_both_in_that_order() -> None:
    town = Town(journey("  a: {delay: 1d}", more="exit: [{event: Go}]"))
    town.track("Go")
    first = town.only()
    town.at("1h")
    town.track("Go")
    assert [(i.id, i.status) for i in town.ended()] == [(first.id, "exited")]
    assert [i.entered_ms for i in town.running()] == [town.now]


def test_stop_ends_a_run_from_outside(town: Town) -> None:
    town.track("Product Added", cart_id="c1")
    town.at("2h")
    (message,) = town.person().messages.values()
    act = Activation(1)
    act.entity, act.now, act.effects = town.person(), town.now, town.effects[-1]
    assert run.stop(act, "", town.only().id, "asked by the owner") is Reason.ACCEPTED
    assert (town.only().status, town.only().trail[-1][3]) == ("stopped", "asked by the owner")
    assert town.person().messages[message.id].cancelled
    assert not town.person().timers
    assert run.stop(act, "", town.only().id, "again") is Reason.NOT_FOUND


# --- Versions ------------------------------------------------------------------------------------


def test_a_run_keeps_the_version_it_began_with_and_new_runs_take_the_newest(town: Town) -> None:
    town.track("Product Added", cart_id="c1")
    town.define(CART.replace("hold: 2h", "hold: 5h"))
    town.track("Product Added", cart_id="c2")
    assert [(i.version, i.due_ms - town.start) for i in town.running()] == [
        (1, 2 * 3_600_000), (2, 5 * 3_600_000),
    ]  # fmt: skip


def test_a_deleted_journey_takes_no_one_in_and_lets_the_running_go_on(town: Town) -> None:
    town.track("Product Added", cart_id="c1")
    town.define("", ("journey", "cart"))
    town.track("Product Added", cart_id="c2")
    assert [i.key for i in town.running()] == ["c1"]
    town.at("2h")
    assert town.only().step == "pause"


def test_a_run_whose_version_is_no_longer_kept_fails_with_the_reason(town: Town) -> None:
    town.track("Product Added", cart_id="c1")
    for hours in range(3, 3 + limits.VERSIONS):
        town.define(CART.replace("hold: 2h", f"hold: {hours}h"))
    town.at("2h")
    assert town.only().status == "failed"
    assert town.only().trail[-1][3] == "version 1 of the journey is gone"


# --- Bounds --------------------------------------------------------------------------------------


def test_one_activation_moves_a_run_a_bounded_number_of_times() -> None:
    names = [f"s{number}" for number in range(limits.INSTANCE_MOVES + 1)]
    steps = "\n".join(
        f"  {name}: {{split: [{{when: {{trait: x, is: 1}}, then: {after}}}], else: {after}}}"
        for name, after in zip(names, [*names[1:], "end"], strict=True)
    )
    town = Town(journey(steps))
    town.track("Go")
    assert (town.only().status, town.only().step) == ("failed", names[-2])
    assert town.only().trail[-1][3] == "more than 50 moves at once"


def test_a_trail_keeps_its_beginning_and_its_end_and_counts_what_is_left_out() -> None:
    to = "{{hold: 1d, on: [{{event: Go, then: {}}}]}}".format
    town = Town(journey(f"  a: {to('b')}\n  b: {to('a')}"))
    for second in range(limits.INSTANCE_TRAIL + 50):
        town.now = town.start + second * 1000
        town.track("Go")
        assert len(town.only().trail) <= limits.INSTANCE_TRAIL
    trail = town.trail(town.only())
    assert [line[0] for line in trail[:10]] == [f"{second}s" for second in range(10)]
    left_out = 150 - (len(trail) - 1)
    assert trail[10] == (f"{9 + left_out}s", "", "left out", f"{left_out} lines")
    assert [line[0] for line in trail[11:]] == [f"{s}s" for s in range(10 + left_out, 150)]


def test_ended_runs_are_kept_up_to_the_limit_the_oldest_go() -> None:
    town = Town(journey("  a: {delay: 1s}"))
    for second in range(1, limits.INSTANCES_ENDED + 3):
        town.track("Go")
        town.at(f"{second}s")
    assert [i.ended_ms - town.start for i in town.ended()] == [
        second * 1000 for second in range(3, limits.INSTANCES_ENDED + 3)
    ]


def test_an_ended_run_keeps_its_record_and_not_the_events(town: Town) -> None:
    town.track("Product Added", cart_id="c1", item="shoe" * 100)
    town.track("Order Completed", cart_id="c1")
    (instance,) = town.ended()
    assert (instance.first, instance.newest, instance.messages) == (b"", b"", ())
    assert len(instance.trail) == 2


def test_an_instance_survives_packing(town: Town) -> None:
    town.track("Product Added", cart_id="c1", item="shoe")
    town.at("2h")
    instance = town.only()
    instance.remember("cart", b"x")
    instance.held = ("wait", "paused")
    again = Instance.from_bytes(instance.to_bytes())
    assert structs.asdict(again) == structs.asdict(instance)


def test_an_instance_of_a_store_from_before_aliases_is_read(town: Town) -> None:
    town.track("Product Added", cart_id="c1", item="shoe")
    instance = town.only()
    before = list(structs.astuple(instance))[:14]
    assert structs.asdict(Instance.from_bytes(msgpack.packb(before))) == structs.asdict(instance)


def test_unreadable_properties_in_an_instance_count_as_none() -> None:
    message = "{purpose: otp, channel: sms, template: cart_sms}"
    town = Town(journey(f"  a: {{delay: 1h, then: m}}\n  m: {{message: {message}}}"))
    town.identify(phone="+12025550123", first_name="Ann")
    town.track("Go")
    town.only().first = town.only().newest = b"\xc1"
    town.at("1h")
    assert town.bodies() == ["Hi Ann:  (first ), j "]

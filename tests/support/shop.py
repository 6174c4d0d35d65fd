"""A small shop's definitions and the commands that its visitors cause, for tests."""

from typing import Any

import msgpack

from engine import commands, definitions
from engine.commands import Command
from engine.program import EMPTY
from engine.slots import catalog_key

START_MS = 1_700_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

DEFINITIONS = """
segment: buyer
when: {event: Order Completed, at_least: 2, within: 1h}
---
segment: pro
when: {trait: plan, is: pro}
---
segment: pro-buyer
when: [{segment: pro}, {segment: buyer}]
---
segment: quiet
when: {not: {event: Product Viewed, at_least: 1, within: 30m}}
---
template: cart
channel: sms
body: "Hi {{ profile.first_name }}, {{ event.sku }} waits"
sample: {profile: {first_name: Ann}, event: {sku: shoe}}
---
lane: main
channel: sms
carrier: sandbox
sender: "+15005550006"
prefixes: ["+"]
limits: [{rate: 100/s}]
---
journey: cart
entry: {event: Product Added, key: properties.cart_id}
exit:
  - {event: Order Completed, same: properties.cart_id}
steps:
  wait:
    hold: 20m
    on: [{event: Product Added, same: properties.cart_id, reset: true}]
    timeout: nudge
  nudge: {message: {purpose: marketing, channel: sms, template: cart}, then: pause}
  pause: {delay: 10m, then: regulars}
  regulars: {split: [{when: {segment: pro}, then: again}], else: end}
  again: {message: {purpose: marketing, channel: sms, template: cart}}
"""


def documents(text: str = DEFINITIONS) -> bytes:
    """The definitions as a command carries them."""
    parsed = definitions.parse(text)
    definitions.check(parsed, EMPTY)
    return definitions.to_wire(parsed)


def apply_command(text: str = DEFINITIONS, version: int = 0, workspace: str = "default") -> Command:
    return commands.apply_definitions(
        catalog_key(workspace), f"apply-{version}", documents(text), version
    )


def identify(user: str, message_id: str, at_ms: int, **traits: Any) -> Command:
    return commands.event(
        f"default/user/{user}", message_id, commands.IDENTIFY, "", at_ms, msgpack.packb(traits)
    )


def track(user: str, message_id: str, name: str, at_ms: int, **properties: Any) -> Command:
    return commands.event(
        f"default/user/{user}",
        message_id,
        commands.TRACK,
        name,
        at_ms,
        msgpack.packb(properties) if properties else b"",
    )

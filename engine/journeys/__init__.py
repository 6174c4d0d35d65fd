"""Journeys: a person's way through steps, begun by an event and moved by events and time.

`model` is what is written, `compile` makes it quick, `instance` is one person's run, `run` moves
it; `steps/` holds one file for each kind of step.
"""

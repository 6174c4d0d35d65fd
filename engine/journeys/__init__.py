"""Journeys: a person's way through steps, begun by an event and moved by events and time.

`model` is what is written (with `entries`, `exits`, `again`, `publish`, `schedule`), `compile` and
`index` make it quick. `instance` is one person's run. `run` says what happens, `entering` who
begins, `moving` how a run goes from step to step, `lingering` why it may not be over yet,
`watching` when a condition ends it, `order` which comes first of what is due at one moment,
`refresh` what new definitions do to it, `calls` what the API asks. `broadcast` and `walk` begin the
runs of an audience. `steps/` holds one file for each kind of step.
"""

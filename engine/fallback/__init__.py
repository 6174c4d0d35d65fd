"""Fall-back: a message that does not succeed on one channel goes out on the next.

`success` says what succeeding is and marks messages, `run` is what outcomes and timers lead to. The
step of a journey that does it is `engine.journeys.steps.channels`.
"""

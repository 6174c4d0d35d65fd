"""A lane: one way to a carrier, with every limit that stands on it, and whose turn it is.

`definition` is how it is written; `rates` and `meters` count, `lane_limits` holds all limits of a
lane together; `queue`, `turns` and `waits` say who goes next; `circuit` and `carrier_rules` react
to what a carrier answers.
"""

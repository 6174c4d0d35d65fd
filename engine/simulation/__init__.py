"""The engine in virtual time: a world of people, a scenario of what happens to them, and checks.

Everything here is the engine that runs in production, driven by hand: one shard, entries with
numbers and times, timers fired at their very millisecond, effects handed to their receivers at
once. So a scenario of a month takes milliseconds, and what it shows is what would happen.
"""

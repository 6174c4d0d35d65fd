"""Everything that can be computed: no Ray, no I/O, no clock, no randomness of its own.

Time and seeds come in as arguments, so that a shard's state is a function of its journal.
"""

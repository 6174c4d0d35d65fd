"""A sender: takes messages from shards, sends them through lanes, tells what became of them.

`sender` is the whole, `lane` one lane at work, `book` what is known of ids, `actor` the Ray shell.
"""

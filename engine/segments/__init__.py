"""Segments: `definition` is how one is written, `index` which of them an event can touch.

What a segment asks for is in `engine.conditions`.
"""

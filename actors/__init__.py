"""Everything that lives: processes, ownership, the store, carriers.

Thin Ray shells stand around plain classes that a test drives without Ray.
"""

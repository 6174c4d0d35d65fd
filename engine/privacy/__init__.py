"""Privacy: erasing a person, and taking no more of one.

`record` is what an entity remembers of it, `erasing` turns a profile and all that is its own into
tombstones, `leftovers` keeps what was still under way from filling a tombstone again, and
`suppressing` refuses what comes about somebody. `hooks` is what others call. docs/privacy.md tells
the same from outside, with what is gone when.
"""

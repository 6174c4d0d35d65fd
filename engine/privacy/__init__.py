"""Privacy: erasing a person, and taking no more of one.

`record` is what an entity remembers of it, `ties` finds all that is a person's own, `erasing` turns
a profile and all of that into tombstones, `leftovers` keeps what was still under way from filling a
tombstone again, and `suppressing` refuses what comes about somebody. `hidden` and `rewriting` say
what rows and archives look like then. `hooks` is what others call. docs/privacy.md tells the same
from outside, with what is gone when.
"""

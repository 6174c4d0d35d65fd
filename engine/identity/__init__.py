"""Identity: which ids are one person, and how several profiles become one.

A profile is the entity of a user, or of an anonymous visitor while nobody is known. `links` finds
out that two of them are one person, `stub` hands one over to the other exactly once, `parts` and
`absorb` say what moves and what becomes of it, `record` is what entities remember of all this,
`rules` says what may be merged, `claims` finds people by an e-mail or other identifier that they
share, and `accounts` keeps what is known of groups of people. `hooks` is what others call.
docs/identity.md tells the same from outside.
"""

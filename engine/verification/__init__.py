"""One-time codes: started, sent by one way or another, checked once, and told to who asked.

A verification belongs to the address that it is about. The code itself is never here: what is kept
is a keyed digest to check an answer against, and a sealed form that only a sender can open, right
before the message leaves. Both are wiped when the verification ends.
"""

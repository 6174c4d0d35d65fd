"""Routes: which lanes a message tries, in which order, and from which sender.

`definition` is what a person writes, `route` what is asked for each message, `fail_over` what
happens when a lane could not do it.
"""

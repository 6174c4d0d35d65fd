"""Recorded events in files, and their way into an instance.

`rows` reads a file, `mapping` says what its columns mean, `times` reads its times, `events` makes
events of rows, and `publisher` streams them and settles what the gateway asks to send again.
"""

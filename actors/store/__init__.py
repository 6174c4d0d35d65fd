"""The store: what survives. One interface (base.py), SQLite on one machine, memory for tests."""

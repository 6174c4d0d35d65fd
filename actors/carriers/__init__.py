"""Carriers: one adapter a file, found by the registry by its name."""

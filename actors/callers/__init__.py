"""Callers: they do the webhooks of journeys and bring the answers back."""

"""Governance: what may be sent to a person, and when, decided in one place.

`Activation.send` asks `judge` before a message becomes an effect: suppression, consent, quiet
hours, frequency caps and the priorities of journeys, in that order. What is not sent has an outcome
and a reason in words; what is to wait is kept (`held`) and asked about anew when the wait ends.
"""

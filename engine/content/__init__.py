"""What a message says, written once and rendered down to what a channel can show.

`templates` and `template_functions` fill in what is known of a person; `model` is content beyond
plain text and `down` what becomes of it on each channel. Adapters get the result as the JSON object
that their channel's page names, and the plain text beside it. `sms` and `sms_coding` say how a text
is counted and divided by the networks.
"""

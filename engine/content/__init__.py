"""What a message says beyond plain text, written once and rendered down to what a channel can show.

`model` is how it is written in a template; `down` is what becomes of it on each channel. Adapters
get the result as the JSON object that their channel's page names, and the plain text beside it.
"""

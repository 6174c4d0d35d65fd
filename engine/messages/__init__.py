"""A message, from the request until nothing more can become of it, and what people answer.

`message` is what is kept of one and `states` the table of its life; `sending` takes requests and
what senders tell; `phone` reads numbers; `inbound` takes what people write to us, with its
`keywords`. What a message says is made in `engine.content`, which way it goes in `engine.routes`.
"""

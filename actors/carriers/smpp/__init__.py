"""SMPP 3.4: `carrier: smpp`; the adapter is in `adapter`, and registers itself."""

from actors.carriers.smpp import adapter as adapter

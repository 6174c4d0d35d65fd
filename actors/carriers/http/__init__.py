"""HTTP as YAML describes it: `carrier: http`; the adapter is in `adapter`, and registers itself."""

from actors.carriers.http import adapter as adapter

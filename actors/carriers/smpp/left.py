"""What an SMPP adapter leaves for the next one of its lane, when the lane's options change.

The receipts of what the old one sent come to the new one: so it gets the parts that are waited for
and, while it is the same account at the same carrier, what was learnt of ids. And what people sent
and could not be confirmed to the old one is brought to the new one again. After a restart of the
sender there are the ids that its ledger knew, and what was learnt.
"""

from typing import NamedTuple

from actors.carriers.registry import CarrierSetup
from actors.carriers.smpp.dialects import KeptDialect
from actors.carriers.smpp.options import SmppOptions
from actors.carriers.smpp.parts import Groups
from actors.carriers.smpp.receipts import IdDialect, Ids
from actors.carriers.smpp.repeats import Repeats


class Left(NamedTuple):
    """See the module's text.

    Attributes:
        account: Who writes the ids.
        told: What the options say of them.
    """

    account: str
    told: IdDialect
    ids: Ids
    groups: Groups
    repeats: Repeats


def left_for(setup: CarrierSetup, options: SmppOptions) -> Left:
    """What there is for an adapter that is made; the next one of its lane finds the same."""
    kept = KeptDialect(setup, options)
    told = options.receipt_ids
    dialect = kept.read(told)
    memory = setup.memory
    old = memory.left if memory is not None else None
    if not isinstance(old, Left):
        left = Left(kept.account, told, Ids(dialect, kept.keep), Groups(), Repeats())
    elif (old.account, old.told) == (kept.account, told):
        left = old
    else:
        left = Left(kept.account, told, Ids(dialect, kept.keep), old.groups, old.repeats)
    if memory is not None:
        left.groups.restore(memory.in_parts)
        memory.in_parts, memory.left = (), left
    return left

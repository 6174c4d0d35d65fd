"""What a lane has learnt of how its carrier's receipts write ids, kept in a file over restarts.

Receipts of what was sent before a restart can be found only if that is known at once. The file is
one word, of one lane and one account at one carrier: another host or name is another carrier, which
may write ids in another way. Without a directory nothing is kept, and a restart learns anew.
"""

import logging
import os
from pathlib import Path
from typing import Final, cast, get_args

from xxhash import xxh3_128_hexdigest

from actors.carriers.registry import CarrierSetup
from actors.carriers.smpp.options import SmppOptions
from actors.carriers.smpp.receipts import IdDialect

_FOLDER: Final = "smpp"  # whoever defines lanes writes nowhere else
_KNOWN: Final = frozenset(get_args(IdDialect)) - {"auto"}
_log = logging.getLogger("denrei.smpp")


class KeptDialect:
    """See the module's text.

    Args:
        setup: What the lane's adapter is made from.
        options: Its options.
    """

    def __init__(self, setup: CarrierSetup, options: SmppOptions) -> None:
        self.account = f"{options.host} {options.port} {options.system_id}"
        name = xxh3_128_hexdigest(f"{setup.lane_key} {self.account}".encode())
        directory = setup.directory
        self._path: Path | None = directory / _FOLDER / name if directory is not None else None

    def read(self, told: IdDialect) -> IdDialect:
        """How receipts write ids, as far as it is known.

        Args:
            told: What the lane's options say; anything but `auto` counts, and what was learnt is
                forgotten then.
        """
        path = self._path
        if path is None:
            return told
        try:
            if told == "auto":
                word = path.read_text("ascii").strip()
                return cast("IdDialect", word) if word in _KNOWN else told
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            _log.warning("what was learnt of receipts can't be read: %s", error)
        return told

    def keep(self, dialect: IdDialect) -> None:
        """It is known now."""
        path = self._path
        if path is None:
            return
        beside = path.with_suffix(".new")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            beside.write_text(dialect, "ascii")
            os.replace(beside, path)
        except OSError as error:
            _log.warning("what was learnt of receipts can't be kept: %s", error)

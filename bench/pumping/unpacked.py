"""Runs this benchmark with the guard of a wheel in the place of the sources.

The wheel is unpacked into a folder that is first on the path of a process of its own: `engine` is
then the wheel's, and `bench`, which no wheel holds, is the repository's.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZipFile

ROOT: Final = Path(__file__).resolve().parents[2]


@contextmanager
def unpacked(wheel: Path) -> Iterator[Path]:
    """A folder with what the wheel holds, for as long as it is needed."""
    with TemporaryDirectory(prefix="denrei-unpacked-") as folder:
        with ZipFile(wheel) as archive:
            archive.extractall(folder)
        yield Path(folder)


def running(folder: Path | None) -> list[str]:
    """How a command begins that imports from an unpacked wheel, or from the sources."""
    paths = [str(ROOT)] if folder is None else [str(folder), str(ROOT)]
    return ["env", f"PYTHONPATH={':'.join(paths)}", sys.executable, "-P"]

"""Builds the wheel of Denrei into dist/, its fraud guard compiled by mypyc.

The plugin that compiles (hatch-mypyc) writes beside the sources, and hides pyproject.toml while it
does. So it is given a copy of them: a compiled file in the tree would be imported in the place of
the sources, and go on being so after these have changed.

Without a C compiler, or without Python's headers, the wheel is built all the same and says so: the
guard then runs interpreted, does the same, and takes about four times as long. A wheel that cannot
be built at all would help nobody. If there is a compiler and it fails, that is an error.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("engine", "actors", "gateway")
FILES = ("pyproject.toml", "README.md", "LICENSE")


def missing() -> str:
    """What compiling needs and is not here; empty if nothing."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler!r})"
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    return "" if header.exists() else f"Python's headers are not installed ({header})"


def build(folder: Path, *, compiled: bool) -> Path:
    """Builds a wheel into a folder; where it lies.

    Raises:
        SystemExit: The build failed.
    """
    environment = {
        **os.environ,
        "HATCH_BUILD_HOOK_ENABLE_MYPYC": str(compiled).lower(),
        # A multiplication and an addition are rounded one by one, as the interpreter does it.
        "CFLAGS": f"{os.environ.get('CFLAGS', '')} -ffp-contract=off",
    }
    with TemporaryDirectory(prefix="denrei-wheel-") as temporary:
        copy = Path(temporary, "denrei")
        for name in SOURCES:
            ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        for name in FILES:
            shutil.copy(ROOT / name, copy / name)
        built = Path(temporary, "built")
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"the wheel could not be built:\n{done.stdout}{done.stderr}")
        wheel = next(built.glob("*.whl"))
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(wheel, folder / wheel.name))


def main() -> None:
    """Builds it, and says what it is."""
    parser = argparse.ArgumentParser(prog="deploy/wheel.py")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="the folder")
    parser.add_argument("--pure", action="store_true", help="compile nothing")
    options = parser.parse_args()
    lacks = "" if options.pure else missing()
    if lacks:
        print(
            f"The fraud guard stays interpreted (about four times as slow): {lacks}. "
            "Debian, Ubuntu: apt-get install gcc python3-dev",
            file=sys.stderr,
        )
    wheel = build(options.out, compiled=not (options.pure or lacks))
    print(wheel)


if __name__ == "__main__":
    main()

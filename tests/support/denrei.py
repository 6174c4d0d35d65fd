"""Runs the `denrei` command as a script would: another process, JSON out, an exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

DENREI = Path(sys.executable).parent / "denrei"
ROOT = Path(__file__).parents[2]


def denrei(
    *arguments: object, code: int = 0, cwd: Path = ROOT, timeout_s: float = 240.0
) -> subprocess.CompletedProcess[str]:
    """Runs a command and checks its exit code. Settings of this machine are left out."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DENREI_")}
    done = subprocess.run(
        [str(DENREI), *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=timeout_s, cwd=cwd, env=kept,
    )  # fmt: skip
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def denrei_json(*arguments: object, code: int = 0) -> Any:
    """Runs a command with `--json`; the last line that it writes."""
    lines = denrei(*arguments, "--json", code=code).stdout.splitlines()
    return json.loads(lines[-1])

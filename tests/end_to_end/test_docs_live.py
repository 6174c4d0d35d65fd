"""What the pages tell to do with a running instance works, as a reader would do it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docs import ROOT, Snippet, snippets
from tests.support.running import RunningInstance

BIN = Path(sys.executable).parent
# In the order of reading: later pages look at what earlier ones did.
PAGES = ("events", "profiles", "messages", "verification")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory in which an instance runs, as on the pages."""
    place = tmp_path_factory.mktemp("place")
    with RunningInstance(place / ".denrei"):
        yield place


def _run(place: Path, script: str) -> str:
    """Runs a line of a page, with the commands of this environment in reach."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DENREI_")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=place, env={**kept, "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def _python() -> list[Snippet]:
    found = [snippets(ROOT / f"docs/{page}.md", "python", "instance") for page in PAGES]
    assert all(found), "each of these pages has a snippet for a running instance"
    return [snippet for page in found for snippet in page]


def test_the_journey_of_the_readme_is_applied(place: Path) -> None:
    (definitions,) = snippets(ROOT / "README.md", "yaml")
    (place / "journey.yaml").write_text(definitions.text)
    commands = snippets(ROOT / "README.md", "bash")[1].text
    assert "denrei up &" in commands
    (apply,) = [line for line in commands.splitlines() if line.startswith("denrei apply")]
    assert "cart-abandonment" in _run(place, apply)


def test_the_python_of_the_pages_runs_in_their_order(place: Path) -> None:
    for number, snippet in enumerate(_python()):
        script = place / f"snippet-{number}.py"
        script.write_text(snippet.text)
        _run(place, f"python {script.name}")


def test_the_commands_that_operations_opens_with_work(place: Path) -> None:
    assert "shard-host-0" in _run(place, "denrei status --once")
    assert "Product Added" in _run(place, "denrei journal --user ann")
    assert _run(place, "denrei keys create --scope publish --workspace shop").startswith("dk_")

"""Every kind of command has a number of its own: journals hold them for ever."""

import ast
from collections import Counter
from pathlib import Path

from engine import commands
from engine.handlers import COMMANDS


def test_no_two_commands_have_one_number() -> None:
    tree = ast.parse(Path(commands.__file__).read_text())
    named = {
        node.target.id: getattr(commands, node.target.id)
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    types = {"IDENTIFY", "TRACK", "PAGE", "SCREEN", "GROUP", "ALIAS"}  # of events, not commands
    numbers = {
        name: value for name, value in named.items()
        if isinstance(value, int) and name.isupper() and not name.startswith("_")
        and name not in types
    }  # fmt: skip
    assert set(COMMANDS) <= set(numbers.values())
    twice = [number for number, times in Counter(numbers.values()).items() if times > 1]
    assert not twice, {name: n for name, n in numbers.items() if n in twice}

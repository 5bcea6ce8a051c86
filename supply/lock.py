"""Reads requirements-dev.lock, as uv writes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pyapi.embedded import project

LOCK = project() / "requirements-dev.lock"
PROJECT = "irisx-usage"

_PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))? \\")
_HASH = re.compile(r" +--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r" +# (?:via|  ) ?([a-z0-9.-]+)")


class LockError(ValueError):
    """A line of the lock file is not as uv writes it."""


@dataclass
class Pin:
    """One version of a package: its files by SHA-256, and what it is needed by."""

    name: str
    version: str
    marker: str | None
    hashes: list[str]
    needed_by: set[str]


def read_lock(lock: Path = LOCK) -> list[Pin]:
    """Return the pins of a lock file; a package may have several, for several Pythons."""
    pins: list[Pin] = []
    for number, line in enumerate(lock.read_text().splitlines(), 1):
        if line.startswith("#") or line.rstrip() == "    # via":
            continue
        if pin := _PIN.fullmatch(line):
            pins.append(Pin(pin["name"], pin["version"], pin["marker"], [], set()))
        elif pins and (found := _HASH.fullmatch(line.removesuffix(" \\"))):
            pins[-1].hashes.append(found[1])
        elif pins and (via := _VIA.match(line)):
            pins[-1].needed_by.add(canonicalize_name(via[1]))
        else:
            raise LockError(f"{lock.name}, line {number}: what is this? {line.strip()}")
    return pins


def requirements(*extras: str) -> list[Requirement]:
    """Return what pyproject.toml asks for: without extras, and with those named."""
    found = []
    for requirement in map(Requirement, requires(PROJECT) or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            of_ours = canonicalize_name(requirement.name) == PROJECT
            found += requirements(*requirement.extras) if of_ours else [requirement]
    return found


def shipped(pins: Sequence[Pin]) -> set[str]:
    """Return the names of what runs at a user's, and not only in development."""
    found: set[str] = set()
    names = {str(canonicalize_name(requirement.name)) for requirement in requirements()}
    while names:
        found |= names
        names = {pin.name for pin in pins if pin.needed_by & found} - found
    return found

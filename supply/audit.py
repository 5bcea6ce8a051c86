"""Asks a service for known vulnerabilities of every pin, by pip-audit.

pip-audit alone would look at the pins of one Python only, and it ends well where its service knows
no package at all (an index that is a mirror). Here what was not looked up is counted: no success.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supply.lock import Pin


@dataclass
class Audit:
    """What came of it: what is known of vulnerable pins, and why others were not looked up."""

    asked: int
    vulnerable: dict[str, list[str]] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)


def audit(pins: Sequence[Pin], arguments: Sequence[str] = ()) -> Audit:
    """Look every pin up. arguments: for pip-audit, say --vulnerability-service osv."""
    result = Audit(asked=len(pins))
    for batch in _batches(pins):
        answers, problem = _ask(batch, arguments)
        for pin in batch:
            name = f"{pin.name} {pin.version}"
            answer = answers.get(pin.name, {"skip_reason": problem or "there was no answer"})
            if "skip_reason" in answer:
                result.unanswered[name] = answer["skip_reason"]
            elif answer["vulns"]:
                result.vulnerable[name] = [_describe(item) for item in answer["vulns"]]
    return result


def _batches(pins: Sequence[Pin]) -> Iterator[list[Pin]]:
    """Yield the pins such that none holds two versions of a package, which pip-audit refuses."""
    rest = list(pins)
    while rest:
        batch = {pin.name: pin for pin in reversed(rest)}
        yield list(batch.values())
        rest = [pin for pin in rest if pin is not batch[pin.name]]


def _ask(
    batch: Sequence[Pin], arguments: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Return the answer for each name; where there is none at all, why."""
    with tempfile.TemporaryDirectory() as scratch:
        asked = Path(scratch) / "requirements.txt"
        asked.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in batch))
        options = ["--format", "json", "--progress-spinner", "off", "--no-deps", "--disable-pip"]
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *options, *arguments, "--requirement", asked],
            capture_output=True,
            text=True,
        )
    try:
        answers = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return {}, (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
    return {answer["name"]: answer for answer in answers}, None


def _describe(vulnerability: dict[str, Any]) -> str:
    mended = ", ".join(vulnerability["fix_versions"]) or "no version yet"
    return f"{vulnerability['id']}, mended in {mended}"

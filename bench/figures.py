"""The samples of a run, kept as they come in: a killed run loses nothing it has measured."""

from __future__ import annotations

import json
import os
import platform
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from bench.measure import Sample, Samples
from bench.stage import STARTED_WITH, TUNED


@dataclass
class ServerFigures:
    """Of one server: rounds of each measure, and what went wrong."""

    major: int
    version: str
    verified: int = 0
    seconds: float = 0
    rounds: dict[str, list[Samples]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass
class Figures:
    date: str
    machine: str
    settings: str
    scale: str
    servers: list[ServerFigures] = field(default_factory=list)

    @classmethod
    def of_today(cls, scale: str) -> Figures:
        today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        settings = ", ".join(f"{name} = {value}" for name, value in (STARTED_WITH | TUNED).items())
        return cls(today, _describe_machine(), settings, scale)

    def save(self, path: Path) -> None:
        """At once: whoever reads it finds the old figures or the new."""
        draft = path.with_suffix(".new")
        servers = [
            vars(server)
            | {
                "rounds": {
                    name: [
                        {kind: [sample.value, sample.cpu] for kind, sample in samples.items()}
                        for samples in rounds
                    ]
                    for name, rounds in server.rounds.items()
                }
            }
            for server in self.servers
        ]
        draft.write_text(json.dumps(vars(self) | {"servers": servers}, indent=1) + "\n")
        draft.replace(path)

    @classmethod
    def load(cls, path: Path) -> Figures:
        kept = json.loads(path.read_text())
        servers = [
            ServerFigures(
                **server
                | {
                    "rounds": {
                        name: [
                            {kind: Sample(*sample) for kind, sample in samples.items()}
                            for samples in rounds
                        ]
                        for name, rounds in server["rounds"].items()
                    }
                }
            )
            for server in kept["servers"]
        ]
        return cls(**kept | {"servers": servers})


def _describe_machine() -> str:
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        processor = found[1] if found else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.system()}"

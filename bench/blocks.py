"""Single-row UPDATEs of one client, in small blocks by turns, so that noise cancels."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.stage import VARIANTS, Stage

BLOCK = 100
WARM_UP = 200


@dataclass(frozen=True)
class Updates:
    """UPDATEs of a variant's rows, one after the other from the first on."""

    variant: str
    change: str
    first: int = 0


@dataclass
class Cost:
    """Microseconds for each UPDATE, block by block; cpu stays empty where nobody tells."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def run_blocks(
    stage: Stage, kinds: Mapping[str, Updates], blocks: int, *, durable: bool = True
) -> dict[str, Cost]:
    """What each kind costs. Each has a connection of its own, warmed up by WARM_UP of its rows."""
    costs = {name: Cost() for name in kinds}
    with ExitStack() as stack:
        connections = {name: stack.enter_context(stage.connect()) for name in kinds}
        following = {name: updates.first for name, updates in kinds.items()}

        def run(name: str, count: int) -> None:
            updates, connection = kinds[name], connections[name]
            begin = following[name]
            following[name] += count
            statement = (
                f"UPDATE {VARIANTS[updates.variant].table} SET {updates.change} WHERE id = %s"
            )
            with connection.cursor() as cursor:
                for id in range(begin, begin + count):
                    cursor.execute(statement.encode(), [id])

        for name, connection in connections.items():
            if not durable:
                connection.execute("SET synchronous_commit = off")
            run(name, WARM_UP)
        for _ in range(blocks):
            for name in random.sample(list(kinds), len(kinds)):
                pid = connections[name].info.backend_pid
                before, start = cpu_seconds(pid), time.perf_counter()
                run(name, BLOCK)
                costs[name].wall.append((time.perf_counter() - start) * 1e6 / BLOCK)
                if before is not None and (after := cpu_seconds(pid)) is not None:
                    costs[name].cpu.append((after - before) * 1e6 / BLOCK)
    return costs


def cpu_seconds(pid: int) -> float | None:
    """What a backend has spent on a processor; None where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return None

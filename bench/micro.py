"""`python -m bench micro`: what one UPDATE costs the backend, for whoever makes it cheaper."""

from __future__ import annotations

from statistics import median, quantiles

import rich.table
from rich import box

from bench.blocks import BLOCK, WARM_UP, Cost, Updates, run_blocks
from bench.stage import COMPLETE, NOTE, Stage

COMPLETING = (
    "untracked",
    "empty row trigger",
    "empty statement trigger",
    "floor",
    "obvious",
    "tracked",
)


def measure_micro(stage: Stage, updates: int) -> rich.table.Table:
    """A table: microseconds of CPU by kind of UPDATE, and against untracked and floor."""
    blocks = max(5, updates // BLOCK)
    rows = blocks * BLOCK + WARM_UP
    stage.fill(*COMPLETING, rows=4 * rows, completed=rows)
    kinds = {name: Updates(name, COMPLETE) for name in COMPLETING}
    kinds["untracked again"] = Updates("untracked", COMPLETE, first=rows)
    for place, status in ((2, "in-progress"), (3, "completed")):
        for variant in ("untracked", "tracked"):
            name = f"{variant}, nothing billable, {status}"
            kinds[name] = Updates(variant, NOTE, first=place * rows)
    costs = run_blocks(stage, kinds, blocks, durable=False)
    stage.check("untracked", completed=3 * rows)
    for variant, recorded in (("floor", rows), ("obvious", rows), ("tracked", 2 * rows)):
        stage.check(variant, completed=2 * rows, recorded=recorded)

    table = rich.table.Table(box=box.SIMPLE_HEAD)
    heads = ("CPU us", "quartiles", "more than untracked", "floor / it", "wall us")
    table.add_column(f"{updates:,} single-row UPDATEs, one client, no fsync")
    for head in heads:
        table.add_column(head, justify="right")
    for name, cost in costs.items():
        _, *what = name.split(",", 1)
        table.add_row(name, *_figures(cost, costs[",".join(["untracked", *what])], costs["floor"]))
    return table


def _figures(cost: Cost, base: Cost, floor: Cost) -> tuple[str, ...]:
    own, below = cost.cpu or cost.wall, base.cpu or base.wall
    low, _, high = quantiles(own, n=4)
    more = median(a - b for a, b in zip(own, below, strict=True))
    ratio = median(b / a for a, b in zip(own, floor.cpu or floor.wall, strict=True))
    return (
        f"{median(own):.1f}",
        f"{low:.1f}-{high:.1f}",
        f"{more:+.1f}",
        f"{ratio:.2f}",
        f"{median(cost.wall):.0f}",
    )

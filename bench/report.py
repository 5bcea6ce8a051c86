"""The figures of a run as tables: for the terminal, and as docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import rich.table
from rich import box
from rich.console import Console

from bench.figures import Figures, ServerFigures
from bench.measure import AGAIN, Measure
from bench.plots import draw

HOW_TO_READ = Path(__file__).with_name("how_to_read.md").read_text(encoding="utf-8").strip()

Row = tuple[str, ...]
Table = tuple[str, list[Row]]  # a title, then the header and the rows


def _spread(values: Iterable[float | None]) -> str:
    found = [value for value in values if value is not None]
    if not found:
        return "-"
    low, high = _shown(min(found)), _shown(max(found))
    return _shown(median(found)) if low == high else f"{_shown(median(found))} ({low}-{high})"


def _shown(value: float) -> str:
    return (
        f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if value < 0.1 else f"{value:.2f}"
    )


def judge(server: ServerFigures, measure: Measure) -> tuple[str, ...]:
    """Figure, aim, reached or not, A/A, the figure by CPU."""
    rounds = server.rounds.get(measure.name, [])
    aim = str(measure.aim or "-")
    if measure.name in server.failures:
        return "FAILED", aim, "no", "-", "-"
    if not rounds:
        return "-", aim, "-", "-", "-"
    figures = [measure.figure(samples) for samples in rounds]
    reached = (
        "-" if measure.aim is None else "yes" if measure.aim.is_reached(median(figures)) else "no"
    )
    noise = _spread(measure.noise(samples) for samples in rounds)
    return _spread(figures), aim, reached, noise, _spread(map(measure.cpu_figure, rounds))


def figures_table(figures: Figures, measures: Sequence[Measure]) -> list[Table]:
    """For each server: what was measured, the aim, whether it is reached, and the noise."""
    found: list[Table] = []
    for server in figures.servers:
        rows: list[Row] = [("measure", "figure", "aim", "reached", "A/A", "by CPU")]
        rows += [(f"{m.name}: {m.what}", *judge(server, m)) for m in _measured(server, measures)]
        found.append((f"PostgreSQL {server.version}: figures", rows))
    return found


def samples_table(figures: Figures, measures: Sequence[Measure]) -> list[Table]:
    """For each server: the samples that the figures are made of, and those beside them."""
    found: list[Table] = []
    for server in figures.servers:
        rows: list[Row] = [("measure", "variant", "median (least-greatest)", "by CPU", "unit")]
        for measure in _measured(server, measures):
            rounds = server.rounds.get(measure.name, [])
            for variant in (*measure.variants, AGAIN):
                samples = [samples[variant] for samples in rounds if variant in samples]
                if samples:
                    values = _spread(sample.value for sample in samples)
                    cpu = _spread(sample.cpu for sample in samples)
                    rows.append((measure.name, variant, values, cpu, measure.unit))
        found.append((f"PostgreSQL {server.version}: samples", rows))
    return found


def _measured(server: ServerFigures, measures: Sequence[Measure]) -> list[Measure]:
    return [m for m in measures if m.name in server.rounds or m.name in server.failures]


def about(figures: Figures) -> list[str]:
    """The machine, the settings, how long it took, and that nothing was wrong."""
    lines = [figures.machine, f"Settings: {figures.settings}", figures.scale]
    for server in figures.servers:
        rounds = max(map(len, server.rounds.values()), default=0)
        lines.append(
            f"PostgreSQL {server.version}: {rounds} rounds in {server.seconds / 60:.0f} minutes;"
            f" billing.verify() was empty after each of {server.verified} tracked measurements"
        )
        lines += [f"FAILED on {server.version}: {n}: {why}" for n, why in server.failures.items()]
    return lines


def show(console: Console, figures: Figures, measures: Sequence[Measure]) -> None:
    """The samples first, the figures last: that is what one looks for."""
    for title, (header, *rows) in [
        *samples_table(figures, measures),
        *figures_table(figures, measures),
    ]:
        table = rich.table.Table(title=f"\n{title}", box=box.SIMPLE_HEAD, title_justify="left")
        for name in header:
            is_text = name in ("measure", "variant", "unit")
            table.add_column(name, justify="left" if is_text else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print("\n".join(about(figures)), highlight=False, soft_wrap=True)


def write(folder: Path, figures: Figures, measures: Sequence[Measure]) -> None:
    """performance.md and the plots that it shows."""
    plots = draw(folder, figures, measures)
    parts = ["# What metering costs the application", f"Written by `make bench` on {figures.date}."]
    parts.append("\n".join(f"- {line}" for line in about(figures)))
    parts += _markdown(figures_table(figures, measures))
    parts += [f"![{text}]({name})" for name, text in plots.items()]
    parts += ["## How to read it", HOW_TO_READ]
    parts += _markdown(samples_table(figures, measures))
    folder.mkdir(exist_ok=True)
    (folder / "performance.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _markdown(tables: Sequence[Table]) -> list[str]:
    parts = []
    for title, (header, *rows) in tables:
        lines = [header, ("---", *["---:"] * (len(header) - 1)), *rows]
        parts += [f"## {title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return parts

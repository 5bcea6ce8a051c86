"""The figures of a run as SVG: small, the same for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bench.figures import Figures, ServerFigures
from bench.measure import Measure

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "irisx",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
}
COLOURS = {
    "untracked": "#9e9e9e",
    "floor": "#4c78a8",
    "tracked": "#2e7d32",
    "obvious": "#e45756",
    "application": "#f2a93b",
}
SPEEDS = ("single-4", "single-16", "single-64", "hot-64", "held-64", "bulk")


def draw(folder: Path, figures: Figures, measures: Sequence[Measure]) -> dict[str, str]:
    """Draw what was measured; the files written and what they show."""
    drawn = {"performance-aims.svg": "Each figure against its aim"}
    with mpl.rc_context(STYLE):
        _save(_aims(figures, measures), folder / "performance-aims.svg")
        for server in figures.servers:
            shown = [m for m in measures if m.name in SPEEDS and server.rounds.get(m.name)]
            if shown:
                name = f"performance-speeds-{server.major}.svg"
                _save(_speeds(server, shown), folder / name)
                drawn[name] = f"Rows a second of each variant, PostgreSQL {server.version}"
    return drawn


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def _aims(figures: Figures, measures: Sequence[Measure]) -> Figure:
    """How many times as good as its aim each figure is: right of the line it is reached."""
    judged = [(m, m.aim) for m in reversed(measures) if m.aim and m.aim.figure]
    figure, axes = plt.subplots(figsize=(8, 0.28 * len(judged) + 1))
    for number, server in enumerate(figures.servers):
        for place, (measure, aim) in enumerate(judged):
            shares = [aim.share(measure.figure(s)) for s in server.rounds.get(measure.name, [])]
            height, colour = [place - 0.2 * number], f"C{number}"
            if shares:
                axes.plot([min(shares), max(shares)], 2 * height, color=colour, linewidth=1.5)
                axes.plot([median(shares)], height, "o", markersize=4, color=colour)
        axes.plot(
            [], [], "o", markersize=4, color=f"C{number}", label=f"PostgreSQL {server.version}"
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("times as good as the aim (median, least and greatest)")
    axes.set_yticks(range(len(judged)), [f"{m.name} ({aim})" for m, aim in judged])
    axes.legend(frameon=False)
    return figure


def _speeds(server: ServerFigures, measures: Sequence[Measure]) -> Figure:
    """Rows a second of each variant, beside one another."""
    figure, row = plt.subplots(1, len(measures), figsize=(2 * len(measures), 3), squeeze=False)
    for axes, measure in zip(row[0], measures, strict=True):
        rounds = server.rounds[measure.name]
        for place, variant in enumerate(sorted(measure.variants, key=_rank)):
            values = [samples[variant].value for samples in rounds]
            middle = median(values)
            reach = [[middle - min(values)], [max(values) - middle]]
            colour = COLOURS[variant.split()[0]]
            axes.bar(place, middle, yerr=reach, color=colour, error_kw={"linewidth": 0.8})
        axes.set_title(measure.name, fontsize=9)
        axes.set_xticks(range(len(measure.variants)), sorted(measure.variants, key=_rank))
        axes.tick_params(axis="x", labelrotation=60)
        axes.yaxis.set_major_formatter("{x:,.0f}")
    row[0][0].set_ylabel(f"rows a second, PostgreSQL {server.version}")
    return figure


def _rank(variant: str) -> int:
    return list(COLOURS).index(variant.split()[0])

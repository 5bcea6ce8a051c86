"""Starts servers of its own and shows what metering costs: `python -m bench run`."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click
import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench import report
from bench.figures import Figures, ServerFigures
from bench.measure import Measure
from bench.measures import MEASURES
from bench.micro import measure_micro
from bench.stage import FULL, QUICK, Scale, WrongResultError, on_new_server
from pyapi.embedded import ServerError, installed, project

SAMPLES = project() / "docs" / "performance.json"
console = Console(width=None if sys.stdout.isatty() else 150)


@click.group()
def main() -> None:
    """Measure what metering costs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@main.command()
@click.option("--pg", "majors", type=int, multiple=True, help="Only this PostgreSQL major.")
@click.option("--quick", is_flag=True, help="Little of each, to see that it runs.")
@click.option("--only", multiple=True, help="Only measures whose name begins so.")
@click.option("--rounds", type=int, help="How many; by default 5, or 2 when quick.")
@click.option("--write/--no-write", default=None, help="docs/; by default after a full run.")
def run(
    majors: Sequence[int],
    quick: bool,
    only: tuple[str, ...],
    rounds: int | None,
    write: bool | None,
) -> None:
    """Measure everything, round by round, on every PostgreSQL asked for."""
    scale = QUICK if quick else FULL
    scale = replace(scale, rounds=rounds or scale.rounds)
    measures = [m for m in MEASURES if not only or m.name.startswith(only)]
    if not measures:
        raise click.BadParameter(f"one of {', '.join(m.name for m in MEASURES)}", param_hint="only")
    newest, *older = installed()
    majors = majors or ([newest] if quick else [newest, *older[-1:]])
    figures = Figures.of_today(
        f"{scale.seconds} s of load for each variant in each round"
        + (": a quick run, not to quote" if quick else "")
    )
    if write is None:
        write = not (quick or only or rounds)
    kept = SAMPLES if write else None
    turns = sum(1 if measure.is_once else scale.rounds for measure in measures)
    try:
        with _progress() as progress:
            bar = progress.add_task("", total=len(majors) * turns)
            for major in majors:
                with closing(_measure(figures, major, measures, scale, kept)) as done:
                    for what in done:
                        progress.update(bar, advance=1, description=what)
                        if not progress.console.is_terminal:
                            progress.console.print(what)
    except ServerError as error:
        raise click.ClickException(str(error)) from error
    finally:
        # Also of a run that was interrupted.
        report.show(console, figures, measures)
        if kept and figures.servers:
            report.write(SAMPLES.parent, figures, measures)
    if any(server.failures for server in figures.servers):
        sys.exit(1)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)


def _measure(
    figures: Figures, major: int, measures: Sequence[Measure], scale: Scale, kept: Path | None
) -> Generator[str, None, None]:
    """Round after round of all measures, in an order that changes; says what was done."""
    begin = time.monotonic()
    with on_new_server(major, scale) as stage:
        version = stage.owner.info.parameter_status("server_version") or ""
        own = ServerFigures(major, version.partition(" ")[0])
        figures.servers.append(own)
        for number in range(scale.rounds):
            stage.round = number
            for measure in random.sample(measures, len(measures)):
                if number and measure.is_once:
                    continue
                start = time.monotonic()
                if measure.name not in own.failures:
                    try:
                        own.rounds.setdefault(measure.name, []).append(measure.run(stage))
                    except (WrongResultError, psycopg.Error) as error:
                        own.failures[measure.name] = str(error)
                own.verified, own.seconds = stage.verified, time.monotonic() - begin
                if kept:
                    figures.save(kept)
                yield (
                    f"{own.seconds:4.0f} s, PostgreSQL {own.version}, round {number + 1} of"
                    f" {scale.rounds}: {measure.name} took {time.monotonic() - start:.0f} s"
                )


@main.command()
def render() -> None:
    """Write docs/performance.md and the plots once more, from the samples of the last run."""
    report.write(SAMPLES.parent, Figures.load(SAMPLES), MEASURES)


@main.command()
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--updates", default=4000, show_default=True, help="How many of each kind.")
def micro(pg: int | None, updates: int) -> None:
    """Microseconds of the backend's CPU for each single-row UPDATE, in under a minute."""
    try:
        with on_new_server(pg or next(iter(installed())), QUICK) as stage:
            console.print(measure_micro(stage, updates))
    except (WrongResultError, ServerError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()

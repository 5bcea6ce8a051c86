"""Commands of the operator: backfill, reconcile, verify, health."""

from __future__ import annotations

import sys
from datetime import date, timedelta

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pyapi import cli
from pyapi.cli import Command
from pyapi.client import Backfill, Client, Health, Reconciliation, SweptBatch, Violation


def _window_options(command: Command) -> Command:
    options = (
        click.option("--from", "start", type=cli.day, help="The first day."),
        click.option("--to", "end", type=cli.day, help="The last day, included; default today."),
        click.option("--days", type=click.IntRange(1, 36_500), help="So many days, up to today."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _window(start: date | None, end: date | None, days: int | None) -> tuple[date, date] | None:
    """Return the days asked for, or None when none were. Raises click.UsageError."""
    if days is not None:
        if start or end:
            raise click.UsageError("give --days, or --from and --to")
        end = cli._today()
        # Today's first tenant may be a day ahead of the last one.
        start = end - timedelta(days=days)
    if start is None:
        if end is not None:
            raise click.UsageError("--to needs --from")
        return None
    end = end or cli._today()
    if start > end:
        raise click.BadParameter("the first day is after the last", param_hint="--from")
    return start, end


def _sweep(client: Client, start: date, end: date, *, with_history: bool) -> list[SweptBatch]:
    """Return the sums of a sweep by table; a bar on the terminal while it lasts."""
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[recorded]:,} recorded"),
        TimeElapsedColumn(),
    )
    sums: dict[str, SweptBatch] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {}
        for batch in client.sweep(start, end, with_history=with_history):
            table = batch.source_table
            if table not in sums:
                bars[table] = progress.add_task(table, total=1.0, recorded=0)
                sums[table] = batch
            else:
                sums[table] = _add(sums[table], batch)
            progress.update(bars[table], completed=batch.done, recorded=sums[table].recorded)
    return list(sums.values())


def _add(one: SweptBatch, other: SweptBatch) -> SweptBatch:
    return SweptBatch(
        one.source_table,
        other.done,
        one.scanned + other.scanned,
        one.deserving + other.deserving,
        one.recorded + other.recorded,
        one.unrated + other.unrated,
        one.busy + other.busy,
    )


def _fail_when_busy(sums: list[SweptBatch]) -> None:
    busy = sum(table.busy for table in sums)
    if busy:
        cli._fail(
            f"{busy} rows were left alone, for others were changing them all the while",
            hint="run it again: what is recorded is not billed twice",
        )


@click.command()
@click.option("--from", "start", type=cli.day, required=True, help="The first day.")
@click.option("--to", "end", type=cli.day, required=True, help="The last day, included.")
@cli._database_option
@cli._format_option
def backfill(start: date, end: date) -> None:
    """Bill the rows that were there before; what is recorded stays recorded once.

    Works in batches, each committed on its own: interrupted and run again, it goes on.
    """
    _window(start, end, None)
    with cli._client() as client:
        sums = _sweep(client, start, end, with_history=True)
    found = [
        Backfill(
            table.source_table,
            table.deserving,
            table.recorded,
            max(table.deserving - table.recorded - table.unrated, 0),
            table.unrated,
        )
        for table in sums
    ]
    cli._print_rows(Backfill, found, f"Backfill, {start} to {end}", "no table is metered")
    _fail_when_busy(sums)


@click.command()
@_window_options
@cli._database_option
@cli._format_option
def reconcile(start: date | None, end: date | None, days: int | None) -> None:
    """Find and repair what got past the triggers, in batches; for every night."""
    window = _window(start, end, days)
    if window is None:
        raise click.UsageError("give --days, or --from and --to")
    with cli._client() as client:
        sums = _sweep(client, *window, with_history=False)
    found = [
        Reconciliation(table.source_table, table.scanned, table.recorded, table.unrated, table.busy)
        for table in sums
    ]
    title = f"Reconciliation, {window[0]} to {window[1]}"
    cli._print_rows(Reconciliation, found, title, "no table is metered")
    _fail_when_busy(sums)


@click.command()
@_window_options
@cli._database_option
@cli._format_option
def verify(start: date | None, end: date | None, days: int | None) -> None:
    """Check every invariant; print what is violated and what to do, and exit with 1.

    With days only what is of those days: cheap enough for every few minutes.
    """
    window = _window(start, end, days) or (None, None)
    with cli._client() as client:
        violations = client.run_verify(*window)
        checks = client.verify_checks() if violations else []
    cli._print_rows(Violation, violations, "Violations", "every invariant holds")
    if violations:
        broken = {violation.check_name for violation in violations}
        for check in checks:
            if check.check_name in broken:
                cli._say(f"{check.check_name}: {check.what_to_do}")
        raise click.exceptions.Exit(1)


@click.command()
@cli._database_option
@cli._format_option
def health() -> None:
    """Show the figures that an operator watches; exit with 1 when somebody should look."""
    with cli._client() as client:
        figures = client.health()
    cli._print_rows(Health, figures, "Health", "")
    if not all(figure.is_ok for figure in figures):
        raise click.exceptions.Exit(1)

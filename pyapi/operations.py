"""Commands of the operator: maintain, backfill, reconcile, verify, health."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime, timedelta, timezone

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pyapi import cli
from pyapi.cli import Command
from pyapi.client import (
    Act,
    Backfill,
    Client,
    Health,
    Housekeeping,
    Reconciliation,
    SweptBatch,
    Violation,
)
from pyapi.errors import UsageError
from pyapi.rates import instant

PATIENCE = 60.0
"""Seconds between two tries of a round that fails, at most."""


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


def _sweep(
    client: Client, start: date, end: date, *, with_history: bool, by_month: bool = False
) -> list[SweptBatch]:
    """Return the sums of a sweep by table; a bar on the terminal while it lasts."""
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[recorded]:,} recorded"),
        TimeElapsedColumn(),
    )
    sums: dict[str, SweptBatch] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {}
        for batch in client.sweep(start, end, with_history=with_history, by_month=by_month):
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
@click.option(
    "--by-month", is_flag=True, help="Fill months without records first, index them last."
)
@cli._database_option
@cli._format_option
def backfill(start: date, end: date, by_month: bool) -> None:
    """Bill the rows that were there before; what is recorded stays recorded once.

    Works in batches, each committed on its own: interrupted and run again, it goes on. --by-month
    is faster with millions of rows; usage of a month that changes while it is filled is set aside,
    and billed by maintain when the month is done.
    """
    _window(start, end, None)
    with cli._client() as client:
        sums = _sweep(client, start, end, with_history=True, by_month=by_month)
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
@click.option("--against", metavar="HASH", help="A hash that seal printed some day.")
@cli._database_option
@cli._format_option
def verify(start: date | None, end: date | None, days: int | None, against: str | None) -> None:
    """Check every invariant; print what is violated and what to do, and exit with 1.

    With days only what is of those days: cheap enough for every few minutes. --against: also that
    a hash kept elsewhere is still one of the chain of seals.
    """
    window = _window(start, end, days) or (None, None)
    with cli._client() as client:
        violations = client.run_verify(*window)
        if against is not None:
            violations += client.verify_seal_head(against)
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
def seal() -> None:
    """Seal what was written since the last seals, and print the hash that stands for all of it.

    Keep the hash where the owner of the database cannot reach it: `verify --against` compares.
    """
    with cli._client() as client:
        # Each call reads whole months: large steps read them seldom.
        while client.seal(1_000_000) > 0:
            pass
        head = client.seal_head()
    if head is None:
        cli._say("there is nothing to seal")
        return
    shown = (
        ("hash", head.chain_hash),
        ("sealed at", f"{head.sealed_at:%Y-%m-%d %H:%M:%S%z}"),
        ("records", cli.number(head.records)),
    )
    cli._print_one(asdict(head), f"Seal {head.seal_id}", shown)


@click.command()
@click.option("--since", type=instant, help="A day (from midnight UTC), or an instant.")
@click.option("--tenant", "tenant_id", type=cli.ID, help="Default: every tenant.")
@click.option("--action", help="update, ...; or a function of billing, or a table.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@cli._database_option
@cli._format_option
def audit(since: datetime | None, tenant_id: int | None, action: str | None, limit: int) -> None:
    """List administrative acts, the latest first: who, when, what, why."""
    with cli._client() as client:
        acts = client.acts(since, tenant_id, action, limit)
    cli._print_rows(Act, acts, "Administrative acts", "no acts")


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


def seconds(value: str | float) -> float:
    """Parse a time such as 10s, 500ms, 5min or 1h. Raises click.BadParameter."""
    if isinstance(value, float):
        return value
    units = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *(ms|s|min|h)", value.strip())
    result = float(found[1]) * units[found[2]] if found else 0.0
    if not 0 < result <= 86_400:
        raise click.BadParameter(f"{value!r} is not a time up to a day, as in 10s, 5min or 1h")
    return result


@click.command()
@click.option("--every", type=seconds, metavar="TIME", help="Go on, a round each 10s, 5min, 1h.")
@click.option("-v", "--verbose", is_flag=True, help="With --every: a line for each round.")
@cli._database_option
@cli._format_option
def maintain(every: float | None, verbose: bool) -> None:
    """Do one bounded round of housekeeping; safe at any time, for any scheduler.

    With --every, one after the other until SIGTERM or SIGINT, which let the round end. A line for
    each round that did something. Several side by side do no harm.
    """
    if every is not None:
        with _until_ended() as wait:
            _keep_house(every, wait, verbose=verbose)
        return
    with cli._client() as client:
        done = client.maintain()
    cli._print_rows(Housekeeping, done, "Housekeeping", "nothing to do")


Wait = Callable[[float], bool]


@contextmanager
def _until_ended() -> Iterator[Wait]:
    """Yield a function that waits so many seconds and returns whether the process shall end.

    It shall from the first SIGTERM or SIGINT on; a second one has its usual effect.
    """
    # A pipe, for a handler may not take a lock: it would wait for what it has interrupted.
    reader, writer = os.pipe()
    usual = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def let_be() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def end(*_: object) -> None:
        os.write(writer, b".")
        let_be()

    for number in usual:
        signal.signal(number, end)
    try:
        yield lambda pause: bool(select.select([reader], [], [], pause)[0])
    finally:
        let_be()
        os.close(reader)
        os.close(writer)


def _keep_house(every: float, wait: Wait, *, verbose: bool) -> None:
    """Do rounds until wait says that it is enough.

    The first one must succeed, so that a wrong address is heard of. What fails later is told, and
    tried again over a connection of its own, after one second, two, four ... up to a minute.
    """
    client, failures, pause = cli._client(), 0, 0.0
    has_worked = False
    try:
        while not wait(pause):
            began = time.monotonic()
            try:
                done = client.maintain()
            except UsageError as error:
                if not has_worked:
                    raise
                client.close()
                pause = min(2.0**failures, PATIENCE)
                failures += 1
                cli._say(f"error: {error.message}; next try in {pause:g} s")
                continue
            if failures:
                cli._say(f"well again after {failures} failures")
            has_worked, failures = True, 0
            _print_round(done, verbose=verbose)
            # What one round has left over is not for later.
            is_more = any(task.is_more for task in done)
            pause = 0.0 if is_more else max(every - (time.monotonic() - began), 0.0)
    finally:
        client.close()


def _print_round(done: list[Housekeeping], *, verbose: bool) -> None:
    """Print what a round has done, if anything: a line, of JSON or CSV if so asked."""
    shown = [task for task in done if task.done]
    if not shown and not verbose:
        return
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    if cli._settings().format == "json":
        line = json.dumps({"at": now} | {task.task: task.done for task in done})
    elif cli._settings().format == "csv":
        line = "\n".join(f"{now},{task.task},{task.done}" for task in done)
    else:
        said = (f"{task.task} {cli.number(task.done)}" for task in shown)
        line = f"{now} {', '.join(said) or 'nothing to do'}"
    click.echo(line)
    sys.stdout.flush()

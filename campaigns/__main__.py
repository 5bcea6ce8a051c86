"""`python -m campaigns` and the name of one: the long forms, with figures."""

from __future__ import annotations

import os
import random
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TextIO

import click
import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from campaigns import (
    bad_input,
    crash,
    credit,
    faults,
    invoices,
    model,
    move_house,
    mutation,
    races,
)
from campaigns.load import CounterExample
from campaigns.servers import IN_A_HURRY, homes, migrated
from pyapi.deploy import migrate
from pyapi.embedded import Server, ServerError, installed

console = Console(width=None if sys.stdout.isatty() else 110)
SURVIVED = "survived: "


@click.group()
def main() -> None:
    """Campaigns that look for a counter-example to "nothing lost, nothing billed twice"."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@main.command("crash")
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--cycles", default=1000, show_default=True, help="How many crashes.")
@click.option("--minutes", type=float, help="Stop after so long, whatever is left.")
@click.option("--seed", type=int, help="To do the same again; by default another each time.")
def run_crash(pg: int | None, cycles: int, minutes: float | None, seed: int | None) -> None:
    """Crash a server at work, recover it, and look for what is missing."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    begin = time.monotonic()

    def is_over() -> bool:
        return minutes is not None and time.monotonic() - begin > minutes * 60

    columns = (TextColumn("Crashing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with homes() as folder, Progress(*columns, console=Console(stderr=True)) as progress:
        server = Server(folder / "crash", pg, **crash.SETTINGS)
        bar = progress.add_task("crashes", total=cycles)
        try:
            crash.prepare(server)
            version = _version(server)
            figures = crash.campaign(
                server, seed, cycles, lambda _: progress.advance(bar), is_over=is_over
            )
        except (CounterExample, ServerError) as error:
            raise click.ClickException(f"{error}\n(seed {seed})") from error
    console.print(f"seed {seed}, PostgreSQL {version}, {_took(begin)}")
    table = _table_of(figures.counts)
    table.add_row("slowest recovery, s", f"{figures.slowest_recovery:.1f}")
    console.print(table)


@main.command("model")
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--histories", default=1_000_000, show_default=True, help="How many histories.")
@click.option("--minutes", type=float, help="Stop after so long, whatever is left.")
@click.option("--seed", type=int, help="To do the same again; by default another each time.")
def run_model(pg: int | None, histories: int, minutes: float | None, seed: int | None) -> None:
    """Play random histories and hold what is recorded against an oracle in fractions."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    _play("histories", histories, pg, minutes, seed, partial(model.campaign, seed=seed))


@main.command("races")
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--interleavings", default=200_000, show_default=True, help="How many.")
@click.option("--first", default=0, show_default=True, help="Begin with this one of the seed's.")
@click.option("--minutes", type=float, help="Stop after so long, whatever is left.")
@click.option("--seed", type=int, help="To do the same again; by default another each time.")
def run_races(
    pg: int | None, interleavings: int, first: int, minutes: float | None, seed: int | None
) -> None:
    """Play short transactions side by side, every pair in every order, then more at random."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    play = partial(races.campaign, seed=seed, first=first)
    _play("interleavings", interleavings, pg, minutes, seed, play)


def _play(
    what: str,
    count: int,
    pg: int | None,
    minutes: float | None,
    seed: int,
    play: Callable[..., Counter[str]],
) -> None:
    """Let a campaign play so many, and print its figures."""
    begin = time.monotonic()

    def is_over() -> bool:
        return minutes is not None and time.monotonic() - begin > minutes * 60

    columns = (TextColumn("Playing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with homes() as folder, Progress(*columns, console=Console(stderr=True)) as progress:
        server = Server(folder / "play", pg, **IN_A_HURRY)
        bar = progress.add_task(what, total=count)
        try:
            version = _version(migrated(server))
            figures = play(server, count=count, on_played=partial(progress.advance, bar),
                           is_over=is_over)  # fmt: skip
        except (CounterExample, ServerError) as error:
            raise click.ClickException(str(error)) from error
    pace = figures[what] / (time.monotonic() - begin)
    console.print(f"seed {seed}, PostgreSQL {version}, {_took(begin)}, {pace:.0f} a second")
    console.print(_table_of(figures))


@main.command("move")
@click.option("--pg", multiple=True, type=int, help="Only between these majors; repeatable.")
@click.option("--seed", type=int, help="For the load that a replica takes over.")
def run_move(pg: tuple[int, ...], seed: int | None) -> None:
    """Move a database every way there is, compare, and bill on."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    begin = time.monotonic()
    majors = sorted(major for major in installed() if not pg or major in pg)
    table = Table("move", "result", "s", box=None)
    failed = False
    for move in move_house.list_moves(majors):
        with homes() as folder:
            outcome = move_house.attempt(move, folder, random.Random(f"{seed} {move.name}"))
        failed = failed or outcome.is_failure
        click.echo(f"{outcome.name}: {outcome.result}", err=True)
        table.add_row(outcome.name, outcome.result, f"{outcome.seconds:.1f}")
    console.print(f"seed {seed}, PostgreSQL {', '.join(map(str, majors))}, {_took(begin)}")
    console.print(table)
    if failed:
        raise click.ClickException("a move did not go well")


@main.command("credit")
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--steps", default=1_000_000, show_default=True, help="Entries and events in all.")
@click.option("--minutes", type=float, help="Stop after so long, whatever is left.")
@click.option("--seed", type=int, help="To do the same again; by default another each time.")
@click.option("--tenant", type=int, help="Only this one, as a counter-example names it.")
def run_credit(
    pg: int | None, steps: int, minutes: float | None, seed: int | None, tenant: int | None
) -> None:
    """Compare balances with an oracle's at every instant of random histories."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    begin = time.monotonic()
    tenants = range(1, max(2, steps // credit.STEPS + 1))
    if tenant is not None:
        tenants = range(tenant, tenant + 1)
    figures: list[credit.Figures] = []
    with (
        homes() as folder,
        Progress(
            *(TextColumn("Comparing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
            console=Console(stderr=True),
        ) as progress,
    ):
        server = Server(folder / "credit", pg, fsync="off", full_page_writes="off")
        bar = progress.add_task("histories", total=len(tenants))
        try:
            conninfo = server.start().conninfo()
            migrate(conninfo)
            workers = min(os.cpu_count() or 1, len(tenants))
            for done in credit.side_by_side(conninfo, seed, tenants, workers, minutes):
                figures.append(done)
                progress.advance(bar)
        except (CounterExample, ServerError) as error:
            raise click.ClickException(f"{error}\n(seed {seed})") from error
    console.print(f"seed {seed}, {_took(begin)}")
    table = Table("what", "how many", box=None)
    table.columns[1].justify = "right"
    for name in ("steps", "balances", "refused"):
        table.add_row(name, f"{sum(getattr(done, name) for done in figures):,}")
    for kind in sorted({kind for done in figures for kind in done.kinds}):
        table.add_row(kind, f"{sum(done.kinds.get(kind, 0) for done in figures):,}")


@main.command("invoices")
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--histories", default=1000, show_default=True, help="How many.")
@click.option("--seed", type=int, help="The first history; by default any.")
def run_invoices(pg: int | None, histories: int, seed: int | None) -> None:
    """Compare whole invoices under random histories with an oracle in fractions."""
    first = secrets.randbelow(10**6) if seed is None else seed
    begin = time.monotonic()
    counts: Counter[str] = Counter()
    columns = (TextColumn("Invoicing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with homes() as folder, Progress(*columns, console=Console(stderr=True)) as progress:
        server = Server(folder / "invoices", pg, fsync="off")
        try:
            server.start()
            for number in progress.track(range(first, first + histories)):
                # A database of its own now and then: what verify() looks at does not grow.
                if (number - first) % 25 == 0:
                    with psycopg.connect(server.conninfo(admin=True), autocommit=True) as admin:
                        admin.execute("DROP SCHEMA IF EXISTS billing CASCADE")
                        admin.execute("DROP TABLE IF EXISTS tenants, calls, messages CASCADE")
                    migrate(server.conninfo())
                with psycopg.connect(server.conninfo(), autocommit=True) as connection:
                    try:
                        counts += invoices.run(connection, number)
                    except CounterExample as error:
                        raise click.ClickException(f"{error}\n(seed {number})") from error
        finally:
            server.destroy()
    console.print(f"seeds {first} to {first + histories - 1}, {_took(begin)}")
    table = Table("what", "how many", box=None)
    table.columns[1].justify = "right"
    for name, count in sorted(counts.items()):
        table.add_row(name, f"{count:,}")
    console.print(table)


def _version(server: Server) -> str:
    with psycopg.connect(server.conninfo()) as connection:
        return connection.info.parameter_status("server_version") or "?"


def _table_of(counts: Mapping[str, int]) -> Table:
    table = Table("what", "how many", box=None)
    table.columns[1].justify = "right"
    for name, count in sorted(counts.items()):
        table.add_row(name, f"{count:,}")
    return table


@main.command("faults")
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--cases", type=int, help="Stop after so many; by default all that are planned.")
@click.option("--minutes", type=float, help="Stop after so long, whatever is left.")
@click.option("--seed", type=int, help="To do the same again; by default another each time.")
def run_faults(pg: int | None, cases: int | None, minutes: float | None, seed: int | None) -> None:
    """Raise every SQLSTATE at every statement of the trigger, and lose nothing."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    begin = time.monotonic()

    def is_over() -> bool:
        return minutes is not None and time.monotonic() - begin > minutes * 60

    columns = (TextColumn("Failing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with homes() as folder, Progress(*columns, console=Console(stderr=True)) as progress:
        server = Server(folder / "faults", pg, fsync="off", full_page_writes="off").start()
        migrate(server.conninfo())
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            version = connection.info.parameter_status("server_version")
            try:
                at_work = faults.Faults(connection, faults.prepare(connection))
                plan = at_work.plan(random.Random(seed))[:cases]
                bar = progress.add_task("faults", total=len(plan))
                faults.campaign(at_work, plan, lambda: progress.advance(bar), is_over)
            except CounterExample as error:
                raise click.ClickException(f"{error}\n(seed {seed})") from error
    console.print(f"seed {seed}, PostgreSQL {version}, {_took(begin)}")
    table = Table("what", "how many", box=None)
    table.columns[1].justify = "right"
    figures = at_work.figures
    for name, count in sorted(figures.counts.items()):
        table.add_row(name, f"{count:,}")
    table.add_row("sites raised at", f"{len(figures.sites)}")
    table.add_row("SQLSTATEs", f"{len(figures.states)}")
    console.print(table)


@main.command("input")
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--values", default=1_000_000, show_default=True, help="How many values.")
@click.option("--minutes", type=float, help="Stop after so long, whatever is left.")
@click.option("--seed", type=int, help="To do the same again; by default another each time.")
def run_input(pg: int | None, values: int, minutes: float | None, seed: int | None) -> None:
    """Send hostile values through every door."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    begin = time.monotonic()

    def is_over() -> bool:
        return minutes is not None and time.monotonic() - begin > minutes * 60

    columns = (TextColumn("Sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with homes() as folder, Progress(*columns, console=Console(stderr=True)) as progress:
        server = Server(folder / "input", pg, fsync="off", full_page_writes="off").start()
        migrate(server.conninfo())
        with psycopg.connect(server.conninfo()) as connection:
            version = connection.info.parameter_status("server_version")
        bar = progress.add_task("values", total=values)
        try:
            figures = bad_input.campaign(
                server.conninfo(),
                seed,
                values,
                on_values=lambda count: progress.advance(bar, count),
                is_over=is_over,
            )
        except CounterExample as error:
            raise click.ClickException(str(error)) from error
    console.print(f"seed {seed}, PostgreSQL {version}, {_took(begin)}")
    table = Table("what", "how many", box=None)
    table.columns[1].justify = "right"
    for name, count in sorted(figures.counts.items()):
        table.add_row(name, f"{count:,}")
    console.print(table)


@main.command("mutation")
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--list", "is_listed", is_flag=True, help="Only list the mutants.")
@click.option("--only", help="Only mutants whose name has this in it.")
@click.option("--again", type=click.File(), help="Only those that this output says survived.")
@click.option("--sample", type=int, help="Only so many, drawn by lot.")
@click.option("--seed", default=1, show_default=True, help="For the lot.")
@click.option("--minutes", type=float, help="Stop after so long, whatever is left.")
@click.option("--workers", default=2, show_default=True, help="How many at a time.")
@click.option("--quick", "is_quick", is_flag=True, help="Ask only the tests that soon find much.")
def run_mutation(
    pg: int | None,
    is_listed: bool,
    only: str | None,
    again: TextIO | None,
    sample: int | None,
    seed: int,
    minutes: float | None,
    workers: int,
    is_quick: bool,
) -> None:
    """Break the record path, one thing at a time; at least 95 % must be noticed."""
    begin = time.monotonic()

    def is_over() -> bool:
        return minutes is not None and time.monotonic() - begin > minutes * 60

    columns = (TextColumn("Breaking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        homes(in_memory=True) as folder,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        bench = mutation.Bench(
            Server(folder / "mutation", pg, fsync="off", max_prepared_transactions="20")
        )
        bench.prepare()
        mutants = [m for m in bench.list_mutants() if only is None or only in m.name]
        known = mutation.equivalents()
        strangers = known.keys() - {mutant.name for mutant in bench.list_mutants()}
        chosen = [mutant for mutant in mutants if mutant.name not in known]
        if again is not None:
            survived = {line.removeprefix(SURVIVED).rstrip("\n") for line in again}
            chosen = [mutant for mutant in chosen if mutant.name in survived]
        if sample is not None and sample < len(chosen):
            chosen = random.Random(seed).sample(chosen, sample)
        if is_listed:
            for mutant in chosen:
                click.echo(mutant.name)
            return
        # By lot: a campaign that is stopped has still drawn a sample.
        random.Random(seed).shuffle(chosen)
        bar = progress.add_task("mutants", total=len(chosen))
        survivors = 0

        def on_verdict(verdict: mutation.Verdict) -> None:
            nonlocal survivors
            progress.advance(bar)
            if verdict.by is None:
                survivors += 1
                so_far = f"({survivors} of {progress.tasks[bar].completed:.0f} so far)"
                click.echo(
                    f"{SURVIVED}{verdict.mutant.name}\n{verdict.mutant.difference}\n{so_far}\n"
                )

        verdicts = mutation.campaign(bench, chosen, on_verdict, workers, is_over, is_quick=is_quick)
    # What PostgreSQL does not load is no test's merit.
    stillborn = [verdict for verdict in verdicts if verdict.by == mutation.STILLBORN]
    verdicts = [verdict for verdict in verdicts if verdict not in stillborn]
    killed = sum(verdict.by is not None for verdict in verdicts)
    table = Table("noticed by", "mutants", box=None)
    table.columns[1].justify = "right"
    for by, count in sorted(bench.kills.items(), key=lambda item: -item[1]):
        table.add_row(by, f"{count:,}")
    table.add_row("nobody", f"{len(verdicts) - killed:,}")
    console.print(table)
    seconds = sum(verdict.seconds for verdict in verdicts) / max(len(verdicts), 1)
    console.print(
        f"{killed} of {len(verdicts)} noticed ({killed / max(len(verdicts), 1):.1%}), {len(known)}"
        f" known to be equivalent, {len(stillborn)} stillborn, {seconds:.1f} s each, {_took(begin)}"
    )
    if strangers:
        console.print(f"no longer there: {sorted(strangers)}")
    if killed < 0.95 * len(verdicts):
        raise click.ClickException("the tests notice less than 95 %")


def _took(begin: float) -> str:
    return f"{(time.monotonic() - begin) / 60:.1f} minutes, {os.cpu_count()} processors"


if __name__ == "__main__":
    main()

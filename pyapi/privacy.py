"""What is known of people: irisx-usage find, forget and retention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import click

from pyapi import cli
from pyapi.client import Forgotten, StoredRow
from pyapi.errors import UsageError

MODES = ("erase", "pseudonymise")


@dataclass(frozen=True)
class Kept:
    """How long rows of a table are kept, in words that `retention set` understands."""

    table_name: str
    keep: str


cli.COLUMNS.update(
    {
        StoredRow: (
            cli.Column("table_name", title="table"),
            cli.Column("tenant_id", lambda value: "" if value is None else str(value), "tenant"),
            cli.Column("content", cli.json_of),
        ),
        Forgotten: (
            cli.Column("table_name", title="table"),
            cli.Column("changed", cli.number),
            cli.Column("kept", cli.number),
        ),
        Kept: (cli.Column("table_name", title="table"), cli.Column("keep")),
    }
)


@click.command()
@click.argument("number")
@cli._database_option
@cli._format_option
def find(number: str) -> None:
    """Print every row that holds NUMBER (with its country code) or an email address.

    For who asks what is stored about him: -f json.
    """
    with cli._client() as client:
        found = client.find_subject(number)
    cli._print_rows(StoredRow, found, "Stored", "nothing is stored")


@click.command()
@click.argument("number")
@click.option("--mode", type=click.Choice(MODES), default="erase", show_default=True)
@click.option("--reason", default="asked for", show_default=True, help="Kept; not the number.")
@click.option("--with-sources", is_flag=True, help="Also in the application's metered tables.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@cli._database_option
@cli._format_option
def forget(number: str, mode: str, reason: str, with_sources: bool, dry_run: bool) -> None:
    """Take NUMBER (with its country code) or an email address out of what was recorded.

    No sum, price or invoice changes, and nothing is billed anew. Works in parts, each committed on
    its own: interrupted and run again, it goes on. What is kept in archived months' files is
    listed: restore such a month and archive it again.
    """
    with cli._client() as client:
        found = client.forget_subject(
            number, mode, reason, with_sources=with_sources, dry_run=dry_run
        )
    title = "Would be changed" if dry_run else "Changed"
    cli._print_rows(Forgotten, found, title, "nothing is stored")
    for part in found:
        if part.kept is None:
            cli._say(f"{part.table_name} was not looked into: restore it, and archive it again")


@click.group()
def retention() -> None:
    """Say how long what is done with is kept."""


@retention.command("list")
@cli._database_option
@cli._format_option
def list_() -> None:
    """Print how long each table's rows are kept."""
    with cli._client() as client:
        kept = [
            Kept(
                of.table_name,
                "for ever" if of.keep is None else f"{of.keep / timedelta(days=1):g} days",
            )
            for of in client.retention()
        ]
    cli._print_rows(Kept, kept, "Retention", "")


@retention.command("set")
@click.argument("table")
@click.argument("keep")
@cli._database_option
def set_(table: str, keep: str) -> None:
    """Keep rows of TABLE for KEEP ("90 days", "1 year", forever); maintain does the rest."""
    with cli._client() as client:
        try:
            client.set_retention(table, None if keep in ("forever", "for ever") else keep)
        except UsageError as error:
            if error.sqlstate not in ("22007", "22008", "22015"):
                raise
            raise click.BadParameter(
                f"{keep!r} is not a time as in '90 days' or '1 year', nor forever",
                param_hint="KEEP",
            ) from None
    cli._say(f"{table}: {keep}")

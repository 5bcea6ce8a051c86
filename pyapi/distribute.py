"""The command distribute: sharding by tenant on Citus, explained and carried out."""

from __future__ import annotations

import click

from pyapi import cli
from pyapi.client import DistributionStep

cli.COLUMNS[DistributionStep] = (
    cli.Column("step", "{}".format),
    cli.Column("object_name", title="object"),
    cli.Column("becomes"),
    cli.Column("statement"),
    cli.Column("reason"),
)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only print what would be done, and why.")
@cli._database_option
@cli._format_option
def distribute(dry_run: bool) -> None:
    """Shard the database by tenant, where the extension Citus is.

    Prices become reference tables; tenants, calls, messages, records, sums, credit and invoices are
    distributed by tenant and lie together. Needs keys of your tables to hold tenant_id.
    """
    with cli._client() as client:
        if dry_run:
            steps = client.plan_distribution()
            cli._print_rows(DistributionStep, steps, "Sharding by tenant on Citus", "")
            return
        cli._say(f"{client.distribute()} steps done")

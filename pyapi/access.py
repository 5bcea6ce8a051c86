"""Who may see what, on the command line: irisx-usage access."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from pyapi import cli, deploy
from pyapi.client import TenantAccess
from pyapi.connection import connect

cli.COLUMNS.update(
    {
        TenantAccess: (
            cli.Column("member"),
            cli.Column("tenant_id", "{}".format, "tenant"),
            cli.Column("granted_by", title="granted by"),
            cli.Column("granted_at", title="granted"),
            cli.Column("is_reader", title="may read"),
        ),
    }
)


@click.group()
def access() -> None:
    """Say which role sees which tenant, and which roles there are."""


@access.command()
@click.argument("member")
@cli.TENANT
@cli._database_option
def grant(member: str, tenant_id: int) -> None:
    """Let the role MEMBER see a tenant; it needs billing_reader, too."""
    with cli._client() as client:
        is_new = client.grant_tenant_access(member, tenant_id)
    cli._say(f"{member} sees tenant {tenant_id}" + ("" if is_new else ", as before"))


@access.command()
@click.argument("member")
@click.argument("tenant_id", type=cli.ID, required=False)
@click.option("--all", "is_all", is_flag=True, help="Every tenant it sees.")
@cli._database_option
def revoke(member: str, tenant_id: int | None, is_all: bool) -> None:
    """Let the role MEMBER no longer see a tenant."""
    if is_all == (tenant_id is not None):
        raise click.UsageError("name a tenant, or --all")
    with cli._client() as client:
        count = client.revoke_tenant_access(member, tenant_id)
    cli._say(f"{member} no longer sees {count} tenant(s)")


@access.command("list")
@cli._database_option
@cli._format_option
def list_access() -> None:
    """List which role sees which tenant; one that does not exist reads nothing, and may return."""
    with cli._client() as client:
        found = client.tenant_access()
    cli._print_rows(TenantAccess, found, "Access to tenants", "nobody but who sees all of them")


@access.command()
@cli._database_option
@cli._format_option
def roles() -> None:
    """Show which roles there are, and what an administrator has to run for those missing."""
    with connect(cli._settings().conninfo()) as connection:
        found = deploy.find_roles(connection)
    states = [(name, "there") for name in found.existing]
    states += [(name, "missing") for name in found.missing]
    if cli._settings().format == "json":
        cli._print_json({"roles": dict(states), "to_run": list(found.statements)})
        return
    if cli._settings().format == "csv":
        cli._print_csv(("role", "state"), states)
        return
    table = Table("role", "state", title="Roles of IRISX Usage")
    for row in sorted(states):
        table.add_row(*row)
    Console().print(table)
    if found.statements:
        cli._say("to be run by an administrator, and then irisx-usage migrate:")
        for statement in found.statements:
            click.echo(f"{statement};")

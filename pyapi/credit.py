"""Credit on the command line: irisx-usage credit, reserve, release, limits and alerts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from decimal import Decimal
from os import environ

import click

from pyapi import alerts as sending
from pyapi import cli
from pyapi.client import Alert, AlertDelivery, CreditEntry

KINDS = ("purchase", "grant", "payment", "refund", "adjustment")
BASES = ("included", "balance", "cap", "amount")

ALERT = (
    cli.Column("id", "{}".format),
    cli.Column("tenant_id", "{}".format, "tenant"),
    cli.Column("period_start", title="period from"),
    cli.Column("basis"),
    cli.Column("threshold", cli.number),
    cli.Column("used", cli.money),
    cli.Column("total", cli.money),
    cli.Column("currency"),
    cli.Column("delivered", cli.number),
    cli.Column("waiting", cli.number),
    cli.Column("given_up", cli.number),
)

cli.COLUMNS.update(
    {
        CreditEntry: (
            cli.Column("id", "{}".format),
            cli.Column("created_at", title="entered"),
            cli.Column("kind"),
            cli.Column("reference"),
            cli.Column("amount", cli.money),
            cli.Column("balance", cli.money),
            cli.Column("remaining", cli.money),
            cli.Column("priority", "{}".format),
            cli.Column("expires_at", title="expires"),
        ),
        Alert: ALERT,
    }
)


@click.group()
def credit() -> None:
    """Grant credit and list what became of it."""


@credit.command()
@cli.TENANT
@click.argument("amount", type=cli.decimal)
@click.option("--reference", required=True, help="Yours; the same again grants nothing twice.")
@click.option("--kind", type=click.Choice(KINDS), default="grant", show_default=True)
@click.option(
    "--expires",
    "expires_at",
    type=cli.day_or_instant,
    help="When what is left lapses: an instant, or a day, where the tenant is, with its end.",
)
@click.option("--priority", type=int, default=0, show_default=True, help="Lower is used first.")
@cli._database_option
@cli._format_option
def grant(
    tenant_id: int,
    amount: Decimal,
    reference: str,
    kind: str,
    expires_at: date | None,
    priority: int,
) -> None:
    """Add AMOUNT to a tenant's balance."""
    with cli._client() as client:
        until = cli.end_of(client, tenant_id, expires_at)
        entry_id = client.grant_credit(tenant_id, amount, kind, reference, until, priority)
        balance = client.balance(tenant_id)
    values = {"entry_id": entry_id, **asdict(balance)}
    shown = [
        ("entry", str(entry_id)),
        ("credit balance", cli.money(balance.credit_balance)),
        ("remaining credits", cli.money(balance.remaining_credits)),
    ]
    cli._print_one(values, f"Credit of tenant {tenant_id}", shown)


@credit.command("list")
@cli.TENANT
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@cli._database_option
@cli._format_option
def list_entries(tenant_id: int, limit: int) -> None:
    """List a tenant's entries, latest first, and what is left of each."""
    with cli._client() as client:
        entries = client.credit_entries(tenant_id, limit)
    cli._print_rows(CreditEntry, entries, f"Credit of tenant {tenant_id}", "no entries")


@click.command()
@cli.TENANT
@click.argument("to_number", required=False)
@click.option("--key", required=True, help="The call_sid or message_sid.")
@click.option("--seconds", type=click.IntRange(1), help="A call: not more than these.")
@click.option("--channel", help="sms, email, whatsapp, social ...; without it, a call.")
@click.option("--resource", default="message", show_default=True, help="The resource type.")
@click.option("--quantity", type=cli.decimal, default="1", show_default=True)
@cli._database_option
@cli._format_option
def reserve(
    tenant_id: int,
    to_number: str | None,
    key: str,
    seconds: int | None,
    channel: str | None,
    resource: str,
    quantity: Decimal,
) -> None:
    """Hold the money for a call or message; prints 0 where the balance does not pay for it."""
    with cli._client() as client:
        if channel is not None:
            if seconds is not None:
                raise click.UsageError("--seconds is for calls: use it without --channel")
            granted = client.reserve_usage(
                tenant_id, channel, resource, quantity, key, destination=to_number
            )
            name = "granted_quantity"
        elif to_number is None:
            raise click.UsageError("a call needs TO_NUMBER, all else --channel")
        else:
            granted = Decimal(client.reserve_call(tenant_id, to_number, key, seconds))
            name = "granted_seconds"
    shown = [(name.replace("_", " "), cli.number(granted))]
    title = f"Reservation {key} of tenant {tenant_id}"
    cli._print_one({"key": key, name: granted}, title, shown)


@click.command()
@click.argument("key")
@click.option("--tenant", "tenant_id", type=cli.ID, help="Where several tenants use the key.")
@cli._database_option
def release(key: str, tenant_id: int | None) -> None:
    """Let go of what a reservation holds."""
    with cli._client() as client:
        done = client.release_reservation(key, tenant_id)
    cli._say("released" if done else "it had ended before")


@click.command()
@cli.TENANT
@click.option("--mode", type=click.Choice(("prepaid", "postpaid")), default="prepaid")
@click.option("--credit-limit", type=cli.decimal, help="How far below zero may be promised.")
@click.option("--spend-cap", type=cli.decimal, help="What a period may come to.")
@click.option("--max-calls", type=click.IntRange(0), help="Calls reserved at one time.")
@click.option("--max-call-seconds", type=click.IntRange(1), help="The longest grant; a day.")
@click.option("--throttle-below", type=cli.decimal, help="Where allowance begins to fall.")
@cli._database_option
@cli._format_option
def limits(
    tenant_id: int,
    mode: str,
    credit_limit: Decimal | None,
    spend_cap: Decimal | None,
    max_calls: int | None,
    max_call_seconds: int | None,
    throttle_below: Decimal | None,
) -> None:
    """Set all limits of a tenant; what is not given is not limited."""
    with cli._client() as client:
        found = client.set_limits(
            tenant_id,
            mode,
            credit_limit=credit_limit,
            spend_cap=spend_cap,
            max_calls=max_calls,
            max_call_seconds=max_call_seconds,
            throttle_below=throttle_below,
        )
        allowance = client.allowance(tenant_id)
    values = {**asdict(found), "allowance": allowance}
    shown = [
        (name.replace("_", " "), "" if value is None else str(value))
        for name, value in values.items()
    ]
    cli._print_one(values, f"Limits of tenant {tenant_id}", shown)


@click.group()
def alerts() -> None:
    """Tell tenants how much of their money is used."""


@alerts.command("list")
@click.option("--tenant", "tenant_id", type=cli.ID, help="Default: every tenant.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@cli._database_option
@cli._format_option
def list_alerts(tenant_id: int | None, limit: int) -> None:
    """List alerts, latest first, and how their deliveries stand."""
    with cli._client() as client:
        found = client.alerts(tenant_id, limit)
    cli._print_rows(Alert, found, "Alerts", "no alerts")


@alerts.command("set")
@cli.TENANT
@click.option("--basis", type=click.Choice(BASES), help="What is measured.")
@click.option("--at", "thresholds", multiple=True, type=cli.decimal, help="Percent, or amount.")
@click.option("--webhook", metavar="URL", help="Where to send them, signed with --secret.")
@click.option("--secret", help="What webhooks are signed with.")
@click.option("--email", metavar="ADDRESS", help="Whom to write to.")
@click.option("--remove", is_flag=True, help="Take away what is named instead.")
@cli._database_option
def set_alerts(
    tenant_id: int,
    basis: str | None,
    thresholds: tuple[Decimal, ...],
    webhook: str | None,
    secret: str | None,
    email: str | None,
    remove: bool,
) -> None:
    """Set thresholds (--basis balance --at 80 --at 90) and where to send alerts."""
    if bool(basis) != bool(thresholds) or not (basis or webhook or email):
        raise click.UsageError("give --basis with --at, --webhook or --email")
    with cli._client() as client:
        for threshold in thresholds:
            client.set_alert_threshold(tenant_id, str(basis), threshold, not remove)
        for kind, address in (("webhook", webhook), ("email", email)):
            if address:
                client.set_alert_target(
                    tenant_id, kind, address, secret if kind == "webhook" else None, not remove
                )
    cli._say("done")


@alerts.command()
@click.option("--smtp", metavar="URL", help="smtp://user:password@host:port; else IRISX_USAGE_SMTP")
@click.option("--from", "sender", default="billing@localhost", help="Who writes emails.")
@click.option("--max-attempts", type=click.IntRange(1), default=10, show_default=True)
@cli._database_option
@cli._format_option
def deliver(smtp: str | None, sender: str, max_attempts: int) -> None:
    """Send what is due; exit 1 when something failed. For every minute; several may run at once."""
    url = smtp or environ.get("IRISX_USAGE_SMTP")
    mailer = sending.Mailer(url, sender) if url else None

    def say(delivery: AlertDelivery, problem: str, again: bool) -> None:
        after = "will be tried again" if again else "given up"
        cli._say(
            f"alert {delivery.alert_id} by {delivery.kind} {delivery.target_id}: {problem}; {after}"
        )

    with cli._client() as client:
        sent = sending.deliver(client, mailer, max_attempts=max_attempts, on_failure=say)
    shown = [(name.replace("_", " "), cli.number(value)) for name, value in asdict(sent).items()]
    cli._print_one(asdict(sent), "Alerts", shown)
    if sent.failed:
        raise click.exceptions.Exit(1)

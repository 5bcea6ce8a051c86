"""Invoices: irisx-usage invoices TENANT, run and aging; invoice ID, finalize, pay, and the like."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict, fields
from datetime import date
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pyapi import cli
from pyapi.client import (
    Aging,
    Client,
    ExplainedRecord,
    Invoice,
    RunOutcome,
    StatementLine,
    TracedRecord,
)

INVOICE = click.argument("invoice_id", type=cli.ID)
REASON = click.option("--reason", required=True, help="It stays with the document.")

cli.COLUMNS.update(
    {
        RunOutcome: (
            cli.Column("tenant_id", "{}".format, "tenant"),
            cli.Column("period_start", title="from"),
            cli.Column("period_end", title="to"),
            cli.Column("outcome"),
            cli.Column("invoice_number", title="number"),
            cli.Column("total_amount", cli.money, "total"),
            cli.Column("currency"),
            cli.Column("reason"),
        ),
        ExplainedRecord: (
            cli.Column("record_id", "{}".format, "record"),
            cli.Column("occurred_at", "{:%Y-%m-%d %H:%M:%S%z}".format, "at"),
            cli.Column("resource_id", title="id"),
            cli.Column("destination"),
            cli.Column("kind"),
            cli.Column("quantity", cli.quantity),
            cli.Column("total_cost", cli.money, "exact cost"),
            cli.Column("share", cli.money, total=True),
        ),
        TracedRecord: (
            cli.Column("tenant_id", "{}".format, "tenant"),
            cli.Column("record_id", "{}".format, "record"),
            cli.Column("resource_id", title="id"),
            cli.Column("total_cost", cli.money, "cost"),
            cli.Column("disposition"),
            cli.Column("invoice_number", title="invoice"),
            cli.Column("description"),
        ),
        StatementLine: (
            cli.Column("happened_on", title="day"),
            cli.Column("event"),
            cli.Column("document"),
            cli.Column("amount", cli.money),
            cli.Column("to_credit", cli.money, "to credit"),
            cli.Column("balance", cli.money),
        ),
        Aging: (
            cli.Column("tenant_id", "{}".format, "tenant"),
            cli.Column("currency"),
            cli.Column("invoices", cli.number),
            cli.Column("not_due", cli.money, "not due"),
            cli.Column("days_1_to_30", cli.money, "1-30 days"),
            cli.Column("days_31_to_60", cli.money, "31-60"),
            cli.Column("days_61_to_90", cli.money, "61-90"),
            cli.Column("days_over_90", cli.money, "over 90"),
            cli.Column("total_due", cli.money, "due"),
            cli.Column("dunning_level", cli.number, "reminders"),
        ),
    }
)


class _Numbered(click.Group):
    """A group that takes a number for the command which it names: ``invoice 7`` shows invoice 7."""

    def __init__(self, *args: Any, numbered: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self.numbered = numbered

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        # A word that is neither an option, nor the value of one, nor a command is a number.
        valued = {name for option in self.params for name in option.opts}
        for place, word in enumerate(args):
            if word in self.commands or word in ("-h", "--help"):
                break
            if not word.startswith("-") and (place == 0 or args[place - 1] not in valued):
                args = [*args[:place], self.numbered, *args[place:]]
                break
        return super().parse_args(context, args)


def _month(value: str | date) -> date:
    try:
        month = value if isinstance(value, date) else date.fromisoformat(f"{value}-01")
        _days_of(month)  # Where they go beyond the calendar it is no month.
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a month as in 2025-11") from None
    return month


def _amount(value: str | Decimal) -> Decimal:
    return cli.decimal(value)


# Many


@click.group(cls=_Numbered, numbered="of")
@cli._database_option
@cli._format_option
def invoices() -> None:
    """A tenant's invoices (invoices TENANT), and what is done with all tenants' at once."""


@invoices.command("of")
@cli.TENANT
@click.option("--status", type=click.Choice(("draft", "pending", "paid", "overdue", "void")))
@click.option("--limit", type=click.IntRange(1, 2**31 - 1), default=50, show_default=True)
@click.option("--draft", type=cli.day, help="First write the draft of the period with this day.")
@cli._database_option
@cli._format_option
def invoices_of(tenant_id: int, status: str | None, limit: int, draft: date | None) -> None:
    """List a tenant's invoices, or write the draft of one and show it; `of` is optional."""
    with cli._client() as client:
        if draft is not None:
            invoice_id = client.generate_invoice(tenant_id, draft)
            cli._print_invoice(client.invoice(invoice_id))
            return
        found = client.invoices(tenant_id, status, limit)
    title = f"Invoices of tenant {tenant_id}"
    cli._print_rows(Invoice, found, title, f"tenant {tenant_id} has no such invoices")


@invoices.command()
@click.option("--period", type=_month, required=True, help="The month in which periods begin.")
@click.option("--batch", type=click.IntRange(1, 2000), default=500, show_default=True)
@click.option("--skip-verify", is_flag=True, help="The period has been verified since it ended.")
@cli._database_option
@cli._format_option
def run(period: date, batch: int, skip_verify: bool) -> None:
    """Issue the invoices of all tenants whose periods begin in a month and are over.

    Interrupted and begun again it goes on where it was. A tenant whose usage is unrated or fails
    verification is listed with the reason, and not billed: exit 1 then.
    """
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    found: list[RunOutcome] = []
    with (
        cli._client() as client,
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task("verifying", total=None)
        if not skip_verify:
            client.hold_unsound_tenants(*_days_of(period))
        for done, tenants, outcomes in client.run_invoices(period, batch=batch):
            found += outcomes
            progress.update(bar, description="invoices", completed=done, total=tenants)
    counts = Counter(outcome.outcome for outcome in found)
    cli._say(
        ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no tenants"
    )
    shown = found
    if cli._settings().format == "table":
        shown = [outcome for outcome in found if outcome.outcome in ("issued", "refused")]
    cli._print_rows(RunOutcome, shown, f"Invoices of {period:%Y-%m}", "nothing was issued")
    if counts["refused"]:
        raise click.exceptions.Exit(1)


def _days_of(month: date) -> tuple[date, date]:
    """Return the days that periods which begin in a month have, whatever the billing day."""
    later = date(month.year + (month.month + 1) // 12, (month.month + 1) % 12 + 1, 1)
    return month, later


@invoices.command()
@click.option("--as-of", type=cli.day, help="Default today.")
@cli._database_option
@cli._format_option
def aging(as_of: date | None) -> None:
    """Show what tenants owe, by how long it has been due."""
    with cli._client() as client:
        found = client.aging(as_of)
    cli._print_rows(Aging, found, "Open invoices", "nobody owes anything")


@invoices.command()
@cli.TENANT
@click.option("--from", "start", type=cli.day, required=True, help="The first day.")
@click.option("--to", "end", type=cli.day, help="The last day; default today.")
@cli._database_option
@cli._format_option
def statement(tenant_id: int, start: date, end: date | None) -> None:
    """Show a tenant's statement of account."""
    with cli._client() as client:
        found = client.statement(tenant_id, start, end or cli._today())
    cli._print_rows(StatementLine, found, f"Statement of tenant {tenant_id}", "")


# One


@click.group(cls=_Numbered, numbered="show")
@cli._database_option
@cli._format_option
def invoice() -> None:
    """One invoice (invoice ID), and what is done with it."""


@invoice.command()
@INVOICE
@cli._database_option
@cli._format_option
def show(invoice_id: int) -> None:
    """Show an invoice with its lines; the word `show` is optional."""
    with cli._client() as client:
        cli._print_invoice(client.invoice(invoice_id))


@invoice.command()
@INVOICE
@click.option("--expected-total", type=_amount, help="Refuse it when it comes to anything else.")
@cli._database_option
@cli._format_option
def finalize(invoice_id: int, expected_total: Decimal | None) -> None:
    """Issue a draft: it gets its number, and is never changed again."""
    with cli._client() as client:
        client.finalize_invoice(invoice_id, expected_total)
        cli._print_invoice(client.invoice(invoice_id))


@invoice.command()
@INVOICE
@REASON
@cli._database_option
@cli._format_option
def void(invoice_id: int, reason: str) -> None:
    """Take an invoice back as a whole, before anything is paid; it keeps its number."""
    with cli._client() as client:
        client.void_invoice(invoice_id, reason)
        _print_header(client, invoice_id)


@invoice.command()
@INVOICE
@click.argument("amount", type=_amount)
@click.option("--method", required=True, help="bank_transfer, credit_card ...")
@click.option("--reference", required=True, help="The payer's or gateway's: twice is once.")
@click.option("--currency", help="Refuse it when the invoice is in another.")
@cli._database_option
@cli._format_option
def pay(
    invoice_id: int, amount: Decimal, method: str, reference: str, currency: str | None
) -> None:
    """Enter a payment; what is more than the invoice asks for becomes credit."""
    with cli._client() as client:
        client.record_payment(invoice_id, amount, method, reference, currency)
        _print_header(client, invoice_id)


@invoice.command("credit-note")
@INVOICE
@click.argument("amount", type=_amount)
@REASON
@click.option("--reference", help="Twice is once; default the reason.")
@cli._database_option
@cli._format_option
def credit_note(invoice_id: int, amount: Decimal, reason: str, reference: str | None) -> None:
    """Take a part of an issued invoice back, or all of it."""
    with cli._client() as client:
        note = client.credit_note(client.issue_credit_note(invoice_id, amount, reason, reference))
    shown = [
        ("number", note.credit_note_number),
        ("subtotal", cli.money(note.subtotal, note.currency)),
        ("tax", cli.money(note.tax, note.currency)),
        ("total", cli.money(note.total_amount, note.currency)),
        ("became credit", cli.money(note.to_balance, note.currency)),
    ]
    cli._print_one(asdict(note), f"Credit note for invoice {invoice_id}", shown)


@invoice.command()
@click.argument("line_id", type=cli.ID)
@click.option("--csv", "as_csv", is_flag=True, help="As -f csv.")
@cli._database_option
@cli._format_option
def explain(line_id: int, as_csv: bool) -> None:
    """Show every call and message behind a line, and its share in cents."""
    if as_csv:
        cli._settings().format = "csv"
    with cli._client() as client:
        found = client.explain_invoice_line(line_id)
    empty = f"line {line_id} has no usage behind it"
    cli._print_rows(ExplainedRecord, found, f"What line {line_id} bills", empty)


@invoice.command()
@click.argument("record_id", type=cli.ID)
@click.option("--tenant", "tenant_id", type=cli.ID, help="Whose record it is: found faster.")
@cli._database_option
@cli._format_option
def trace(record_id: int, tenant_id: int | None) -> None:
    """Show which invoice bills a usage record."""
    with cli._client() as client:
        found = client.trace_record(record_id, tenant_id)
    cli._print_rows(TracedRecord, found, f"Record {record_id}", f"there is no record {record_id}")


def _print_header(client: Client, invoice_id: int) -> None:
    found = client.invoice(invoice_id)
    header = Invoice(**{item.name: getattr(found, item.name) for item in fields(Invoice)})
    cli._print_rows(Invoice, [header], f"Invoice {invoice_id}", "")

"""The command line, irisx-usage: data on stdout, messages on stderr.

Exit status: 0 done, 1 failed (verify: an invariant is violated), 2 misuse.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from importlib import import_module
from typing import Any, NoReturn, TypeVar

import click
from psycopg import IsolationLevel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pyapi import deploy
from pyapi.client import (
    Act,
    Backfill,
    Balance,
    CallQuote,
    Client,
    Explanation,
    Health,
    Housekeeping,
    Invoice,
    InvoiceLine,
    InvoiceWithLines,
    Quote,
    Reconciliation,
    ReratedCharge,
    SimulatedLine,
    Usage,
    UsageBucket,
    Violation,
)
from pyapi.connection import connect
from pyapi.errors import DatabaseUnavailableError, UsageError
from pyapi.text import guard, printable, printable_lines

VARIABLES = ("IRISX_USAGE_DATABASE_URL", "DATABASE_URL")
LIBPQ_VARIABLES = ("PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER")
FORMATS = ("table", "json", "csv")
ELSEWHERE = {
    "access": "pyapi.access",
    "alerts": "pyapi.credit",
    "credit": "pyapi.credit",
    "limits": "pyapi.credit",
    "release": "pyapi.credit",
    "reserve": "pyapi.credit",
    "archive": "pyapi.archive",
    "distribute": "pyapi.distribute",
    "find": "pyapi.privacy",
    "forget": "pyapi.privacy",
    "restore": "pyapi.archive",
    "rates": "pyapi.rates",
    "retention": "pyapi.privacy",
    "audit": "pyapi.operations",
    "backfill": "pyapi.operations",
    "health": "pyapi.operations",
    "invoice": "pyapi.invoicing",
    "invoices": "pyapi.invoicing",
    "maintain": "pyapi.operations",
    "reconcile": "pyapi.operations",
    "seal": "pyapi.operations",
    "verify": "pyapi.operations",
}
"""Commands in modules of their own, which import this one."""

Command = TypeVar("Command", bound=Callable[..., Any])


# What all commands share


@dataclass
class Settings:
    """Options that stand before or after the command's name; the last one given holds."""

    database: str | None = None
    format: str = "table"

    def configured(self) -> str | None:
        """Return the address that the user has given, by option or environment, or None."""
        named = [self.database, *map(os.environ.get, VARIABLES)]
        address = next(filter(None, named), None)
        if address is None and any(map(os.environ.get, LIBPQ_VARIABLES)):
            return ""
        return address

    def conninfo(self) -> str:
        """Return the address to work on. Raises DatabaseUnavailableError when there is none."""
        address = self.configured()
        if address is None:
            from pyapi.embedded import running_conninfo

            address = running_conninfo()
        if address is None:
            raise DatabaseUnavailableError(
                "no database given",
                hint=f"use -d postgresql://user@host/database or set {VARIABLES[0]};"
                " without a database of your own, start with: irisx-usage demo",
            )
        return address


def _settings() -> Settings:
    return click.get_current_context().ensure_object(Settings)


def _remember(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and parameter.name:
        setattr(context.ensure_object(Settings), parameter.name, value)


def _database_option(command: Command) -> Command:
    return click.option(
        "-d",
        "--database",
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help=f"The database; else {', then '.join(VARIABLES)}, then libpq's PG* variables.",
    )(command)


def _format_option(command: Command) -> Command:
    return click.option(
        "-f",
        "--format",
        type=click.Choice(FORMATS),
        expose_value=False,
        callback=_remember,
        help="How to print data; default table.",
    )(command)


class _Group(click.Group):
    """A group whose commands fail in one line; those of ELSEWHERE are loaded when asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*super().list_commands(context), *ELSEWHERE])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in ELSEWHERE:
            command: click.Command = getattr(import_module(ELSEWHERE[name]), name)
            return command
        return super().get_command(context, name)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UsageError as error:
            _fail(error.message, error.detail, error.hint)
        except UnicodeEncodeError as error:
            text = error.object[error.start : error.end]
            hint = "for output in UTF-8 set PYTHONIOENCODING=utf-8"
            _fail(f"{text!a} cannot be written in {error.encoding}", hint=hint)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # The reader has had enough: click ends in silence.
            _fail(str(error))


def _say(message: str) -> None:
    click.echo(printable_lines(message), err=True)


def _fail(message: str, detail: str | None = None, hint: str | None = None) -> NoReturn:
    _say(f"error: {message}")
    if detail:
        _say(f"detail: {detail}")
    if hint:
        _say(f"hint: {hint}")
    raise click.exceptions.Exit(1)


# Printing


def number(value: Decimal | int) -> str:
    """Return a quantity for people: thousands, and no zeros at the end of its decimals."""
    text = f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value: Decimal) -> str:
    """Return a quantity for people, to four decimals; JSON and CSV have all of them."""
    # By format: round() refuses what has more than 28 digits.
    return number(Decimal(f"{value:.4f}"))


def money(value: Decimal, currency: str | None = None) -> str:
    """Return an amount for people: thousands, at least two decimals, all that are not zero."""
    whole, _, decimals = f"{value:,f}".partition(".")
    amount = f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
    return f"{amount} {currency}" if currency else amount


def _say_ok(value: bool) -> str:
    return "ok" if value else "look"


def _plain(value: Any) -> Any:
    """Return a value as JSON and CSV give it: decimals exact and without exponent, as text."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True)
class Column:
    """A column of a printed table: the field it shows, and how; what is not ``str`` is a number."""

    name: str
    show: Callable[[Any], str] = str
    title: str = ""
    total: bool = False


def make_table(columns: Sequence[Column], rows: Sequence[Any]) -> Table:
    """Return rows as a table, under it their totals when there is more than one row."""
    totals = len(rows) > 1 and any(column.total for column in columns)
    table = Table(show_footer=totals)
    for column in columns:
        footer = "total" if column is columns[0] else ""
        if column.total:
            footer = column.show(sum(getattr(row, column.name) for row in rows) + Decimal(0))
        table.add_column(
            column.title or column.name.replace("_", " "),
            footer=footer,
            justify="right" if column.show is not str else "left",
            overflow="fold",
        )
    for row in rows:
        values = ((column, getattr(row, column.name)) for column in columns)
        table.add_row(
            *(Text("" if v is None else printable(column.show(v))) for column, v in values)
        )
    return table


USAGE = (
    Column("channel"),
    Column("resource_type", title="resource"),
    Column("total_quantity", quantity, "quantity"),
    Column("record_count", number, "records", total=True),
    Column("total_cost", money, "cost", total=True),
)
COLUMNS: dict[type, tuple[Column, ...]] = {
    Usage: USAGE,
    UsageBucket: (Column("bucket", title="from"), *USAGE),
    Invoice: (
        Column("id", "{}".format),
        Column("invoice_number", title="number"),
        Column("status"),
        Column("period_start", title="from"),
        Column("period_end", title="to"),
        Column("due_date", title="due"),
        Column("total_amount", money, "total"),
        Column("currency"),
    ),
    InvoiceLine: (
        Column("kind"),
        Column("description"),
        Column("quantity", quantity),
        Column("unit_price", money, "unit price"),
        Column("amount", money, total=True),
    ),
    Explanation: (
        Column("step", number),
        Column("subject"),
        Column("detail"),
        Column("amount", money),
    ),
    Backfill: (
        Column("source_table", title="table"),
        Column("scanned", number, total=True),
        Column("recorded", number, total=True),
        Column("already_recorded", number, total=True),
        Column("unrated", number, total=True),
    ),
    Health: (
        Column("is_ok", _say_ok, "ok"),
        Column("metric"),
        Column("subject"),
        Column("value", quantity),
        Column("unit"),
        Column("hint"),
    ),
    Reconciliation: (
        Column("source_table", title="table"),
        Column("scanned", number, total=True),
        Column("repaired", number, total=True),
        Column("unrated", number, total=True),
        Column("busy", number, total=True),
    ),
    Housekeeping: (Column("task"), Column("done", number)),
    SimulatedLine: (
        Column("tenant_id", "{}".format, "tenant"),
        Column("period_start", title="period from"),
        Column("kind"),
        Column("description"),
        Column("quantity", quantity),
        Column("unit_price", money, "unit price"),
        Column("amount", money),
        Column("currency"),
    ),
    ReratedCharge: (
        Column("tenant_id", "{}".format, "tenant"),
        Column("record_id", "{}".format, "record"),
        Column("usage_date", title="day"),
        Column("channel"),
        Column("resource_type", title="resource"),
        Column("quantity", quantity),
        Column("old_cost", money, "old cost"),
        Column("new_cost", money, "new cost"),
        Column("difference", money),
        Column("problem"),
        Column("new_record_id", "{}".format, "new record"),
    ),
    Act: (
        Column("at", "{:%Y-%m-%d %H:%M:%S%z}".format, "at"),
        Column("role", title="who"),
        Column("action"),
        Column("object"),
        Column("key"),
        Column("tenant_id", "{}".format, "tenant"),
        Column("row_count", number, "rows"),
        Column("old_values", lambda value: json_of(value), "old"),
        Column("new_values", lambda value: json_of(value), "new"),
        Column("via"),
        Column("reason"),
    ),
    Violation: (Column("check_name", title="check"), Column("subject"), Column("detail")),
}


def make_console() -> Console:
    # Into a file or a pipe nothing is cut or wrapped.
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 1_000
    return console


def _print_rows(row: type, rows: Sequence[Any], title: str, empty: str) -> None:
    """Print rows of one dataclass in the format asked for."""
    if _settings().format == "json":
        _print_json([asdict(item) for item in rows])
    elif _settings().format == "csv":
        _print_csv([item.name for item in fields(row)], (vars(item).values() for item in rows))
    elif rows:
        print_titled(title, make_table(COLUMNS[row], rows))
    else:
        _say(empty)


def _print_one(values: Mapping[str, Any], title: str, shown: Iterable[tuple[str, str]]) -> None:
    """Print one thing: its values to programs, what is shown of it to people."""
    if _settings().format == "json":
        _print_json(dict(values))
    elif _settings().format == "csv":
        _print_csv(values.keys(), [values.values()])
    else:
        table = Table(show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, text in shown:
            table.add_row(name, Text(printable(text)))
        print_titled(title, table)


def print_titled(title: str, table: Table) -> None:
    # A title of rich's own would be folded to the table's width, and padded.
    console = make_console()
    console.print(Text(printable(title), style="bold"))
    console.print(table)


def json_of(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON, its decimals as texts."""
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False)


def _print_json(value: Any) -> None:
    click.echo(json_of(value, indent=2))


def _print_csv(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    writer = csv.writer(_LinesOfUnix(), lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows(map(_cell, row) for row in rows)


class _LinesOfUnix:
    """Standard output for a csv.writer, which puts \\r in quotes only where it ends a line."""

    def write(self, row: str) -> int:
        return sys.stdout.write(row.removesuffix("\r\n") + "\n")


def _cell(value: Any) -> Any:
    """Return a value as CSV gives it: texts such that no spreadsheet runs them, lists as JSON."""
    if isinstance(value, (Mapping, list, tuple)):
        value = json_of(value)
    return guard(value) if isinstance(value, str) else _plain(value)


# Arguments

ID = click.IntRange(0, 2**63 - 1)
TENANT = click.argument("tenant_id", type=ID)
ROLE = click.option("--role", help="Do it as this role, which owns billing and need not log in.")


def day(value: str | date) -> date:
    """Parse a day, YYYY-MM-DD. Raises click.BadParameter."""
    try:
        return value if isinstance(value, date) else date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a day as in 2025-11-30") from None


def decimal(value: str | Decimal) -> Decimal:
    """Parse a quantity, finite and not negative, as it is written. Raises click.BadParameter."""
    try:
        result = Decimal(value)
    except ArithmeticError:
        raise click.BadParameter(f"{value!r} is not a number") from None
    if not result.is_finite() or result < 0:
        raise click.BadParameter(f"{value!r} is not a quantity")
    return result


def day_or_instant(value: str | date) -> date:
    """Parse a day, or an instant with its offset from UTC. Raises click.BadParameter."""
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        pass
    try:
        result = datetime.fromisoformat(value)
    except ValueError:
        result = None
    if result is None or result.tzinfo is None:
        expected = "a day as in 2025-11-30 nor an instant as in 2025-11-30T18:00+01:00"
        raise click.BadParameter(f"{value!r} is neither {expected}")
    return result


def end_of(client: Client, tenant_id: int, at: date | None) -> datetime | None:
    """Return an instant as it is, and of a day its last one where the tenant is."""
    if at is None or isinstance(at, datetime):
        return at
    return client.end_of_day(tenant_id, at)


def _today() -> date:
    """Return the latest day that has begun anywhere (UTC+14): no tenant's today is left out."""
    return datetime.now(timezone(timedelta(hours=14))).date()


def _client() -> Client:
    return Client(_settings().conninfo())


@contextmanager
def _client_of_one_instant() -> Iterator[Client]:
    """Yield a client to which now is always the same, and the prices too."""
    with connect(_settings().conninfo()) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            yield Client(connection)


# Commands


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@_database_option
@_format_option
@click.version_option(package_name="irisx-usage")
def main() -> None:
    """Usage metering, rating and billing inside PostgreSQL."""


@main.command()
@_database_option
@_format_option
@click.option(
    "--lock-timeout",
    default="3s",
    show_default=True,
    help="The longest that the application may have to wait behind a change.",
)
@ROLE
def migrate(lock_timeout: str, role: str | None) -> None:
    """Install or update; safe to repeat, and beside a running application."""
    conninfo = _settings().conninfo()
    report = deploy.migrate(conninfo, role=role, lock_timeout=lock_timeout, on_step=_say)
    if _settings().format == "json":
        _print_json(asdict(report))
    elif _settings().format == "csv":
        done = [(name, path) for name, paths in asdict(report).items() for path in paths]
        _print_csv(("action", "file"), done)
    _say("done" if report else "up to date")


@main.command()
@_database_option
def demo() -> None:
    """Show it all on a platform of made-up tenants, calls and messages."""
    from pyapi.demo import run

    run(_settings().configured())


@main.command()
@TENANT
@click.option("--as-of", type=day, help="A day of the period; default today.")
@_database_option
@_format_option
def current(tenant_id: int, as_of: date | None) -> None:
    """Show the usage of a tenant's current billing period."""
    with _client() as client:
        at = end_of(client, tenant_id, as_of)
        period = client.billing_period(tenant_id, at)
        usage = client.current_period_usage(tenant_id, at)
    span = f"{period.period_start} to {period.period_end}"
    title = f"Usage of tenant {tenant_id}, {span}"
    _print_rows(Usage, usage, title, f"tenant {tenant_id} has no usage from {span}")


@main.command()
@TENANT
@click.option("--from", "start", type=day, help="The first day; default 30 days up to --to.")
@click.option("--to", "end", type=day, help="The last day; default today.")
@click.option(
    "--interval", type=click.Choice(("day", "week", "month")), default="day", show_default=True
)
@_database_option
@_format_option
def history(tenant_id: int, start: date | None, end: date | None, interval: str) -> None:
    """Show a tenant's usage by day, week or month."""
    end = end or _today()
    start = start or end - min(timedelta(days=29), end - date.min)
    if start > end:
        raise click.BadParameter("the first day is after the last", param_hint="--from")
    with _client() as client:
        usage = client.usage_history(tenant_id, start, end, interval)
    title = f"Usage of tenant {tenant_id} by {interval}, {start} to {end}"
    _print_rows(UsageBucket, usage, title, f"tenant {tenant_id} has no usage from {start} to {end}")


def _noon_of(client: Client, tenant_id: int, at: date | None) -> datetime | None:
    if at is None or isinstance(at, datetime):
        return at
    return client.end_of_day(tenant_id, at) - timedelta(hours=12, microseconds=-1)


def _print_invoice(found: InvoiceWithLines) -> None:
    if _settings().format == "json":
        _print_json(asdict(found))
        return
    title = (
        f"Invoice {found.invoice_number or found.id} ({found.status}) of tenant {found.tenant_id},"
        f" {found.period_start} to {found.period_end}"
    )
    _print_rows(InvoiceLine, found.lines, title, f"{title}: no lines")
    if _settings().format == "table":
        parts = [("subtotal", found.subtotal), ("tax", found.tax), ("total", found.total_amount)]
        if found.status in ("pending", "overdue"):
            paid = found.amount_paid + found.amount_credited
            parts.append(("due", found.total_amount - paid))
        shown = (f"{name} {money(amount, found.currency)}" for name, amount in parts)
        make_console().print(" · ".join(shown))


@main.command()
@TENANT
@click.option("--as-of", type=day, help="At the end of this day; default now.")
@_database_option
@_format_option
def balance(tenant_id: int, as_of: date | None) -> None:
    """Show what a tenant has, has used, has reserved, and has left."""
    with _client() as client:
        found = client.balance(tenant_id, end_of(client, tenant_id, as_of))
    shown = [(item.name.replace("_", " "), money(getattr(found, item.name))) for item in _BALANCE]
    _print_one(asdict(found), f"Balance of tenant {tenant_id}", shown)


_BALANCE = fields(Balance)


@main.command()
@TENANT
@click.argument("to_number", required=False)
@click.option("--seconds", type=decimal, help="How long the call lasts.")
@click.option("--channel", help="sms, email, whatsapp, social ...; without it, a call.")
@click.option("--resource", default="message", show_default=True, help="The resource type.")
@click.option("--quantity", type=decimal, default="1", show_default=True)
@click.option("--to", "destination", help="The number or address that it goes to.")
@click.option(
    "--at",
    type=day_or_instant,
    help="A day (its noon), or an instant as in 2025-11-30T18:00+01:00; default now.",
)
@_database_option
@_format_option
def quote(
    tenant_id: int,
    to_number: str | None,
    seconds: Decimal | None,
    channel: str | None,
    resource: str,
    quantity: Decimal,
    destination: str | None,
    at: date | None,
) -> None:
    """Show what a call, or a quantity of something else, would cost, and why."""
    found: Quote
    if channel is not None:
        if seconds is not None:
            raise click.UsageError("--seconds is for calls: use it without --channel")
        with _client_of_one_instant() as client:
            when = _noon_of(client, tenant_id, at)
            asked = tenant_id, channel, resource, quantity, destination or to_number, when
            found = client.quote(*asked)
            why = client.explain_quote(*asked)
        title = f"{number(quantity)} {channel} {resource} for tenant {tenant_id}"
    else:
        if to_number is None or seconds is None:
            raise click.UsageError("a call needs TO_NUMBER and --seconds, all else --channel")
        with _client_of_one_instant() as client:
            when = _noon_of(client, tenant_id, at)
            found = client.quote_call(tenant_id, to_number, seconds, when)
            why = client.explain_quote_call(tenant_id, to_number, seconds, when)
        title = f"A call of {number(seconds)} s to {to_number} for tenant {tenant_id}"
    shown = [
        ("billed quantity", number(Decimal(f"{found.billed_quantity:.4f}"))),
        ("unit cost", money(found.unit_cost, found.currency)),
        ("total cost", money(found.total_cost, found.currency)),
    ]
    if isinstance(found, CallQuote):
        shown.insert(0, ("billed seconds", number(found.billed_seconds)))
    rows = [asdict(row) for row in why]
    if _settings().format == "csv":
        # One row as ever: the explanation, which has rows of its own, is JSON in its last field.
        _print_one(asdict(found) | {"explanation": json_of(rows)}, title, shown)
    else:
        _print_one(asdict(found) | {"explanation": rows}, title, shown)
    if _settings().format == "table":
        print_titled("Why", make_table(COLUMNS[Explanation], why))


@main.command()
@click.argument("record_id", type=ID)
@click.option("--tenant", "tenant_id", type=ID, help="Whose record it is: found faster.")
@_database_option
@_format_option
def explain(record_id: int, tenant_id: int | None) -> None:
    """Show why a usage record costs what it costs."""
    with _client() as client:
        why = client.explain_rating(record_id, tenant_id)
    _print_rows(Explanation, why, f"Why record {record_id} costs what it costs", "")


@main.command()
@click.option("--plan", metavar="NAME", required=True, help="As billing.pricing_plans names it.")
@click.option("--tenant", "tenant_id", type=ID, help="Default: every tenant in its currency.")
@click.option("--from", "start", type=day, required=True, help="A day of the first period.")
@click.option("--to", "end", type=day, required=True, help="A day of the last period.")
@_database_option
@_format_option
def simulate(plan: str, tenant_id: int | None, start: date, end: date) -> None:
    """Show what the real usage of whole billing periods would have cost on a plan."""
    with _client() as client:
        lines = client.simulate_plan(tenant_id, plan, start, end)
    title = f"Invoices on plan {plan}, periods from {start} to {end}"
    _print_rows(SimulatedLine, lines, title, "nothing to pay")
    if lines and _settings().format == "table":
        for currency in sorted({line.currency for line in lines}):
            amounts = (line.amount for line in lines if line.currency == currency)
            make_console().print(f"total {money(sum(amounts, Decimal()), currency)}")


@main.group()
def rerate() -> None:
    """Charge usage by the prices entered since: propose, show, apply."""


PROPOSAL = click.argument("proposal_id", type=ID)


@rerate.command()
@click.option("--from", "start", type=day, required=True, help="The first day.")
@click.option("--to", "end", type=day, required=True, help="The last day, included.")
@click.option("--tenant", "tenant_id", type=ID, help="Default: every tenant.")
@_database_option
@_format_option
def propose(start: date, end: date, tenant_id: int | None) -> None:
    """Keep what would change as a proposal; no charge is touched."""
    with _client() as client:
        proposal_id = client.propose_rerating(start, end, tenant_id)
        charges = client.rerating(proposal_id)
    difference = sum((charge.difference or Decimal() for charge in charges), Decimal())
    unpriced = sum(charge.problem is not None for charge in charges)
    values = {
        "proposal_id": proposal_id,
        "charges": len(charges) - unpriced,
        "without_price": unpriced,
        "difference": difference,
    }
    shown = [
        ("charges that change", number(len(charges) - unpriced)),
        ("charges without a price", number(unpriced)),
        ("difference, without prices of periods", money(difference)),
    ]
    _print_one(values, f"Re-rating proposal {proposal_id}", shown)


@rerate.command()
@PROPOSAL
@_database_option
@_format_option
def show(proposal_id: int) -> None:
    """Show the charges of a proposal, old and new."""
    with _client() as client:
        charges = client.rerating(proposal_id)
    title = f"Re-rating proposal {proposal_id}"
    _print_rows(ReratedCharge, charges, title, "nothing changes")


@rerate.command()
@PROPOSAL
@_database_option
@_format_option
def apply(proposal_id: int) -> None:
    """Replace the charges of a proposal; twice is once."""
    with _client() as client:
        replaced = client.apply_rerating(proposal_id)
    values = {"proposal_id": proposal_id, "replaced": replaced}
    title = f"Re-rating proposal {proposal_id}"
    _print_one(values, title, [("charges replaced", number(replaced))])


@main.command()
@click.option("--drop-data", is_flag=True, help="Also drop all records, prices and invoices.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@ROLE
@_database_option
def uninstall(drop_data: bool, yes: bool, role: str | None) -> None:
    """Stop metering and remove functions and views; your own tables stay."""
    conninfo = _settings().conninfo()
    if drop_data and not yes:
        click.confirm("Drop every usage record, price and invoice?", abort=True, err=True)
    deploy.uninstall(conninfo, drop_data=drop_data, role=role, on_step=_say)
    _say("done")


if __name__ == "__main__":
    from pyapi import cli  # Not this copy of the module, which other modules do not know.

    cli.main()

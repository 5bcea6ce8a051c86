"""Rate decks: irisx-usage rates import, export, list, diff and gaps.

Here a file becomes lines of named fields, and no more: what a line means, what is wrong with it and
what it changes is said by billing.compare_deck and billing.import_deck.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pyapi import cli
from pyapi.client import DeckRate, Rate, RateChange, RateDifference, RateGap
from pyapi.errors import BadTermsError, OverlappingRateError, UsageError
from pyapi.text import unguard

SAMPLE = 20
"""How many changes a table shows; csv and json give all."""

Line = dict[str, Any]
Command = TypeVar("Command", bound=Callable[..., Any])

ALIASES: Mapping[str, tuple[str, ...]] = {
    "prefix": (
        "prefix", "dial code", "dialcode", "dial prefix", "code", "area code", "destination code",
        "number", "destination",
    ),
    "unit_price": (
        "unit price", "price", "rate", "price per minute", "rate per minute", "price/min",
        "rate/min", "price per min", "rate per min", "cost", "tariff",
    ),
    "connection_fee": (
        "connection fee", "connect fee", "connection charge", "setup fee", "connect",
    ),
    "initial_increment": (
        "initial increment", "initial interval", "first increment", "first interval",
        "minimum duration", "min dur", "min duration", "interval 1",
    ),
    "billing_increment": (
        "billing increment", "billing increments", "increment", "increments", "next increment",
        "subsequent increment", "next interval", "incr", "interval n", "rounding", "billing",
    ),
    "minimum_charge": ("minimum charge", "min charge", "minimum price"),
    "description": (
        "description", "destination name", "name", "destination", "country", "route", "network",
    ),
    "band": ("band", "time band", "time slot", "period"),
}  # fmt: skip
"""Columns that are known by their names: in this order, lower case, _ and - read as a space."""

cli.COLUMNS.update(
    {
        RateChange: (
            cli.Column("action"),
            cli.Column("line", "{}".format),
            cli.Column("prefix"),
            cli.Column("old_price", cli.money),
            cli.Column("new_price", cli.money),
            cli.Column("reason"),
        ),
        Rate: (
            cli.Column("channel"),
            cli.Column("resource_type", title="resource"),
            cli.Column("prefix"),
            cli.Column("unit_price", cli.money, "price"),
            cli.Column("connection_fee", cli.money),
            cli.Column("initial_increment", cli.number, "first"),
            cli.Column("billing_increment", cli.number, "then"),
            cli.Column("minimum_charge", cli.money, "at least"),
            cli.Column("charge_model", title="model"),
            cli.Column("currency"),
            cli.Column("effective_from", lambda at: show_instant(at), "from"),
            cli.Column("effective_until", lambda at: show_instant(at), "until"),
            cli.Column("description"),
        ),
        RateDifference: (
            cli.Column("action"),
            cli.Column("channel"),
            cli.Column("resource_type", title="resource"),
            cli.Column("prefix"),
            cli.Column("old_price", cli.money),
            cli.Column("new_price", cli.money),
            cli.Column("reason"),
        ),
        RateGap: (
            cli.Column("channel"),
            cli.Column("resource_type", title="resource"),
            cli.Column("prefix"),
            cli.Column("gap_from", lambda at: show_instant(at), "from"),
            cli.Column("gap_until", lambda at: show_instant(at), "until"),
            cli.Column("steps_in", lambda prefix: prefix or "every destination"),
            cli.Column("rate_id", "{}".format, "its rate"),
        ),
    }
)


# Arguments


def instant(value: str | datetime) -> datetime:
    """Parse an instant: ISO 8601, a day its midnight, UTC where no zone is given; or now."""
    if isinstance(value, datetime):
        return value
    if value == "now":
        return datetime.now(timezone.utc)
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            return datetime.combine(date.fromisoformat(value), time(), timezone.utc)
        # Python 3.10 does not know Z, nor a zone without minutes.
        known = re.sub(r"[zZ]$", "+00:00", re.sub(r"([+-]\d{2})$", r"\1:00", value))
        if "T" not in known and " " not in known:
            raise ValueError
        at = datetime.fromisoformat(known)
        at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
        at.astimezone(timezone.utc)  # Where UTC has no such year it is no instant.
        return at
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is not an instant as in 2026-01-31 or 2026-01-31T18:00+01:00, nor now"
        ) from None


def show_instant(at: datetime) -> str:
    return at.astimezone(timezone.utc).isoformat(" ", "auto").replace("+00:00", " UTC")


def _card(value: str) -> str:
    if not re.fullmatch(r"default|plan:.+|tenant:\d{1,18}", value):
        raise click.BadParameter(f"{value!r} is not default, plan:NAME or tenant:ID")
    return value


def _positive(value: str | Decimal) -> Decimal:
    number = cli.decimal(value)
    if number == 0:
        raise click.BadParameter(f"{value!r} is not above zero")
    return number


CARD = click.option(
    "--card", metavar="CARD", type=_card, required=True, help="default, plan:NAME or tenant:ID."
)
CHANNEL = click.option("--channel", default="voice", show_default=True)
RESOURCE = click.option("--resource", default="minute", show_default=True)
ANY_CHANNEL = click.option("--channel", help="Default: every channel.")
ANY_RESOURCE = click.option("--resource", help="Default: every resource.")
AT = click.option("--at", type=instant, help="As in force at this instant; default now.")


def _standard(command: Command) -> Command:
    return cli._database_option(cli._format_option(command))


# Reading a file


class DeckError(UsageError):
    """A file cannot be read as a rate deck."""


def read_lines(
    data: bytes,
    columns: Mapping[str, str],
    *,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    decimal_comma: bool = False,
    increments: str | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Line]:
    """Return the lines of a CSV file as billing.read_deck takes them. Raises DeckError.

    columns: field to column, before the names that are known. advance: called with bytes read.
    """
    text = _decode(data, encoding)
    if not text.strip():
        raise DeckError("the file is empty")
    delimiter = delimiter or _guess_delimiter(text)
    lines: list[Line] = []
    where: dict[str, int] = {}
    size, total = 0, max(1, text.count("\n"))
    for number, row in _rows(text, delimiter):
        if not any(cell.strip() for cell in row):
            continue
        if not where:
            where, size = _find_columns(row, columns), len(row)
            continue
        line: Line = {"line": number}
        if len(row) != size:
            line["problem"] = f"{len(row)} columns, where the header has {size}"
        for field, index in where.items():
            if index < len(row):
                line[field] = _clean(field, row[index], decimal_comma)
        if increments and not line.get("billing_increment") and not line.get("initial_increment"):
            line["billing_increment"] = increments
        lines.append(line)
        if len(lines) % 1_000 == 0:
            advance(len(data) * number // total)
    if not lines:
        raise DeckError("the file has a header and no lines")
    return lines


def _decode(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DeckError(
            f"line {number} is not {encoding}: byte {data[error.start]:#04x}",
            hint="name the encoding of the file, say --encoding cp1252",
        ) from None
    except LookupError:
        raise DeckError(f"unknown encoding {encoding}") from None
    if "\0" in text:
        number = text.count("\n", 0, text.index("\0")) + 1
        raise DeckError(f"line {number} has a NUL character", hint="is this a CSV file, and UTF-8?")
    return text


def _guess_delimiter(text: str) -> str:
    header = next(line for line in text.splitlines() if line.strip())
    return max(",;\t|", key=header.count)


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row and the number of the line on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for row in reader:
            yield begins, row
            begins = reader.line_num + 1
    except csv.Error as error:
        raise DeckError(f"line {begins} cannot be read: {error}") from None


def _find_columns(header: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    names = [_known(name) for name in header]
    where: dict[str, int] = {}
    for field, column in columns.items():
        if names.count(_known(column)) != 1:
            raise DeckError(
                f"there is no one column {column!r} for {field}",
                detail=f"the header is: {', '.join(header)}",
            )
        where[field] = names.index(_known(column))
    for field, aliases in ALIASES.items():
        if field not in where:
            free = [alias for alias in aliases if names.count(alias) == 1]
            free = [alias for alias in free if names.index(alias) not in where.values()]
            if free:
                where[field] = names.index(free[0])
    missing = [field for field in ("prefix", "unit_price") if field not in where]
    if missing:
        raise DeckError(
            f"no column is known for {' and '.join(missing)}",
            detail=f"the first line is: {', '.join(header)[:200]}",
            hint=f"the first line names the columns; say which: --map {missing[0]}=COLUMN",
        )
    return where


def _known(name: str) -> str:
    return " ".join(re.sub(r"[_-]", " ", name).lower().split())


def _clean(field: str, cell: str, decimal_comma: bool) -> str:
    if field == "description":
        return unguard(cell)
    cell = cell.strip()
    if field == "band":
        return unguard(cell)
    if decimal_comma and field != "prefix":
        return cell.replace(",", ".")
    return cell


# Commands


@click.group()
def rates() -> None:
    """Rate cards: import and export decks, list, compare, find gaps."""


@rates.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@CARD
@CHANNEL
@RESOURCE
@click.option("--currency", default="USD", show_default=True, help="ISO 4217.")
@click.option(
    "--effective-from",
    type=instant,
    required=True,
    metavar="WHEN",
    help="From when the deck holds: a day or an instant, UTC unless it has a zone, or now.",
)
@click.option(
    "--map", "mapped", multiple=True, metavar="FIELD=COLUMN", help=f"Fields: {', '.join(ALIASES)}."
)
@click.option("--delimiter", help="Default: what the header has most of , ; tab and |.")
@click.option("--encoding", default="utf-8", show_default=True)
@click.option("--decimal-comma", is_flag=True, help="Numbers are written as in 0,015.")
@click.option(
    "--price-divisor",
    metavar="NUMBER",
    type=_positive,
    default="1",
    help="10000: prices are in 1/10000.",
)
@click.option("--increments", metavar="FIRST/THEN", help="Where the file has none; default 1/1.")
@click.option("--international-prefix", metavar="00", help="To take off the prefixes.")
@click.option("--calendar", help="The calendar whose bands the file names in column band.")
@click.option("--base-band", help="The band that gives the price outside of bands; default flat.")
@click.option("--keep-missing", is_flag=True, help="Leave prices that the file does not name.")
@click.option("--replace-future", is_flag=True, help="Withdraw prices that were to begin later.")
@click.option("--skip-bad", is_flag=True, help="Import the rest of a file that has bad lines.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@_standard
def import_deck(
    file: str,
    card: str,
    channel: str,
    resource: str,
    currency: str,
    effective_from: datetime,
    mapped: tuple[str, ...],
    delimiter: str | None,
    encoding: str,
    decimal_comma: bool,
    increments: str | None,
    dry_run: bool,
    skip_bad: bool,
    **options: Any,
) -> None:
    """Put a CSV of prefixes and prices in force on a card, whole or not at all.

    Prices that change are ended and followed by new ones, prefixes that the file leaves out are
    ended, and what stays the same is left alone. One bad line refuses the file.
    """
    if delimiter is not None and len(delimiter) != 1:
        raise click.BadParameter("it is one character", param_hint="--delimiter")
    columns = _parse_map(mapped)
    with click.open_file(file, "rb") as opened:
        data = opened.read()
    with _progress() as progress:
        task = progress.add_task("reading", total=max(1, len(data)))
        lines = read_lines(
            data,
            columns,
            delimiter=delimiter,
            encoding=encoding,
            decimal_comma=decimal_comma,
            increments=increments,
            advance=lambda done: progress.update(task, completed=done),
        )
        progress.update(task, completed=max(1, len(data)))
        task = progress.add_task("comparing" if dry_run else "writing", total=None)
        deck = (lines, card, channel, resource, effective_from)
        refused: UsageError | None = None
        with cli._client() as client:
            if dry_run:
                changes = client.compare_deck(*deck, currency=currency, **options)
            else:
                try:
                    changes = client.import_deck(
                        *deck, currency=currency, skip_bad=skip_bad, **options
                    )
                except (BadTermsError, OverlappingRateError) as error:
                    refused = error
                    changes = client.compare_deck(*deck, currency=currency, **options)
        progress.update(task, total=1, completed=1)

    bad = [item for item in changes if item.action in ("rejected", "conflict")]
    _print_changes(
        bad if refused else changes, f"{file} on {card} from {show_instant(effective_from)}"
    )
    _say_counts(changes, len(lines))
    if refused is not None:
        detail = None if bad else refused.detail
        cli._fail(f"nothing was written: {refused.message}", detail, _HINTS[type(refused)])
    conflicts = any(item.action == "conflict" for item in changes)
    if dry_run:
        cli._say("dry run: nothing was written")
        if conflicts or (bad and not skip_bad):
            raise click.exceptions.Exit(1)
    elif effective_from < datetime.now(timezone.utc) and len(changes) > _count(
        changes, "unchanged", "rejected"
    ):
        cli._say("usage since then keeps its price until it is re-rated")


_HINTS: Mapping[type[UsageError], str] = {
    BadTermsError: "mend the lines, or import the rest with --skip-bad",
    OverlappingRateError: "choose a later --effective-from, or withdraw prices that have not begun"
    " with --replace-future",
}


@rates.command("export")
@CARD
@CHANNEL
@RESOURCE
@AT
@cli._database_option
def export_deck(card: str, channel: str, resource: str, at: datetime | None) -> None:
    """Print a card's prices as a CSV that import reads back."""
    with cli._client() as client:
        deck = client.export_deck(card, channel, resource, at)
        in_force = len(client.rates(card, channel, resource, None, at))
    names = [field.name for field in fields(DeckRate)]
    cli._print_csv(names, (asdict(rate).values() for rate in deck))
    left_out = in_force - sum(not rate.band for rate in deck)
    if left_out:
        cli._say(f"{left_out} prices have terms that a deck cannot say, and are not in it")


@rates.command("list")
@CARD
@ANY_CHANNEL
@ANY_RESOURCE
@click.option("--prefix", help="Only prefixes that begin like this, with or without +.")
@AT
@_standard
def list_rates(
    card: str, channel: str | None, resource: str | None, prefix: str | None, at: datetime | None
) -> None:
    """List a card's prices."""
    with cli._client() as client:
        found = client.rates(card, channel, resource, prefix, at)
    cli._print_rows(Rate, found, f"Prices of {card}", f"{card} has no such prices")


@rates.command("diff")
@CARD
@ANY_CHANNEL
@ANY_RESOURCE
@click.option("--from", "start", type=instant, required=True, metavar="WHEN")
@click.option("--to", "end", type=instant, default="now", metavar="WHEN", help="Default now.")
@_standard
def diff_rates(
    card: str, channel: str | None, resource: str | None, start: datetime, end: datetime
) -> None:
    """Show which prices of a card differ between two instants."""
    with cli._client() as client:
        found = client.rate_differences(card, start, end, channel, resource)
    title = f"Prices of {card}, {show_instant(start)} to {show_instant(end)}"
    cli._print_rows(RateDifference, found, title, f"{title}: no difference")


@rates.command("gaps")
@CARD
@ANY_CHANNEL
@ANY_RESOURCE
@click.option("--since", type=instant, metavar="WHEN", help="Only what reaches beyond this.")
@_standard
def find_gaps(card: str, channel: str | None, resource: str | None, since: datetime | None) -> None:
    """Show when a prefix that had a price has none, and which shorter one steps in."""
    with cli._client() as client:
        found = client.rate_gaps(card, channel, resource, since)
    cli._print_rows(RateGap, found, f"Gaps of {card}", f"{card} has no gaps")


def _parse_map(mapped: Sequence[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for item in mapped:
        field, _, column = item.partition("=")
        if field not in ALIASES or not column or field in columns:
            raise click.BadParameter(
                f"{item!r} is not FIELD=COLUMN with each field once, of {', '.join(ALIASES)}",
                param_hint="--map",
            )
        columns[field] = column
    return columns


def _count(changes: Sequence[RateChange], *actions: str) -> int:
    return sum(item.action in actions for item in changes)


def _say_counts(changes: Sequence[RateChange], lines: int) -> None:
    counts = Counter(item.action for item in changes)
    actions = ("added", "changed", "unchanged", "ended", "withdrawn", "conflict", "rejected")
    shown = [f"{cli.number(counts[a])} {a}" for a in actions if counts[a] or a in actions[:4]]
    cli._say(f"{cli.number(lines)} lines: {', '.join(shown)}")


def _print_changes(changes: Sequence[RateChange], title: str) -> None:
    """Print what is not unchanged: to people all bad lines and a sample of the rest."""
    shown = [item for item in changes if item.action != "unchanged"]
    left_out = 0
    if cli._settings().format == "table":
        bad = [item for item in shown if item.action in ("rejected", "conflict")]
        rest = [item for item in shown if item.action not in ("rejected", "conflict")]
        left_out = len(rest[SAMPLE:])
        shown = [*bad, *rest[:SAMPLE]]
    cli._print_rows(RateChange, shown, title, "nothing changes")
    if left_out:
        cli._say(f"and {cli.number(left_out)} more changes: -f csv or -f json give all")


@contextmanager
def _progress() -> Iterator[Progress]:
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress

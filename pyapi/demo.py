"""`irisx-usage demo`: a platform of six made-up tenants, billed while you watch.

The demo is an application like any other: it inserts calls and messages as they begin, completes
them with plain UPDATEs, and never asks for billing. What it then shows, the engine has done by
itself; most of it is printed by the commands of `irisx-usage`, so that everything can be repeated.

The data follow from the instant of the first run alone, which the tenants keep as created_at. A
later run finds its rows, completes what an interrupted one left unfinished, and adds nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click
import psycopg
from psycopg.rows import class_row
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from pyapi import cli, demo_credit, deploy
from pyapi.alerts import describe
from pyapi.client import Client, Period, Violation
from pyapi.connection import connect
from pyapi.credit import ALERT
from pyapi.demo_platform import (
    CALLS,
    CALLS_IN_ALL,
    CARDS,
    HERO,
    INVOICED,
    MESSAGES,
    MESSAGES_IN_ALL,
    MISSING_PRICE,
    SHOWN_CALL,
    TENANTS,
    WITH_OWN_CARD,
    WITHOUT_A_RATE,
    Price,
    Source,
    Span,
    State,
    Story,
    imagine,
)
from pyapi.embedded import ServerError, project, project_server
from pyapi.errors import UsageError, translated

BATCH = 200
HISTORY_DAYS = 3

Connection = psycopg.Connection[tuple[Any, ...]]
Row = TypeVar("Row")


def run(database: str | None) -> None:
    """Load the demo's platform and show what was billed; a second run only shows.

    database: where to; None starts the project's own embedded server. A database that has tenants
    already is refused, unless they are the demo's.

    Raises UsageError.
    """
    started = time.monotonic()
    conninfo = _start_embedded() if database is None else database
    with translated(), connect(conninfo) as connection:
        _refuse_strangers(connection)
    deploy.migrate(conninfo, on_step=_say)
    with translated(), connect(conninfo) as connection:
        # Of two demos at once, the second waits and then finds all there.
        connection.execute("SELECT pg_advisory_lock(hashtextextended('irisx-usage demo', 0))")
        connection.execute("SET search_path = public")
        loaded = load(connection)
        program = _program(needs_address=database not in (None, _address_at_hand()))
        Tour(connection, conninfo, loaded, program).show()
    _tell_what_next(loaded, program, embedded=database is None)
    _say(f"done in {time.monotonic() - started:.0f} s")


def _start_embedded() -> str:
    try:
        server = project_server()
        if server.pid is None:
            _say("starting a PostgreSQL of its own ...")
        return server.start().conninfo()
    except (ServerError, OSError) as error:
        raise UsageError(str(error)) from error


def _refuse_strangers(connection: Connection) -> None:
    """Keep made-up tenants, prices and calls out of a database that is somebody's own."""
    installed = _exists(connection, "billing.deployed_files")
    for table in ("tenants", "calls", "messages"):
        if not _exists(connection, f"public.{table}"):
            continue
        if installed and table == "tenants" and len(_find_tenants(connection)[0]) == len(TENANTS):
            return
        rows = connection.execute(f"SELECT EXISTS (SELECT FROM public.{table})".encode())
        if rows.fetchone() == (True,) or not installed:
            raise UsageError(
                f"this database has {table} of its own: the demo does not mix with them",
                hint="name an empty database, or none: then the demo starts a server of its own",
            )


def _exists(connection: Connection, table: str) -> bool:
    query = "SELECT to_regclass(%s) IS NOT NULL"
    return connection.execute(query, [table]).fetchone() == (True,)


# Loading it ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """Where the demo's tenants are, by their order in TENANTS, and when it was first run."""

    tenant_ids: tuple[int, ...]
    first_run: datetime
    today: date  # of the first run, where HERO is
    updates: int


def load(connection: Connection) -> Loaded:
    """Put the platform there, or find it, and complete every row that is not complete yet."""
    tenant_ids, first_run = _find_tenants(connection)
    new = not tenant_ids
    if new:
        first_run = datetime.now(timezone.utc).replace(microsecond=0)
    with connection.transaction():
        if new:
            tenant_ids = _insert_tenants(connection, first_run)
        spans = [_span(connection, each, first_run) for each in tenant_ids]
        stories = imagine(spans)
        if new:
            for source in (CALLS, MESSAGES):
                _insert_begun(connection, source, [s for s in stories if s.source is source])
    updates = _complete(connection, stories)
    Client(connection).maintain()
    today = (first_run + spans[HERO].utc_offset).date()
    return Loaded(tenant_ids, first_run, today, updates)


def _find_tenants(connection: Connection) -> tuple[tuple[int, ...], datetime]:
    """Return the demo's tenants, none or in the order of TENANTS, and when they were made."""
    found = connection.execute(
        """
        SELECT array_agg(id ORDER BY n), min(created_at)
          FROM (
                SELECT DISTINCT ON (n) n, t.id, t.created_at
                  FROM unnest(%s::text[]) WITH ORDINALITY AS names (name, n)
                  JOIN public.tenants AS t ON t.company_name = names.name
                 ORDER BY n, t.id
               ) AS ours
        """,
        [[tenant.company_name for tenant in TENANTS]],
    ).fetchone()
    assert found is not None
    return tuple(found[0] or ()), found[1]


def _insert_tenants(connection: Connection, first_run: datetime) -> tuple[int, ...]:
    """Plans, tenants, cards and credit: what a platform sets up before the first call."""
    connection.execute(
        """
        INSERT INTO billing.pricing_plans
            (name, display_name, description, monthly_base_fee, included_credits, currency)
        VALUES ('enterprise_eu', 'Enterprise Plan EU', 'Enterprise, in euro', 449, 180, 'EUR')
        ON CONFLICT (name) DO NOTHING
        """
    )
    ids = []
    for tenant in TENANTS:
        row = connection.execute(
            """
            INSERT INTO tenants
                (company_name, plan_id, timezone, billing_cycle_day, currency, created_at)
            SELECT %s, id, %s, %s, %s, %s FROM billing.pricing_plans WHERE name = %s
            RETURNING id
            """,
            [
                *(tenant.company_name, tenant.timezone, tenant.billing_cycle_day),
                *(tenant.currency, first_run, tenant.plan),
            ],
        ).fetchone()
        assert row is not None
        ids.append(int(row[0]))
        if tenant.credit:
            Client(connection).grant_credit(ids[-1], tenant.credit, "purchase", "demo top-up")
    for price in CARDS:
        _insert_price(connection, price, first_run)
    return tuple(ids)


def _insert_price(connection: Connection, price: Price, first_run: datetime) -> None:
    """On the card of the plan or the tenant of that name, in its currency, for a year already."""
    owner, channel, resource, prefix, unit_price, initial, increment, fee, description = price
    connection.execute(
        """
        INSERT INTO billing.pricing_rates
            (plan_id, tenant_id, channel, resource_type, prefix, unit_price, initial_increment,
             billing_increment, connection_fee, description, currency, effective_from)
        SELECT owner.plan_id, owner.tenant_id, %s, %s, %s, %s, %s, %s, %s, %s, owner.currency, %s
          FROM (
                SELECT id AS plan_id, NULL::bigint AS tenant_id, currency
                  FROM billing.pricing_plans WHERE name = %s
                UNION ALL
                SELECT NULL, id, currency FROM tenants WHERE company_name = %s
               ) AS owner
        """,
        [
            *(channel, resource, prefix, Decimal(unit_price), initial, increment, Decimal(fee)),
            *(description, first_run - timedelta(days=365), owner, owner),
        ],
    )


def _span(connection: Connection, tenant_id: int, first_run: datetime) -> Span:
    row = connection.execute(
        """
        SELECT previous.period_start::timestamp AT TIME ZONE t.timezone,
               current.period_start::timestamp AT TIME ZONE t.timezone,
               (%(at)s AT TIME ZONE t.timezone) - (%(at)s AT TIME ZONE 'UTC')
          FROM tenants AS t
          CROSS JOIN LATERAL billing.get_billing_period(t.id, %(at)s) AS current
          CROSS JOIN LATERAL billing.get_billing_period(
                t.id, (current.period_start - 1)::timestamp AT TIME ZONE t.timezone
          ) AS previous
         WHERE t.id = %(id)s
        """,
        {"id": tenant_id, "at": first_run},
    ).fetchone()
    assert row is not None
    return Span(tenant_id, row[0], row[1], first_run, row[2])


def _insert_begun(connection: Connection, source: Source, stories: Sequence[Story]) -> None:
    columns = ", ".join((*source.begun, *source.learned))
    statement = f"COPY {source.name} ({columns}) FROM STDIN".encode()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for story in stories:
            copy.write_row((*story.begun, *story.states[0]))


def _complete(connection: Connection, stories: Sequence[Story]) -> int:
    """Bring each row to its last state, a state at a time; return how many UPDATEs of rows it took.

    A row in none of its states was changed by somebody else since, and is left alone.
    """
    known: dict[str, State] = {}
    for source in (CALLS, MESSAGES):
        query = f"SELECT {', '.join((source.key, *source.learned))} FROM {source.name}"
        known |= {row[0]: row[1:] for row in connection.execute(query.encode())}
    ahead = {
        story.key: (
            story.states.index(known[story.key]) + 1
            if known.get(story.key) in story.states
            else len(story.states)
        )
        for story in stories
    }
    total = sum(len(story.states) - ahead[story.key] for story in stories)
    if total == 0:
        return 0
    _say(f"completing {sum(len(s.states) > ahead[s.key] for s in stories):,} calls and messages")
    with _progress() as progress:
        task = progress.add_task("updates", total=total)
        for number in range(1, max(len(story.states) for story in stories)):
            due = [s for s in stories if ahead[s.key] <= number < len(s.states)]
            for source in (CALLS, MESSAGES):
                for chunk in _chunks([story for story in due if story.source is source]):
                    if chunk[0].one_by_one:
                        _update_one(connection, chunk[0], number)
                    else:
                        _update_batch(connection, source, chunk, number)
                    progress.advance(task, len(chunk))
    return total


def _chunks(stories: Sequence[Story]) -> Iterator[list[Story]]:
    """Rows that are updated alone, each as a chunk, and the others in batches."""
    yield from ([story] for story in stories if story.one_by_one)
    batch = [story for story in stories if not story.one_by_one]
    yield from (batch[first : first + BATCH] for first in range(0, len(batch), BATCH))


def _update_one(connection: Connection, story: Story, number: int) -> None:
    """What an application does when it hears of one row: set what has changed."""
    before, after = story.states[number - 1 : number + 1]
    changed = [
        (column, new)
        for column, old, new in zip(story.source.learned, before, after, strict=True)
        if old != new
    ]
    sets = ", ".join(f"{column} = %s" for column, _ in changed)
    statement = f"UPDATE {story.source.name} SET {sets} WHERE {story.source.key} = %s"
    connection.execute(statement.encode(), [*(value for _, value in changed), story.key])


def _update_batch(
    connection: Connection, source: Source, stories: Sequence[Story], number: int
) -> None:
    """What an application does when it drains a queue of events: many rows in one statement."""
    sets = ", ".join(f"{column} = new.{column}" for column in source.learned)
    arrays = ", ".join(f"%s::{kind}[]" for kind in ("text", *source.learned.values()))
    columns = ", ".join((source.key, *source.learned))
    connection.execute(
        f"UPDATE {source.name} AS old SET {sets} FROM unnest({arrays}) AS new ({columns})"
        f" WHERE old.{source.key} = new.{source.key}".encode(),
        [
            [story.key for story in stories],
            *map(list, zip(*(story.states[number] for story in stories), strict=True)),
        ],
    )


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


# Showing it ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Overview:
    """One tenant of the platform, for the first table."""

    company_name: str
    id: int
    plan: str
    timezone: str
    rows: int
    billed: int


@dataclass(frozen=True)
class CallAndRecord:
    """A row of calls and, beside it, the usage record that came of it, if any."""

    call_sid: str
    to_number: str
    status: str
    duration_seconds: Decimal | None
    kind: str | None
    quantity: Decimal | None
    unit_cost: Decimal | None
    total_cost: Decimal | None


@dataclass(frozen=True)
class Aside:
    """Rows that wait in unrated_usage for the same reason."""

    source_table: str
    rows: int
    sqlstate: str
    reason: str


OVERVIEW = (
    cli.Column("company_name", title="tenant"),
    cli.Column("id", "{}".format),
    cli.Column("plan"),
    cli.Column("timezone", title="time zone"),
    cli.Column("rows", cli.number, total=True),
    cli.Column("billed", cli.number, total=True),
)
CALL = (
    cli.Column("call_sid"),
    cli.Column("to_number"),
    cli.Column("status"),
    cli.Column("duration_seconds", cli.number),
)
RECORD = (
    cli.Column("kind"),
    cli.Column("quantity", cli.number, "quantity (minutes)"),
    cli.Column("unit_cost", cli.money),
    cli.Column("total_cost", cli.money),
)
LATE_CALL = "CA-demo-late"
ASIDE = (
    cli.Column("source_table", title="table"),
    cli.Column("rows", cli.number),
    cli.Column("sqlstate"),
    cli.Column("reason"),
)


class Tour:
    """What the demo has to show, in the order of telling."""

    def __init__(self, connection: Connection, conninfo: str, loaded: Loaded, program: str) -> None:
        self.connection = connection
        self.conninfo = conninfo
        self.loaded = loaded
        self.program = program
        self.client = Client(connection)
        self.hero = loaded.tenant_ids[HERO]
        self.today = loaded.today

    def show(self) -> None:
        """Print it all. What changes data changes it once; another run shows how it was left."""
        self._show_platform()
        self._show_one_call()
        self._show_unrated()
        self._show_reports()
        self._show_invoice()
        self._show_prepaid()
        self._show_issued()
        self._show_verified()

    def _show_platform(self) -> None:
        if self.loaded.updates:
            rows = f"{CALLS_IN_ALL:,} calls and {MESSAGES_IN_ALL:,} messages"
            _head("The platform", f"{rows}, as an application writes them")
            _tell(
                f"Inserted as they began, then completed by plain UPDATEs ({self.loaded.updates:,}"
                " changes of",
                "rows, one by one and in batches). The application never asked for billing.",
                "",
            )
        else:
            day = f"{self.loaded.first_run:%Y-%m-%d %H:%M} UTC"
            _head("The platform", f"here already, from {day}: nothing was added")
        query = """
            SELECT t.company_name, t.id, p.name AS plan, t.timezone,
                   (SELECT count(*) FROM calls AS c WHERE c.tenant_id = t.id)
                   + (SELECT count(*) FROM messages AS m WHERE m.tenant_id = t.id) AS rows,
                   (SELECT sum(s.record_count)::bigint FROM billing.usage_summaries AS s
                     WHERE s.tenant_id = t.id) AS billed
              FROM tenants AS t JOIN billing.pricing_plans AS p ON p.id = t.plan_id
             WHERE t.id = ANY (%s)
             ORDER BY t.id
        """
        rows_of_tenants = self._rows(Overview, query, list(self.loaded.tenant_ids))
        cli.print_titled("Calls and messages", cli.make_table(OVERVIEW, rows_of_tenants))
        _tell("Not billed: inbound, failed, busy, unanswered. Corrected: billed as corrected.")

    def _show_one_call(self) -> None:
        before = self._call_and_record()
        if before.status == "in-progress":
            _head("One call", "still going on, so nothing is billed")
            self._print_call(before)
            ended = self.loaded.first_run
            self.connection.execute(
                "UPDATE calls SET status = 'completed', ended_at = %s, duration_seconds = %s"
                " WHERE call_sid = %s",
                [ended, 315, SHOWN_CALL],
            )
            _tell(
                "It ends, and the application says so, as it always did:",
                "",
                "  UPDATE calls",
                f"     SET status = 'completed', ended_at = '{ended:%Y-%m-%d %H:%M:%S}+00',",
                "         duration_seconds = 315",
                f"   WHERE call_sid = '{SHOWN_CALL}';",
                "",
                "That is all. 315 seconds are 5.25 minutes, at 0.015 each:",
                "",
            )
        else:
            _head("One call", "completed by the first run of this demo")
        self._print_call(self._call_and_record())

    def _call_and_record(self) -> CallAndRecord:
        query = """
            SELECT c.call_sid, c.to_number, c.status, c.duration_seconds,
                   r.kind, r.quantity, r.unit_cost, r.total_cost
              FROM calls AS c
              LEFT JOIN billing.usage_records AS r
                ON r.source_table = 'calls' AND r.source_id = c.id AND r.tenant_id = c.tenant_id
             WHERE c.call_sid = %s
             ORDER BY r.id DESC
             LIMIT 1
        """
        return self._rows(CallAndRecord, query, SHOWN_CALL)[0]

    def _print_call(self, row: CallAndRecord) -> None:
        cli.print_titled("calls", cli.make_table(CALL, [row]))
        if row.kind is None:
            _tell("billing.usage_records: none for it", "")
        else:
            cli.print_titled("billing.usage_records", cli.make_table(RECORD, [row]))

    def _show_unrated(self) -> None:
        """The one scene with a mistake in it: a price that nobody had entered."""
        query = """
            SELECT source_table, count(*)::int AS rows, sqlstate, reason
              FROM billing.unrated_usage
             WHERE resolved_at IS NULL AND tenant_id = %s
             GROUP BY source_table, sqlstate, reason
        """
        tenant_id = self.loaded.tenant_ids[WITHOUT_A_RATE]
        waiting = self._rows(Aside, query, tenant_id)
        if not waiting:
            return
        name = TENANTS[WITHOUT_A_RATE].company_name
        _head("A missing price", f"{name} calls Sweden, no card has +46")
        cli.print_titled("billing.unrated_usage", cli.make_table(ASIDE, waiting))
        with self.connection.transaction():
            _insert_price(self.connection, MISSING_PRICE, self.loaded.first_run)
            row = self.connection.execute("SELECT * FROM billing.retry_unrated()").fetchone()
        assert row is not None
        _tell(
            "The application's UPDATEs succeeded all the same, and no call is lost.",
            "Now the price is entered, back-dated; then billing.retry_unrated()",
            f"settled {row[1]} of {row[0]} rows.",
        )

    def _show_reports(self) -> None:
        _head("What it comes to", f"{TENANTS[HERO].company_name}, as the command line shows it")
        as_of: tuple[str, ...] = ()
        if self.client.billing_period(self.hero) != self._period(self.hero):
            as_of = ("--as-of", str(self.today))  # This run is later than the data's period.
        self._command("current", *as_of)
        start = self.today - timedelta(days=HISTORY_DAYS - 1)
        self._command("history", "--from", str(start), "--to", str(self.today))
        self._command("balance", *as_of)

    def _show_invoice(self) -> None:
        """Drafts of the period that is over, for all tenants; one is shown."""
        last_days = {
            tenant_id: self._period(tenant_id).period_start - timedelta(days=1)
            for tenant_id in self.loaded.tenant_ids
        }
        for tenant_id, day in last_days.items():
            period = self.client.billing_period(tenant_id, self.client.end_of_day(tenant_id, day))
            self.client.generate_invoice(tenant_id, period.period_start)
        _head("The bill", "draft of the period that is over: the plan's fee, and a line a price")
        self._command("invoices", "--draft", str(last_days[self.hero]))

    def _show_prepaid(self) -> None:
        scene = demo_credit.play(self.connection)
        _head("Prepaid", f"{demo_credit.COMPANY} has bought 5 dollars, and asks before each call")
        if scene.attempts:
            table = cli.make_table(demo_credit.ATTEMPT, scene.attempts)
            cli.print_titled("billing.reserve_call", table)
            _tell(
                "0 granted: the call is refused. What is talked is billed by its row, as always.",
                "",
            )
        alerts = cli.make_table(ALERT, self.client.alerts(scene.tenant_id))
        cli.print_titled("billing.alerts", alerts)
        for webhook in scene.webhooks:
            _tell(f"webhook received, signature verified: {describe(webhook)}")

    def _show_issued(self) -> None:
        """One invoice issued and explained; a late call is on the next one; a credit note."""
        tenant_id = self.loaded.tenant_ids[INVOICED]
        last_day = self._period(tenant_id).period_start - timedelta(days=1)
        period_end = self.client.end_of_day(tenant_id, last_day)
        period = self.client.billing_period(tenant_id, period_end)
        invoice_id = self.client.generate_invoice(tenant_id, period.period_start)
        company = TENANTS[INVOICED].company_name
        _head("The invoice", f"{company}'s is issued: numbered, hashed, never changed again")
        self._type("invoice", "finalize", invoice_id)
        usage = [line for line in self.client.invoice(invoice_id).lines if line.kind == "usage"]
        line = min(usage, key=lambda line: len(self.client.explain_invoice_line(line.id)))
        _tell("", "A line, down to every call or message behind it, in cents that add up:")
        self._type("invoice", "explain", line.id)
        self.connection.execute(
            "INSERT INTO calls (tenant_id, call_sid, from_number, to_number, status, answered_at,"
            " duration_seconds) VALUES (%s, %s, %s, '+14155550142', 'completed', %s, 4200)"
            " ON CONFLICT (call_sid) DO NOTHING",
            [tenant_id, LATE_CALL, TENANTS[INVOICED].number, period_end - timedelta(hours=12)],
        )
        _tell(
            "",
            f"A call of {last_day} comes in late. The issued invoice stays as it is; the draft of",
            "the next period has the call, and names the period that it belongs to:",
        )
        self._type("invoices", tenant_id, "--draft", self._period(tenant_id).period_start)
        _tell("", "And something was not right: a part of the issued invoice is taken back.")
        amount = round(self.client.invoice(invoice_id).total_amount / 2, 2)
        self._type("invoice", "credit-note", invoice_id, amount, "--reason", "Goodwill")

    def _show_verified(self) -> None:
        _head("The proof", "every sum, price, balance and invoice recomputed")
        _tell(f"$ {self.program} verify")
        violations = self.client.verify()
        if violations:
            cli.print_titled("Violations", cli.make_table(cli.COLUMNS[Violation], violations))
            raise UsageError(f"verify() found {len(violations)} violations")
        _tell("no violations")

    def _period(self, tenant_id: int) -> Period:
        return self.client.billing_period(tenant_id, self.loaded.first_run)

    def _command(self, name: str, *options: str) -> None:
        """Print a command as anyone can type it, and its output, which is that command's own."""
        if name in ("history", "balance"):
            _tell("")
        self._type(name, self.hero, *options)

    def _type(self, *words: object) -> None:
        arguments = [str(word) for word in words]
        _tell(f"$ {self.program} {' '.join(arguments)}")
        settings = cli.Settings(self.conninfo)
        if code := cli.main.main(arguments, standalone_mode=False, obj=settings):
            raise click.exceptions.Exit(code)

    def _rows(self, row: type[Row], query: str, value: object) -> list[Row]:
        with self.connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(query.encode(), [value]).fetchall()


def _head(title: str, remark: str) -> None:
    cli.make_console().print(Text(f"\n{title}", style="bold cyan"), Text(f"- {remark}\n"))


def _tell(*lines: str) -> None:
    for line in lines:
        click.echo(line)


def _say(message: str) -> None:
    click.echo(message, err=True)


def _address_at_hand() -> str:
    """What a command uses that is typed without -d; empty: the PG* variables."""
    return next(filter(None, map(os.environ.get, cli.VARIABLES)), "")


def _program(*, needs_address: bool) -> str:
    """The command as it can be typed where the demo was started."""
    local = Path(".venv", "bin", "irisx-usage")
    return (str(local) if local.exists() else local.name) + " -d DATABASE" * needs_address


def _tell_what_next(loaded: Loaded, program: str, *, embedded: bool) -> None:
    hero, own_card = loaded.tenant_ids[HERO], loaded.tenant_ids[WITH_OWN_CARD]
    a_day = loaded.today - timedelta(days=31)
    here = Path("Makefile").exists() and Path.cwd() == project()
    make = "make {}" if here else "python -m pyapi.embedded {}"
    _head("What to try next", "change anything: what is billed follows")
    _tell(
        "# a tenant with a rate card of its own, by prefix",
        f"{program} current {own_card}",
        "# 40 seconds, billed as 30 and then sixes",
        f"{program} quote {own_card} +447700900123 --seconds 40",
        "# what its month would have cost on another plan",
        f"{program} simulate --plan enterprise --tenant {hero} --from {a_day} --to {a_day}",
        "# for programs: -f json, -f csv",
        f"{program} history {hero} --interval week -f csv",
        "",
    )
    if embedded:
        _tell("# change anything, and see it billed", make.format("psql"))
    else:
        _tell("# in psql: change anything, and see it billed")
    _tell(
        f"  UPDATE calls SET duration_seconds = 600 WHERE call_sid = '{SHOWN_CALL}';",
        "  SELECT kind, quantity, total_cost FROM billing.usage_records",
        f"   WHERE resource_id = '{SHOWN_CALL}' ORDER BY id;",
        "",
    )
    if here:
        _tell("# every promise, as a test", "make test", "")
    if embedded:
        stop, reset = make.format("stop"), make.format("reset" if here else "destroy")
        _tell(
            "# the server keeps running: stop it (its data stay), or delete it",
            f"{stop}",
            f"{reset}",
        )

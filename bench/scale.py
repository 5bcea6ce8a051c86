"""Many records: loads millions of finished rows, bills them by backfill, and measures.

`make bench-scale ROWS=50000000`. The server is one of its own, with shared_buffers so small that
indexes outgrow it. Interrupted, the same command goes on: rows are loaded and billed in batches.
What it finds goes to the terminal and, with --write, to docs/scale_figures.md.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timezone
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import psycopg
import rich.table
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pyapi.archive import archive_month, restore_month
from pyapi.client import Client
from pyapi.deploy import migrate
from pyapi.embedded import Server, project

MONTHS = [date(2026, month, 1) for month in range(1, 7)]
FIRST, END = MONTHS[0], date(2026, 7, 1)
AS_OF = "2026-06-30 12:00:00+00"
TENANTS = 1000
BIG, SMALL = 1, 2
"""A tenant with a fifth of all rows, and one with ten thousand; the others share the rest."""
SMALL_ROWS = 10_000
LOADED_AT_ONCE = 1_000_000
BYTES_A_ROW = 900
"""A finished row, its record, all indexes, and the write-ahead log that is about."""

Connection = psycopg.Connection[Any]
Rows = list[tuple[str, ...]]


class Stage:
    """The server, and how far it is: what was loaded and billed before is not done again."""

    def __init__(self, server: Server, rows: int) -> None:
        self.server = server
        self.rows = rows
        migrate(server.conninfo())
        self.owner: Connection = psycopg.connect(server.conninfo(), autocommit=True)
        self.owner.execute("SET search_path = billing, public")
        self.tables: list[tuple[str, Rows]] = []

    def value(self, query: str, *values: Any) -> Any:
        row = self.owner.execute(query.encode(), values or None).fetchone()
        return row[0] if row else None

    def add(self, title: str, *rows: tuple[str, ...]) -> None:
        self.tables.append((title, list(rows)))


# Loading and billing ------------------------------------------------------------------------------


def load(stage: Stage) -> None:
    """Finished rows as they were before billing came: in order of time, past the triggers."""
    owner = stage.owner
    owner.execute(
        b"INSERT INTO tenants (id) SELECT generate_series(1, %s) ON CONFLICT DO NOTHING",
        [TENANTS],
    )
    every = max(stage.rows // SMALL_ROWS, 5)
    with _progress("rows loaded", stage.rows) as advance:
        for table, share, statement in (("calls", 0.8, CALLS), ("messages", 0.2, MESSAGES)):
            rows = int(stage.rows * share)
            done = stage.value(f"SELECT COALESCE(max(id), 0) FROM {table}")
            advance(done)
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
            while done < rows:
                until = min(done + LOADED_AT_ONCE, rows)
                owner.execute(
                    statement.encode(),
                    {
                        "first": done + 1,
                        "last": until,
                        "rows": rows,
                        "every": every,
                        "begin": FIRST,
                        "end": END,
                    },
                )
                advance(until - done)
                done = until
            owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())
            owner.execute(
                "UPDATE metered_tables SET history_id = %s WHERE source_table = %s", [rows, table]
            )
            owner.execute(f"VACUUM (ANALYZE) {table}".encode())


SPREAD = """
    SELECT n, %(begin)s::timestamptz + n * ((%(end)s::timestamptz - interval '1 minute'
            - %(begin)s::timestamptz) / (%(rows)s + 1)) AS at,
        CASE WHEN n %% %(every)s = 0 THEN 2 WHEN n %% 5 = 1 THEN 1
            ELSE 3 + abs(hashint8(n)) %% 998 END AS tenant_id
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""
CALLS = f"""
INSERT INTO calls (id, tenant_id, call_sid, from_number, to_number, status, initiated_at,
    answered_at, ended_at, duration_seconds)
SELECT n, tenant_id, 'CA' || lpad(to_hex(n), 32, '0'), '+14155550100',
    '+1415' || 5550000 + n %% 10000, 'completed', at, at + interval '5 s',
    at + interval '5 s' + (1 + n %% 600) * interval '1 s', 1 + n %% 600
FROM ({SPREAD}) AS x
"""
MESSAGES = f"""
INSERT INTO messages (id, tenant_id, message_sid, channel, to_address, status, sent_at)
SELECT n, tenant_id, 'SM' || lpad(to_hex(n), 32, '0'), 'sms', '+1415' || 5550000 + n %% 10000,
    'delivered', at
FROM ({SPREAD}) AS x
"""


def bill(stage: Stage) -> None:
    """Bill them by backfill: the first half by month, the rest as irisx-usage does without asking.

    Both are compared with a plain insert of finished records.
    """
    is_new = not stage.value("SELECT EXISTS (SELECT FROM usage_records)")
    rates = []
    for first, last, by_month in (
        (FIRST, date(2026, 3, 31), True),
        (date(2026, 4, 1), date(2026, 6, 30), False),
    ):
        began, recorded = time.monotonic(), 0
        with _progress(f"billed from {first}", stage.rows // 2) as advance:
            sweep = Client(stage.owner).sweep(first, last, with_history=True, by_month=by_month)
            for batch in sweep:
                recorded += batch.recorded
                advance(batch.recorded)
        rates.append(recorded / (time.monotonic() - began))
    found = stage.value("SELECT count(*) FROM usage_records")
    if found != stage.rows:
        raise click.ClickException(f"{found} records of {stage.rows} rows")
    plain = _plain_insert(stage)
    lines: Rows = [("", "rows per second", "of a plain insert")]
    if is_new:
        names = ("by month, indexes made in the end", "into partitions with their indexes")
        for name, rate in zip(names, rates, strict=True):
            lines.append((name, f"{rate:,.0f}", f"{rate / plain:.2f}"))
    lines.append(("plain INSERT ... SELECT of finished records", f"{plain:,.0f}", "1.00"))
    stage.add("Backfill" if is_new else "Backfill, begun by an earlier run", *lines)


def _plain_insert(stage: Stage) -> float:
    """A million of the records once more, into a table with the same columns, rules and keys."""
    owner = stage.owner
    owner.execute("DROP TABLE IF EXISTS public.plain, public.finished")
    owner.execute(
        "CREATE UNLOGGED TABLE public.finished AS SELECT * FROM usage_records"
        " WHERE usage_date >= '2026-06-01' LIMIT 1000000"
    )
    owner.execute(
        "CREATE TABLE public.plain (LIKE usage_records INCLUDING ALL)"
        " PARTITION BY RANGE (usage_date)"
    )
    owner.execute("CREATE TABLE public.plain_1 PARTITION OF public.plain DEFAULT")
    rows = stage.value("SELECT count(*) FROM public.finished")
    took = _seconds(lambda: owner.execute("INSERT INTO public.plain SELECT * FROM public.finished"))
    owner.execute("DROP TABLE public.plain, public.finished")
    return float(rows / took)


def merge(stage: Stage) -> None:
    """Housekeeping catches up with what the backfill left."""
    waiting = stage.value("SELECT count(*) FROM usage_deltas")
    rounds = []
    while stage.value("SELECT count(*) FROM (SELECT FROM usage_deltas LIMIT 1) AS d"):
        rounds.append(_seconds(lambda: stage.owner.execute("SELECT * FROM maintain()").fetchall()))
    stage.owner.execute("VACUUM (ANALYZE) usage_deltas, usage_sums")
    sums = stage.value("SELECT count(*) FROM usage_sums")
    size = stage.value("SELECT pg_total_relation_size('usage_sums')")
    stage.add(
        "Merging",
        ("after the backfill", ""),
        ("deltas waiting", f"{waiting:,}"),
        ("rounds of maintain() to merge them", f"{len(rounds):,}"),
        ("seconds of a round", _spread(rounds)),
        ("deltas per second", f"{waiting / sum(rounds):,.0f}" if rounds else "-"),
        ("rows of usage_sums", f"{sums:,}"),
        ("bytes of such a row, with its index", f"{size / max(sums, 1):,.0f}"),
    )


# What is measured ---------------------------------------------------------------------------------


def sizes(stage: Stage) -> None:
    """Bytes per record, of the table and of each index."""
    lines: Rows = [("relation", "bytes per record", "in all")]
    query = """
        SELECT COALESCE(k.indexname, 'the records'), sum(pg_relation_size(r.relid))
        FROM (
            SELECT relid, NULL::oid AS parent
            FROM pg_partition_tree('billing.usage_records') WHERE isleaf
            UNION ALL
            SELECT i.indexrelid, h.inhparent
            FROM pg_partition_tree('billing.usage_records') AS t
            INNER JOIN pg_index AS i ON i.indrelid = t.relid
            INNER JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid
            WHERE t.isleaf
        ) AS r
        LEFT JOIN LATERAL (SELECT r.parent::regclass::text) AS k (indexname)
            ON r.parent IS NOT NULL
        GROUP BY 1 ORDER BY 1 DESC
    """
    total = 0
    for name, size in stage.owner.execute(query.encode()).fetchall():
        total += int(size)
        lines.append((name, f"{size / stage.rows:,.0f}", _bytes(int(size))))
    lines.append(("in all", f"{total / stage.rows:,.0f}", _bytes(total)))
    own = stage.value("SELECT pg_total_relation_size('calls') + pg_total_relation_size('messages')")
    lines.append(("the application's own rows", f"{own / stage.rows:,.0f}", _bytes(own)))
    stage.add("Size", *lines)


READS = {
    "current period": "SELECT * FROM get_current_period_usage({tenant}, '{at}')",
    "a month by day": "SELECT * FROM get_usage_history({tenant}, '2026-05-01', '2026-05-31')",
    "six months by month": (
        "SELECT * FROM get_usage_history({tenant}, '2026-01-01', '2026-06-30', 'month')"
    ),
    "balance": "SELECT * FROM get_tenant_balance({tenant}, '{at}')",
    "invoice draft": "SELECT generate_invoice({tenant}, '2026-05-01')",
}


def reads(stage: Stage) -> None:
    """The big tenant's reads beside the small one's, in turns."""
    counts = {
        tenant: stage.value(
            "SELECT sum(record_count) FROM usage_summaries WHERE tenant_id = %s", tenant
        )
        for tenant in (BIG, SMALL)
    }
    lines: Rows = [
        ("milliseconds, p50 (p99)", *(f"{counts[t]:,} records" for t in (BIG, SMALL)), "ratio")
    ]
    for name, query in READS.items():
        times: dict[int, list[float]] = {BIG: [], SMALL: []}
        for _ in range(20 if "invoice" in name else 200):
            for tenant, mine in times.items():
                text = query.format(tenant=tenant, at=AS_OF).encode()
                mine.append(_query_seconds(stage.owner, text))
        shown = (_milliseconds(times[tenant]) for tenant in (BIG, SMALL))
        ratio = median(times[BIG]) / median(times[SMALL])
        lines.append((name, *shown, f"{ratio:.2f}"))
    stage.add("Reads", *lines)


def reads_with_deltas(stage: Stage) -> None:
    """How reads slow down when nobody merges: deltas of one tenant, taken away again."""
    lines: Rows = [("deltas of one tenant not merged", "current period, ms", "balance, ms")]
    for number in (0, 1_000, 10_000, 100_000, 1_000_000):
        with stage.owner.transaction(force_rollback=True):
            # Days of the period, and sums that cancel: what is read stays the same.
            stage.owner.execute(
                b"INSERT INTO usage_deltas (tenant_id, summary_date, record_count, channel,"
                b" resource_type, total_quantity, total_cost)"
                b" SELECT %s, '2026-06-01'::date + (n %% 30)::integer, 0, 'voice', 'minute', 0, 0"
                b" FROM generate_series(1, %s) AS n",
                [SMALL, number],
            )
            shown = []
            for name in ("current period", "balance"):
                text = READS[name].format(tenant=SMALL, at=AS_OF).encode()
                run = range(20 if number < 1_000_000 else 5)
                times = [_query_seconds(stage.owner, text) for _ in run]
                shown.append(_milliseconds(times))
        lines.append((f"{number:,}", *shown))
        stage.owner.execute("VACUUM usage_deltas")
    stage.add("Reads when nobody merges", *lines)


def writes(stage: Stage) -> None:
    """Single tracked UPDATEs: new calls, and corrections of old ones; then with more partitions."""
    lines: Rows = [("one UPDATE, milliseconds, p50 (p99)", "complete a call", "correct an old one")]

    def measure(partitions: int) -> None:
        new = _rolled_back_updates(
            stage, "UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = %s", -1
        )
        old = _rolled_back_updates(
            stage, "UPDATE calls SET duration_seconds = duration_seconds + 7 WHERE id = %s", 1
        )
        lines.append((f"{partitions} partitions", _milliseconds(new), _milliseconds(old)))

    count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_records'::regclass"
    measure(stage.value(count))
    for first in ("2022-01-01", "2016-01-01"):
        stage.owner.execute("SELECT ensure_partitions(%s, '2025-12-31')", [first])
        stage.owner.execute("ANALYZE usage_records")
        measure(stage.value(count))
    with suppress(psycopg.Error):
        for month in stage.owner.execute(
            "SELECT generate_series('2016-01-01'::date, '2025-12-01', '1 month')::date"
        ).fetchall():
            stage.owner.execute("SELECT detach_month(%s)", month)
            stage.owner.execute("SELECT drop_month(%s)", month)
    stage.add("Writes", *lines)


def _rolled_back_updates(stage: Stage, update: str, sign: int) -> list[float]:
    """Times of UPDATEs spread over the table (or of new rows, below 0), none of which stays."""
    calls = int(stage.rows * 0.8)
    ids = [sign * (1 + (n * 7919 * 104729) % calls) for n in range(400)]
    times = []
    with (
        psycopg.connect(stage.server.conninfo(), autocommit=True, prepare_threshold=0) as session,
        session.transaction(force_rollback=True),
    ):
        if sign < 0:
            ids = list(range(-400, 0))
            session.execute(
                b"INSERT INTO calls (id, tenant_id, status, to_number, initiated_at)"
                b" SELECT -n, 3 + n %% 900, 'ringing', '+14155550100', %s"
                b" FROM generate_series(1, 400) AS n",
                [AS_OF],
            )
        for row_id in ids:
            times.append(_query_seconds(session, update.encode(), row_id))
    return times[50:]


def freeze(stage: Stage) -> None:
    """A closed month is frozen once, and then never again."""
    name = "usage_records_2026_02"
    rows = stage.value(f"SELECT count(*) FROM {name}")
    size = stage.value("SELECT pg_relation_size(%s)", f"billing.{name}")
    lines: Rows = [(f"{rows:,} records, {_bytes(size)}", "seconds", "age afterwards")]
    age = "SELECT age(relfrozenxid) FROM pg_class WHERE oid = %s::regclass"
    lines.append(("before", "", f"{stage.value(age, f'billing.{name}'):,}"))
    for what in ("VACUUM (FREEZE, ANALYZE)", "the same again"):
        took = _seconds(lambda: stage.owner.execute(f"VACUUM (FREEZE, ANALYZE) {name}".encode()))
        lines.append((what, f"{took:.2f}", f"{stage.value(age, f'billing.{name}'):,}"))
    stage.add("Freezing a month", *lines)


@dataclass(frozen=True)
class Shape:
    """What the plan of a query must be: so many leaf partitions looked at, each by an index."""

    name: str
    query: str
    partitions: int | None


SHAPES = (
    Shape("daily sums of a period",
          "SELECT * FROM daily_sums WHERE tenant_id = 1"
          " AND summary_date BETWEEN '2026-06-01' AND '2026-06-30'", 0),
    Shape("all records of a source row",
          "SELECT * FROM usage_records WHERE source_table = 'calls' AND source_id = 77", None),
    Shape("a record by its key",
          "SELECT * FROM usage_records WHERE tenant_id = 1 AND created_at = now() AND id = 7"
          " AND usage_date = '2026-03-05'", 1),
    Shape("a tenant's latest records of a month",
          "SELECT * FROM usage_records WHERE tenant_id = 2"
          " AND usage_date BETWEEN '2026-05-01' AND '2026-05-31'"
          " ORDER BY created_at DESC LIMIT 50", 1),
)  # fmt: skip


def plans(stage: Stage) -> None:
    """Index probes and pruned partitions, however large the tables. Raises ClickException."""
    lines: Rows = [("query", "partitions", "plan")]
    for shape in SHAPES:
        text = f"EXPLAIN (FORMAT JSON) {shape.query}"
        ((found,),) = stage.owner.execute(text.encode()).fetchall()
        nodes = list(_nodes(found[0]["Plan"]))
        scans = [node for node in nodes if "Relation Name" in node]
        records = [n for n in scans if n["Relation Name"].startswith("usage_records")]
        kinds = sorted({node["Node Type"] for node in scans})
        if "Seq Scan" in kinds and any(
            node["Node Type"] == "Seq Scan" and _is_large(stage, node["Relation Name"])
            for node in scans
        ):
            raise click.ClickException(f"{shape.name}: reads a whole table: {kinds}")
        if shape.partitions is not None and len(records) != shape.partitions:
            raise click.ClickException(f"{shape.name}: looks at {len(records)} partitions")
        lines.append((shape.name, str(len(records)), ", ".join(kinds)))
    stage.add("Plans", *lines)


def _is_large(stage: Stage, name: str) -> bool:
    return bool(stage.value("SELECT pg_relation_size(%s) > 1 << 20", f"billing.{name}"))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def archiving(stage: Stage) -> None:
    """A month to a file and back."""
    with TemporaryDirectory(dir=stage.server.home.parent) as folder:
        began = time.monotonic()
        found = archive_month(stage.owner, date(2026, 1, 1), Path(folder))
        archived = time.monotonic()
        restore_month(stage.owner, Path(folder, found.file))
        restored = time.monotonic()
    each = found.bytes / max(found.rows, 1)
    stage.add(
        "Archiving a month",
        (f"{found.rows:,} records", _bytes(found.bytes), f"{each:.0f} bytes each"),
        ("archive", f"{archived - began:.1f} s", f"{found.rows / (archived - began):,.0f} / s"),
        (
            "restore",
            f"{restored - archived:.1f} s",
            f"{found.rows / (restored - archived):,.0f} / s",
        ),
    )


def verifying(stage: Stage, *, fully: bool) -> None:
    days = [("a day", "'2026-06-15', '2026-06-15'")] + [("everything", "")] * fully
    lines: Rows = [("verify()", "seconds", "violations")]
    for name, arguments in days:
        began = time.monotonic()
        found = stage.value(f"SELECT count(*) FROM verify({arguments})")
        lines.append((name, f"{time.monotonic() - began:.1f}", str(found)))
        if found:
            raise click.ClickException(f"verify({arguments}) found {found} violations")
    stage.add("Verifying", *lines)


# Reporting ----------------------------------------------------------------------------------------


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _query_seconds(connection: Connection, query: bytes, *values: Any) -> float:
    def work() -> None:
        cursor = connection.execute(query, values or None)
        if cursor.description:
            cursor.fetchall()

    return _seconds(work)


def _spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})" if values else "-"


def _milliseconds(values: list[float]) -> str:
    ordered = sorted(values)
    last = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
    return f"{median(ordered) * 1e3:.2f} ({last * 1e3:.2f})"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1024 or unit == "TB":
            return f"{value:,.1f} {unit}" if unit != "B" else f"{value:,.0f} B"
        value /= 1024
    raise AssertionError


@contextmanager
def _progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=total)
        yield lambda more: progress.advance(task, more)


def describe(stage: Stage) -> list[str]:
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        processor = found[1] if found else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    settings = stage.owner.execute(
        "SELECT name || ' = ' || current_setting(name) FROM pg_settings WHERE name = ANY (%s)",
        [["fsync", "synchronous_commit", "shared_buffers", "max_wal_size"]],
    ).fetchall()
    size = stage.value("SELECT pg_database_size(current_database())")
    return [
        f"{stage.rows:,} finished calls and messages of {TENANTS:,} tenants over six months",
        f"{processor}, {os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.system()}",
        f"PostgreSQL {stage.owner.info.parameter_status('server_version')}: "
        + ", ".join(setting for (setting,) in settings),
        f"The database in all: {_bytes(size)}",
    ]


def show(about: list[str], tables: list[tuple[str, Rows]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print("\n".join(about), highlight=False, soft_wrap=True)
    for title, (header, *rows) in tables:
        table = rich.table.Table(title=f"\n{title}", box=box.SIMPLE_HEAD, title_justify="left")
        for number, name in enumerate(header):
            table.add_column(name, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def write(path: Path, about: list[str], tables: list[tuple[str, Rows]]) -> None:
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    parts = ["# Measured: many records", f"Written by `make bench-scale` on {day}."]
    parts.append("\n".join(f"- {line}" for line in about))
    for title, (header, *rows) in tables:
        lines = [header, ("---", *["---:"] * (len(header) - 1)), *rows]
        parts += [f"## {title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


PHASES = (
    load,
    bill,
    merge,
    sizes,
    plans,
    reads,
    reads_with_deltas,
    freeze,
    writes,
    archiving,
)


@click.command()
@click.option("--rows", type=click.IntRange(10_000, 2_000_000_000), default=1_000_000)
@click.option("--pg", type=int, help="PostgreSQL major; by default the newest found.")
@click.option("--shared-buffers", default="128MB", show_default=True)
@click.option(
    "--home", type=click.Path(path_type=Path), help="Where the server is; default /var/tmp."
)
@click.option("--keep", is_flag=True, help="Leave the server's data for another run.")
@click.option("--verify", "fully", is_flag=True, help="Verify everything, not one day.")
@click.option("--write", "is_written", is_flag=True, help="Write docs/scale_figures.md.")
def main(
    rows: int,
    pg: int | None,
    shared_buffers: str,
    home: Path | None,
    keep: bool,
    fully: bool,
    is_written: bool,
) -> None:
    """Load and bill ROWS finished rows, and measure reads, writes, sizes and housekeeping."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Path("/var/tmp") if Path("/var/tmp").is_dir() else Path.cwd()
    home = home or place / f"irisx-scale-{rows}"
    free = shutil.disk_usage(home.parent).free
    if not home.exists() and free < rows * BYTES_A_ROW:
        raise click.ClickException(
            f"{_bytes(rows * BYTES_A_ROW)} are needed in {home.parent}, {_bytes(free)} are free"
        )
    server = Server(
        home, pg, fsync="on", shared_buffers=shared_buffers, max_wal_size="4GB",
        maintenance_work_mem="256MB",
    )  # fmt: skip
    finished = False
    try:
        stage = Stage(server.start(), rows)
        took: Rows = [("what was done", "seconds")]
        for work in PHASES:
            seconds = _seconds(partial(work, stage))
            took.append((work.__name__.replace("_", " "), f"{seconds:,.0f}"))
            print(*took[-1], sep=": ", file=sys.stderr, flush=True)
        verifying(stage, fully=fully)
        stage.add("The run itself", *took)
        about = describe(stage)
        finished = True
    finally:
        # What was interrupted goes on with the next run.
        server.stop() if keep or not finished else server.destroy()
    show(about, stage.tables)
    if is_written:
        write(project() / "docs" / "scale_figures.md", about, stage.tables)


if __name__ == "__main__":
    main()

"""Housekeeping: bounded, harmless in parallel, and a loop that nothing ends but who started it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from pyapi import Client, cli, operations

pytestmark = pytest.mark.newest

DONE = {
    "records sealed",
    "deltas merged",
    "unrated rows settled",
    "partitions made",
    "months moved out of the default partition",
    "unrated rows announced",
    "rows expired",
}

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(database: str) -> Iterator[Start]:
    """Starts irisx-usage maintain --every; what still runs is ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, conninfo: str = database) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-m", "pyapi.cli", "-d", conninfo, "maintain", *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate()


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def number(db: Connection, query: str) -> int:
    row = db.execute(query.encode()).fetchone()
    assert row
    return int(row[0])


def add_calls(db: Connection, first: int, last: int, day: str = "2025-11-14") -> None:
    """Finished calls, a statement and so a delta each."""
    for row_id in range(first, last + 1):
        db.execute(
            "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
            " VALUES (%s, 1, 'completed', %s, 60)",
            [row_id, day],
        )


def waiting(db: Connection) -> int:
    return number(db, "SELECT count(*) FROM usage_deltas")


def lines(process: subprocess.Popen[str]) -> tuple[list[str], list[str]]:
    out, err = process.communicate(timeout=30)
    return out.splitlines(), err.splitlines()


@pytest.fixture(autouse=True)
def tenants(db: Connection) -> None:
    db.execute("SET statement_timeout = '60s'")
    db.execute("INSERT INTO tenants (id) VALUES (1)")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_loop_works_until_it_is_told_to_end(
    db: Connection, start: Start, number: signal.Signals
) -> None:
    add_calls(db, 1, 5)
    loop = start("--every", "100ms")
    wait_until(lambda: waiting(db) == 0, "the first round merges")
    add_calls(db, 6, 8)
    wait_until(lambda: waiting(db) == 0, "so does a later one")
    loop.send_signal(number)
    out, err = lines(loop)
    assert (loop.returncode, err) == (0, [])
    # A line for a round that did something, none for the many that found nothing.
    merged = [int(found[1]) for line in out if (found := re.search(r"deltas merged (\d+)", line))]
    assert sum(merged) == 8
    assert len(merged) <= len(out) <= 2 * 8
    assert all("deltas merged" in line or "records sealed" in line for line in out)


def test_a_round_is_a_line_of_json_for_programs(db: Connection, start: Start) -> None:
    loop = start("--every", "50ms", "-v", "-f", "json")
    assert loop.stdout
    shown = [json.loads(loop.stdout.readline()) for _ in range(3)]
    assert all({"at", *DONE} <= set(line) for line in shown)
    loop.send_signal(signal.SIGTERM)
    assert loop.wait(30) == 0


def test_a_loop_survives_the_loss_of_its_connection(db: Connection, start: Start) -> None:
    loop = start("--every", "100ms")
    add_calls(db, 1, 1)
    wait_until(lambda: waiting(db) == 0, "it works")
    ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    assert number(db, f"{ended} WHERE application_name = 'irisx-usage'") == 1
    add_calls(db, 2, 2)
    wait_until(lambda: waiting(db) == 0, "it works again")
    loop.send_signal(signal.SIGTERM)
    out, err = lines(loop)
    assert loop.returncode == 0
    merged = [line for line in out if "deltas merged 1" in line]
    assert len(merged) == 2
    assert [line.split(":")[0].split(" after")[0] for line in err] == ["error", "well again"]


def test_a_loop_that_cannot_even_begin_says_so(start: Start, database: str) -> None:
    loop = start("--every", "10s", conninfo=make_conninfo(database, dbname="nowhere"))
    out, err = lines(loop)
    assert (loop.returncode, out) == (1, [])
    assert err[0].startswith("error: ")


def test_what_one_round_leaves_over_is_not_for_later(db: Connection, start: Start) -> None:
    db.execute(
        "INSERT INTO usage_deltas SELECT 1, '2025-11-14', 1, 'voice', 'minute', 1, 0.015"
        " FROM generate_series(1, 250000)"
    )
    loop = start("--every", "1h")
    wait_until(lambda: waiting(db) == 0, "three rounds follow each other")
    loop.send_signal(signal.SIGTERM)
    out, _ = lines(loop)
    assert len(out) == 3
    assert number(db, "SELECT sum(record_count) FROM usage_summaries") == 250_000


def test_several_loops_beside_writers_do_no_harm(
    database: str, db: Connection, start: Start
) -> None:
    loops = [start("--every", "5ms") for _ in range(3)]
    running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'irisx-usage'"
    wait_until(lambda: number(db, running) == 3, "all have begun")

    def write(writer: int) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            first = 1 + writer * 150
            add_calls(connection, first, first + 149, f"2025-11-{10 + writer}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    wait_until(lambda: waiting(db) == 0, "all is merged")
    for loop in loops:
        loop.send_signal(signal.SIGTERM)
    for loop in loops:
        assert lines(loop)[1] == []
        assert loop.returncode == 0
    assert number(db, "SELECT sum(record_count) FROM usage_sums") == 600
    assert db.execute("SELECT * FROM verify()").fetchall() == []


@pytest.mark.parametrize("text", ["10", "0s", "-1s", "2 days", "25h", "soon", ""])
def test_a_time_that_is_none_is_misuse(text: str) -> None:
    result = CliRunner().invoke(cli.main, ["-d", "", "maintain", "--every", text])
    assert result.exit_code == 2


def test_times() -> None:
    given = ["500ms", "10s", "1.5s", "5min", "1h", "24 h"]
    assert [operations.seconds(text) for text in given] == [0.5, 10, 1.5, 300, 3600, 86_400]


def test_a_large_month_is_not_moved_while_others_work(db: Connection) -> None:
    """Moving locks usage_records: a round moves so many records as takes a moment."""

    def stray(day: str, records: int) -> None:
        db.execute(
            "INSERT INTO usage_records (tenant_id, source_table, source_id, rate_id, occurred_at,"
            " usage_date, channel, resource_type, resource_id, quantity, unit_cost, total_cost,"
            " currency, seconds, billed_quantity)"
            " SELECT 1, 'calls', n, 1, %s, %s, 'voice', 'minute', 'x', 1, 0.015, 0.015, 'USD', 60,"
            " 1 FROM generate_series(1, %s) AS n",
            [day, day, records],
        )

    stray("2021-01-14", 50_001)
    stray("2021-02-14", 30_000)
    stray("2021-03-14", 20_000)
    stray("2021-04-14", 1)

    def moved() -> list[int]:
        (task,) = [t for t in Client(db).maintain() if t.task.startswith("months moved")]
        assert task.is_more == (task.done > 0)
        return [task.done, number(db, "SELECT count(*) FROM usage_records_default")]

    assert moved() == [2, 50_002]
    assert moved() == [1, 50_001]
    assert moved() == [0, 50_001]
    assert number(db, "SELECT ensure_partition('2021-01-01')::integer") == 1
    assert number(db, "SELECT count(*) FROM usage_records_2021_01") == 50_001

    # However little is in them: each month takes a lock that all wait for.
    for year in range(2010, 2017):
        stray(f"{year}-05-14", 1)
    assert [moved() for _ in range(4)] == [[3, 4], [3, 1], [1, 0], [0, 0]]


def test_rows_that_somebody_holds_do_not_keep_others_from_being_retried(
    database: str, db: Connection
) -> None:
    db.execute(
        "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
        " SELECT n, 2, 'completed', '2025-11-14', 60 FROM generate_series(1, 8) AS n"
    )
    db.execute("INSERT INTO tenants (id) VALUES (2)")
    with psycopg.connect(database) as other:
        # Those that were set aside first.
        other.execute("SELECT FROM calls WHERE id <= 6 FOR UPDATE")
        assert db.execute("SELECT * FROM retry_unrated(2)").fetchall() == [(2, 2)]
        other.rollback()
    assert db.execute("SELECT * FROM retry_unrated(2)").fetchall() == [(2, 2)]
    assert db.execute("SELECT * FROM retry_unrated(9)").fetchall() == [(4, 4)]


def test_what_waits_for_its_month_does_not_keep_others_from_being_retried(db: Connection) -> None:
    db.execute("SELECT ensure_partition('2025-10-01')")
    db.execute("SELECT detach_month('2025-10-01')")
    call = (
        "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
        " SELECT n, {1}, 'completed', '{0}', 60 FROM generate_series({2}) AS n"
    )
    db.execute(call.format("2025-10-14", 1, "1, 20").encode())
    db.execute(call.format("2025-11-14", 2, "31, 32").encode())
    db.execute("INSERT INTO tenants (id) VALUES (2)")
    assert db.execute("SELECT * FROM retry_unrated(3)").fetchall() == [(2, 2)]
    db.execute("SELECT attach_month('2025-10-01')")
    assert db.execute("SELECT * FROM retry_unrated()").fetchall() == [(20, 20)]


def test_a_round_reads_few_of_many_that_wait(db: Connection) -> None:
    """Retrying, announcing and finding months go along an index, however much there is."""
    db.execute(
        "INSERT INTO unrated_usage (source_table, source_id, tenant_id, sqlstate, announced_at)"
        " SELECT 'calls', n, 1, 'UB001', CASE WHEN n %% 2 = 0 THEN now() END"
        " FROM generate_series(1, %s) AS n",
        [20_000],
    )
    db.execute("ANALYZE unrated_usage")

    def tuples_read() -> tuple[int, int]:
        db.execute("SELECT pg_stat_force_next_flush()")
        statistics = "FROM pg_stat_user_tables WHERE relname = 'unrated_usage'"
        sequential = number(db, f"SELECT seq_tup_read {statistics}")
        return sequential, number(db, f"SELECT idx_tup_fetch {statistics}")

    before = tuples_read()
    db.execute("SELECT retry_unrated(10)")
    db.execute("SELECT announce_unrated(10)")
    after = tuples_read()
    assert after[0] == before[0]
    assert 0 < after[1] - before[1] < 500

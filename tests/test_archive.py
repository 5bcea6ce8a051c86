"""A month goes to a file and comes back: nothing is lost, doubled, or believed unseen."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import re
import signal
import sys
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import Connection

from pyapi import archive as module
from pyapi import cli
from pyapi.archive import archive_month, restore_month
from pyapi.embedded import project
from pyapi.errors import ArchiveError, BadArgumentError, PeriodError, UsageError

pytestmark = pytest.mark.newest

OCTOBER = date(2025, 10, 1)
TABLES = [
    "usage_records",
    "usage_summaries",
    "unrated_usage",
    "direct_usage",
    "detached_months",
    "archives",
]


# Corrections, odd names, usage by hand, two currencies, two months.
PLATFORM = r"""
INSERT INTO tenants (id, timezone, currency) VALUES (1, 'UTC', 'USD'), (2, 'Asia/Tokyo', 'EUR');
INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, currency, effective_from)
VALUES (2, 'voice', 'minute', 0.0123456789, 'EUR', '2020-01-01');
SELECT ensure_partitions('2025-10-01', '2025-11-30');
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at, duration_seconds)
SELECT n, 1 + n % 2, CASE WHEN n % 3 = 0 THEN 'CA "' || n || '", é' || chr(10) || '\.' END,
    CASE WHEN n % 5 > 0 THEN '+4930' END, 'completed',
    '2025-10-02 12:00:00+00'::timestamptz + n * interval '9 hours', n
FROM generate_series(1, 100) AS n;
UPDATE calls SET duration_seconds = duration_seconds + 7 WHERE id % 4 = 0;
UPDATE calls SET status = 'failed' WHERE id % 11 = 0;
INSERT INTO messages (tenant_id, channel, status, sent_at) VALUES (1, 'sms', 'sent', '2025-10-05');
SELECT record_usage(
    1, 'voice', 'minute', 'by hand', 0.3333333333, '{"note": "a, \"b\"", "": null}', '2025-10-07'
);
"""


@pytest.fixture(autouse=True)
def platform(db: Connection) -> None:
    db.execute("SET statement_timeout = '60s'")
    db.execute(PLATFORM.encode())


def value(db: Connection, query: str) -> Any:
    row = db.execute(query.encode()).fetchone()
    assert row
    return row[0]


def rows(db: Connection, table: str) -> list[Any]:
    return sorted(db.execute(f"SELECT t::text FROM {table} AS t".encode()).fetchall())


def broken(db: Connection) -> list[Any]:
    return db.execute("SELECT check_name, subject FROM verify()").fetchall()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(item) for item in arguments])


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def sqlstate(db: Connection, statement: str) -> str | None:
    with pytest.raises(psycopg.Error) as caught:
        db.execute(statement.encode())
    return caught.value.sqlstate


def test_a_month_goes_to_a_file_and_comes_back(db: Connection, tmp_path: Path) -> None:
    before = {table: rows(db, table) for table in TABLES}
    found = archive_month(db, OCTOBER, tmp_path)
    assert found.is_new
    assert files(tmp_path) == [".gz", ".json"]

    # It is gone, and its sums are not.
    assert value(db, "SELECT count(*) FROM usage_records WHERE usage_date < '2025-11-01'") == 0
    assert value(db, "SELECT to_regclass('billing.usage_records_2025_10')") is None
    assert rows(db, "usage_summaries") == before["usage_summaries"]
    assert broken(db) == []

    restored = restore_month(db, tmp_path / found.file)
    assert (restored.rows, restored.is_new) == (found.rows, True)
    for table in TABLES[:-1]:
        assert rows(db, table) == before[table], table
    assert broken(db) == []


def test_the_file_and_its_manifest_say_what_they_hold(db: Connection, tmp_path: Path) -> None:
    """Read by another program, and summed from the table by nothing of ours."""
    expected: dict[tuple[str, ...], list[Decimal]] = {}
    names = "currency, channel, resource_type, quantity, billed_quantity, total_cost"
    for row in db.execute(
        f"SELECT {names} FROM usage_records WHERE usage_date < '2025-11-01'".encode()
    ):
        total = expected.setdefault(row[:3], [Decimal()] * 4)
        expected[row[:3]] = [a + b for a, b in zip(total, (1, *row[3:]), strict=True)]
    db.execute("SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'")
    found = archive_month(db, OCTOBER, tmp_path)
    manifest = json.loads((tmp_path / found.file.replace(".csv.gz", ".json")).read_text())
    assert manifest["month"] == "2025-10"
    assert manifest["rows"] == found.rows == sum(total[0] for total in expected.values())
    assert len(expected) == 3
    assert {
        (s["currency"], s["channel"], s["resource_type"]): [
            Decimal(s[n]) for n in ("records", "quantity", "billed_quantity", "total_cost")
        ]
        for s in manifest["sums"]
    } == expected
    assert manifest["sha256"] == found.sha256
    with gzip.open(tmp_path / found.file, "rt", encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == manifest["columns"]
    assert len(lines) == 1 + found.rows
    assert all(line[lines[0].index("created_at")].endswith("+00") for line in lines[1:])


def test_the_columns_are_those_that_the_docs_list(db: Connection) -> None:
    """A migration that adds a column to the records adds it to the format, knowingly."""
    text = (project() / "docs" / "operations.md").read_text(encoding="utf-8")
    listed = re.search(r"Its columns, in this order:\n`([^`]+)`", text)
    assert listed
    columns = db.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'billing.usage_records'::regclass"
        " AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    ).fetchall()
    assert re.split(r",\s+", listed[1]) == [name for (name,) in columns]


def test_twice_is_once(db: Connection, tmp_path: Path) -> None:
    first = archive_month(db, OCTOBER, tmp_path)
    again = archive_month(db, OCTOBER, tmp_path)
    assert (again.file, again.sha256, again.is_new) == (first.file, first.sha256, False)
    file = tmp_path / first.file
    assert [restore_month(db, file).is_new for _ in range(2)] == [True, False]
    records = rows(db, "usage_records")
    # The same records make the same file; other records another.
    assert archive_month(db, OCTOBER, tmp_path).file == first.file
    restore_month(db, file)
    assert rows(db, "usage_records") == records
    db.execute("UPDATE calls SET duration_seconds = 999 WHERE id = 1")
    later = archive_month(db, OCTOBER, tmp_path)
    assert later.file != first.file
    with pytest.raises(ArchiveError):
        restore_month(db, file)
    restore_month(db, tmp_path / later.file)
    assert restore_month(db, file).is_new is False
    assert broken(db) == []


def test_usage_that_comes_meanwhile_is_set_aside_and_billed_afterwards(
    db: Connection, tmp_path: Path
) -> None:
    found = archive_month(db, OCTOBER, tmp_path)
    db.execute("UPDATE calls SET duration_seconds = 600 WHERE id IN (1, 2)")
    db.execute(
        "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
        " VALUES (900, 1, 'completed', '2025-10-20', 60), (901, 1, 'completed', '2025-11-20', 60)"
    )
    assert value(db, "SELECT array_agg(source_id ORDER BY 1) FROM unrated_usage") == [1, 2, 900]
    restore_month(db, tmp_path / found.file)
    assert value(db, "SELECT resolved FROM retry_unrated()") == 3
    assert broken(db) == []
    assert value(db, "SELECT sum(seconds) FROM usage_records WHERE source_id = 1") == 600


def test_what_needs_the_records_says_where_they_are(db: Connection, tmp_path: Path) -> None:
    found = archive_month(db, OCTOBER, tmp_path)
    for statement in (
        "SELECT generate_invoice(1, '2025-10-01')",
        "SELECT propose_rerating('2025-10-01', '2025-10-31')",
        "SELECT attach_month('2025-10-01')",
    ):
        with pytest.raises(psycopg.Error) as caught:
            db.execute(statement.encode())
        assert caught.value.sqlstate == "UB006", statement
        assert found.file in str(caught.value.diag.message_detail)
    # What the daily sums tell goes on.
    history = "get_usage_history(1, '2025-10-01', '2025-10-31')"
    assert value(db, f"SELECT sum(record_count) FROM {history}") > 10
    db.execute("SELECT generate_invoice(1, '2025-11-01')")


def test_a_file_that_was_altered_is_refused(db: Connection, tmp_path: Path) -> None:
    found = archive_month(db, OCTOBER, tmp_path)
    file = tmp_path / found.file
    whole = file.read_bytes()
    text = gzip.decompress(whole)
    other = re.sub(rb"(?m)^(\d+,1,\d+,.*?),0\.015,", rb"\1,0.014,", text, count=1)
    assert other != text
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    bad = {
        "truncated": whole[:-1],
        "empty": b"",
        "one bit": bytes(changed),
        "longer": whole + b"\n",
        "another price": gzip.compress(other),
        "packed again": gzip.compress(text),
    }
    state = {table: rows(db, table) for table in TABLES}
    for name, content in bad.items():
        file.write_bytes(content)
        with pytest.raises(ArchiveError):
            restore_month(db, file)
        # Also when nothing lies beside it.
        alone = tmp_path / "elsewhere.csv.gz"
        alone.write_bytes(content)
        with pytest.raises(ArchiveError):
            restore_month(db, alone)
        assert {table: rows(db, table) for table in TABLES} == state, name
    file.write_bytes(whole)
    assert restore_month(db, file).is_new


def test_a_file_that_lies_about_its_content_is_refused_by_its_sums(
    db: Connection, tmp_path: Path
) -> None:
    """Whoever also changes billing.archives must get past the sums."""
    found = archive_month(db, OCTOBER, tmp_path)
    file = tmp_path / found.file
    with gzip.open(file, "rt", encoding="utf-8", newline="") as packed:
        header, first, *rest = csv.reader(packed)
    cost = header.index("total_cost")
    first[cost] = str(Decimal(first[cost]) + 1)
    with gzip.open(file, "wt", encoding="utf-8", newline="") as packed:
        csv.writer(packed).writerows([header, first, *rest])
    (tmp_path / found.file.replace(".csv.gz", ".json")).unlink()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    db.execute("UPDATE archives SET sha256 = %s", [digest])
    state = {table: rows(db, table) for table in TABLES}
    with pytest.raises(ArchiveError):
        restore_month(db, file)
    assert {table: rows(db, table) for table in TABLES} == state


def test_a_file_of_another_database_is_refused(
    db: Connection, tmp_path: Path, cluster: Any
) -> None:
    found = archive_month(db, OCTOBER, tmp_path)
    with (
        cluster.database(cluster.migrated) as conninfo,
        psycopg.connect(conninfo, autocommit=True) as other,
        pytest.raises(ArchiveError),
    ):
        restore_month(other, tmp_path / found.file)


@pytest.mark.parametrize("month", [date(2024, 1, 1), date(1970, 1, 1)])
def test_a_month_that_is_not_there(db: Connection, tmp_path: Path, month: date) -> None:
    with pytest.raises(BadArgumentError):
        archive_month(db, month, tmp_path)
    assert files(tmp_path) == []


def test_a_month_that_is_not_over_stays(db: Connection, tmp_path: Path) -> None:
    with pytest.raises(PeriodError):
        archive_month(db, date.today().replace(day=1), tmp_path)
    assert rows(db, "detached_months") == []


def test_a_month_attached_in_between_is_not_dropped(db: Connection, tmp_path: Path) -> None:
    """The manifest names the detaching: what was written since is not in the file."""
    db.execute("SELECT detach_month('2025-10-01')")
    row = db.execute("SELECT summarize_month('2025-10-01')::text").fetchone()
    assert row
    db.execute("SELECT attach_month('2025-10-01')")
    db.execute("SELECT detach_month('2025-10-01')")
    manifest = json.dumps(json.loads(row[0]) | {"sha256": "0" * 64, "file": "x"})
    with pytest.raises(psycopg.Error) as caught:
        db.execute("SELECT drop_month('2025-10-01', %s)", [manifest])
    assert caught.value.sqlstate == "UB019"
    assert value(db, "SELECT count(*) FROM usage_records_2025_10") > 50


def test_who_is_forgotten_while_a_file_is_written_is_not_in_it(
    db: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.execute(
        "INSERT INTO calls (id, tenant_id, to_number, status, initiated_at,"
        " duration_seconds) VALUES (501, 1, '+442071234567', 'completed', '2025-10-20', 60)"
    )
    write = module._write

    def forget_after(*arguments: Any) -> None:
        write(*arguments)
        db.execute("SELECT forget_subject('+442071234567', 'erase', 'a request')")

    monkeypatch.setattr(module, "_write", forget_after)
    with pytest.raises(ArchiveError):
        archive_month(db, OCTOBER, tmp_path)
    assert files(tmp_path) == []
    monkeypatch.undo()
    found = archive_month(db, OCTOBER, tmp_path)
    assert b"442071234567" not in gzip.decompress((tmp_path / found.file).read_bytes())
    assert restore_month(db, tmp_path / found.file).is_new
    assert broken(db) == []


def test_a_disk_that_loses_what_was_written_keeps_the_table(
    db: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read back is compared before anything is dropped."""

    def lose(file: Any) -> None:
        file.flush()
        os.truncate(file.name, Path(file.name).stat().st_size - 40)

    monkeypatch.setattr("pyapi.archive._sync", lose)
    with pytest.raises(UsageError):
        archive_month(db, OCTOBER, tmp_path)
    assert files(tmp_path) == []
    assert db.execute("SELECT dropped_at FROM detached_months").fetchall() == [(None,)]
    monkeypatch.undo()
    found = archive_month(db, OCTOBER, tmp_path)
    assert restore_month(db, tmp_path / found.file).is_new
    assert broken(db) == []


def test_dropping_for_good(db: Connection) -> None:
    assert sqlstate(db, "SELECT drop_month('2025-10-01')") == "UB012"
    db.execute("SELECT detach_month('2025-10-01')")
    db.execute("SELECT drop_month('2025-10-01')")
    db.execute("SELECT drop_month('2025-10-01')")
    assert value(db, "SELECT to_regclass('billing.usage_records_2025_10')") is None
    assert sqlstate(db, "SELECT attach_month('2025-10-01')") == "UB006"
    assert sqlstate(db, "SELECT generate_invoice(1, '2025-10-01')") == "UB006"
    assert broken(db) == []


def die_at(conninfo: str, folder: Path, number: int, what: str) -> bool:
    """Archive or restore in a process of its own that is killed at its so-manieth line of code.

    A line counts when it is come to for the first time. True when there was none such.
    """
    child = os.fork()
    if child == 0:
        seen: set[int] = set()

        def trace(frame: Any, event: str, argument: Any) -> Any:
            if frame.f_code.co_filename != module.__file__:
                return None
            seen.add(frame.f_lineno)
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            with psycopg.connect(conninfo, autocommit=True) as db:
                sys.settrace(trace)
                if what == "archive":
                    archive_month(db, OCTOBER, folder)
                else:
                    (file,) = folder.glob("*.csv.gz")
                    restore_month(db, file)
                sys.settrace(None)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status == 0


def wait_alone(db: Connection) -> None:
    """Until the killed process's session is gone, and its transaction rolled back."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    deadline = time.monotonic() + 20
    while value(db, query) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_at_any_line_nothing_is_lost(
    database: str, db: Connection, tmp_path: Path, thorough: bool
) -> None:
    db.execute("DELETE FROM calls WHERE id > 9")
    before = rows(db, "usage_records")
    for what in ("archive", "restore"):
        number = 1
        while not die_at(database, tmp_path, number, what):
            wait_alone(db)
            number += 1 if thorough else 12
            held = value(db, "SELECT count(*) FROM usage_records WHERE usage_date < '2025-11-01'")
            table = value(db, "SELECT to_regclass('billing.usage_records_2025_10')")
            is_filed = value(db, "SELECT count(*) FROM archives WHERE restored_at IS NULL")
            assert held or table or (is_filed and list(tmp_path.glob("*.csv.gz")))
        assert number > 12
        assert broken(db) == []
    assert rows(db, "usage_records") == before


def test_the_commands(database: str, tmp_path: Path) -> None:
    made = run("-d", database, "archive", "2025-10", "--to", tmp_path, "-f", "json")
    assert made.exit_code == 0, made.stderr
    values = json.loads(made.stdout)
    assert values["is_new"] is True
    again = run("-d", database, "archive", "2025-10", "--to", tmp_path)
    assert (again.exit_code, "nothing to do" in again.stderr) == (0, True)
    file = tmp_path / values["file"]
    assert run("-d", database, "restore", file).exit_code == 0
    assert "nothing to do" in run("-d", database, "restore", file).stderr
    assert run("-d", database, "archive", "october").exit_code == 2
    assert run("-d", database, "restore", tmp_path / "none.csv.gz").exit_code == 2
    file.write_bytes(b"x")
    refused = run("-d", database, "restore", file)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "altered" in refused.stderr

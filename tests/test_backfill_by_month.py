"""Months filled as tables of their own: the same records and sums as by the ordinary backfill."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from conftest import Cluster
from psycopg import Connection

from pyapi import Client, cli
from pyapi.archive import archive_month

pytestmark = pytest.mark.newest

AUTUMN = (date(2025, 9, 10), date(2025, 12, 5))
RECORDS = """
SELECT tenant_id, source_table, source_id, part, revision, kind, usage_date, occurred_at, rate_id,
    channel, resource_type, resource_id, quantity, unit_cost, total_cost, currency, seconds,
    billed_quantity, destination, metadata
FROM usage_records ORDER BY source_table, source_id, part, usage_date, revision, resource_id
"""
SUMS = """
SELECT tenant_id, summary_date, channel, resource_type, rate_id, sum(total_quantity), sum(billed),
    sum(total_cost), sum(record_count)
FROM daily_sums GROUP BY 1, 2, 3, 4, 5 HAVING sum(record_count) <> 0 ORDER BY 1, 2, 3, 4, 5
"""
ASIDE = "SELECT source_table, source_id, sqlstate FROM unrated_usage ORDER BY 1, 2"

# Zones, rows that straddle months, no price, no tenant, a price of a period, rows out of order.
HISTORY = """
INSERT INTO tenants (id, timezone, plan_id)
VALUES (1, 'UTC', 1), (2, 'Pacific/Auckland', 2), (3, 'America/Los_Angeles', 1);
INSERT INTO pricing_rates (
    plan_id, channel, resource_type, charge_model, terms, effective_from
) VALUES (2, 'sms', 'message', 'graduated',
    '{"tiers": [{"up_to": 5, "unit_price": 0.01}, {"up_to": null, "unit_price": 0.005}]}',
    '2020-01-01');
ALTER TABLE calls DISABLE TRIGGER USER;
ALTER TABLE messages DISABLE TRIGGER USER;
INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at, duration_seconds)
SELECT n, 1 + n % 3, 'CA' || n, '+49' || n, CASE WHEN n % 9 = 0 THEN 'failed' ELSE 'completed' END,
    '2025-08-25'::timestamptz + (n * 7919 % 1000) * interval '3 hours', n % 400
FROM generate_series(1, 1000) AS n;
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
VALUES (2001, 77, 'completed', '2025-10-10', 60), (2002, 1, 'completed', '2025-10-10', 'NaN'),
    (2003, 1, 'completed', '2025-10-10', 60);
INSERT INTO messages (id, tenant_id, channel, status, sent_at)
SELECT n, 1 + n % 3, CASE WHEN n % 50 = 0 THEN 'pigeon' ELSE 'sms' END, 'sent',
    '2025-08-25'::timestamptz + n * interval '7 hours'
FROM generate_series(1, 400) AS n;
ALTER TABLE calls ENABLE TRIGGER USER;
ALTER TABLE messages ENABLE TRIGGER USER;
UPDATE metered_tables SET history_id = 5000;
SELECT record_usage(2, 'voice', 'minute', 'CA100', 1, '{}', '2025-10-03');
SELECT ensure_partitions('2025-08-01', '2025-10-31');
UPDATE calls SET duration_seconds = 77 WHERE id = 6;
-- Of November: as recorded by hand, and otherwise; recorded in October before it moved; set aside.
SELECT record_usage(1, 'voice', 'minute', 'CA30', 0.5, '{}', '2025-10-03');
SELECT record_usage(3, 'voice', 'minute', 'CA5', 9, '{}', '2025-10-03');
ALTER TABLE calls DISABLE TRIGGER USER;
UPDATE calls SET initiated_at = '2025-11-12' WHERE id = 6;
ALTER TABLE calls ENABLE TRIGGER USER;
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
VALUES (2004, 78, 'completed', '2025-11-10', 60);
"""


@pytest.fixture(autouse=True)
def history(db: Connection) -> None:
    db.execute("SET statement_timeout = '60s'")
    db.execute(HISTORY.encode())


def value(db: Connection, query: str) -> Any:
    row = db.execute(query.encode()).fetchone()
    assert row
    return row[0]


def told(db: Connection) -> list[Any]:
    return [db.execute(query.encode()).fetchall() for query in (RECORDS, SUMS, ASIDE)]


def backfill(db: Connection) -> None:
    list(Client(db).sweep(*AUTUMN, with_history=True, by_month=True))


def loaded(db: Connection, month: str = "2025-11-01") -> bool:
    ranges = '{"calls": [1, 2003], "messages": [1, 400]}'
    return bool(value(db, f"SELECT begin_load('{month}', '{ranges}')"))


def load(db: Connection, limit: int = 20_000, month: str = "2025-11-01") -> None:
    for table in ("calls", "messages"):
        query = f"SELECT until_id FROM load_rows('{month}', '{table}', {limit})"
        while value(db, query) is not None:
            pass


def sound(db: Connection) -> None:
    """All is right but what waits for somebody: no tenant, NaN, no price."""
    left = db.execute("SELECT check_name, subject FROM verify()").fetchall()
    aside = {f"{table} {row_id}" for table, row_id, _ in db.execute(ASIDE.encode()).fetchall()}
    assert {check for check, _ in left} == {"usage is rated"}
    assert {subject for _, subject in left} <= aside


def test_the_records_are_those_of_the_ordinary_backfill(cluster: Cluster, db: Connection) -> None:
    with (
        cluster.database(cluster.migrated) as conninfo,
        psycopg.connect(conninfo, autocommit=True) as other,
    ):
        other.execute(HISTORY.encode())
        list(Client(other).sweep(*AUTUMN, with_history=True))
        expected = told(other)
    backfill(db)
    assert told(db) == expected
    assert len(expected[0]) > 900
    assert all(expected)
    outside = "usage_date NOT BETWEEN '2025-09-10' AND '2025-12-05'"
    assert value(db, f"SELECT count(*) FROM usage_records WHERE {outside}") == 0
    sound(db)
    # Of October some is recorded already, September and December are asked for in part.
    made = {
        table
        for (table,) in db.execute("SELECT DISTINCT tableoid::regclass::text FROM usage_records")
    }
    assert {"usage_records_2025_09", "usage_records_2025_11"} <= made
    # Twice is once.
    backfill(db)
    assert told(db) == expected


def test_whole_months_are_loaded_and_the_others_swept(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = []
    sweep = Client._sweep_table

    def watch(self: Client, table: str, start: date, end: date, history: bool) -> Any:
        spans.append((table, start, end))
        return sweep(self, table, start, end, history)

    monkeypatch.setattr(Client, "_sweep_table", watch)
    backfill(db)
    # September is asked for in part, October has records; November is loaded, and swept for what
    # was known of it.
    days = [(date(2025, 9, 10), date(2025, 10, 31)), (date(2025, 11, 1), date(2025, 12, 5))]
    assert spans == [(table, *span) for span in days for table in ("calls", "messages")]


def test_a_row_that_cannot_be_measured_is_set_aside_and_stops_nothing(db: Connection) -> None:
    db.execute(
        """
        CREATE TABLE public.posts (id integer PRIMARY KEY, tenant_id bigint, direction text,
            status text, sent_at text);
        INSERT INTO public.posts
        SELECT n, 1, 'outbound', 'sent', '2025-11-10' FROM generate_series(1, 20) AS n;
        UPDATE public.posts SET sent_at = 'yesteryear' WHERE id IN (1, 20);
        SELECT meter_table('posts', 'billing.measure_social_message');
        """
    )
    backfill(db)
    assert value(db, "SELECT count(*) FROM usage_records WHERE source_table = 'posts'") == 18
    aside = "SELECT array_agg(source_id ORDER BY 1) FROM unrated_usage WHERE source_table = 'posts'"
    assert value(db, aside) == [1, 20]
    assert value(db, "SELECT count(*) FROM month_loads") == 0


def test_rows_without_records_are_billed_on_the_days_asked_for(db: Connection) -> None:
    """In batches of which nothing is recorded, and rows that lie in no order of time."""
    expected = {
        row_id
        for (row_id,) in db.execute(
            """
            SELECT c.id FROM calls AS c INNER JOIN tenants AS t ON t.id = c.tenant_id
            WHERE c.status = 'completed' AND c.duration_seconds > 0 AND c.duration_seconds < 'NaN'
                AND (c.initiated_at AT TIME ZONE t.timezone)::date
                    BETWEEN '2025-11-05' AND '2025-11-15'
            """
        )
    }
    assert len(expected) > 50
    after = 6
    query = "SELECT until_id FROM sweep_rows('calls', '2025-11-05', '2025-11-15', {}, 5000, true"
    while after is not None:
        last, after = after, value(db, f"{query.format(after)}, p_limit => 40)")
    assert last == 2004
    found = db.execute(
        "SELECT DISTINCT source_id FROM usage_records WHERE source_id > 6"
    ).fetchall()
    assert {row_id for (row_id,) in found} == {row_id for row_id in expected if row_id > 6}


CHANGES = {
    "a duration": "UPDATE calls SET duration_seconds = 3600 WHERE id = {0}",
    "a failure": "UPDATE calls SET status = 'failed' WHERE id = {0}",
    "another day": "UPDATE calls SET initiated_at = '2025-11-20 12:00+00' WHERE id = {0}",
    "another month": "UPDATE calls SET initiated_at = '2025-12-20 12:00+00' WHERE id = {0}",
    "from another month": "UPDATE calls SET initiated_at = '2025-11-20 12:00+00' WHERE id = {1}",
    "a new call": "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
    " VALUES (9000, 1, 'completed', '2025-11-11', 60)",
    "many at once": "UPDATE calls SET duration_seconds = duration_seconds + 1",
    "deleted": "DELETE FROM calls WHERE id = {0}",
    "by hand": "DO $$ BEGIN PERFORM billing.record_usage(1, 'voice', 'minute', 'other', 1, '{{}}',"
    " '2025-11-11'); EXCEPTION WHEN SQLSTATE 'UB006' THEN NULL; END $$",
}


@pytest.mark.parametrize("when", ["before its batch", "after its batch"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_the_application_does_meanwhile_is_billed_afterwards(
    db: Connection, change: str, when: str
) -> None:
    ids = [
        value(
            db,
            "SELECT max(id) FROM calls WHERE status = 'completed' AND duration_seconds > 0"
            f" AND tenant_id = 1 AND initiated_at BETWEEN '2025-{month}-05' AND '2025-{month}-25'",
        )
        for month in (11, 10)
    ]
    assert loaded(db)
    if when == "after its batch":
        load(db)
    db.execute(CHANGES[change].format(*ids).encode())
    load(db)
    db.execute("SELECT finish_load('2025-11-01')")
    list(Client(db).sweep(*AUTUMN, with_history=True))
    db.execute("SELECT retry_unrated()")
    sound(db)
    billed = (
        "SELECT COALESCE(sum(seconds), 0) FROM usage_records"
        f" WHERE source_table = 'calls' AND source_id = {ids[0]}"
    )
    if change in ("a failure", "a duration"):
        assert value(db, billed) == (3600 if change == "a duration" else 0)


def test_interrupted_anywhere_it_goes_on(cluster: Cluster, db: Connection) -> None:
    assert loaded(db)
    for _ in range(7):
        db.execute("SELECT load_rows('2025-11-01', 'calls', 60)")
    half = value(db, "SELECT count(*) FROM usage_records_2025_11")
    assert half > 20
    # Nobody sees any of it until all is there.
    assert value(db, "SELECT count(*) FROM usage_records WHERE usage_date >= '2025-11-01'") == 0
    assert value(db, "SELECT count(*) FROM usage_summaries WHERE summary_date >= '2025-11-01'") == 0
    backfill(db)
    assert value(db, "SELECT count(*) FROM usage_records_2025_11") > half
    assert value(db, "SELECT count(*) FROM detached_months") == 0
    sound(db)


def test_taken_back_it_never_was(db: Connection) -> None:
    assert loaded(db)
    load(db)
    db.execute("SELECT abandon_load('2025-11-01')")
    assert value(db, "SELECT to_regclass('billing.usage_records_2025_11')") is None
    assert value(db, "SELECT count(*) FROM month_loads") == 0
    backfill(db)
    sound(db)


@pytest.mark.parametrize(
    "work",
    [
        lambda db, folder: db.execute("SELECT attach_month('2025-11-01')"),
        lambda db, folder: db.execute("SELECT drop_month('2025-11-01')"),
        lambda db, folder: archive_month(db, date(2025, 11, 1), folder),
    ],
    ids=["attach", "drop", "archive"],
)
def test_a_month_on_its_way_is_not_taken_for_a_whole_one(
    db: Connection, tmp_path: Any, work: Callable[..., Any]
) -> None:
    assert loaded(db)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        work(db, tmp_path)
    assert getattr(caught.value, "sqlstate", None) == "UB012"


@pytest.mark.parametrize("month", ["2025-10-01", "2099-01-01"])
def test_a_month_with_records_or_yet_to_come_is_not_loaded(db: Connection, month: str) -> None:
    assert not loaded(db, month)
    assert value(db, "SELECT count(*) FROM detached_months") == 0


def test_a_month_in_the_default_partition_is_not_loaded(db: Connection) -> None:
    db.execute("UPDATE calls SET duration_seconds = 9 WHERE initiated_at > '2025-11-15'")
    assert not loaded(db)
    backfill(db)
    sound(db)


def test_a_writer_in_flight_is_waited_for(database: str, db: Connection) -> None:
    """What it records is seen, or the month is not begun."""
    with psycopg.connect(database) as other:
        other.execute(
            "UPDATE calls SET duration_seconds = 9"
            " WHERE id = (SELECT max(id) FROM calls WHERE status = 'completed' AND tenant_id = 1"
            " AND initiated_at BETWEEN '2025-11-10' AND '2025-11-20')"
        )
        # It holds what it writes to for longer than we wait.
        assert not loaded(db)
        assert value(db, "SELECT count(*) FROM detached_months") == 0
        other.commit()
    assert not loaded(db)
    backfill(db)
    sound(db)


def test_a_long_reader_does_not_take_the_work_of_a_load_away(database: str, db: Connection) -> None:
    assert loaded(db)
    load(db)
    with (
        psycopg.connect(database) as reader,
        psycopg.connect(database, autocommit=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        reader.execute("LOCK TABLE billing.usage_records_default IN ACCESS SHARE MODE")
        done = pool.submit(other.execute, "SELECT billing.finish_load('2025-11-01')")
        waits = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s"
        while db.execute(waits, [other.info.backend_pid]).fetchone() != (True,):
            assert not done.done()
        # While it waits for its next try, it is in nobody's way.
        db.execute("SET lock_timeout = '500ms'")
        db.execute("UPDATE calls SET duration_seconds = 8 WHERE id = 2003")
        reader.rollback()
        done.result(60)
    assert value(db, "SELECT count(*) FROM usage_records_2025_11") > 100
    list(Client(db).sweep(*AUTUMN, with_history=True))
    db.execute("SELECT retry_unrated()")
    sound(db)


def test_the_command(database: str, db: Connection) -> None:
    span = ["--from", str(AUTUMN[0]), "--to", str(AUTUMN[1])]
    result = CliRunner().invoke(
        cli.main, ["-d", database, "backfill", *span, "--by-month", "-f", "csv"]
    )
    assert result.exit_code == 0, result.stderr
    assert value(db, "SELECT count(*) FROM usage_records") > 800
    sound(db)


def test_a_batch_that_holds_only_what_another_month_has_recorded_is_passed_over(
    db: Connection,
) -> None:
    # 6 is recorded in October; with it alone in a batch, there is nothing of December to compare.
    ranges = '{"calls": [6, 6]}'
    assert value(db, f"SELECT begin_load('2025-12-01', '{ranges}')")
    assert value(db, "SELECT until_id FROM load_rows('2025-12-01', 'calls')") == 6
    assert value(db, "SELECT scanned FROM load_rows('2025-12-01', 'calls')") == 0
    assert value(db, "SELECT NOT is_partial FROM month_loads")

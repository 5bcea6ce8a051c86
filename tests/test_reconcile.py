"""The sweep, verify and their watchers: what got past the triggers is billed, and nobody waits.

Tests over two connections wait until PostgreSQL shows what they wait for, or set lock_timeout.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import Connection, IsolationLevel

from pyapi import Client, cli
from pyapi.embedded import project

pytestmark = pytest.mark.newest

NOVEMBER = (date(2025, 11, 1), date(2025, 11, 30))
SWEEP = "SELECT sum(repaired), sum(busy) FROM billing.reconcile('2025-11-01', '2025-11-30')"
EXPORTER = project() / "docs" / "sql_exporter.yml"
OPERATIONS = project() / "docs" / "operations.md"


@pytest.fixture
def connect(database: str) -> Iterator[Callable[..., Connection]]:
    """More connections to the test's database, closed at its end."""
    opened = []

    def open_one(isolation: IsolationLevel | None = None) -> Connection:
        connection = psycopg.connect(database, options="-c statement_timeout=60s")
        connection.isolation_level = isolation
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture(autouse=True)
def tenants(db: Connection) -> None:
    db.execute("SET statement_timeout = '60s'")
    db.execute("INSERT INTO tenants (id, timezone) VALUES (1, 'UTC'), (2, 'Asia/Tokyo')")


def add_calls(db: Connection, first: int, last: int, status: str = "completed") -> None:
    db.execute(
        """
        INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)
        SELECT n, 1, 'CA' || n, %s, '2025-11-14 12:00:00+00', 60
          FROM generate_series(%s::bigint, %s::bigint) AS n
        """,
        [status, first, last],
    )


def without_triggers(db: Connection, statement: str) -> None:
    db.execute("ALTER TABLE calls DISABLE TRIGGER USER")
    db.execute(statement.encode())
    db.execute("ALTER TABLE calls ENABLE TRIGGER USER")


def figures(db: Connection, query: str) -> tuple[Any, ...]:
    row = db.execute(query.encode()).fetchone()
    assert row
    return row


def broken(db: Connection, arguments: str = "") -> list[str]:
    """The names of the checks that find something."""
    query = f"SELECT DISTINCT check_name FROM billing.verify({arguments}) ORDER BY 1"
    return [name for (name,) in db.execute(query.encode()).fetchall()]


# What gets past the triggers


def test_rows_loaded_as_a_replica_would(db: Connection, superuser: Connection) -> None:
    """session_replication_role: restores, and logical replication without ENABLE ALWAYS."""
    add_calls(db, 1, 3)
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("UPDATE public.calls SET duration_seconds = 90 WHERE id = 1")
    superuser.execute("UPDATE public.calls SET status = 'failed' WHERE id = 2")
    superuser.execute(
        "INSERT INTO public.calls (id, tenant_id, status, initiated_at, duration_seconds)"
        " VALUES (4, 1, 'completed', '2025-11-14 12:00+00', 60)"
    )
    superuser.execute("RESET session_replication_role")
    assert broken(db) == ["deserved equals recorded"]
    assert figures(db, SWEEP) == (4, 0)
    assert broken(db) == []
    assert figures(db, SWEEP) == (0, 0)


def test_a_partition_attached_with_its_rows(db: Connection) -> None:
    db.execute(
        """
        CREATE TABLE public.call_log (
            id bigint, tenant_id bigint, direction text, status text, initiated_at timestamptz,
            duration_seconds numeric, PRIMARY KEY (id, initiated_at)
        ) PARTITION BY RANGE (initiated_at);
        CREATE TABLE public.call_log_2025_11 (LIKE public.call_log INCLUDING ALL);
        INSERT INTO public.call_log_2025_11
        SELECT n, 1, 'outbound', 'completed', '2025-11-14', 60 FROM generate_series(1, 5) AS n;
        SELECT meter_table('public.call_log', 'billing.measure_call');
        ALTER TABLE public.call_log ATTACH PARTITION public.call_log_2025_11
            FOR VALUES FROM ('2025-11-01') TO ('2025-12-01');
        """
    )
    assert broken(db) == ["deserved equals recorded"]
    assert figures(db, SWEEP) == (5, 0)
    assert broken(db) == []


def test_an_application_that_writes_with_triggers_on_and_off(db: Connection) -> None:
    """Whatever was done, after the sweep rows net to what an oracle of our own says."""
    rng = random.Random(20251114)
    zones = {1: timedelta(), 2: timedelta(hours=9)}
    rows: dict[int, dict[str, Any]] = {}

    def write(row_id: int) -> None:
        row = {
            "tenant_id": rng.choice([1, 2]),
            "status": rng.choice(["completed", "completed", "failed"]),
            "duration_seconds": rng.choice([None, 0, 1, 59, 60, 315]),
            "initiated_at": datetime(2025, 11, 1, tzinfo=timezone.utc)
            + timedelta(hours=rng.randrange(-30, 800)),
        }
        values = [*row.values(), row_id]
        if row_id in rows:
            changes = ", ".join(f"{name} = %s" for name in row)
            db.execute(f"UPDATE calls SET {changes} WHERE id = %s".encode(), values)
        else:
            names = ", ".join(row)
            db.execute(
                f"INSERT INTO calls ({names}, id) VALUES (%s, %s, %s, %s, %s)".encode(), values
            )
        rows[row_id] = row

    for _ in range(6):
        for switch in ("ENABLE", "DISABLE"):
            db.execute(f"ALTER TABLE calls {switch} TRIGGER USER".encode())
            for _ in range(40):
                write(rng.randrange(1, 80))
        db.execute("ALTER TABLE calls ENABLE TRIGGER USER")
        db.execute("SELECT reconcile('2025-10-01', '2025-12-31')")
        expected = {}
        for row_id, row in rows.items():
            if row["status"] == "completed" and row["duration_seconds"]:
                day = (row["initiated_at"] + zones[row["tenant_id"]]).date()
                cost = Fraction(row["duration_seconds"], 60) * Fraction("0.015")
                expected[row_id] = (row["tenant_id"], day, cost)
        billed = db.execute(
            """
            SELECT source_id, tenant_id, usage_date, sum(total_cost) FROM usage_records
             GROUP BY 1, 2, 3 HAVING sum(total_cost) <> 0
            """
        ).fetchall()
        assert {row_id: (who, day, Fraction(cost)) for row_id, who, day, cost in billed} == expected
        assert len(billed) == len(expected)
        assert broken(db) == []
        assert figures(db, "SELECT sum(repaired) FROM reconcile('2025-10-01', '2025-12-31')") == (
            0,
        )


def test_a_row_that_cannot_be_measured_stops_neither_sweep_nor_verify(db: Connection) -> None:
    db.execute(
        """
        CREATE TABLE public.faxes (
            id bigint PRIMARY KEY, tenant_id bigint, pages text, sent_at timestamptz
        );
        CREATE FUNCTION public.measure_fax(
            p_id bigint, p_tenant_id bigint, p_pages text, p_sent_at timestamptz
        ) RETURNS SETOF billing.measurement LANGUAGE sql IMMUTABLE AS $$
            SELECT p_id, 1::smallint, p_tenant_id, 'sms', 'message', 'fax ' || p_id,
                   p_pages::numeric, NULL::text, p_sent_at
             WHERE p_pages::numeric > 0
        $$;
        SELECT meter_table('public.faxes', 'public.measure_fax');
        ALTER TABLE faxes DISABLE TRIGGER USER;
        INSERT INTO faxes
        SELECT n, 1, CASE WHEN n IN (70, 99) THEN 'many' ELSE '2' END, '2025-11-14'
          FROM generate_series(1, 99) AS n;
        ALTER TABLE faxes ENABLE TRIGGER USER;
        """
    )
    query = (
        "SELECT count(*), count(*) FILTER (WHERE detail LIKE 'cannot be measured%') FROM verify()"
    )
    assert figures(db, query) == (99, 2)
    assert figures(db, "SELECT recorded FROM backfill_usage('2025-11-01', '2025-11-30')"
                       " WHERE source_table = 'faxes'") == (97,)  # fmt: skip
    aside = "SELECT source_id, sqlstate FROM unrated_usage ORDER BY 1"
    assert db.execute(aside).fetchall() == [(70, "22P02"), (99, "22P02")]
    assert broken(db) == ["usage is rated"]
    db.execute("UPDATE faxes SET pages = '3' WHERE id IN (70, 99)")
    db.execute("SELECT retry_unrated()")
    assert broken(db) == []


def test_a_row_that_cannot_be_recorded_is_set_aside_alone(db: Connection) -> None:
    """A time that PostgreSQL cannot place in the tenant's zone fails the whole statement."""
    without_triggers(
        db,
        """
        INSERT INTO calls (id, tenant_id, status, initiated_at, answered_at, duration_seconds)
        SELECT n, 2, 'completed', '2025-11-14', '2025-11-14', 60 FROM generate_series(1, 20) AS n;
        INSERT INTO messages (id, tenant_id, status, sent_at) VALUES (1, 1, 'sent', '2025-11-14')
        """,
    )
    db.execute(
        """
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'not this one'; END $$;
        SELECT ensure_partition('2025-11-01');
        CREATE TRIGGER refuse BEFORE INSERT ON usage_records_2025_11 FOR EACH ROW
        WHEN (NEW.source_id IN (7, 8, 20)) EXECUTE FUNCTION public.refuse();
        """
    )
    query = "SELECT sum(repaired), sum(unrated) FROM reconcile('2025-11-01', '2025-11-30')"
    assert figures(db, query) == (17, 3)
    aside = "SELECT array_agg(source_id ORDER BY 1), min(sqlstate) FROM unrated_usage"
    assert figures(db, aside) == ([7, 8, 20], "P0001")


# Resuming


def test_a_backfill_that_was_interrupted_goes_on(database: str, db: Connection) -> None:
    without_triggers(
        db,
        """
        INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
        SELECT n, 1, 'completed', '2025-11-14', 60 FROM generate_series(1, 25000) AS n;
        UPDATE metered_tables SET history_id = 25000 WHERE source_table = 'calls'
        """,
    )
    count = "SELECT count(*) FROM usage_records"
    with Client(database) as client:
        first = next(client.sweep(*NOVEMBER, with_history=True))
    assert (first.source_table, first.done, first.recorded) == ("calls", 0.4, 10_000)
    assert figures(db, count) == (10_000,)
    with Client(database) as client:
        batches = [b for b in client.sweep(*NOVEMBER, with_history=True) if b.scanned]
    assert [batch.recorded for batch in batches] == [0, 10_000, 5_000]
    assert [batch.done for batch in batches] == [0.4, 0.8, 1]
    assert figures(db, count) == (25_000,)
    assert broken(db) == []
    assert figures(db, "SELECT found FROM task_runs WHERE task = 'backfill'") == (15_000,)


# Beside writers


def test_the_sweep_never_waits_with_rows_locked(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    """A row that is being changed is left for the next round; its neighbours do not wait for it."""
    without_triggers(db, "INSERT INTO calls (id) VALUES (0)")
    db.execute("ALTER TABLE calls DISABLE TRIGGER USER")
    add_calls(db, 1, 9)
    db.execute("ALTER TABLE calls ENABLE TRIGGER USER")
    writer, sweep = connect(), connect()
    writer.execute("UPDATE calls SET hangup_cause = 'x' WHERE id = 5")
    sweep.execute("SET LOCAL lock_timeout = '500ms'")
    assert sweep.execute(SWEEP).fetchone() == (8, 1)
    sweep.commit()
    writer.commit()
    # An UPDATE of what is not billed bills nothing; the next round does.
    assert figures(db, SWEEP) == (1, 0)
    assert broken(db) == []


def test_the_sweep_locks_only_what_it_repairs(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    add_calls(db, 1, 9)
    without_triggers(db, "UPDATE calls SET duration_seconds = 90 WHERE id = 5")
    sweep, writer = connect(), connect()
    assert sweep.execute(SWEEP).fetchone() == (2, 0)
    writer.execute("SET LOCAL lock_timeout = '100ms'")
    writer.execute("UPDATE calls SET duration_seconds = 61 WHERE id <> 5")
    with pytest.raises(psycopg.errors.LockNotAvailable), writer.transaction():
        writer.execute("UPDATE calls SET duration_seconds = 61 WHERE id = 5")
    writer.commit()
    sweep.commit()
    assert broken(db) == []


def test_two_sweeps_at_one_time_bill_once(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    db.execute("ALTER TABLE calls DISABLE TRIGGER USER")
    add_calls(db, 1, 9)
    db.execute("ALTER TABLE calls ENABLE TRIGGER USER")
    one, two = connect(), connect()
    assert one.execute(SWEEP).fetchone() == (9, 0)
    assert two.execute(SWEEP).fetchone() == (0, 9)
    one.commit()
    assert two.execute(SWEEP).fetchone() == (0, 0)
    two.commit()
    assert broken(db) == []


# Waits that somebody else could cause


def test_maintain_does_not_wait_for_a_row_with_others_locked(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    add_calls(db, 1, 3)
    db.execute("UPDATE calls SET tenant_id = 999")
    assert figures(db, "SELECT count(*) FROM unrated_usage WHERE resolved_at IS NULL") == (3,)
    writer, maintenance = connect(), connect()
    writer.execute("UPDATE calls SET hangup_cause = 'x' WHERE id = 2")
    maintenance.execute("SET LOCAL lock_timeout = '100ms'")
    assert maintenance.execute("SELECT * FROM retry_unrated()").fetchone() == (2, 0)
    maintenance.commit()
    writer.commit()
    assert figures(db, "SELECT * FROM retry_unrated()") == (3, 0)


def test_maintain_does_not_wait_for_a_table_with_rows_locked(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    """A writer of such a row may be whom it waits for."""
    add_calls(db, 1, 2)
    db.execute("UPDATE calls SET tenant_id = 999 WHERE id = 2")
    # What came unexpectedly is moved: nobody uses usage_records meanwhile.
    db.execute("INSERT INTO messages (tenant_id, status, sent_at) VALUES (1, 'sent', '2003-05-05')")
    writer, maintenance = connect(), connect()
    writer.execute("UPDATE calls SET duration_seconds = 61 WHERE id = 1")
    with ThreadPoolExecutor() as pool:
        round_ = pool.submit(lambda: maintenance.execute("SELECT * FROM maintain()").fetchall())
        waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'relation'"
        while db.execute(waits, [maintenance.info.backend_pid]).fetchone() == (0,):
            assert not round_.done()
        writer.execute("SET lock_timeout = '100ms'")
        writer.execute("UPDATE calls SET hangup_cause = 'x' WHERE id = 2")
        writer.commit()
        done = {task: count for task, count, _ in round_.result()}
    maintenance.commit()
    assert done["months moved out of the default partition"] == 2
    assert broken(db) == ["usage is rated"]


def test_a_transaction_left_open_or_prepared_keeps_nobody_waiting(
    db: Connection, connect: Callable[..., Connection]
) -> None:
    """It has billed, reversed, recorded by hand and set aside; others do so of other rows."""
    add_calls(db, 1, 6)
    idle = connect()
    idle.execute("UPDATE calls SET duration_seconds = 61 WHERE id = 1")
    idle.execute("UPDATE calls SET status = 'failed' WHERE id = 2")
    idle.execute("UPDATE calls SET tenant_id = 999 WHERE id = 3")
    idle.execute("INSERT INTO messages (id, tenant_id, status) VALUES (1, 1, 'sent')")
    idle.execute("SELECT billing.record_usage(1, 'sms', 'message', 'one', 1)")
    idle.execute("SELECT * FROM billing.run_verify('2025-11-01', '2025-11-30')")
    # A trigger that sent NOTIFY would make this an error of the application's.
    idle.execute("PREPARE TRANSACTION 'left behind'")
    try:
        db.execute("SET lock_timeout = '100ms'")
        db.execute("UPDATE calls SET duration_seconds = 61 WHERE id = 4")
        db.execute("UPDATE calls SET status = 'failed' WHERE id = 5")
        db.execute("UPDATE calls SET tenant_id = 999 WHERE id = 6")
        db.execute("INSERT INTO messages (id, tenant_id, status) VALUES (2, 1, 'sent')")
        db.execute("SELECT billing.record_usage(1, 'sms', 'message', 'two', 1)")
        db.execute("SELECT * FROM maintain()")
        db.execute("SELECT * FROM run_verify('2025-11-01', '2025-11-30')")
        db.execute("SELECT reconcile('2025-11-01', '2025-11-30')")
    finally:
        db.execute("COMMIT PREPARED 'left behind'")
    assert broken(db) == ["usage is rated"]


@pytest.mark.parametrize("act", ["detach_month", "attach_month"])
def test_taking_a_month_away_gives_up_when_readers_are_long(
    db: Connection, connect: Callable[..., Connection], act: str
) -> None:
    """Whoever comes after would queue behind the lock that it waits for."""
    db.execute("SELECT ensure_partition('2025-08-01')")
    if act == "attach_month":
        db.execute("SELECT detach_month('2025-08-01')")
    reader = connect()
    blocking = "SELECT count(*) FROM billing.usage_records"
    if act == "attach_month":
        blocking = "LOCK TABLE billing.usage_records_default IN ACCESS SHARE MODE"
    reader.execute(blocking.encode())
    with pytest.raises(psycopg.errors.LockNotAvailable):
        db.execute(f"SELECT billing.{act}('2025-08-01')".encode())
    reader.rollback()
    db.execute(f"SELECT billing.{act}('2025-08-01')".encode())


@pytest.mark.parametrize(
    "act",
    [
        "unmeter_table('calls')",
        "meter_table('calls', 'billing.measure_call')",
        "attach_guards()",
    ],
)
def test_what_takes_a_whole_table_gives_up_when_a_writer_is_long(
    db: Connection, connect: Callable[..., Connection], act: str
) -> None:
    """Whoever comes after would queue behind the lock that it waits for."""
    if act.startswith("meter_table"):
        db.execute("SELECT unmeter_table('calls')")
    else:
        db.execute("ALTER TABLE usage_records DISABLE TRIGGER append_only")
    writer = connect()
    add_calls(writer, 1, 1)
    writer.execute("UPDATE calls SET duration_seconds = 61")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        db.execute(f"SELECT billing.{act}".encode())
    writer.rollback()
    db.execute(f"SELECT billing.{act}".encode())


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
@pytest.mark.parametrize("dropped", [False, True])
def test_a_correction_in_a_snapshot_from_before_its_month_was_detached(
    db: Connection, connect: Callable[..., Connection], level: IsolationLevel, *, dropped: bool
) -> None:
    """It sees neither the records nor that they are gone."""
    db.execute("SELECT ensure_partition('2025-11-01')")
    add_calls(db, 1, 1)
    writer = connect()
    writer.isolation_level = level
    writer.execute("SELECT FROM tenants")
    db.execute("SELECT detach_month('2025-11-01')")
    if dropped:
        db.execute("SELECT drop_month('2025-11-01')")
    with pytest.raises(psycopg.errors.SerializationFailure):
        writer.execute("UPDATE calls SET duration_seconds = 61")
    writer.rollback()
    # Tried again, it sees that; and of other months nothing is kept from being billed.
    writer.execute("UPDATE calls SET duration_seconds = 61")
    writer.execute(
        "INSERT INTO messages (tenant_id, status, sent_at) VALUES (1, 'sent', '2003-05-05')"
    )
    writer.commit()
    assert figures(db, "SELECT sqlstate FROM unrated_usage") == ("UB006",)
    assert figures(db, "SELECT count(*) FROM usage_records") == (1,)
    assert figures(db, "SELECT count(*) FROM detached_months") == (1,)
    if not dropped:
        db.execute("SELECT attach_month('2025-11-01')")
        db.execute("SELECT retry_unrated()")
        assert figures(db, "SELECT sum(seconds) FROM usage_records") == (61,)
        assert broken(db) == []


def test_a_charge_follows_its_row_to_the_day_that_it_moved_to_with_triggers_off(
    db: Connection,
) -> None:
    add_calls(db, 1, 1)
    without_triggers(db, "UPDATE calls SET initiated_at = '2025-11-20' WHERE id = 1")
    db.execute("UPDATE calls SET duration_seconds = 90 WHERE id = 1")
    net = db.execute(
        "SELECT usage_date, sum(seconds) FROM usage_records GROUP BY 1 HAVING sum(seconds) <> 0"
    ).fetchall()
    assert net == [(date(2025, 11, 20), 90)]
    assert broken(db) == []


# NOTIFY


def test_what_is_set_aside_is_announced_once_without_personal_data(
    database: str, db: Connection
) -> None:
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("LISTEN billing_unrated")

        def heard() -> list[dict[str, Any]]:
            return [json.loads(n.payload) for n in listener.notifies(timeout=0.5)]

        db.execute(
            "INSERT INTO calls (id, tenant_id, call_sid, from_number, to_number, status,"
            " initiated_at, duration_seconds) VALUES (17, 999, 'CA17', '+12025550100',"
            " '+442079460000', 'completed', '2025-11-14', 60)"
        )
        assert heard() == []
        db.execute("SELECT * FROM maintain()")
        [told] = heard()
        assert told.pop("id") > 0
        assert told == {"source_table": "calls", "source_id": 17, "sqlstate": "UB002"}
        db.execute("SELECT * FROM maintain()")
        assert heard() == []


# verify


def tamper(db: Connection, statement: str) -> None:
    """As an owner who switches off what protects the records."""
    db.execute("ALTER TABLE billing.usage_records DISABLE TRIGGER append_only")
    db.execute("ALTER TABLE billing.invoices DISABLE TRIGGER protect_invoice")
    db.execute("ALTER TABLE billing.invoice_line_items DISABLE TRIGGER protect_lines_updated")
    db.execute(statement.encode())
    db.execute("ALTER TABLE billing.usage_records ENABLE TRIGGER append_only")


ISSUE = """
    SELECT generate_invoice(1, '2025-11-01');
    SELECT finalize_invoice(id) FROM invoices;
    """
BREAKS = {
    "summaries equal records": "UPDATE usage_deltas SET total_cost = total_cost + 1",
    "sums are kept by the rate that prices a period": "UPDATE usage_deltas SET billed = 0",
    "revisions are 1 to n": "UPDATE usage_records SET revision = 3 WHERE source_id = 1",
    "charges add and reversals take away": "UPDATE usage_records SET kind = 'reversal'",
    "figures are finite": "UPDATE usage_records SET billed_quantity = 'NaN'",
    "a reversal takes back its charge": """
        UPDATE calls SET duration_seconds = 90 WHERE id = 1;
        UPDATE usage_records SET quantity = -9, total_cost = -9 WHERE kind = 'reversal'
        """,
    "no resource nets to less than nothing": """
        SELECT record_usage(1, 'sms', 'message', 'by hand', 1, '{}', '2025-11-14');
        UPDATE usage_records SET quantity = -1 WHERE resource_id = 'by hand'
        """,
    "a row is charged once": """
        UPDATE usage_records SET source_id = 1, part = 1, usage_date = '2025-11-15'
         WHERE source_id = 2
        """,
    "cost follows from quantity and rate": "UPDATE usage_records SET total_cost = 7",
    "usage is on its day": "UPDATE usage_records SET usage_date = '2025-11-13'",
    "a resource is charged by hand or by its row": """
        INSERT INTO direct_usage
        SELECT tenant_id, channel, resource_type, resource_id, id, created_at, usage_date
          FROM usage_records WHERE source_id = 1
        """,
    "usage is rated": "UPDATE calls SET tenant_id = 999 WHERE id = 1",
    "balance equals credit entries": "UPDATE tenants SET credit_balance = 7",
    "lots and what is taken from them agree": """
        SELECT grant_credit(1, 5, 'purchase', 'bought');
        SELECT spend_credit(1, 2, 'refund', 'given back');
        ALTER TABLE credit_uses DISABLE TRIGGER append_only;
        UPDATE credit_uses SET amount = 3
        """,
    "an account is the sum of its reservations": """
        SELECT grant_credit(1, 500, 'purchase', 'bought');
        SELECT reserve_call(1, '+14155550100', 'CA-held', 60);
        UPDATE credit_accounts SET reserved = reserved + 1
        """,
    "who reserves is settled": """
        SELECT grant_credit(1, 500, 'purchase', 'bought');
        SELECT reserve_call(1, '+14155550100', 'CA-held', 60);
        UPDATE tenant_terms SET looks_closer = false
        """,
    "an invoice is the sum of its lines": f"""
        {ISSUE} UPDATE invoices SET tax = 1, total_amount = subtotal + 1
        """,
    "an invoice line is rounded to its currency": f"""
        {ISSUE} UPDATE invoice_line_items SET amount = 0.015
        """,
    "an issued invoice bills its records": f"{ISSUE} UPDATE invoice_line_items SET quantity = 7",
    "an issued invoice is as it was issued": f"""
        {ISSUE} UPDATE invoice_line_items SET description = 'Nothing'
        """,
    "numbers are an unbroken chain": f"{ISSUE} UPDATE number_series SET last_number = 2",
    "an invoice is settled by what was paid and credited": f"""
        {ISSUE} UPDATE invoices SET amount_paid = total_amount, status = 'paid'
        """,
    "usage is billed once, on its invoice or an adjustment": f"""
        {ISSUE} SELECT record_usage(1, 'sms', 'message', 'late', 3, '{{}}', '2025-11-14');
        SELECT collect_adjustments('{{1}}'); UPDATE adjustments SET amount = 7
        """,
    "prices are resolved": "UPDATE resolved_prices SET unit_price = 7",
    "the terms of a tenant are remembered": "UPDATE tenant_terms SET plan_id = 3",
    "what is written stays written": "ALTER TABLE payments DISABLE TRIGGER append_only",
    "records are of transactions of this server": """
        SELECT ensure_partition('2025-11-01');
        ALTER TABLE usage_records_2025_11 DISABLE TRIGGER USER;
        UPDATE usage_records SET xact = '4000000000' WHERE source_id = 1
        """,
    "what is sealed is as it was": """
        SELECT ensure_partition('2025-11-01');
        SELECT seal();
        ALTER TABLE usage_records_2025_11 DISABLE TRIGGER USER;
        UPDATE usage_records SET part = 2 WHERE source_id = 1
        """,
    "seals are an unbroken chain": """
        SELECT grant_credit(1, 5, 'grant', 'gift');
        SELECT seal();
        ALTER TABLE seals DISABLE TRIGGER append_only;
        UPDATE seals SET sealed_at = sealed_at - interval '1 day'
        """,
    "tables are metered as they stand": "ALTER TABLE calls ALTER initiated_at TYPE timestamp",
    "deserved equals recorded": """
        ALTER TABLE calls DISABLE TRIGGER USER;
        UPDATE calls SET to_number = '+442079460000' WHERE id = 1
        """,
}
TIMELESS = {
    "what is written stays written",
    "seals are an unbroken chain",
    "numbers are an unbroken chain",
    "balance equals credit entries",
    "lots and what is taken from them agree",
    "an account is the sum of its reservations",
    "who reserves is settled",
    "prices are resolved",
    "the terms of a tenant are remembered",
    "tables are metered as they stand",
}


@pytest.mark.parametrize("check", BREAKS)
def test_verify_finds_each_promise_broken(db: Connection, check: str) -> None:
    add_calls(db, 1, 2)
    assert broken(db) == []
    tamper(db, BREAKS[check])
    assert check in broken(db)
    window = broken(db, "'2025-11-01', '2025-11-30'")
    assert (check in window) == (check not in TIMELESS)
    elsewhere = set(broken(db, "'2025-10-01', '2025-10-31'"))
    assert elsewhere <= {"usage is rated"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pricing_rates SET effective_until = '2025-06-01' WHERE prefix = '44'",
        "UPDATE pricing_rates SET is_active = false WHERE prefix = '44'",
        "UPDATE pricing_rates SET effective_until = NULL WHERE prefix = '4420'",
        "DELETE FROM resolved_prices WHERE lo = '4420' AND valid_from = '2025-03-01'",
        "UPDATE resolved_prices SET connection_fee = 1 WHERE lo = '4420' AND rate_id = 1001",
    ],
)
def test_verify_finds_prices_that_are_not_resolved(db: Connection, change: str) -> None:
    """Also where one has ended, and where a longer prefix inherits it."""
    db.execute(
        """
        INSERT INTO pricing_rates (id, tenant_id, channel, resource_type, prefix, unit_price,
            effective_from, effective_until)
        VALUES
            (1001, 1, 'voice', 'minute', '44', 1, '2025-01-01', NULL),
            (1002, 1, 'voice', 'minute', '4420', 2, '2025-02-01', '2025-03-01')
        """
    )
    assert broken(db) == []
    db.execute("ALTER TABLE pricing_rates DISABLE TRIGGER rates_updated")
    assert db.execute(change.encode()).rowcount > 0
    assert broken(db) == ["prices are resolved"]
    db.execute("SELECT resolve_prices(1, 'voice', 'minute')")
    assert broken(db) == []


def test_every_check_is_broken_by_a_test(db: Connection) -> None:
    names = db.execute("SELECT check_name FROM verify_checks").fetchall()
    # Of a hash that verify() is not given.
    assert {name for (name,) in names} == set(BREAKS) | {"the chain has the hash kept elsewhere"}


def test_usage_after_an_invoice_was_issued_is_no_violation_of_it(db: Connection) -> None:
    add_calls(db, 1, 2)
    db.execute(ISSUE.encode())
    add_calls(db, 3, 3)
    db.execute("UPDATE calls SET duration_seconds = 600 WHERE id = 1")
    assert broken(db) == []


# The command line


def run(database: str, *arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["-d", database, *map(str, arguments)])


def test_reconcile_by_command(database: str, db: Connection) -> None:
    add_calls(db, 1, 3)
    without_triggers(db, "UPDATE calls SET duration_seconds = 90 WHERE id = 2")
    days = ("--from", "2025-11-01", "--to", "2025-11-30")
    done = run(database, "reconcile", *days, "-f", "json")
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == [
        {"source_table": "calls", "scanned": 3, "repaired": 2, "unrated": 0, "busy": 0},
        {"source_table": "messages", "scanned": 0, "repaired": 0, "unrated": 0, "busy": 0},
    ]
    again = run(database, "reconcile", *days)
    assert again.exit_code == 0
    assert broken(db) == []


def test_backfill_by_command_counts_as_the_function(database: str, db: Connection) -> None:
    db.execute("ALTER TABLE calls DISABLE TRIGGER USER")
    add_calls(db, 1, 3)
    db.execute("UPDATE calls SET tenant_id = 999 WHERE id = 3")
    db.execute("ALTER TABLE calls ENABLE TRIGGER USER")
    command = ("backfill", "--from", "2025-11-01", "--to", "2025-11-30", "-f", "json")
    first, again = (json.loads(run(database, *command).stdout)[0] for _ in range(2))
    names = ("scanned", "recorded", "already_recorded", "unrated")
    assert [first[name] for name in names] == [3, 2, 0, 1]
    assert [again[name] for name in names] == [3, 0, 2, 1]
    query = f"SELECT {', '.join(names)} FROM backfill_usage('2025-11-01', '2025-11-30') LIMIT 1"
    assert figures(db, query) == (3, 0, 2, 1)


def test_a_backfill_of_all_time_makes_partitions_for_months_that_have_usage(
    database: str, db: Connection
) -> None:
    """Each partition is one more for a correction to look into, and to lock."""
    partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_records'::regclass"
    (before,) = figures(db, partitions)
    without_triggers(
        db,
        "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
        " VALUES (1, 1, 'completed', '2001-05-10', 60), (2, 1, 'completed', '2003-07-10', 60)",
    )
    done = run(database, "backfill", "--from", "1990-01-01", "--to", "2025-12-31")
    assert done.exit_code == 0
    assert figures(db, partitions) == (before + 2,)
    with Client(database) as client:
        assert (
            sum(
                table.already_recorded
                for table in client.backfill(date(1990, 1, 1), date(2025, 12, 31))
            )
            == 2
        )
    assert figures(db, partitions) == (before + 2,)
    assert figures(db, "SELECT count(*) FROM usage_records_default") == (0,)


def test_rows_that_stay_busy_fail_the_command(
    database: str, db: Connection, connect: Callable[..., Connection]
) -> None:
    db.execute("ALTER TABLE calls DISABLE TRIGGER USER")
    add_calls(db, 1, 3)
    db.execute("ALTER TABLE calls ENABLE TRIGGER USER")
    writer = connect()
    writer.execute("UPDATE calls SET hangup_cause = 'x' WHERE id = 2")
    days = ("--from", "2025-11-01", "--to", "2025-11-30")
    done = run(database, "reconcile", *days, "-f", "json")
    assert done.exit_code == 1
    assert "1 rows were left alone" in done.stderr
    assert json.loads(done.stdout)[0]["busy"] == 1
    writer.commit()
    assert run(database, "reconcile", *days).exit_code == 0
    assert figures(db, "SELECT count(*) FROM usage_records") == (3,)


def test_verify_says_what_to_do_and_is_remembered(database: str, db: Connection) -> None:
    add_calls(db, 1, 2)
    without_triggers(db, "UPDATE calls SET duration_seconds = 90 WHERE id = 2")
    found = run(database, "verify")
    assert found.exit_code == 1
    assert "calls 2" in found.stdout
    assert "deserved equals recorded: Triggers were off" in found.stderr
    assert run(database, "verify", "--from", "2025-10-01", "--to", "2025-10-31").exit_code == 0
    assert run(database, "verify", "--days", "1").exit_code == 0
    kept = "SELECT task, found FROM task_runs WHERE task LIKE 'verify%' ORDER BY 1"
    assert db.execute(kept).fetchall() == [("verify", 1), ("verify window", 0)]


def test_verify_where_nothing_can_be_written(database: str) -> None:
    assert run(f"{database} options='-c default_transaction_read_only=on'", "verify").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["reconcile"],
        ["reconcile", "--to", "2025-11-30"],
        ["reconcile", "--days", "0"],
        ["reconcile", "--days", "1", "--from", "2025-11-01"],
        ["verify", "--from", "2025-11-02", "--to", "2025-11-01"],
        ["backfill", "--from", "2025-11-02", "--to", "2025-11-01"],
    ],
)
def test_misuse_is_2(database: str, arguments: list[str]) -> None:
    done = run(database, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")


def test_health_by_command(database: str, db: Connection) -> None:
    before = run(database, "health", "-f", "json")
    assert before.exit_code == 1
    assert {row["metric"] for row in json.loads(before.stdout) if not row["is_ok"]} == {
        "maintain_age",
        "verify_age",
        "reconcile_age",
    }
    assert run(database, "maintain").exit_code == 0
    assert run(database, "verify").exit_code == 0
    assert run(database, "reconcile", "--days", "3").exit_code == 0
    after = run(database, "health")
    assert after.exit_code == 0, after.stdout


# What is handed to others


def read_collector(path: Path) -> list[dict[str, Any]]:
    """The metrics of a collector, in the little of YAML that it keeps to; anything else fails."""
    metrics: list[dict[str, Any]] = []
    key = ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.name}:{number}: {line}"
        assert "\t" not in line, where
        if not line.strip() or line.startswith("#"):
            continue
        if match := re.fullmatch(r"(collector_name|min_interval): [\w.]+|metrics:", line):
            continue
        if match := re.fullmatch(r"  - (metric_name): (\w+)", line):
            metrics.append({match[1]: match[2]})
        elif match := re.fullmatch(r"    (\w+): (gauge|'[^']*'|\[\w+\]|\|)", line):
            key = match[1]
            metrics[-1][key] = match[2].strip("'[]|")
        elif match := re.fullmatch(r"    (\w+):", line):
            key = match[1]
            metrics[-1][key] = []
        elif match := re.fullmatch(r"      - (\w+)", line):
            metrics[-1][key].append(match[1])
        else:
            assert line.startswith("      "), where
            assert key == "query", where
            metrics[-1][key] += line.strip() + "\n"
    return metrics


def test_each_query_of_the_exporter_gives_its_labels_and_value(db: Connection) -> None:
    add_calls(db, 1, 1)
    db.execute("UPDATE calls SET tenant_id = 999")
    metrics = read_collector(EXPORTER)
    assert len(metrics) == 3
    for metric in metrics:
        assert set(metric) == {"metric_name", "type", "help", "key_labels", "values", "query"}
        cursor = db.execute(metric["query"].encode())
        names = [column.name for column in cursor.description or ()]
        assert names == [*metric["key_labels"], metric["values"]], metric["metric_name"]
        rows = cursor.fetchall()
        assert rows
        # Prometheus wants labels apart and every value a number.
        assert len({row[:-1] for row in rows}) == len(rows)
        assert all(float(row[-1]) >= 0 for row in rows)
    # Every figure is explained.
    text = OPERATIONS.read_text()
    explained = db.execute("SELECT DISTINCT metric FROM usage_health").fetchall()
    assert [name for (name,) in explained if f"`{name}`" not in text] == []

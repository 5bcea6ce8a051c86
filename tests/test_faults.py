"""The faults campaign in short, and faults that need no probe: locks, timeouts, a full disk, what
somebody left behind. `make test-faults` is the long form."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from conftest import Cluster
from psycopg import Connection

from campaigns import faults
from campaigns.load import CounterExample
from pyapi.embedded import _Account

CASES = 50


@pytest.fixture
def tenants(db: Connection) -> None:
    db.execute("INSERT INTO tenants (id) SELECT generate_series(1, 3)")
    # So that the tests need not wait for long.
    db.execute("ALTER FUNCTION meter_calls() SET lock_timeout = '50ms'")
    db.execute(
        """
        INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at,
            duration_seconds)
        SELECT n, 1, 'CA' || n, '+15559876543', 'ringing', '2025-11-14', 60
        FROM generate_series(1, 50) AS n
        """
    )


@pytest.fixture
def connect(database: str) -> Iterator[Callable[[], Connection]]:
    """More connections to the test's database, closed at its end."""
    opened = []

    def open_one() -> Connection:
        opened.append(psycopg.connect(database, options="-c statement_timeout=60s"))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


def complete(db: Connection, *ids: int) -> None:
    db.execute("UPDATE calls SET status = 'completed' WHERE id = ANY(%s)", [list(ids)])


def set_aside(db: Connection) -> list[tuple[object, ...]]:
    query = "SELECT source_id, sqlstate FROM unrated_usage WHERE resolved_at IS NULL ORDER BY 1"
    return db.execute(query).fetchall()


def charged(db: Connection) -> list[int]:
    query = "SELECT source_id FROM usage_records WHERE kind = 'charge' ORDER BY 1"
    return [row[0] for row in db.execute(query)]


# Injected -----------------------------------------------------------------------------------------


def test_an_error_anywhere_in_the_trigger_loses_nothing(db: Connection, thorough: bool) -> None:
    at_work = faults.Faults(db, faults.prepare(db))
    assert len(at_work.sites) > 200
    assert all(len(sites) > 20 for sites in at_work.reached.values())
    plan = at_work.plan(random.Random(1), depth=1)
    faults.campaign(at_work, plan[: CASES if thorough else CASES // 6])
    counts = at_work.figures.counts
    assert counts["set aside, and rated later"] > 0
    # In short, the few that are to pass through may not be among them.
    if thorough:
        assert counts["passed on"] > 0
        assert counts["absorbed"] > 0


@pytest.mark.parametrize(
    ("broken", "remark"),
    [
        ("set_aside_forgets", "neither recorded nor set aside"),
        ("guard_is_gone", "the write failed"),
        ("cancel_is_swallowed", "did not reach the application"),
    ],
)
def test_the_campaign_finds_a_guard_that_does_not_hold(
    db: Connection, broken: str, remark: str
) -> None:
    (definition,) = db.execute("SELECT pg_get_functiondef('meter_calls'::regproc)").fetchone() or (
        "",
    )
    assert definition.count("WHEN OTHERS THEN") == 3
    match broken:
        case "set_aside_forgets":
            db.execute(
                """
                CREATE FUNCTION public.forget() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN RETURN NULL; END $$;
                CREATE TRIGGER forget BEFORE INSERT ON unrated_usage
                FOR EACH ROW EXECUTE FUNCTION public.forget()
                """
            )
        case "guard_is_gone":
            # All but the first, which tries again another way.
            first, *others = definition.split("WHEN OTHERS THEN")
            definition = f"{first}WHEN OTHERS THEN{'WHEN division_by_zero THEN'.join(others)}"
        case "cancel_is_swallowed":
            definition = definition.replace(
                "WHEN OTHERS THEN", "WHEN OTHERS OR query_canceled THEN"
            )
            definition = definition.replace("data_corrupted OR ", "")
    db.execute(definition.encode())
    at_work = faults.Faults(db, faults.prepare(db))
    scenario = next(s for s in faults.SCENARIOS if s.name == "insert one call")

    def attempt_all() -> None:
        for site in sorted(at_work.reached[scenario.name]):
            for state in ("XX000", "57014", "XX001"):
                at_work.attempt(scenario, faults.Fault((site,), state))

    with pytest.raises(CounterExample, match=remark):
        attempt_all()


# Found in the world -------------------------------------------------------------------------------


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("row_count", [1, 20])
@pytest.mark.parametrize(
    "table", ["usage_records", "usage_deltas", "tenant_terms", "unrated_usage"]
)
def test_a_table_of_ours_that_somebody_holds_delays_nobody_for_long(
    db: Connection, connect: Callable[[], Connection], table: str, row_count: int
) -> None:
    ids = list(range(1, row_count + 1))
    notices: list[tuple[str, str]] = []
    db.add_notice_handler(
        lambda notice: notices.append(
            (str(notice.severity_nonlocalized), f"{notice.message_detail}")
        )
    )
    holder = connect()
    # What is set aside does not touch unrated_usage in the usual case: an unknown tenant does.
    tables = "tenant_terms, unrated_usage" if table == "unrated_usage" else table
    holder.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE".encode())
    begin = time.monotonic()
    complete(db, *ids)
    # Once two seconds, not twice; and once more to set aside what cannot be.
    assert time.monotonic() - begin < (5.9 if table == "unrated_usage" else 3.9)
    holder.rollback()
    if table == "unrated_usage":
        assert notices == [
            ("WARNING", f"{row_count} rows of calls, ids 1 to {row_count}: 55P03, then 55P03.")
        ]
        assert set_aside(db) == []
        db.execute("SELECT * FROM reconcile('2025-11-14', '2025-11-14')")
    else:
        assert notices == []
        assert set_aside(db) == [(row_id, "55P03") for row_id in ids]
        db.execute("SELECT retry_unrated()")
    assert charged(db) == ids
    assert db.execute("SELECT * FROM verify()").fetchall() == []


@pytest.mark.usefixtures("tenants")
def test_the_trigger_waits_no_longer_than_it_says(db: Connection) -> None:
    db.execute("SELECT meter_table('calls', 'measure_call', 'call_sid')")
    query = "SELECT proconfig FROM pg_proc WHERE oid = 'meter_calls'::regproc"
    (settings,) = db.execute(query).fetchone() or ([],)
    assert "lock_timeout=2s" in settings


@pytest.mark.usefixtures("tenants")
@pytest.mark.parametrize("timeout", ["statement_timeout", "transaction_timeout"])
def test_a_statement_that_takes_too_long_fails_and_leaves_nothing(
    db: Connection, connect: Callable[[], Connection], timeout: str
) -> None:
    if timeout == "transaction_timeout" and db.info.server_version < 170000:
        pytest.skip("PostgreSQL 17 brought it")
    db.execute("ALTER FUNCTION meter_calls() SET lock_timeout = 0")
    holder, application = connect(), connect()
    holder.execute("LOCK TABLE usage_deltas IN ACCESS EXCLUSIVE MODE")
    application.execute(f"SET {timeout} = '200ms'".encode())
    application.commit()
    with pytest.raises(psycopg.Error, match="timeout"):
        complete(application, 1, 2)
    holder.rollback()
    assert (
        db.execute("SELECT status FROM calls WHERE id IN (1, 2)").fetchall() == [("ringing",)] * 2
    )
    assert (charged(db), set_aside(db)) == ([], [])
    assert db.execute("SELECT * FROM verify()").fetchall() == []


@pytest.mark.usefixtures("tenants")
def test_what_a_prepared_transaction_holds_keeps_no_other_row_waiting(
    db: Connection, connect: Callable[[], Connection]
) -> None:
    """One after the other, all kinds of work are prepared and left so; the others go on."""
    complete(db, 1, 2, 3)
    db.execute("UPDATE calls SET status = 'completed', tenant_id = 404 WHERE id = 4")
    # The first usage of a tenant recorded by hand marks the tenant, once, and others wait for that.
    db.execute("SELECT record_usage(1, 'voice', 'minute', 'first', 1, '{}', '2025-11-14')")
    left = {
        "completes a call": "UPDATE calls SET status = 'completed' WHERE id = 10",
        "completes many": "UPDATE calls SET status = 'completed' WHERE id BETWEEN 11 AND 30",
        "corrects one": "UPDATE calls SET duration_seconds = 61 WHERE id = 1",
        "fails one": "UPDATE calls SET status = 'failed' WHERE id = 2",
        "sets one aside": "UPDATE calls SET status = 'completed', tenant_id = 405 WHERE id = 31",
        "records by hand": "SELECT record_usage(1, 'voice', 'minute', 'h', 1, '{}', '2025-11-14')",
        "records a row": "SELECT record_call_usage(3)",
        "retries": "SELECT retry_unrated()",
        "gives credit": "SELECT grant_credit(1, 1, 'grant', 'left behind')",
    }
    try:
        for name, statement in left.items():
            leaver = connect()
            leaver.execute(statement.encode())
            leaver.execute(f"PREPARE TRANSACTION '{name}'".encode())
            leaver.autocommit = True
        other = connect()
        other.execute("SET statement_timeout = '5s'")
        begin = time.monotonic()
        complete(other, *range(32, 51))
        other.execute("UPDATE calls SET duration_seconds = 62 WHERE id BETWEEN 32 AND 40")
        other.execute("UPDATE calls SET status = 'failed' WHERE id BETWEEN 41 AND 50")
        other.execute("SELECT record_usage(1, 'voice', 'minute', 'another', 1, '{}', '2025-11-14')")
        other.commit()
        assert [row for row in db.execute("SELECT * FROM maintain()") if row[1] < 0] == []
        assert time.monotonic() - begin < 4
        assert set_aside(db) == [(4, "UB002")]
    finally:
        query = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        prepared = [name for (name,) in db.execute(query)]
        for name in prepared:
            db.execute(f"COMMIT PREPARED '{name}'".encode())
    assert len(prepared) == len(left)
    db.execute("INSERT INTO tenants (id) VALUES (404), (405)")
    db.execute("SELECT retry_unrated()")
    assert set_aside(db) == []
    assert db.execute("SELECT * FROM verify()").fetchall() == []


@pytest.mark.usefixtures("tenants")
def test_an_entry_and_its_warning_tell_nothing_of_what_the_row_holds(db: Connection) -> None:
    """A measure that stumbles over a number says which; the entry does not."""
    db.execute(
        """
        CREATE TABLE public.faxes (id bigint NOT NULL, tenant_id bigint, pages text, sender text);
        CREATE FUNCTION public.measure_fax(p_id bigint, p_tenant_id bigint, p_pages text)
        RETURNS SETOF billing.measurement LANGUAGE sql STABLE AS $$
            SELECT p_id, 1::smallint, p_tenant_id, 'sms', 'message', p_id::text,
                p_pages::numeric, NULL, '2025-11-14'::timestamptz
        $$;
        SELECT meter_table('public.faxes', 'public.measure_fax');
        CREATE PROCEDURE public.write_down(what text) LANGUAGE plpgsql AS $$
        BEGIN
            EXECUTE format('INSERT INTO public.faxes VALUES (1, 1, %L, %L)', what, what);
        END $$
        """
    )
    db.execute("CALL public.write_down('call +49 30 1234 \"at\" night')")
    with db.cursor().copy("COPY public.faxes FROM STDIN") as copy:
        copy.write_row((2, 1, "+49 30 1234", "+49 30 1234"))
        copy.write_row((3, 1, "7", "+49 30 1234"))
    entries = db.execute(
        "SELECT source_id, sqlstate, reason, context::text FROM unrated_usage"
    ).fetchall()
    assert [(row_id, state) for row_id, state, _, _ in entries] == [(1, "22P02"), (2, "22P02")]
    assert all("1234" not in f"{reason} {context}" for _, _, reason, context in entries)
    assert all("numeric" in reason for _, _, reason, _ in entries)
    assert all("measure_fax" in context or "meter_faxes" in context for *_, context in entries)
    assert charged(db) == [3]


def test_what_has_no_time_of_its_own_happened_when_it_was_first_tried(db: Connection) -> None:
    db.execute("INSERT INTO messages (id, tenant_id, channel, status) VALUES (1, 8, 'sms', 'sent')")
    (before,) = db.execute("SELECT clock_timestamp()").fetchone() or (None,)
    # What else is set aside since, of other rows and other tables, has nothing to do with it.
    db.execute("INSERT INTO messages (id, tenant_id, channel, status) VALUES (2, 9, 'sms', 'sent')")
    db.execute(
        "INSERT INTO calls (id, tenant_id, status, duration_seconds) VALUES (1, 9, 'completed', 1)"
    )
    db.execute("UPDATE unrated_usage SET first_seen_at = '2026-01-01' WHERE tenant_id = 9")
    # The tenant is entered a day late, with what held then.
    db.execute(
        "UPDATE unrated_usage SET first_seen_at = first_seen_at - interval '1 day'"
        " WHERE tenant_id = 8"
    )
    db.execute("INSERT INTO tenants (id) VALUES (8)")
    db.execute("SELECT retry_unrated()")
    query = """
        SELECT %s - occurred_at BETWEEN interval '23 hours' AND interval '25 hours', total_cost
        FROM usage_records
    """
    assert db.execute(query, [before]).fetchall() == [(True, Decimal("0.0075"))]
    broken = db.execute("SELECT check_name, subject FROM verify() ORDER BY 2").fetchall()
    assert broken == [("usage is rated", "calls 1"), ("usage is rated", "messages 2")]


def test_a_full_disk_under_our_tables(cluster: Cluster, tmp_path: Path) -> None:
    """A tablespace of 4 MB, in memory, holds our tables; the application's lie elsewhere."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can make a disk that is full")
    if not isinstance(cluster.version, int):
        pytest.skip("needs a server on this machine")
    disk = Path(f"/tmp/irisx-full-{os.getpid()}-{cluster.version}")
    disk.mkdir()
    options = f"size=4m,mode=0700,uid={_Account.current().uid},gid={_Account.current().gid}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True, text=True
    )
    try:
        if mounted.returncode != 0:
            pytest.skip(f"no mount allowed here: {mounted.stderr.strip()}")
        _fill(cluster, disk)
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", disk], check=True)
        disk.rmdir()


def _fill(cluster: Cluster, disk: Path) -> None:
    name = f"full_{os.getpid()}"
    with (
        cluster.database(cluster.migrated) as conninfo,
        psycopg.connect(conninfo, autocommit=True) as db,
    ):
        dbname = db.info.dbname
        with psycopg.connect(cluster.admin_conninfo(dbname), autocommit=True) as admin:
            admin.execute(f"CREATE TABLESPACE {name} LOCATION '{disk}'".encode())
            admin.execute(f"GRANT CREATE ON TABLESPACE {name} TO PUBLIC".encode())
            try:
                db.execute(f"ALTER TABLE usage_deltas SET TABLESPACE {name}".encode())
                db.execute("INSERT INTO tenants (id) VALUES (1)")
                for _ in range(200):
                    db.execute(
                        """
                        INSERT INTO messages (tenant_id, channel, status, sent_at)
                        SELECT 1, 'sms', 'sent', '2025-11-14'::timestamptz - interval '1 day' * n
                        FROM generate_series(1, 500) AS n
                        """
                    )
                    states = {state for _, state in set_aside(db)}
                    if states:
                        break
                assert states == {"53100"}
                # Somebody makes room.
                db.execute("ALTER TABLE usage_deltas SET TABLESPACE pg_default")
                db.execute("SELECT retry_unrated(100000)")
                assert set_aside(db) == []
                assert db.execute("SELECT * FROM verify()").fetchall() == []
            finally:
                db.execute("ALTER TABLE usage_deltas SET TABLESPACE pg_default")
                admin.execute(f"DROP TABLESPACE {name}".encode())

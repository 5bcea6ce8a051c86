"""Installing, updating and removing, beside a running application.

What needs no real schema runs on a small SQL folder of its own, which a test may then change.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyapi import deploy
from pyapi.deploy import migrate, uninstall
from pyapi.errors import DatabaseUnavailableError, DeployError, NotInstalledError

SMALL = {
    "migrations/0001_start.sql": """
        -- A comment; with a semicolon, and 100 %.
        CREATE TABLE billing.seen (id bigint, note text DEFAULT '%s; %');
        CREATE TABLE billing.metered_tables (source_table text);
        DO $$ BEGIN PERFORM 1; IF true THEN PERFORM 2; END IF; END $$;
        CREATE TABLE IF NOT EXISTS public.calls (id bigint);
        SELECT 1;
        """,
    "migrations/0001_start.rollback.sql": "DROP TABLE billing.seen;",
    "functions/measure/first.sql": """
        CREATE OR REPLACE FUNCTION billing.first() RETURNS bigint LANGUAGE sql
        AS $$ SELECT billing.second() $$;
        """,
    "functions/report/second.sql": """
        CREATE OR REPLACE FUNCTION billing.second() RETURNS bigint LANGUAGE sql
        AS $$ SELECT count(*) FROM billing.seen $$;
        CREATE OR REPLACE VIEW billing.third AS SELECT billing.first() AS n;
        """,
    "triggers/calls.sql": """
        CREATE OR REPLACE FUNCTION billing.see() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN INSERT INTO billing.seen VALUES (NEW.id); RETURN NULL; END $$;
        DROP TRIGGER IF EXISTS see ON public.calls;
        CREATE TRIGGER see AFTER INSERT ON public.calls
        FOR EACH ROW EXECUTE FUNCTION billing.see();
        """,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small SQL folder: one migration, two functions that need each other, a view, a trigger."""
    for name, text in SMALL.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def query(conninfo: str, statement: str) -> list[Any]:
    """Execute one statement; return its rows, each as its only value where it has one."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        rows = cursor.fetchall() if cursor.description else []
        return [row[0] if len(row) == 1 else row for row in rows]


def wait_for(conninfo: str, condition: str, count: int = 1) -> None:
    """Return as soon as so many rows fulfil a condition on pg_stat_activity."""
    statement = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        f" AND pid <> pg_backend_pid() AND {condition}"
    )
    deadline = time.monotonic() + 60
    while query(conninfo, statement) != [count]:
        assert time.monotonic() < deadline, f"never came: {condition}"
        time.sleep(0.01)


def in_background(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Start a call in a thread of its own; return its future."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(call, *arguments, **options)
    finally:
        pool.shutdown(wait=False)


def test_an_empty_database_gets_everything_and_a_second_run_does_nothing(
    empty_database: str,
) -> None:
    messages: list[str] = []
    report = migrate(empty_database, on_step=messages.append)
    assert report.migrations
    assert report.reloaded
    assert len(messages) == len(report.migrations) + 2
    assert not migrate(empty_database)


def test_nothing_deployed_is_open_to_public(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder=folder)
    assert not query(
        empty_database,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'billing'::regnamespace"
        " AND has_function_privilege('pg_monitor', oid, 'EXECUTE')",
    )


def test_sql_arrives_as_it_is_written(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder=folder)
    query(empty_database, "INSERT INTO billing.seen DEFAULT VALUES")
    assert query(empty_database, "SELECT note FROM billing.seen") == ["%s; %"]
    assert query(empty_database, "SELECT n FROM billing.third") == [1]


def test_an_edited_migration_is_refused_by_name(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder=folder)
    (folder / "migrations/0001_start.sql").write_text("SELECT 2;")
    with pytest.raises(DeployError, match=r"migrations/0001_start\.sql was edited"):
        migrate(empty_database, folder=folder)


def test_other_line_ends_are_no_edit(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder=folder)
    path = folder / "migrations/0001_start.sql"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert not migrate(empty_database, folder=folder)


def test_a_database_newer_than_the_code_is_refused(empty_database: str, folder: Path) -> None:
    later = folder / "migrations/0002_later.sql"
    later.write_text("SELECT 1;")
    later.with_suffix(".rollback.sql").write_text("SELECT 1;")
    migrate(empty_database, folder=folder)
    later.unlink()
    with pytest.raises(DeployError, match=r"0002_later\.sql is applied"):
        migrate(empty_database, folder=folder)


def test_a_migration_without_rollback_is_refused(empty_database: str, folder: Path) -> None:
    (folder / "migrations/0001_start.rollback.sql").unlink()
    with pytest.raises(DeployError, match=r"0001_start\.sql has no rollback"):
        migrate(empty_database, folder=folder)


def test_every_migration_of_ours_has_a_rollback() -> None:
    for path in (deploy.sql_folder() / "migrations").glob("[0-9]*.sql"):
        if not path.name.endswith(".rollback.sql"):
            assert path.with_suffix(".rollback.sql").read_text().strip(), path.name


@pytest.mark.parametrize("name", ["functions/stray.sql", "functions/elsewhere/stray.sql"])
def test_a_function_outside_the_stages_is_refused(
    empty_database: str, folder: Path, name: str
) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("SELECT 1;")
    with pytest.raises(DeployError, match="is in no stage"):
        migrate(empty_database, folder=folder)


def test_a_failing_migration_names_file_and_line_and_leaves_nothing(
    empty_database: str, folder: Path
) -> None:
    path = folder / "migrations/0001_start.sql"
    path.write_text("CREATE TABLE billing.half (id bigint);\n\nSELECT nonsense;\n")
    with pytest.raises(DeployError, match=r"migrations/0001_start\.sql:3: .*nonsense"):
        migrate(empty_database, folder=folder)
    assert query(empty_database, "SELECT to_regclass('billing.half')") == [None]
    path.write_text(SMALL["migrations/0001_start.sql"])
    assert migrate(empty_database, folder=folder).migrations == ("migrations/0001_start.sql",)


def test_a_changed_function_is_reloaded_with_the_triggers_although_nothing_is_pending(
    empty_database: str, folder: Path
) -> None:
    migrate(empty_database, folder=folder)
    path = folder / "functions/report/second.sql"
    path.write_text(path.read_text().replace("count(*)", "count(*) + 40"))
    report = migrate(empty_database, folder=folder)
    assert not report.migrations
    assert report.reloaded == ("functions/report/second.sql", "triggers/calls.sql")
    assert query(empty_database, "SELECT n FROM billing.third") == [40]


def test_a_migration_reloads_every_function(empty_database: str, folder: Path) -> None:
    first = migrate(empty_database, folder=folder)
    later = folder / "migrations/0002_later.sql"
    later.write_text("SELECT 1;")
    later.with_suffix(".rollback.sql").write_text("SELECT 1;")
    second = migrate(empty_database, folder=folder)
    assert second.migrations == ("migrations/0002_later.sql",)
    assert second.reloaded == first.reloaded


def test_a_function_that_does_not_compile_is_refused_whole(
    empty_database: str, folder: Path
) -> None:
    migrate(empty_database, folder=folder)
    path = folder / "functions/report/second.sql"
    path.write_text(path.read_text().replace("billing.seen", "billing.unseen"))
    with pytest.raises(DeployError, match=r"billing\.second\(\): .*unseen"):
        migrate(empty_database, folder=folder)
    assert query(empty_database, "SELECT n FROM billing.third") == [0]


def test_a_vanished_file_is_forgotten(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder=folder)
    (folder / "triggers/calls.sql").unlink()
    assert migrate(empty_database, folder=folder).removed == ("triggers/calls.sql",)
    assert not migrate(empty_database, folder=folder)


def test_a_schema_billing_of_another_making_is_left_alone(
    empty_database: str, folder: Path
) -> None:
    query(empty_database, "CREATE SCHEMA billing CREATE TABLE theirs (id bigint)")
    with pytest.raises(DeployError, match="another making"):
        migrate(empty_database, folder=folder)
    with pytest.raises(NotInstalledError):
        uninstall(empty_database, drop_data=True, folder=folder)
    assert query(empty_database, "SELECT count(*) FROM billing.theirs") == [0]


def test_runs_at_the_same_time_take_turns(empty_database: str, folder: Path) -> None:
    with psycopg.connect(empty_database, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [deploy.LOCK])
        runs = [in_background(migrate, empty_database, folder=folder) for _ in range(2)]
        wait_for(empty_database, "wait_event = 'advisory'", count=2)
    reports = [run.result(60) for run in runs]
    assert sorted(len(report.migrations) for report in reports) == [0, 1]
    assert sorted(len(report.reloaded) for report in reports) == [0, 3]


def test_lock_timeout_does_not_end_the_wait_for_another_run(
    empty_database: str, folder: Path
) -> None:
    impatient = psycopg.conninfo.make_conninfo(empty_database, options="-c lock_timeout=50ms")
    with psycopg.connect(empty_database, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [deploy.LOCK])
        run = in_background(migrate, impatient, folder=folder)
        waiting = "wait_event = 'advisory'"
        wait_for(empty_database, f"{waiting} AND now() - state_change > interval '200 ms'")
    assert run.result(60)


def test_a_killed_run_does_not_block_the_next(empty_database: str, folder: Path) -> None:
    path = folder / "migrations/0001_start.sql"
    path.write_text("CREATE TABLE billing.half (id bigint); SELECT pg_sleep(300);")
    script = (
        "import sys; from pathlib import Path; from pyapi.deploy import migrate;"
        "migrate(sys.argv[1], folder=Path(sys.argv[2]))"
    )
    run = subprocess.Popen([sys.executable, "-c", script, empty_database, str(folder)])
    wait_for(empty_database, "wait_event = 'PgSleep'")
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    path.write_text(SMALL["migrations/0001_start.sql"])
    report = in_background(migrate, empty_database, folder=folder).result(60)
    assert report.migrations == ("migrations/0001_start.sql",)


def test_a_busy_application_goes_on_while_a_change_waits(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder=folder)
    path = folder / "triggers/calls.sql"
    path.write_text(path.read_text() + "-- changed\n")
    with psycopg.connect(empty_database) as busy:
        busy.execute("INSERT INTO calls VALUES (1)")
        run = in_background(migrate, empty_database, folder=folder, lock_timeout="200ms")
        wait_for(empty_database, "wait_event_type = 'Lock'")
        # While the first transaction is still open, another gets through.
        query(empty_database, "INSERT INTO calls VALUES (2)")
        assert not run.done()
        busy.commit()
    assert run.result(60).reloaded == ("triggers/calls.sql",)
    assert query(empty_database, "SELECT n FROM billing.third") == [2]


def test_a_lock_that_is_never_free_is_given_up(
    empty_database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "PAUSES", (0.0,))
    migrate(empty_database, folder=folder)
    path = folder / "triggers/calls.sql"
    path.write_text(path.read_text() + "-- changed\n")
    with psycopg.connect(empty_database) as busy:
        busy.execute("INSERT INTO calls VALUES (1)")
        with pytest.raises(DeployError, match="not to be had in 2 attempts") as caught:
            migrate(empty_database, folder=folder, lock_timeout="20ms")
    assert caught.value.hint
    assert migrate(empty_database, folder=folder).reloaded == ("triggers/calls.sql",)


EXISTING = """
    CREATE TABLE tenants (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, company_name text NOT NULL
    );
    CREATE TABLE calls (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        tenant_id bigint NOT NULL REFERENCES tenants, call_sid text, direction text,
        from_number text, to_number text, status text, initiated_at timestamptz,
        answered_at timestamptz, ended_at timestamptz, duration_seconds integer,
        billable_seconds integer, hangup_cause text, metadata jsonb,
        created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
    );
    CREATE TABLE messages (
        id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        tenant_id bigint NOT NULL REFERENCES tenants, message_sid text, channel text,
        direction text, from_address text, to_address text, recipients text[], body text,
        media_urls jsonb, num_segments integer, status text, sent_at timestamptz,
        delivered_at timestamptz, failed_at timestamptz, error_code text, metadata jsonb,
        created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
    );
    INSERT INTO tenants (company_name) SELECT 'Tenant ' || n FROM generate_series(1, 3) AS n;
    INSERT INTO calls (tenant_id, call_sid, direction, to_number, status, duration_seconds)
    SELECT 1 + n % 3, 'CA' || n, 'outbound', '+12025550100', 'completed', n
    FROM generate_series(1, 300) AS n;
    INSERT INTO messages (tenant_id, message_sid, channel, direction, to_address, status, body)
    SELECT 1 + n % 3, 'SM' || n, 'sms', 'outbound', '+12025550100', 'delivered', 'hello'
    FROM generate_series(1, 300) AS n;
    """


def test_rows_that_were_there_are_not_billed_by_installing(empty_database: str) -> None:
    query(empty_database, EXISTING)
    migrate(empty_database)
    assert query(empty_database, "SELECT count(*) FROM billing.usage_records") == [0]
    assert query(empty_database, "SELECT count(*) FROM billing.unrated_usage") == [0]
    query(
        empty_database,
        "INSERT INTO calls (tenant_id, call_sid, direction, to_number, status, duration_seconds)"
        " VALUES (1, 'CA new', 'outbound', '+12025550100', 'completed', 60)",
    )
    assert query(empty_database, "SELECT resource_id FROM billing.usage_records") == ["CA new"]


BILLED = """
    INSERT INTO tenants (company_name) VALUES ('Acme');
    INSERT INTO calls (tenant_id, call_sid, direction, to_number, status, duration_seconds)
    SELECT id, 'CA1', 'outbound', '+12025550100', 'completed', 315 FROM tenants;
    """


def test_uninstall_keeps_the_data_and_a_new_migrate_brings_the_rest_back(database: str) -> None:
    query(database, BILLED)
    before = query(database, "SELECT * FROM billing.usage_summaries")
    assert before
    objects = (
        "SELECT oid::regprocedure::text FROM pg_proc"
        " WHERE pronamespace = 'billing'::regnamespace"
        " UNION ALL SELECT oid::regclass::text FROM pg_class"
        " WHERE relnamespace = 'billing'::regnamespace AND relkind = 'v'"
        " UNION ALL SELECT format('%s %s', tgname, tgrelid::regclass) FROM pg_trigger"
        " WHERE NOT tgisinternal ORDER BY 1"
    )
    installed = query(database, objects)

    uninstall(database)
    assert query(database, "SELECT count(*) FROM billing.usage_records") == [1]
    assert not query(
        database,
        "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
        " WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace",
    )
    query(database, "UPDATE calls SET duration_seconds = 30")

    assert migrate(database).migrations == ()
    assert query(database, objects) == installed
    assert query(database, "SELECT * FROM billing.usage_summaries") == before
    query(database, "UPDATE calls SET duration_seconds = 60")
    assert query(database, "SELECT sum(total_quantity) FROM billing.usage_summaries") == [1]


def test_uninstall_with_drop_data_leaves_the_application_as_it_was(database: str) -> None:
    query(database, BILLED)
    uninstall(database, drop_data=True)
    assert query(database, "SELECT to_regnamespace('billing')") == [None]
    assert query(database, "SELECT call_sid FROM calls") == ["CA1"]
    query(database, "UPDATE calls SET duration_seconds = 30")
    assert migrate(database).migrations
    assert query(database, "SELECT count(*) FROM billing.usage_records") == [0]


def test_uninstall_drops_triggers_that_nobody_listed(empty_database: str, folder: Path) -> None:
    migrate(empty_database, folder=folder)
    query(
        empty_database,
        'CREATE SCHEMA "Other"; CREATE TABLE "Other"."Odd table" (id bigint);'
        'CREATE TRIGGER "Odd one" AFTER INSERT ON "Other"."Odd table"'
        " FOR EACH ROW EXECUTE FUNCTION billing.see()",
    )
    report = uninstall(empty_database, folder=folder)
    assert 'TRIGGER "Odd one" ON "Other"."Odd table"' in report.removed
    query(empty_database, 'INSERT INTO "Other"."Odd table" VALUES (1)')
    assert query(empty_database, "SELECT count(*) FROM billing.seen") == [0]


def test_uninstall_keeps_a_view_that_the_application_reads(
    empty_database: str, folder: Path
) -> None:
    migrate(empty_database, folder=folder)
    query(empty_database, "CREATE VIEW public.mine AS SELECT n FROM billing.third")
    messages: list[str] = []
    uninstall(empty_database, folder=folder, on_step=messages.append)
    assert "VIEW third" in messages[-1]
    assert query(empty_database, "SELECT to_regclass('public.mine')::text") == ["mine"]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:se cret@127.0.0.1:x/none",
        "postgresql://user:p@secret@127.0.0.1:1/none",
        "user=someone password='secret",
        "postgres//user:secret@127.0.0.1/none",
        "postgresql+psycopg://user:secret@127.0.0.1:1/none",
        "host=127.0.0.1 port=1 user=someone password=secret",
    ],
)
def test_an_address_that_does_not_work_is_one_line_without_its_password(address: str) -> None:
    with pytest.raises(DatabaseUnavailableError) as caught:
        migrate(address)
    assert "\n" not in caught.value.message
    assert "cret" not in f"{caught.value.message} {caught.value.hint}"

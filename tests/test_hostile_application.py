"""What an application may do to its own tables and session, and be billed all the same."""

from __future__ import annotations

from datetime import date

import psycopg
import pytest
from psycopg import Connection

from pyapi import Client
from pyapi.deploy import migrate

DONE = "UPDATE public.calls SET status = 'completed' WHERE id BETWEEN 1 AND 10"
AGAIN = "UPDATE public.calls SET status = 'completed' WHERE id BETWEEN 11 AND 20"
SWEEP = "SELECT billing.reconcile('2025-11-14', '2025-11-14')"
RETRY = "SELECT billing.retry_unrated()"
METER = "SELECT billing.meter_table('calls', 'billing.measure_call', 'call_sid')"

SETTINGS = [
    "search_path = ''",
    "search_path = pg_temp",
    "DateStyle = 'German, DMY'",
    "IntervalStyle = 'sql_standard'",
    "TimeZone = 'Pacific/Kiritimati'",
    "TimeZone = 'America/St_Johns'",
    "extra_float_digits = -15",
    "row_security = off",
    "standard_conforming_strings = off",
    "lc_monetary = 'C'",
    "transform_null_equals = on",
    "quote_all_identifiers = on",
    "client_encoding = 'LATIN1'",
    "plan_cache_mode = 'force_custom_plan'",
    "enable_indexscan = off",
    "enable_seqscan = off",
    "enable_partition_pruning = off",
    "work_mem = '64kB'",
    "jit_above_cost = 0",
    "plpgsql.check_asserts = off",
    "plpgsql.extra_errors = 'all'",
    "default_transaction_isolation = 'serializable'",
    "lock_timeout = '1ms'",
    "synchronous_commit = off",
    "log_parameter_max_length_on_error = -1",
    "billing.is_nested = 'on'",
]


def trigger(when: str, body: str) -> str:
    return f"""
        CREATE FUNCTION public.of_the_application() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN {body} END $$;
        CREATE TRIGGER {when} EXECUTE FUNCTION public.of_the_application()
    """


# What is done, one statement or several at a time, and how many charges stand in the end.
DEEDS: dict[str, tuple[list[str], int]] = {
    "temporary tables named like ours": (
        [
            *(
                f"CREATE TEMPORARY TABLE {name} (id integer)"
                for name in [
                    "usage_records",
                    "usage_deltas",
                    "unrated_usage",
                    "tenant_terms",
                    "resolved_prices",
                    "new_rows",
                    "old_rows",
                    "pricing_rates",
                    "direct_usage",
                    "measurement",
                ]
            ),
            "CREATE TYPE pg_temp.numeric AS (x integer)",
            DONE,
        ],
        10,
    ),
    "a schema of the same names, first on the path": (
        [
            "CREATE SCHEMA evil CREATE TABLE usage_records () CREATE TABLE calls (id integer)",
            "CREATE FUNCTION evil.count(x integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "SET search_path = evil, pg_catalog, public",
            DONE,
        ],
        10,
    ),
    "a BEFORE trigger that changes what is written": (
        [
            trigger(
                "t BEFORE UPDATE ON calls FOR EACH ROW",
                "NEW.billable_seconds := 120; NEW.tenant_id := 2; RETURN NEW;",
            ),
            DONE,
        ],
        10,
    ),
    "a BEFORE trigger that lets half of it pass": (
        [
            trigger(
                "t BEFORE UPDATE ON calls FOR EACH ROW",
                "RETURN CASE WHEN NEW.id % 2 = 0 THEN NEW END;",
            ),
            DONE,
        ],
        5,
    ),
    "an AFTER trigger before ours that deletes the row": (
        [
            trigger(
                "a AFTER UPDATE ON calls FOR EACH ROW",
                "DELETE FROM public.calls WHERE id = NEW.id; RETURN NULL;",
            ),
            DONE,
        ],
        10,
    ),
    "a statement trigger that changes the rows five deep": (
        [
            trigger(
                "z AFTER UPDATE ON calls FOR EACH STATEMENT",
                "IF pg_trigger_depth() < 5 THEN UPDATE public.calls"
                " SET duration_seconds = duration_seconds + 1 WHERE id <= 10; END IF; RETURN NULL;",
            ),
            DONE,
        ],
        10,
    ),
    "a rule beside": (
        [
            "CREATE TABLE public.log (id bigint)",
            "CREATE RULE r AS ON UPDATE TO calls DO ALSO INSERT INTO public.log VALUES (NEW.id)",
            DONE,
        ],
        10,
    ),
    "a view with an INSTEAD trigger": (
        [
            "CREATE VIEW public.v AS SELECT * FROM calls",
            trigger(
                "t INSTEAD OF UPDATE ON public.v FOR EACH ROW",
                "UPDATE public.calls SET status = NEW.status WHERE id = OLD.id; RETURN NEW;",
            ),
            "UPDATE public.v SET status = 'completed' WHERE id <= 10",
        ],
        10,
    ),
    "a cursor, WHERE CURRENT OF": (
        [
            "BEGIN",
            "DECLARE c CURSOR FOR SELECT * FROM calls WHERE id <= 2 ORDER BY id FOR UPDATE",
            "FETCH c",
            "UPDATE calls SET status = 'completed' WHERE CURRENT OF c",
            "FETCH c",
            "UPDATE calls SET status = 'completed' WHERE CURRENT OF c",
            "COMMIT",
        ],
        2,
    ),
    "deletes and new ids by ON DELETE and ON UPDATE CASCADE": (
        [
            "CREATE TABLE public.parent AS SELECT id FROM calls",
            "ALTER TABLE public.parent ADD PRIMARY KEY (id)",
            "ALTER TABLE calls ADD FOREIGN KEY (id) REFERENCES public.parent"
            " ON DELETE CASCADE ON UPDATE CASCADE",
            DONE,
            "DELETE FROM public.parent WHERE id <= 5",
            "UPDATE public.parent SET id = id + 1000 WHERE id BETWEEN 6 AND 10",
        ],
        10,
    ),
    "a column that is read gets another name": (
        [
            DONE,
            "ALTER TABLE calls RENAME COLUMN duration_seconds TO seconds",
            AGAIN,
            "ALTER TABLE calls RENAME COLUMN seconds TO duration_seconds",
            RETRY,
        ],
        20,
    ),
    "a column that is read is dropped": (
        [DONE, "ALTER TABLE calls DROP COLUMN billable_seconds", AGAIN, METER, RETRY],
        20,
    ),
    "columns that are not read come and go": (
        [DONE, "ALTER TABLE calls DROP COLUMN hangup_cause, ADD COLUMN z text DEFAULT 'x'", AGAIN],
        20,
    ),
    "a column becomes text, and one value is none": (
        [
            "ALTER TABLE calls ALTER duration_seconds TYPE text",
            DONE,
            "UPDATE calls SET duration_seconds = 'a minute' WHERE id IN (5, 11)",
            AGAIN,
            "UPDATE calls SET duration_seconds = '60'",
        ],
        20,
    ),
    "the id gets another name": (
        [
            "ALTER TABLE calls RENAME COLUMN id TO call_id",
            "UPDATE calls SET status = 'completed' WHERE call_id <= 10",
            "ALTER TABLE calls RENAME COLUMN call_id TO id",
            SWEEP,
        ],
        10,
    ),
    "the table gets another name": (
        [
            "ALTER TABLE calls RENAME TO calls_2",
            DONE.replace("calls", "calls_2"),
            "ALTER TABLE calls_2 RENAME TO calls",
            RETRY,
            SWEEP,
        ],
        10,
    ),
    "the table moves to another schema": (
        [
            "CREATE SCHEMA o; ALTER TABLE calls SET SCHEMA o",
            DONE.replace("public", "o"),
            "UPDATE o.calls SET duration_seconds = 70 WHERE id <= 10",
            "ALTER TABLE o.calls SET SCHEMA public",
            RETRY,
            SWEEP,
        ],
        10,
    ),
    "our triggers get other names": (
        ["ALTER TRIGGER billing_meter_update ON calls RENAME TO zzz", DONE, METER, AGAIN],
        20,
    ),
    "a procedure that commits and rolls back by turns": (
        [
            """
            CREATE PROCEDURE public.p() LANGUAGE plpgsql AS $$
            BEGIN
                FOR i IN 1..20 LOOP
                    UPDATE public.calls SET status = 'completed' WHERE id = i;
                    IF i % 2 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
                END LOOP;
            END $$
            """,
            "CALL public.p()",
        ],
        10,
    ),
    "errors caught by turns": (
        [
            """
            DO $$
            BEGIN
                FOR i IN 1..20 LOOP
                    BEGIN
                        UPDATE public.calls SET status = 'completed' WHERE id = i;
                        IF i % 2 = 0 THEN RAISE EXCEPTION 'no'; END IF;
                    EXCEPTION
                        WHEN raise_exception THEN NULL;
                    END;
                END LOOP;
            END $$
            """
        ],
        10,
    ),
    "all of it in one statement": (
        [
            """
            WITH done AS (UPDATE calls SET status = 'completed' WHERE id <= 5 RETURNING *),
            more AS (
                INSERT INTO calls (id, tenant_id, status, duration_seconds, initiated_at)
                SELECT id + 500, tenant_id, 'completed', 7, initiated_at FROM done
                RETURNING *
            ),
            gone AS (DELETE FROM calls WHERE id = 20)
            INSERT INTO messages (id, tenant_id, channel, status, sent_at)
            SELECT id, tenant_id, 'sms', 'sent', initiated_at FROM more
            """
        ],
        15,
    ),
    "ids that change places": (
        [
            DONE,
            "UPDATE calls SET id = -id, call_sid = NULL",
            "UPDATE calls SET id = CASE id WHEN -1 THEN 2 WHEN -2 THEN 1 ELSE -id END",
        ],
        10,
    ),
    "rows that only some may see": (
        [
            "ALTER TABLE calls ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "CREATE POLICY p ON calls USING (tenant_id = 1)",
            DONE,
            "ALTER TABLE calls DISABLE ROW LEVEL SECURITY",
        ],
        2,
    ),
    "everything is truncated": ([DONE, "TRUNCATE calls"], 10),
    "a table dropped while it is metered": ([DONE, "DROP TABLE calls"], 10),
    "ids given again after TRUNCATE, on the same day and on another": (
        [
            DONE,
            "TRUNCATE calls",
            *(
                "INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at,"
                f" duration_seconds) SELECT n, 1 + n % 5, 'CB' || n, '{status}', {at}, 60"
                f" FROM generate_series({first}, {first + 4}) AS n"
                for status, first in [("completed", 1), ("ringing", 6)]
                for at in ["'2025-11-14'::date + n % 3"]
            ),
            DONE,
            SWEEP.replace("'2025-11-14')", "'2025-11-16')"),
            # Those that were there before come back under other ids.
            "INSERT INTO calls (id, tenant_id, call_sid, to_number, status, initiated_at,"
            " duration_seconds) SELECT n + 100, 1 + n % 5, 'CA' || n, '+1555', 'completed',"
            " '2025-11-14', 60 FROM generate_series(1, 10) AS n",
        ],
        20,
    ),
    "an id given again by an UPDATE": (
        [DONE, "DELETE FROM calls WHERE id = 1", "UPDATE calls SET id = 1 WHERE id = 2", SWEEP],
        10,
    ),
    "the resource of a row changes, and its partition with it": (
        [
            """
            CREATE TABLE public.by_cause (LIKE calls) PARTITION BY LIST (hangup_cause);
            CREATE TABLE public.by_cause_1 PARTITION OF public.by_cause FOR VALUES IN ('busy');
            CREATE TABLE public.by_cause_2 PARTITION OF public.by_cause DEFAULT;
            SELECT billing.meter_table('public.by_cause', 'billing.measure_call', 'call_sid');
            INSERT INTO public.by_cause SELECT * FROM calls;
            UPDATE public.by_cause SET status = 'completed' WHERE id <= 10;
            UPDATE public.by_cause SET hangup_cause = 'busy', call_sid = 'CB' || id WHERE id <= 5;
            UPDATE public.by_cause SET hangup_cause = 'busy', duration_seconds = 9 WHERE id = 6
            """,
            "DELETE FROM public.by_cause WHERE id IN (1, 7)",
            # Not the rows that were there.
            "INSERT INTO public.by_cause (id, tenant_id, call_sid, direction, status, metadata,"
            " created_at, updated_at, initiated_at, duration_seconds) SELECT n, 1, 'CC' || n,"
            " 'outbound', 'completed', '{}', now(), now(), '2025-11-14', 60"
            " FROM unnest('{1,7}'::integer[]) AS n",
        ],
        12,
    ),
    "an id and a duration that is none, at once": (
        [
            "ALTER TABLE calls ALTER duration_seconds TYPE text",
            DONE,
            "UPDATE calls SET id = id + 100, duration_seconds = 'a minute' WHERE id IN (1, 2)",
            "UPDATE calls SET duration_seconds = '60' WHERE id > 100",
            RETRY,
        ],
        10,
    ),
    "the lowest and the highest id, found by the sweep": (
        [
            "ALTER TABLE calls DISABLE TRIGGER USER",
            "UPDATE calls SET id = 9223372036854775807, status = 'completed' WHERE id = 1",
            "ALTER TABLE calls ENABLE TRIGGER USER",
            "UPDATE calls SET id = -9223372036854775808, status = 'completed' WHERE id = 2",
            SWEEP,
        ],
        2,
    ),
    "times that are text, read by sessions that read dates otherwise": (
        [
            "ALTER TABLE calls ALTER initiated_at DROP DEFAULT,"
            " ALTER initiated_at TYPE text USING '2025-03-02 12:00'",
            METER,
            "SET DateStyle = 'ISO, DMY'",
            DONE,
            "SET TimeZone = 'Pacific/Kiritimati'",
            AGAIN,
        ],
        20,
    ),
}


@pytest.fixture(autouse=True)
def calls(db: Connection) -> None:
    db.execute("INSERT INTO tenants (id) SELECT generate_series(1, 5)")
    db.execute(
        """
        INSERT INTO calls (
            id, tenant_id, call_sid, to_number, status, initiated_at, duration_seconds
        )
        SELECT n, 1 + n % 5, 'CA' || n, '+1555', 'ringing', '2025-11-14', 60
        FROM generate_series(1, 20) AS n
        """
    )


def standing(db: Connection) -> int:
    query = "SELECT sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END) FROM billing.usage_records"
    row = db.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


def assert_sound(db: Connection) -> None:
    assert db.execute("SELECT * FROM billing.verify()").fetchall() == []


@pytest.mark.parametrize("deed", DEEDS)
def test_what_the_application_does_is_billed_as_it_ends(db: Connection, deed: str) -> None:
    statements, charges = DEEDS[deed]
    for statement in statements:
        db.execute(statement.encode())
    db.execute("RESET ALL")
    assert standing(db) == charges
    assert_sound(db)


def test_a_write_within_a_write_is_remembered_until_the_transaction_ends(db: Connection) -> None:
    for statement in DEEDS["a statement trigger that changes the rows five deep"][0]:
        db.execute(statement.encode())
    setting = db.execute("SELECT current_setting('billing.is_nested', true)").fetchone()
    assert setting == ("",)


@pytest.mark.parametrize("is_partitioned", [False, True])
def test_a_column_may_be_called_as_we_call_things(db: Connection, *, is_partitioned: bool) -> None:
    by_id = "PARTITION BY RANGE (id)" if is_partitioned else ""
    others = ", ".join(f"{name} text DEFAULT 'x'" for name in "abcdefghijklmnopqrstuvwxyz")
    db.execute(
        "CREATE TABLE public.sent (id bigint NOT NULL, tenant_id bigint, message_sid text,"
        " direction text DEFAULT 'outbound', status text DEFAULT 'sent', to_number text DEFAULT"
        " '+442071234567', sent_at timestamptz DEFAULT '2025-11-14 12:00Z',"
        f" {others}) {by_id}".encode()
    )
    if is_partitioned:
        db.execute("CREATE TABLE public.sent_1 PARTITION OF public.sent DEFAULT")
    add = "INSERT INTO public.sent (id, tenant_id, status) SELECT n, 1, %s FROM"
    db.execute(f"{add} generate_series(1, 9) AS n".encode(), ["sent"])
    db.execute("SELECT billing.meter_table('sent', 'billing.measure_sms_message', 'message_sid')")
    db.execute(f"{add} generate_series(10, 19) AS n".encode(), ["sent"])
    db.execute(f"{add} generate_series(20, 22) AS n".encode(), ["queued"])
    db.execute("UPDATE public.sent SET status = 'sent' WHERE id > 19")
    db.execute("UPDATE public.sent SET status = 'failed' WHERE id = 22")
    assert standing(db) == 12
    db.execute("SELECT billing.backfill_usage('2025-11-14', '2025-11-14')")
    assert standing(db) == 21
    assert_sound(db)
    row = db.execute("SELECT count(*) FROM billing.find_subject('+442071234567')").fetchone()
    assert row == (22 + 23,)
    db.execute("SELECT billing.forget_subject('+442071234567', 'erase', 'a request', true)")
    assert db.execute("SELECT * FROM billing.find_subject('+442071234567')").fetchall() == []
    assert_sound(db)


# What is done to a table, the rows that are billed all the same, and what verify() then says of it.
CHANGED: dict[str, tuple[str, int, str]] = {
    "a child by INHERITS": (
        f"CREATE TABLE public.child () INHERITS (calls); {DONE}",
        10,
        "it inherits from a table",
    ),
    "a parent by INHERITS": (
        f"CREATE TABLE public.parent (id bigint); ALTER TABLE public.parent ALTER id SET NOT NULL;"
        f" ALTER TABLE calls INHERIT public.parent; {DONE}",
        10,
        "it inherits from a table",
    ),
    "a time without zone": (
        f"ALTER TABLE calls ALTER ended_at TYPE timestamp; {DONE}",
        10,
        "its columns are no longer those",
    ),
    "an id that is a number with a fraction": (
        "ALTER TABLE calls ALTER id DROP IDENTITY; ALTER TABLE calls ALTER id TYPE numeric;"
        " INSERT INTO calls (id, tenant_id, status, duration_seconds)"
        " VALUES (1e30, 1, 'completed', 60)",
        0,
        "it cannot be metered any more",
    ),
    "an id that is a uuid": (
        "ALTER TABLE calls ALTER id DROP IDENTITY;"
        " ALTER TABLE calls ALTER id TYPE uuid USING gen_random_uuid();"
        " UPDATE calls SET status = 'completed'",
        0,
        "it cannot be metered any more",
    ),
    "no resource any more": (
        f"{DONE}; ALTER TABLE calls DROP COLUMN call_sid; UPDATE calls SET status = 'completed'",
        10,
        "its columns are no longer those",
    ),
    "no measure any more": (
        "CREATE FUNCTION public.measure_ours(p_id bigint, p_tenant_id bigint, p_call_sid text)"
        " RETURNS SETOF billing.measurement LANGUAGE sql STABLE AS $$ SELECT * FROM"
        " billing.measure_call(p_id, p_tenant_id, 'outbound', 'completed', '+1555', p_call_sid,"
        " p_duration_seconds => 60) $$;"
        " SELECT billing.meter_table('calls', 'measure_ours', 'call_sid');"
        f" DROP FUNCTION measure_ours; {DONE}",
        0,
        "it cannot be metered any more",
    ),
    "no id at all": (
        f"{DONE}; ALTER TABLE calls DROP COLUMN id; UPDATE calls SET status = 'completed'",
        10,
        "it cannot be metered any more",
    ),
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_table_that_changed_is_named_and_stops_nothing_else(
    database: str, db: Connection, change: str
) -> None:
    statements, charges, problem = CHANGED[change]
    # Something is set aside: retrying it must not stop either.
    db.execute("UPDATE calls SET tenant_id = 99, status = 'completed' WHERE id = 20")
    db.execute(statements.encode())
    assert standing(db) == charges
    found = db.execute("SELECT check_name, subject, detail FROM billing.verify()").fetchall()
    named = {detail for name, _, detail in found if name == "tables are metered as they stand"}
    assert len(named) == 1
    assert named.pop().startswith(problem)
    db.execute("INSERT INTO messages (id, tenant_id, status, sent_at) VALUES (1, 1, 'sent', now())")
    # Nor what is recorded by hand, priced anew, swept by command or updated.
    by_hand = "SELECT billing.record_usage(1, 'social', 'message', 'by hand', 1)"
    price_anew = (
        "SELECT billing.apply_rerating(billing.propose_rerating('2025-11-01', current_date))"
    )
    for sweep in [SWEEP, RETRY, "SELECT billing.maintain()", by_hand, price_anew]:
        db.execute(sweep.encode())
    with Client(database) as client:
        swept = client.sweep(date(2025, 11, 1), date.today(), with_history=True)
        assert "messages" in {batch.source_table for batch in swept}
    health = (
        "SELECT is_ok FROM billing.usage_health WHERE (metric, subject) = ('triggers_off', 'calls')"
    )
    assert db.execute(health.encode()).fetchall() == [(False,)]
    db.execute("DELETE FROM billing.deployed_files WHERE path NOT LIKE 'migrations/%'")
    assert migrate(database).reloaded
    db.execute("INSERT INTO tenants (id) VALUES (99)")


RENAMED = {
    "a table": ("public", "calls", "ALTER TABLE public.calls RENAME TO phone_calls"),
    "a schema": ("app", "Calls", "ALTER SCHEMA app RENAME TO our_app"),
    "a table in parts": ("public", "parts", 'ALTER TABLE public.parts RENAME TO "Parts"'),
}


@pytest.mark.parametrize("kind", RENAMED)
def test_a_table_that_was_renamed_is_billed_under_the_name_that_it_had(
    db: Connection, kind: str
) -> None:
    schema, table, rename = RENAMED[kind]
    name = f'{schema}."{table}"'
    if table != "calls":
        by_id = "PARTITION BY RANGE (id)" if table == "parts" else ""
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
        db.execute(f"CREATE TABLE {name} (LIKE public.calls) {by_id}".encode())
        if by_id:
            db.execute(f"CREATE TABLE public.part PARTITION OF {name} DEFAULT".encode())
        db.execute("SELECT billing.meter_table(%s, 'billing.measure_call', 'call_sid')", [name])
        db.execute(f"INSERT INTO {name} SELECT * FROM calls".encode())
    identity = "SELECT %s::regclass::oid, billing.source_table_name(%s)"
    ((oid, source),) = db.execute(identity.encode(), [name, name]).fetchall()
    db.execute(f"UPDATE {name} SET status = 'completed' WHERE id <= 10".encode())
    db.execute(rename.encode())

    ((name,),) = db.execute("SELECT billing.qualify_source(%s)", [source]).fetchall()
    assert db.execute(identity.encode(), [name, name]).fetchall() == [(oid, source)]
    db.execute(f"UPDATE {name} SET duration_seconds = 61 WHERE id = 1".encode())
    db.execute(f"UPDATE {name} SET status = 'completed' WHERE id = 11".encode())
    assert standing(db) == 11
    found = db.execute("SELECT check_name, subject, detail FROM billing.verify()").fetchall()
    assert found == [
        ("tables are metered as they stand", source, f"it is called {name} by now"),
    ]
    # What got past its triggers is found, and what was set aside is tried again.
    db.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER".encode())
    db.execute(f"UPDATE {name} SET status = 'completed' WHERE id = 12".encode())
    db.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER".encode())
    db.execute(SWEEP.encode())
    assert standing(db) == 12
    db.execute(f"UPDATE {name} SET status = 'completed', tenant_id = 99 WHERE id = 13".encode())
    db.execute("INSERT INTO tenants (id) VALUES (99)")
    db.execute(RETRY.encode())
    assert standing(db) == 13

    db.execute("SELECT billing.meter_table(%s, 'billing.measure_call', 'call_sid')", [name])
    assert_sound(db)
    db.execute(f"UPDATE {name} SET duration_seconds = 62 WHERE id = 1".encode())
    db.execute(f"UPDATE {name} SET status = 'completed' WHERE id = 14".encode())
    db.execute(f"DELETE FROM {name} WHERE id = 14".encode())
    swept = "SELECT sum(recorded) FROM billing.backfill_usage('2025-11-01', '2025-11-30')"
    assert db.execute(swept.encode()).fetchall() == [(0,)]
    assert standing(db) == 14
    query = "SELECT DISTINCT source_table FROM billing.usage_records"
    assert db.execute(query.encode()).fetchall() == [(source,)]
    assert_sound(db)

    db.execute("SELECT billing.unmeter_table(%s)", [name])
    query = "SELECT FROM pg_trigger WHERE tgrelid = %s AND tgname LIKE 'billing%%'"
    assert db.execute(query.encode(), [oid]).fetchall() == []
    query = "SELECT FROM billing.metered_tables WHERE source_table = %s"
    assert db.execute(query.encode(), [source]).fetchall() == []


@pytest.mark.parametrize(
    "making",
    [
        "CREATE TABLE public.t (LIKE calls); ALTER TABLE public.t ALTER id DROP NOT NULL",
        "CREATE TABLE public.t (LIKE calls); CREATE TABLE public.child () INHERITS (public.t)",
        "CREATE TABLE public.whole (LIKE calls); CREATE TABLE public.t () INHERITS (public.whole)",
    ],
)
def test_a_table_whose_rows_would_not_all_be_billed_is_not_metered(
    db: Connection, making: str
) -> None:
    db.execute(making.encode())
    with pytest.raises(psycopg.Error) as refusal:
        db.execute("SELECT billing.meter_table('t', 'billing.measure_call', 'call_sid')")
    assert refusal.value.sqlstate == "UB012"


def test_a_virtual_column_of_a_partitioned_table_is_refused(db: Connection) -> None:
    """PostgreSQL does not compute it for row triggers, and its rows would be worth nothing."""
    if db.info.server_version < 180000:
        pytest.skip("PostgreSQL 18 has them")
    db.execute(
        """
        CREATE TABLE public.t (LIKE calls, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        ALTER TABLE public.t DROP COLUMN status, ADD COLUMN status text
            GENERATED ALWAYS AS (CASE WHEN ended_at IS NULL THEN 'ringing' ELSE 'completed' END)
        """
    )
    with pytest.raises(psycopg.Error) as refusal:
        db.execute("SELECT billing.meter_table('t', 'billing.measure_call', 'call_sid')")
    assert refusal.value.sqlstate == "UB012"


def test_rows_without_an_id_are_set_aside_until_they_have_one(db: Connection) -> None:
    db.execute(
        """
        ALTER TABLE calls DROP CONSTRAINT calls_pkey, ALTER id DROP IDENTITY;
        ALTER TABLE calls ALTER id DROP NOT NULL
        """
    )
    for number in range(3):
        db.execute(
            "INSERT INTO calls (id, tenant_id, call_sid, status, initiated_at, duration_seconds)"
            " SELECT NULL, 1, %s || n, 'completed', '2025-11-14', 60 FROM generate_series(1, 10) n",
            [f"X{number}-"],
        )
        db.execute("UPDATE calls SET duration_seconds = duration_seconds + 1 WHERE id IS NULL")
        db.execute(DONE)
        db.execute(RETRY)
    assert standing(db) == 10
    found = db.execute(
        "SELECT source_id, sqlstate FROM billing.unrated_usage WHERE resolved_at IS NULL"
    ).fetchall()
    assert found == [(None, "UB011")]
    names = {row[0] for row in db.execute("SELECT check_name FROM billing.verify()")}
    assert names == {"usage is rated", "tables are metered as they stand"}

    db.execute("UPDATE calls SET id = 1000 + substr(call_sid, 4)::integer WHERE call_sid ~ '^X1'")
    db.execute("DELETE FROM calls WHERE id IS NULL")
    db.execute("ALTER TABLE calls ALTER id SET NOT NULL")
    db.execute("SELECT billing.dismiss_unrated(id, 'they have ids now') FROM billing.unrated_usage")
    assert standing(db) == 20
    assert_sound(db)


def test_recording_a_row_in_an_old_snapshot_asks_to_try_again(
    db: Connection, database: str
) -> None:
    """Not 23505, which no application retries."""
    db.execute("ALTER TABLE calls DISABLE TRIGGER USER")
    db.execute(DONE)
    db.execute("ALTER TABLE calls ENABLE TRIGGER USER")
    with psycopg.connect(database) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT FROM calls")
        db.execute("SELECT billing.record_call_usage(1)")
        with pytest.raises(psycopg.Error) as refusal:
            old.execute("SELECT billing.record_call_usage(1)")
        assert refusal.value.sqlstate == "40001"
        # Those that sweep and retry do not fail.
        old.rollback()
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT FROM calls")
        db.execute("SELECT billing.record_call_usage(2)")
        old.execute(SWEEP)
        old.execute("SELECT billing.maintain()")
    db.execute(RETRY)
    db.execute(SWEEP)
    assert standing(db) == 10
    assert_sound(db)


def test_the_first_price_of_a_plan_is_not_entered_in_an_old_snapshot(db: Connection) -> None:
    """A tenant that joined the plan since would never get to know it."""
    price = (
        "INSERT INTO billing.pricing_rates (plan_id, channel, resource_type, unit_price,"
        " effective_from) VALUES (2, 'voice', 'minute', %s, %s)"
    )
    db.execute("SET default_transaction_isolation = 'repeatable read'")
    with pytest.raises(psycopg.Error) as refusal:
        db.execute(price.encode(), ["0.02", "2025-01-01"])
    db.execute("RESET default_transaction_isolation")
    assert refusal.value.sqlstate == "UB012"
    db.execute(price.encode(), ["0.02", "2025-01-01"])
    db.execute("UPDATE billing.pricing_rates SET effective_until = '2025-06-01' WHERE plan_id = 2")
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        db.execute(price.encode(), ["0.03", "2025-06-01"])


def test_no_setting_of_the_session_changes_a_bill(db: Connection) -> None:
    figures = "SELECT source_id, quantity, total_cost, usage_date, occurred_at FROM usage_records"
    db.execute(DONE)
    expected = db.execute(f"{figures} ORDER BY id".encode()).fetchall()
    for number, setting in enumerate(SETTINGS, start=1):
        # Other rows with the same figures.
        db.execute(
            """
            INSERT INTO calls (id, tenant_id, to_number, status, initiated_at, duration_seconds)
            SELECT 100 * %s + n, 1 + n %% 5, '+1555', 'ringing', '2025-11-14', 60
            FROM generate_series(1, 10) AS n
            """,
            [number],
        )
        try:
            db.execute(f"SET {setting}".encode())
        except psycopg.errors.InvalidParameterValue:
            continue  # Not with this build of PostgreSQL.
        db.execute("UPDATE public.calls SET status = 'completed' WHERE id > 20")
        db.execute("RESET ALL")
        found = db.execute(f"{figures} ORDER BY id DESC LIMIT 10".encode()).fetchall()
        assert sorted(row[0] % 100 for row in found) == list(range(1, 11)), setting
        assert sorted(row[1:] for row in found) == sorted(row[1:] for row in expected), setting
    assert_sound(db)


def test_savepoints_by_the_hundred(db: Connection) -> None:
    with db.transaction():
        for number in range(1, 151):
            db.execute("SAVEPOINT s")
            db.execute("UPDATE calls SET status = 'completed' WHERE id = %s", [1 + number % 20])
            db.execute("UPDATE calls SET duration_seconds = %s WHERE id = 1", [number])
            if number % 3 == 0:
                db.execute("ROLLBACK TO s")
    assert standing(db) == 20
    assert_sound(db)


@pytest.mark.parametrize(
    "making",
    [
        "CREATE TABLE public.child () INHERITS (calls)",
        "CREATE TABLE public.child PARTITION OF public.whole DEFAULT",
    ],
)
def test_a_part_of_a_metered_table_is_not_metered_beside_it(db: Connection, making: str) -> None:
    """Its rows are the whole's rows, too, and the sweep would bill them twice."""
    db.execute(
        """
        CREATE TABLE public.whole (LIKE calls) PARTITION BY LIST (status);
        SELECT billing.meter_table('whole', 'billing.measure_call', 'call_sid')
        """
    )
    db.execute(making.encode())
    with pytest.raises(psycopg.Error) as refusal:
        db.execute("SELECT billing.meter_table('child', 'billing.measure_call', 'call_sid')")
    assert refusal.value.sqlstate == "UB012"

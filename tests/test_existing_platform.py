"""Billing moves into the database of a platform that has been running for years, and out again.

The platform (tests/data/existing_platform.sql) has a table per channel, two earlier attempts at
billing, triggers, foreign keys and a history. Its application sees only its own schema.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from textwrap import dedent
from typing import Any

import psycopg
import pytest
from conftest import Cluster
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyapi.deploy import migrate, uninstall
from pyapi.embedded import project

pytestmark = pytest.mark.newest

PLATFORM = (project() / "tests" / "data" / "existing_platform.sql").read_text(encoding="utf-8")

# The one call for each table that is not metered by installing.
ATTACH = {
    "sms_messages": ("billing.measure_sms_message", "message_sid"),
    "emails": ("billing.measure_email", "message_id"),
    "whatsapp_messages": ("billing.measure_whatsapp_message", "wamid"),
    "social_messages": ("billing.measure_social_message", "message_id"),
}

# What installing adds to tenants.
ADDED_COLUMNS = {"plan_id", "credit_balance", "billing_cycle_day", "timezone", "currency"}

# Columns, constraints, indexes, triggers, functions and views of the application, as definitions.
CATALOG = """
SELECT 'column', c.relname, a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attnotnull THEN 'not null' END, pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v')
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'trigger', c.relname, t.tgname, concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
UNION ALL
SELECT 'function', '', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'table', relname, '', concat_ws(' ', relkind, relrowsecurity, relowner::regrole, reloptions)
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
"""

Row = tuple[Any, ...]


def query(db: Connection, statement: str, *parameters: object) -> list[Row]:
    return db.execute(statement.encode(), parameters or None).fetchall()


def catalog(db: Connection) -> set[Row]:
    return set(query(db, CATALOG))


def contents(db: Connection) -> dict[str, list[Row]]:
    """Return every row of every table of the application, but for the columns added to tenants."""
    tables = query(db, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return {
        table: query(
            db,
            f"SELECT to_jsonb(t) - %s::text[] FROM public.{table} AS t ORDER BY 1",
            [*ADDED_COLUMNS] if table == "tenants" else [],
        )
        for (table,) in tables
    }


def attach(db: Connection) -> None:
    for table, (measure, resource_column) in ATTACH.items():
        db.execute("SELECT billing.meter_table(%s, %s, %s)", [table, measure, resource_column])


def charges(db: Connection, table: str, source_id: int) -> list[Row]:
    """Return what was recorded for a row: kind, resource, quantity and cost, in order."""
    return query(
        db,
        "SELECT kind, channel || '/' || resource_type, trim_scale(quantity), trim_scale(total_cost)"
        " FROM billing.usage_records WHERE source_table = %s AND source_id = %s ORDER BY id",
        table,
        source_id,
    )


def net(db: Connection, table: str, source_id: int) -> Decimal:
    (((total,),)) = query(
        db,
        "SELECT COALESCE(sum(total_cost), 0) FROM billing.usage_records"
        " WHERE source_table = %s AND source_id = %s",
        table,
        source_id,
    )
    return Decimal(total)


def documented(beginning: str) -> bytes:
    """Return the statements of docs/attach.md that begin so."""
    page = (project() / "docs" / "attach.md").read_text(encoding="utf-8")
    blocks = [dedent(block) for block in re.findall(r"(?:^    .*\n)+", page, re.MULTILINE)]
    (block,) = [block for block in blocks if block.startswith(beginning)]
    return block.encode()


def price(seconds: int, per_minute: str = "0.015") -> Decimal:
    """What a call of so many seconds costs: multiplied first, divided once."""
    exact = Fraction(seconds) * Fraction(per_minute) / 60
    # To 10 decimals, half away from zero.
    return Decimal((exact * 10**10 + Fraction(1, 2)).__floor__()).scaleb(-10)


@contextmanager
def platform_database(cluster: Cluster, template: str | None = None) -> Iterator[str]:
    """A database of the platform's, whose connections have its search_path and not ours."""
    with cluster.database(template, ("public",)) as conninfo:
        if template is None:
            with psycopg.connect(conninfo) as db:
                db.execute(PLATFORM.encode())
        yield conninfo


@contextmanager
def administrator(cluster: Cluster, dbname: str) -> Iterator[Connection]:
    """A superuser, who is gone for good afterwards: the database is about to be dropped."""
    with psycopg.connect(cluster.admin_conninfo(dbname), autocommit=True) as db:
        pid = db.info.backend_pid
        yield db
    with psycopg.connect(cluster.admin_conninfo("postgres"), autocommit=True) as other:
        while query(other, "SELECT FROM pg_stat_activity WHERE pid = %s", pid):
            time.sleep(0.01)


@pytest.fixture
def untouched(cluster: Cluster) -> Iterator[str]:
    """The platform before billing came."""
    with platform_database(cluster) as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def template(cluster: Cluster) -> Iterator[str]:
    """The platform with billing installed, by name."""
    with platform_database(cluster) as conninfo:
        migrate(conninfo)
        yield str(conninfo_to_dict(conninfo)["dbname"])


@pytest.fixture
def conninfo(cluster: Cluster, template: str) -> Iterator[str]:
    with platform_database(cluster, template) as conninfo:
        yield conninfo


@pytest.fixture
def installed(conninfo: str) -> Iterator[Connection]:
    """Billing is installed, and only that."""
    with psycopg.connect(conninfo, autocommit=True) as db:
        yield db


@pytest.fixture
def db(installed: Connection) -> Connection:
    """Billing is installed, and every table is metered."""
    attach(installed)
    return installed


@pytest.fixture
def call(db: Connection) -> Callable[..., int]:
    """Enters an outbound call that is in progress, or as told; returns its id."""

    def enter(**columns: object) -> int:
        values = {
            "tenant_id": 1,
            "direction": "outbound",
            "from_number": "+15550001111",
            "to_number": "+15559876543",
            "status": "in-progress",
            "initiated_at": "2025-11-14 10:00:00+00",
        } | columns
        values.setdefault("call_sid", f"CA{len(query(db, 'SELECT FROM calls')) + 1:032x}")
        statement = sql.SQL("INSERT INTO calls ({}) VALUES ({}) RETURNING id").format(
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        )
        row = db.execute(statement, list(values.values())).fetchone()
        assert row
        return int(row[0])

    return enter


# Moving in


def test_installing_adds_what_is_documented_and_alters_nothing(untouched: str) -> None:
    with psycopg.connect(untouched, autocommit=True) as db:
        before, rows = catalog(db), contents(db)
        migrate(untouched)
        after = catalog(db)
        assert not before - after
        # messages is made, as everywhere where there is none; it stays empty. From 18 on a NOT NULL
        # is a constraint too.
        added = {
            (kind, table, name)
            for kind, table, name, definition in after - before
            if table != "messages" and not definition.startswith("NOT NULL")
        }
        assert added == {("column", "tenants", column) for column in ADDED_COLUMNS} | {
            ("constraint", "tenants", "tenants_billing_cycle_day_is_a_day"),
            ("constraint", "tenants", "tenants_currency_is_iso_4217"),
            ("constraint", "tenants", "tenants_timezone_is_known"),
            ("trigger", "tenants", "billing_tenant_changed"),
            ("trigger", "tenants", "billing_tenant_inserted"),
            ("trigger", "tenants", "billing_tenant_noted"),
            ("trigger", "calls", "billing_meter_insert"),
            ("trigger", "calls", "billing_meter_update"),
        }
        assert contents(db) == rows | {"messages": []}


def test_installing_bills_nothing_of_the_past(installed: Connection) -> None:
    attach(installed)
    assert not query(installed, "SELECT FROM billing.usage_records")
    assert not query(installed, "SELECT * FROM billing.verify()")
    # Not even when what is not billed of an old row changes.
    for table in ("calls", "sms_messages", "emails", "whatsapp_messages", "social_messages"):
        installed.execute(f"UPDATE {table} SET created_at = created_at + interval '1 s'".encode())
    assert not query(installed, "SELECT FROM billing.usage_records")


def test_calls_are_metered_at_once_and_each_other_table_by_one_call(db: Connection) -> None:
    metered = query(db, "SELECT source_table, resource_column FROM billing.metered_tables")
    assert set(metered) == {
        ("calls", "call_sid"),
        ("messages", "message_sid"),
        *((table, column) for table, (_, column) in ATTACH.items()),
    }


def test_attaching_adds_two_triggers_and_twice_is_once(installed: Connection) -> None:
    before = catalog(installed)
    attach(installed)
    after = catalog(installed)
    assert not before - after
    assert {row[:3] for row in after - before} == {
        ("trigger", table, f"billing_meter_{event}")
        for table in ATTACH
        for event in ("insert", "update")
    }
    attach(installed)
    assert catalog(installed) == after


def test_what_is_attached_stays_attached_with_the_next_migrate(
    db: Connection, conninfo: str
) -> None:
    before = query(db, "SELECT * FROM billing.metered_tables ORDER BY 1"), catalog(db)
    db.execute("DELETE FROM billing.deployed_files WHERE path NOT LIKE 'migrations/%'")
    assert migrate(conninfo).reloaded
    assert (query(db, "SELECT * FROM billing.metered_tables ORDER BY 1"), catalog(db)) == before


def test_messages_of_another_making_are_left_alone(untouched: str) -> None:
    told: list[str] = []
    with psycopg.connect(untouched, autocommit=True) as db:
        db.execute("CREATE TABLE messages (id bigserial PRIMARY KEY, chat_id bigint, text text)")
        migrate(untouched, on_step=told.append)
        assert [line for line in told if line.startswith("warning: table messages")]
        db.execute("INSERT INTO messages (chat_id, text) VALUES (1, 'Hello')")
        assert query(db, "SELECT source_table FROM billing.metered_tables") == [("calls",)]
        assert not query(db, "SELECT * FROM billing.verify()")
        # Nor does a later run take them for ours.
        db.execute("DELETE FROM billing.deployed_files WHERE path NOT LIKE 'migrations/%'")
        migrate(untouched)
        assert query(db, "SELECT source_table FROM billing.metered_tables") == [("calls",)]


def test_calls_without_a_sid_are_known_by_their_id(untouched: str) -> None:
    with psycopg.connect(untouched, autocommit=True) as db:
        db.execute("ALTER TABLE calls DROP COLUMN call_sid")
        migrate(untouched)
        db.execute("UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = 6")
        assert query(db, "SELECT resource_id FROM billing.usage_records") == [("6",)]
        # record_usage of something else is not stopped by it.
        db.execute("SELECT billing.record_usage(1, 'social', 'message', 'by hand', 1)")


def test_columns_of_an_earlier_attempt_in_tenants_are_used_as_they_are(untouched: str) -> None:
    with psycopg.connect(untouched, autocommit=True) as db:
        db.execute(
            "ALTER TABLE tenants ADD plan_id bigint REFERENCES pricing_plans (id),"
            " ADD billing_cycle_start date, ADD billing_cycle_day integer DEFAULT 1,"
            " ADD credit_balance numeric(12, 4) DEFAULT 0, ADD payment_method_id varchar(255)"
        )
        db.execute("UPDATE tenants SET plan_id = 1, credit_balance = 12.5 WHERE id = 1")
        db.execute(
            "UPDATE tenants SET billing_cycle_day = NULL, credit_balance = NULL WHERE id = 2"
        )
        before = catalog(db)
        migrate(untouched)
        assert not before - catalog(db)
        assert query(db, "SELECT tenant_id, amount, kind FROM billing.credit_entries") == [
            (1, Decimal("12.5"), "opening")
        ]
        assert not query(db, "SELECT * FROM billing.verify()")
        assert query(db, "SELECT credit_balance FROM billing.get_tenant_balance(2)") == [(0,)]
        assert query(
            db, "SELECT period_start::text FROM billing.get_billing_period(2, '2025-11-14')"
        ) == [("2025-11-01",)]


def test_plans_are_numbered_as_the_platform_numbers_them(untouched: str) -> None:
    with psycopg.connect(untouched, autocommit=True) as db:
        db.execute("ALTER TABLE tenants ADD plan_id bigint REFERENCES pricing_plans (id)")
        db.execute("UPDATE tenants SET plan_id = 1")
        migrate(untouched)
        db.execute("SET search_path = billing, public")
        db.execute(documented("UPDATE billing.pricing_plans SET id"))
        db.execute("SET search_path = public")
        db.execute("INSERT INTO tenants (name, slug) VALUES ('New', 'new')")
        assert query(
            db,
            "SELECT t.name, theirs.name, ours.name FROM tenants AS t"
            " JOIN pricing_plans AS theirs ON theirs.id = t.plan_id"
            " JOIN billing.pricing_plans AS ours ON ours.id = t.plan_id ORDER BY t.id",
        ) == [
            ("Acme", "starter", "starter"),
            ("Globex", "starter", "starter"),
            ("Initech", "starter", "starter"),
            ("New", "free_trial", "free_trial"),
        ]
        assert query(db, "SELECT min(id), count(*) FROM billing.pricing_plans") == [(1, 4)]
        assert not query(db, "SELECT * FROM billing.verify()")


def test_a_plan_that_has_a_name_there_is_the_plan_of_that_name(installed: Connection) -> None:
    installed.execute(documented("UPDATE tenants SET plan_id"))
    attach(installed)
    assert query(
        installed,
        "SELECT t.plan, p.name, x.valid_from::text FROM tenants AS t"
        " JOIN billing.pricing_plans AS p ON p.id = t.plan_id"
        " JOIN billing.tenant_terms AS x ON x.tenant_id = t.id AND x.plan_id = p.id ORDER BY t.id",
    ) == [
        ("starter", "starter", "-infinity"),
        ("enterprise", "enterprise", "-infinity"),
        ("trial", "free_trial", "-infinity"),
    ]


def test_a_writer_needs_no_right_on_billing(cluster: Cluster, db: Connection) -> None:
    dbname = str(db.info.dbname)
    writer, password = f"writer_of_{dbname}", "of-a-test"
    with administrator(cluster, dbname) as admin:
        name = sql.Identifier(writer)
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(password))
        )
        try:
            admin.execute(
                sql.SQL(
                    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {0};"
                    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {0};"
                    "ALTER TABLE calls ENABLE ROW LEVEL SECURITY;"
                    "CREATE POLICY of_a_tenant ON calls TO {0} USING (tenant_id = 3)"
                ).format(name)
            )
            as_writer = make_conninfo(cluster.conninfo(dbname), user=writer, password=password)
            with psycopg.connect(as_writer, autocommit=True) as application:
                application.execute(
                    "UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = 6"
                )
                application.execute(
                    "INSERT INTO emails (tenant_id, message_id, from_email, to_email, status)"
                    " VALUES (1, 'EM9', 'me@acme.test', 'a@example.org', 'sent')"
                )
                application.execute("INSERT INTO tenants (name, slug) VALUES ('Late', 'late')")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    application.execute("SELECT FROM billing.usage_records")
        finally:
            admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(name))
    assert net(db, "calls", 6) == price(60)
    assert query(db, "SELECT count(*) FROM billing.usage_records") == [(2,)]


def test_the_owner_of_the_tables_need_not_own_the_database(cluster: Cluster) -> None:
    with cluster.database(None, ("public",)) as conninfo:
        dbname = str(conninfo_to_dict(conninfo)["dbname"])
        owner, password = f"owner_in_{dbname}", "of-a-test"
        name = sql.Identifier(owner)
        with administrator(cluster, dbname) as admin:
            admin.execute(
                sql.SQL(
                    "CREATE ROLE {0} LOGIN PASSWORD {1}; GRANT CREATE ON DATABASE {2} TO {0};"
                    "GRANT CREATE ON SCHEMA public TO {0}"
                ).format(name, sql.Literal(password), sql.Identifier(dbname))
            )
            try:
                as_owner = make_conninfo(conninfo, user=owner, password=password)
                with psycopg.connect(as_owner, autocommit=True) as db:
                    db.execute(PLATFORM.encode())
                    migrate(as_owner)
                    attach(db)
                    query(db, "SELECT * FROM billing.backfill_usage('2025-10-01', '2025-10-31')")
                    assert not query(db, "SELECT * FROM billing.verify()")
                    assert net(db, "calls", 1) == price(125)
                uninstall(as_owner, drop_data=True)
            finally:
                admin.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(name))


# Each channel

SMS = (
    "INSERT INTO sms_messages (id, message_sid, tenant_id, direction, from_number, to_number,"
    " status, sent_at, media_urls, num_media, num_segments)"
    " VALUES (100, 'SM100', 1, '{direction}', '+15550001111', '+15559876543', '{status}',"
    " '2025-11-14 10:00+00', {media_urls}, {num_media}, 3)"
)
EMAIL = (
    "INSERT INTO emails (id, tenant_id, message_id, direction, from_email, to_email, cc_emails,"
    " bcc_emails, status, sent_at) VALUES (100, 1, 'EM100', '{direction}', 'me@acme.test',"
    " 'a@example.org', {cc}, {bcc}, '{status}', '2025-11-14 10:00+00')"
)
WHATSAPP = (
    "INSERT INTO whatsapp_messages (id, tenant_id, message_id, wamid, direction, from_number,"
    " to_number, status, conversation_category, conversation_origin, sent_at)"
    " VALUES (100, 1, 'WM100', 'wamid.100', '{direction}', '+15550001111', '+15559876543',"
    " '{status}', 'marketing', 'business_initiated', '2025-11-14 10:00')"
)
SOCIAL = (
    "INSERT INTO social_messages (id, tenant_id, message_id, platform, direction, status, sent_at)"
    " VALUES (100, 1, 'SO100', 'facebook', '{direction}', '{status}', '2025-11-14 10:00+00')"
)
GIVEN = {"direction": "outbound", "status": "sent", "media_urls": "'[]'", "num_media": "0"}
GIVEN |= {"cc": "NULL", "bcc": "NULL"}
INSERTS = {
    "sms_messages": SMS,
    "emails": EMAIL,
    "whatsapp_messages": WHATSAPP,
    "social_messages": SOCIAL,
}


@pytest.mark.parametrize(
    ("table", "given", "resource", "quantity", "cost"),
    [
        ("sms_messages", {}, "sms/message", 1, "0.0075"),
        ("sms_messages", {"media_urls": "NULL"}, "sms/message", 1, "0.0075"),
        ("sms_messages", {"media_urls": "''"}, "sms/message", 1, "0.0075"),
        ("sms_messages", {"media_urls": "' [ ] '"}, "sms/message", 1, "0.0075"),
        ("sms_messages", {"media_urls": "'null'"}, "sms/message", 1, "0.0075"),
        ("sms_messages", {"media_urls": "'[null]'"}, "sms/message", 1, "0.0075"),
        ("sms_messages", {"media_urls": "'[\"\"]'"}, "sms/message", 1, "0.0075"),
        ("sms_messages", {"num_media": "NULL"}, "sms/message", 1, "0.0075"),
        ("sms_messages", {"media_urls": """'["https://a.test/1.png"]'"""}, "sms/mms", 1, "0.02"),
        ("sms_messages", {"media_urls": "'[\"half a list'"}, "sms/mms", 1, "0.02"),
        ("sms_messages", {"media_urls": "NULL", "num_media": "2"}, "sms/mms", 1, "0.02"),
        ("emails", {}, "email/message", 1, "0.001"),
        ("emails", {"cc": "'{b,c}'", "bcc": "'{d}'"}, "email/message", 4, "0.004"),
        ("emails", {"cc": "'{}'", "bcc": "'{d}'"}, "email/message", 2, "0.002"),
        ("emails", {"cc": "'{\"\",NULL}'"}, "email/message", 1, "0.001"),
        ("whatsapp_messages", {}, "whatsapp/message", 1, "0.005"),
        ("social_messages", {}, "social/message", 1, "0.005"),
    ],
)
def test_a_message_is_billed_by_its_table(
    db: Connection, table: str, given: dict[str, str], resource: str, quantity: int, cost: str
) -> None:
    db.execute(INSERTS[table].format(**GIVEN | given).encode())
    assert charges(db, table, 100) == [("charge", resource, quantity, Decimal(cost))]
    assert not query(db, "SELECT * FROM billing.verify()")


BILLED = {"sent", "delivered", "read", "opened", "clicked"}


@pytest.mark.parametrize(
    ("table", "statuses"),
    [
        (
            "sms_messages",
            "queued accepted sending sent delivered undelivered failed received",
        ),
        ("emails", "queued sent delivered bounced failed opened clicked"),
        ("whatsapp_messages", "pending sent delivered read failed"),
        ("social_messages", "pending sent delivered read failed"),
    ],
)
def test_a_status_decides_and_inbound_is_free(db: Connection, table: str, statuses: str) -> None:
    for number, status in enumerate(statuses.split(), start=100):
        for direction, offset in (("outbound", 0), ("inbound", 1000)):
            row = INSERTS[table].format(**GIVEN | {"status": status, "direction": direction})
            key = f"{number + offset}"
            db.execute(row.replace("(100,", f"({key},").replace("100'", f"{key}'").encode())
            billed = direction == "outbound" and status in BILLED
            assert bool(charges(db, table, number + offset)) == billed, (direction, status)
    assert not query(db, "SELECT * FROM billing.verify()")


@pytest.mark.parametrize("table", ATTACH)
def test_later_news_change_nothing_and_a_failure_is_reversed(db: Connection, table: str) -> None:
    db.execute(INSERTS[table].format(**GIVEN).encode())
    (charge,) = charges(db, table, 100)
    db.execute(f"UPDATE {table} SET status = 'delivered' WHERE id = 100".encode())
    assert charges(db, table, 100) == [charge]
    db.execute(f"UPDATE {table} SET status = 'failed' WHERE id = 100".encode())
    assert net(db, table, 100) == 0
    db.execute(f"DELETE FROM {table} WHERE id = 1".encode())
    assert not query(db, "SELECT * FROM billing.verify()")


@pytest.mark.parametrize("table", ["calls", *ATTACH])
def test_what_was_recorded_by_hand_is_its_row(
    db: Connection, call: Callable[..., int], table: str
) -> None:
    """First the row and then by hand, and the other way round: one charge."""
    resource = {
        "calls": ("voice", "minute", "CA100", 1),
        "sms_messages": ("sms", "message", "SM100", 1),
        "emails": ("email", "message", "EM100", 1),
        "whatsapp_messages": ("whatsapp", "message", "wamid.100", 1),
        "social_messages": ("social", "message", "SO100", 1),
    }[table]
    by_hand = "SELECT billing.record_usage(1, %s, %s, %s, %s)"

    def write_row() -> None:
        if table == "calls":
            call(call_sid="CA100", status="completed", duration_seconds=60)
        else:
            db.execute(INSERTS[table].format(**GIVEN).encode())

    with db.transaction(force_rollback=True):
        write_row()
        ((record_id,),) = query(db, "SELECT id FROM billing.usage_records")
        assert query(db, by_hand, *resource) == [(record_id,)]
        assert query(db, by_hand, *resource) == [(record_id,)]
        assert query(db, "SELECT count(*) FROM billing.usage_records") == [(1,)]
    with db.transaction(force_rollback=True):
        ((record_id,),) = query(db, by_hand, *resource)
        write_row()
        assert query(db, "SELECT id FROM billing.usage_records") == [(record_id,)]
        assert not query(db, "SELECT * FROM billing.verify()")


def test_a_wamid_that_comes_after_the_charge_is_its_own(db: Connection) -> None:
    db.execute(WHATSAPP.replace("'wamid.100'", "NULL").format(**GIVEN).encode())
    db.execute("UPDATE whatsapp_messages SET wamid = 'wamid.100' WHERE id = 100")
    assert net(db, "whatsapp_messages", 100) == Decimal("0.005")
    db.execute("SELECT billing.record_usage(1, 'whatsapp', 'message', 'wamid.100', 1)")
    assert query(db, "SELECT count(*) FROM billing.usage_records") == [(1,)]


# Times without a zone

IN_BERLIN = """
CREATE FUNCTION measure_whatsapp_in_berlin(
    p_id bigint, p_tenant_id bigint, p_direction text, p_status text,
    p_wamid text, p_to_number text, p_sent_at timestamp, p_delivered_at timestamp
)
RETURNS SETOF billing.measurement LANGUAGE sql STABLE AS $$
    SELECT * FROM billing.measure_whatsapp_message(
        p_id, p_tenant_id, p_direction, p_status, p_wamid, p_to_number,
        p_sent_at AT TIME ZONE 'Europe/Berlin', p_delivered_at AT TIME ZONE 'Europe/Berlin'
    )
$$;
SELECT billing.meter_table('whatsapp_messages', 'measure_whatsapp_in_berlin', 'wamid');
"""


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles"])
def test_a_time_without_zone_is_utc_whatever_the_session(db: Connection, zone: str) -> None:
    db.execute("SELECT set_config('TimeZone', %s, false)", [zone])
    db.execute(WHATSAPP.replace("2025-11-14 10:00", "2025-11-01 00:30").format(**GIVEN).encode())
    query(db, "SELECT * FROM billing.backfill_usage('2025-09-01', '2025-09-30')")
    assert query(
        db,
        "SELECT source_id, (occurred_at AT TIME ZONE 'UTC')::text, usage_date::text"
        " FROM billing.usage_records WHERE source_table = 'whatsapp_messages' ORDER BY 1",
    ) == [(1, "2025-09-30 23:30:00", "2025-09-30"), (100, "2025-11-01 00:30:00", "2025-11-01")]
    assert not query(db, "SELECT * FROM billing.verify()")


def test_another_zone_is_chosen_by_a_function_of_ones_own(db: Connection) -> None:
    db.execute(IN_BERLIN)
    db.execute("SET TimeZone = 'Pacific/Auckland'")
    db.execute(WHATSAPP.replace("2025-11-14 10:00", "2025-11-01 00:30").format(**GIVEN).encode())
    assert query(
        db,
        "SELECT (occurred_at AT TIME ZONE 'UTC')::text, usage_date::text"
        " FROM billing.usage_records",
    ) == [("2025-10-31 23:30:00", "2025-10-31")]
    assert not query(db, "SELECT * FROM billing.verify()")


@pytest.mark.parametrize("kind", ["timestamp", "date", "local_time"])
def test_a_day_and_a_domain_are_utc_too(db: Connection, kind: str) -> None:
    db.execute("CREATE DOMAIN local_time AS timestamp")
    db.execute("SET TimeZone = 'Pacific/Auckland'")
    db.execute(
        f"CREATE TABLE posts (id smallint NOT NULL, tenant_id bigint, direction text, status text,"
        f" sent_at {kind})".encode()
    )
    db.execute("SELECT billing.meter_table('posts', 'billing.measure_social_message')")
    db.execute("INSERT INTO posts VALUES (1, 1, 'outbound', 'sent', '2025-11-01')")
    assert query(
        db, "SELECT (occurred_at AT TIME ZONE 'UTC')::text FROM billing.usage_records"
    ) == [("2025-11-01 00:00:00",)]


def test_a_measure_may_take_types_of_the_application(db: Connection) -> None:
    db.execute('CREATE DOMAIN "E.164" AS text')
    db.execute(
        "CREATE FUNCTION measure_ours(p_id bigint, p_tenant_id bigint, p_direction text,"
        ' p_status whatsapp_status, p_wamid text, p_to_number "E.164")'
        " RETURNS SETOF billing.measurement LANGUAGE sql STABLE AS $$"
        " SELECT * FROM billing.measure_whatsapp_message(p_id, p_tenant_id, p_direction,"
        " p_status::text, p_wamid, p_to_number) $$"
    )
    db.execute("SELECT billing.meter_table('whatsapp_messages', 'measure_ours', 'wamid')")
    db.execute(
        "INSERT INTO whatsapp_messages (tenant_id, message_id, wamid, direction, from_number,"
        " to_number, status) VALUES (1, 'WA9', 'wamid.9', 'outbound', '+1555', '+1666', 'sent')"
    )
    assert not query(db, "SELECT FROM billing.unrated_usage")
    assert query(db, "SELECT resource_id FROM billing.usage_records") == [("wamid.9",)]
    assert not query(db, "SELECT * FROM billing.verify()")


def test_a_measure_that_finds_nothing_in_the_trigger_is_refused(db: Connection) -> None:
    db.execute(
        "CREATE FUNCTION is_ours(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
        "CREATE FUNCTION measure_ours(p_id bigint, p_tenant_id bigint, p_direction text)"
        " RETURNS SETOF billing.measurement LANGUAGE sql STABLE AS $$"
        " SELECT * FROM billing.measure_social_message(p_id, p_tenant_id, p_direction, 'sent')"
        " WHERE is_ours(p_direction) $$"
    )
    with pytest.raises(psycopg.Error) as refused:
        db.execute("SELECT billing.meter_table('social_messages', 'measure_ours')")
    assert refused.value.sqlstate == "UB012"


# What went wrong there, by the numbers of the guide


def test_1_what_has_no_price_is_not_priced_at_0(db: Connection, call: Callable[..., int]) -> None:
    db.execute("UPDATE billing.pricing_rates SET is_active = false WHERE channel = 'voice'")
    call_id = call(status="completed", duration_seconds=60)
    assert not charges(db, "calls", call_id)
    assert query(db, "SELECT source_id, sqlstate FROM billing.unrated_usage") == [
        (call_id, "UB001")
    ]
    db.execute("UPDATE billing.pricing_rates SET is_active = true WHERE channel = 'voice'")
    assert query(db, "SELECT resolved FROM billing.retry_unrated()") == [(1,)]
    assert net(db, "calls", call_id) == price(60)


@pytest.mark.parametrize("plan", ["free_trial", "starter", "professional", "enterprise"])
def test_1_every_plan_has_prices(db: Connection, plan: str) -> None:
    db.execute(
        "UPDATE tenants SET plan_id = (SELECT id FROM billing.pricing_plans WHERE name = %s)",
        [plan],
    )
    for insert in INSERTS.values():
        db.execute(insert.format(**GIVEN).encode())
    assert query(db, "SELECT count(*) FROM billing.usage_records WHERE total_cost > 0") == [(4,)]


def test_2_a_price_of_the_future_waits_and_one_of_the_past_holds_for_its_time(
    db: Connection, call: Callable[..., int]
) -> None:
    db.execute(
        "INSERT INTO billing.pricing_rates (plan_id, channel, resource_type, unit_price,"
        " effective_from, effective_until) VALUES"
        " (1, 'voice', 'minute', 0.06, '2020-01-01', '2025-11-01'),"
        " (1, 'voice', 'minute', 0.99, '2999-01-01', NULL)"
    )
    old = call(status="completed", duration_seconds=60, initiated_at="2025-10-31 23:59+00")
    new = call(status="completed", duration_seconds=60, initiated_at="2025-11-01 00:00+00")
    assert (net(db, "calls", old), net(db, "calls", new)) == (price(60, "0.06"), price(60))


def test_3_a_retry_and_a_repeated_cdr_are_billed_once(
    db: Connection, call: Callable[..., int]
) -> None:
    call_id = call(status="completed", duration_seconds=125)
    upsert = (
        "INSERT INTO calls (tenant_id, call_sid, direction, from_number, to_number, status,"
        " duration_seconds) SELECT tenant_id, call_sid, direction, from_number, to_number, status,"
        " duration_seconds FROM calls WHERE id = %s"
        " ON CONFLICT (call_sid) DO UPDATE SET status = EXCLUDED.status"
    )
    for _ in range(3):
        db.execute(upsert, [call_id])
        db.execute("SELECT billing.record_call_usage(%s)", [call_id])
        query(db, "SELECT * FROM billing.backfill_usage('2025-11-01', '2025-11-30')")
    assert len(charges(db, "calls", call_id)) == 1
    assert query(db, "SELECT total_cost, record_count FROM billing.usage_summaries") == [
        (price(125), 1)
    ]


def test_4_nothing_that_came_in_is_billed_by_backfill(db: Connection) -> None:
    query(db, "SELECT * FROM billing.backfill_usage('2020-01-01', '2026-12-31')")
    for table in ("calls", "sms_messages", "emails", "whatsapp_messages", "social_messages"):
        assert not query(
            db,
            f"SELECT FROM billing.usage_records AS u JOIN {table} AS s ON s.id = u.source_id"
            f" WHERE u.source_table = '{table}' AND s.direction <> 'outbound'",
        )


@pytest.mark.parametrize("seconds", [1, 7, 20, 125, 3599, 86_400])
def test_5_seconds_cost_exactly_what_they_cost(
    db: Connection, call: Callable[..., int], seconds: int
) -> None:
    assert price(125) == Decimal("0.03125")
    call_id = call(status="completed", duration_seconds=seconds)
    assert net(db, "calls", call_id) == price(seconds)


def test_5_a_quantity_of_millions_is_no_overflow(db: Connection) -> None:
    db.execute("SELECT billing.record_usage(1, 'email', 'message', 'newsletter', 12345678)")
    assert query(db, "SELECT total_cost FROM billing.usage_records") == [(Decimal("12345.678"),)]


def test_6_a_period_is_the_tenants_whatever_the_servers_zone(db: Connection) -> None:
    db.execute("UPDATE tenants SET timezone = 'Asia/Tokyo', billing_cycle_day = 15 WHERE id = 1")
    for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        db.execute("SELECT set_config('TimeZone', %s, false)", [zone])
        assert query(
            db,
            "SELECT period_start::text, period_end::text"
            " FROM billing.get_billing_period(1, '2025-11-14 15:30:00+00')",
        ) == [("2025-11-15", "2025-12-14")]


def test_7_usage_lowers_what_remains_of_the_credit(
    db: Connection, call: Callable[..., int]
) -> None:
    db.execute("SELECT billing.grant_credit(1, 5, 'purchase', 'card 1')")
    call(status="completed", duration_seconds=600)
    assert query(
        db,
        "SELECT credit_balance, current_usage, remaining_credits, included_credits"
        " FROM billing.get_tenant_balance(1, now())",
    ) == [(5, price(600), 5 - price(600), 50)]


def test_8_history_is_billed_for_its_own_time_on_every_channel(db: Connection) -> None:
    assert query(
        db,
        "SELECT source_table, scanned, recorded, unrated"
        " FROM billing.backfill_usage('2025-01-01', '2025-12-31') ORDER BY 1",
    ) == [
        ("calls", 2, 2, 0),
        ("emails", 1, 1, 0),
        ("messages", 0, 0, 0),
        ("sms_messages", 2, 2, 0),
        ("social_messages", 1, 1, 0),
        ("whatsapp_messages", 1, 1, 0),
    ]
    assert query(
        db,
        "SELECT tenant_id, summary_date::text, channel, resource_type, total_cost"
        " FROM billing.usage_summaries ORDER BY 1, 2, 3, 4",
    ) == [
        (1, "2025-09-30", "whatsapp", "message", Decimal("0.005")),
        (1, "2025-10-14", "email", "message", Decimal("0.004")),
        (1, "2025-10-14", "sms", "message", Decimal("0.0075")),
        (1, "2025-10-14", "sms", "mms", Decimal("0.02")),
        (1, "2025-10-14", "voice", "minute", price(125)),
        (2, "2025-02-03", "voice", "minute", price(60)),
        (2, "2025-10-14", "social", "message", Decimal("0.005")),
    ]
    assert not query(db, "SELECT * FROM billing.verify()")
    again = query(db, "SELECT recorded FROM billing.backfill_usage('2025-01-01', '2025-12-31')")
    assert again == [(0,)] * 6


def test_8_history_is_billed_at_the_prices_of_its_time(db: Connection) -> None:
    db.execute(
        "INSERT INTO billing.pricing_rates (tenant_id, channel, resource_type, unit_price,"
        " effective_from, effective_until)"
        " VALUES (2, 'voice', 'minute', 0.03, '2020-01-01', '2025-03-01')"
    )
    query(db, "SELECT * FROM billing.backfill_usage('2025-01-01', '2025-12-31')")
    assert net(db, "calls", 4) == price(60, "0.03")
    assert net(db, "calls", 1) == price(125)


def test_9_an_sms_is_billed_by_the_message_or_by_the_segment_as_chosen(db: Connection) -> None:
    db.execute(SMS.format(**GIVEN).encode())
    assert net(db, "sms_messages", 100) == Decimal("0.0075")
    db.execute(
        "INSERT INTO billing.pricing_rates (channel, resource_type, unit_price, effective_from)"
        " VALUES ('sms', 'segment', 0.0079, '2025-01-01')"
    )
    db.execute(
        """
        CREATE FUNCTION measure_sms_segments(
            p_id bigint, p_tenant_id bigint, p_direction text, p_status text, p_message_sid text,
            p_body text, p_num_segments numeric, p_sent_at timestamptz
        )
        RETURNS SETOF billing.measurement LANGUAGE sql STABLE AS $$
            SELECT * FROM billing.measure_message_in_detail(
                p_id => p_id, p_tenant_id => p_tenant_id, p_channel => 'sms',
                p_direction => p_direction, p_status => p_status,
                p_message_sid => p_message_sid, p_body => p_body, p_num_segments => p_num_segments,
                p_sent_at => p_sent_at)
        $$
        """
    )
    db.execute("SELECT billing.meter_table('sms_messages', 'measure_sms_segments', 'message_sid')")
    db.execute(SMS.replace("100", "101").format(**GIVEN).encode())
    assert charges(db, "sms_messages", 101) == [("charge", "sms/segment", 3, Decimal("0.0237"))]


def test_10_cc_and_bcc_are_recipients_also_when_they_are_corrected(db: Connection) -> None:
    db.execute(EMAIL.format(**GIVEN | {"cc": "'{b,c}'", "bcc": "'{d}'"}).encode())
    assert net(db, "emails", 100) == Decimal("0.004")
    db.execute("UPDATE emails SET bcc_emails = bcc_emails || '{e}' WHERE id = 100")
    assert net(db, "emails", 100) == Decimal("0.005")


def test_12_neither_attempts_tables_are_in_the_way(
    db: Connection, call: Callable[..., int]
) -> None:
    before = contents(db)
    kept = {"usage_records", "usage_summaries", "invoices", "invoice_line_items", "invoice_items"}
    kept |= {"pricing_plans", "pricing_rates", "rate_tables", "carrier_rates"}
    assert kept <= before.keys()
    call(status="completed", duration_seconds=125)
    db.execute("SELECT billing.generate_invoice(1, '2025-11-01')")
    after = contents(db)
    assert {table: after[table] for table in kept} == {table: before[table] for table in kept}
    # The application's own function of the same name is its own, and ours is ours.
    assert query(db, "SELECT get_current_period_usage(1)") == [(Decimal("0.0624"),)]
    db.execute("SET search_path = billing, public")
    assert query(db, "SELECT total_cost FROM get_current_period_usage(1, '2025-11-14')") == [
        (price(125),)
    ]
    assert query(db, "SELECT total_amount FROM invoices") == [(Decimal("0.03"),)]


def test_12_a_tenant_of_tomorrow_has_a_plan_and_a_balance(db: Connection) -> None:
    ((tenant_id, plan, credit_balance),) = query(
        db,
        "WITH t AS (INSERT INTO tenants (name, slug) VALUES ('New', 'new') RETURNING *)"
        " SELECT t.id, p.name, t.credit_balance FROM t JOIN billing.pricing_plans AS p"
        " ON p.id = t.plan_id",
    )
    assert (plan, credit_balance) == ("free_trial", 0)
    assert query(
        db,
        "SELECT included_credits, remaining_credits FROM billing.get_tenant_balance(%s)",
        tenant_id,
    ) == [(50, 0)]


# Its writers disagree


def test_a_hangup_that_nobody_answered_is_completed_and_free(
    db: Connection, call: Callable[..., int]
) -> None:
    call_id = call(status="ringing")
    db.execute(
        "UPDATE calls SET status = 'completed', ended_at = now(),"
        " duration_seconds = extract(epoch FROM now() - answered_at)::int WHERE id = %s",
        [call_id],
    )
    assert not charges(db, "calls", call_id)
    assert not query(db, "SELECT FROM billing.unrated_usage")


def test_an_administrators_kill_is_free_until_the_switch_says_how_long(
    db: Connection, call: Callable[..., int]
) -> None:
    call_id = call(answered_at="2025-11-14 10:00:05+00")
    db.execute(
        "UPDATE calls SET status = 'completed', hangup_by = 'admin', ended_at = now()"
        " WHERE id = %s",
        [call_id],
    )
    assert not charges(db, "calls", call_id)
    db.execute("UPDATE calls SET duration_seconds = 42 WHERE id = %s", [call_id])
    assert net(db, "calls", call_id) == price(42)


@pytest.mark.parametrize("status", ["in-progress", "in_progress", "answered"])
def test_a_call_is_free_while_it_lasts_however_that_is_spelled(
    db: Connection, call: Callable[..., int], status: str
) -> None:
    call_id = call(status=status, duration_seconds=30)
    assert not charges(db, "calls", call_id)
    db.execute("UPDATE calls SET status = 'completed' WHERE id = %s", [call_id])
    assert net(db, "calls", call_id) == price(30)


@pytest.mark.parametrize(
    "status", ["initiated", "queued", "no-answer", "busy", "failed", "canceled"]
)
def test_a_call_that_came_to_nothing_is_free(
    db: Connection, call: Callable[..., int], status: str
) -> None:
    assert not charges(db, "calls", call(status=status, duration_seconds=30))


def test_talk_time_is_what_is_billed_where_it_is_known(
    db: Connection, call: Callable[..., int]
) -> None:
    ring_and_talk = call(status="completed", duration_seconds=75, billable_seconds=60)
    billsec = call(status="completed", duration_seconds=60)
    unanswered = call(status="completed", duration_seconds=15, billable_seconds=0)
    assert net(db, "calls", ring_and_talk) == net(db, "calls", billsec) == price(60)
    assert not charges(db, "calls", unanswered)
    # One writer has the duration first, the other corrects it with the talk time.
    db.execute("UPDATE calls SET billable_seconds = 55 WHERE id = %s", [billsec])
    assert net(db, "calls", billsec) == price(55)
    assert not query(db, "SELECT * FROM billing.verify()")


def test_triggers_of_the_application_go_on(db: Connection, call: Callable[..., int]) -> None:
    call_id = call()
    db.execute(
        "UPDATE calls SET status = 'completed', duration_seconds = 60 WHERE id = %s", [call_id]
    )
    assert query(db, "SELECT status FROM call_events WHERE call_id = %s ORDER BY id", call_id) == [
        ("in-progress",),
        ("completed",),
    ]
    db.execute("DELETE FROM calls WHERE id = %s", [call_id])
    db.execute("DELETE FROM tenants WHERE id = 3")
    assert net(db, "calls", call_id) == price(60)


# What cannot be attached


@pytest.mark.parametrize(
    "arguments",
    [
        # The ready function makes wamid the resource: another column would be looked at in vain.
        "'whatsapp_messages', 'billing.measure_whatsapp_message', 'message_id'",
        "'emails', 'billing.measure_email', 'no_such_column'",
        # emails has neither a channel nor our names.
        "'emails', 'billing.measure_message'",
        "'outbox', 'billing.measure_email'",
        "'drafts', 'billing.measure_email'",
    ],
)
def test_what_could_not_work_is_refused_at_once(installed: Connection, arguments: str) -> None:
    installed.execute("CREATE VIEW outbox AS SELECT * FROM emails")
    installed.execute(
        "CREATE TABLE drafts (id bigint NOT NULL, tenant_id bigint, status text, cc_emails jsonb)"
    )
    before = catalog(installed)
    with pytest.raises(psycopg.Error) as error:
        installed.execute(f"SELECT billing.meter_table({arguments})".encode())
    assert error.value.sqlstate == "UB012"
    assert catalog(installed) == before


def test_a_table_that_calls_its_tenant_otherwise(db: Connection) -> None:
    """And whose resource is a UUID: recording by hand finds it, and all else goes on."""
    db.execute(
        """
        CREATE TABLE faxes (id integer PRIMARY KEY, account bigint, fax_uuid uuid, pages integer);
        INSERT INTO billing.pricing_rates (channel, resource_type, unit_price, effective_from)
        VALUES ('fax', 'page', 0.05, '2025-01-01');
        CREATE FUNCTION measure_fax(p_id bigint, p_account bigint, p_fax_uuid text, p_pages numeric)
        RETURNS SETOF billing.measurement LANGUAGE sql STABLE AS $$
            SELECT p_id, 1::smallint, p_account, 'fax', 'page', p_fax_uuid, p_pages, NULL, now()
            WHERE p_pages > 0
        $$;
        """
    )
    db.execute("SELECT billing.meter_table('faxes', 'measure_fax', 'fax_uuid')")
    fax = "00000000-0000-4000-8000-000000000001"
    db.execute("INSERT INTO faxes VALUES (1, 1, %s, 3), (2, 2, %s, 4)", [fax, fax])
    by_hand = "SELECT billing.record_usage(%s, 'fax', 'page', %s, %s)"
    for tenant_id, pages in ((1, 3), (2, 4)):
        ((record_id,),) = query(
            db, "SELECT id FROM billing.usage_records WHERE tenant_id = %s", tenant_id
        )
        assert query(db, by_hand, tenant_id, fax, pages) == [(record_id,)]
    db.execute("SELECT billing.record_usage(1, 'sms', 'message', '+442071234567', 1)")
    db.execute(
        "INSERT INTO billing.pricing_rates (tenant_id, channel, resource_type, unit_price,"
        " effective_from) VALUES (1, 'sms', 'message', 0.01, '2025-01-01')"
    )
    price_anew = "SELECT billing.propose_rerating(current_date - 1, current_date + 1)"
    assert query(db, f"SELECT billing.apply_rerating(({price_anew}))") == [(1,)]
    forget = "SELECT sum(changed) FROM billing.forget_subject('+442071234567', 'erase', 'a', true)"
    assert query(db, forget) == [(4,)]
    db.execute("DROP TABLE faxes")
    db.execute("SELECT billing.record_usage(1, 'sms', 'message', 'SM101', 1)")


def test_what_a_table_has_not_is_said(installed: Connection) -> None:
    """Copies of an email, say, in columns of other names."""
    told: list[str] = []
    installed.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
    installed.execute("ALTER TABLE emails RENAME cc_emails TO cc")
    attach(installed)
    assert [line for line in told if "emails has no column cc_emails: billed without" in line]
    assert not [line for line in told if "whatsapp_messages" in line]


def test_a_measure_that_fails_does_not_stop_the_writer(db: Connection) -> None:
    """Nor does it lose the row, in a table whose id is an integer."""
    db.execute(
        "CREATE FUNCTION measure_badly(p_id bigint, p_tenant_id bigint, p_status text)"
        " RETURNS SETOF billing.measurement LANGUAGE plpgsql STABLE AS"
        " $$ BEGIN RAISE division_by_zero; END $$"
    )
    db.execute("SELECT billing.meter_table('whatsapp_messages', 'measure_badly')")
    db.execute(WHATSAPP.format(**GIVEN).encode())
    waiting = "SELECT source_id, sqlstate FROM billing.unrated_usage WHERE resolved_at IS NULL"
    assert query(db, waiting) == [(100, "22012")]
    attach(db)
    assert query(db, "SELECT resolved FROM billing.retry_unrated()") == [(1,)]
    assert net(db, "whatsapp_messages", 100) == Decimal("0.005")


# Moving out


def test_unmetering_leaves_every_table_as_it_was(installed: Connection) -> None:
    before = catalog(installed)
    attach(installed)
    for table in ATTACH:
        installed.execute(INSERTS[table].format(**GIVEN).encode())
        installed.execute("SELECT billing.unmeter_table(%s)", [table])
        installed.execute("SELECT billing.unmeter_table(%s)", [table])
    assert catalog(installed) == before
    assert query(installed, "SELECT count(*) FROM billing.usage_records") == [(4,)]
    installed.execute("UPDATE emails SET status = 'failed'")
    assert query(installed, "SELECT count(*) FROM billing.usage_records") == [(4,)]


@pytest.mark.parametrize("drop_data", [False, True])
def test_uninstalling_leaves_every_table_as_it_was(untouched: str, *, drop_data: bool) -> None:
    with psycopg.connect(untouched, autocommit=True) as db:
        before, rows = catalog(db), contents(db)
        migrate(untouched)
        attach(db)
        query(db, "SELECT * FROM billing.backfill_usage('2025-01-01', '2025-12-31')")
        uninstall(untouched, drop_data=drop_data)
        left = {row[:2] for row in catalog(db) - before}
        assert {table for _, table in left} == {"tenants", "messages"}
        assert not [row for row in catalog(db) if row[0] == "trigger" and "billing" in row[2]]
        assert contents(db) == rows | {"messages": []}
        kept = "SELECT count(*) FROM billing.usage_records"
        assert drop_data or query(db, kept) == [(7,)]

        db.execute(documented("ALTER TABLE tenants\n    DROP COLUMN"))
        assert (catalog(db), contents(db)) == (before, rows)


def test_what_was_uninstalled_comes_back_and_goes_on(untouched: str) -> None:
    with psycopg.connect(untouched, autocommit=True) as db:
        migrate(untouched)
        attach(db)
        query(db, "SELECT * FROM billing.backfill_usage('2025-01-01', '2025-12-31')")
        uninstall(untouched)
        db.execute(EMAIL.format(**GIVEN).encode())
        migrate(untouched)
        attach(db)
        # What happened in between is history, like everything before.
        query(db, "SELECT * FROM billing.backfill_usage('2025-01-01', '2025-12-31')")
        assert query(db, "SELECT count(*) FROM billing.usage_records") == [(8,)]
        assert not query(db, "SELECT * FROM billing.verify()")

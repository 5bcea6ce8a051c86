"""What is written stays written, who did what is known, and who gets around both is found."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import Cluster
from psycopg import Connection, IsolationLevel
from psycopg.conninfo import conninfo_to_dict

from pyapi import Client, cli

pytestmark = pytest.mark.newest

STORY = """
INSERT INTO tenants (id, plan_id) VALUES (1, 1), (2, 3);
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
SELECT n, 1 + n % 2, 'completed', '2025-11-14 12:00:00+00'::timestamptz + n * interval '1 hour', 60
FROM generate_series(1, 10) AS n;
INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
VALUES (11, 1, 'completed', '2020-02-14 12:00:00+00', 60);
SELECT ensure_partition('2025-11-01');
SELECT grant_credit(1, 100, 'purchase', 'order 1');
SELECT generate_invoice(id, '2025-11-01') FROM tenants;
SELECT finalize_invoice(id) FROM invoices;
SELECT record_payment(id, 1, 'bank', 'payment ' || id) FROM invoices WHERE status = 'pending';
SELECT issue_credit_note(id, 1, 'kindness') FROM invoices WHERE status <> 'draft' AND tenant_id = 2;
"""


@pytest.fixture
def story(db: Connection) -> Connection:
    db.execute("SET statement_timeout = '60s'")
    db.execute(STORY.encode())
    return db


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A second connection, whose transactions stay open."""
    with psycopg.connect(database, options="-c statement_timeout=60s") as other:
        yield other


def rows(db: Connection, query: str, values: list[object] | None = None) -> list[tuple[Any, ...]]:
    return db.execute(query.encode(), values).fetchall()


def figure(db: Connection, query: str) -> Any:
    [(value,)] = rows(db, query)
    return value


def found(db: Connection) -> list[tuple[Any, ...]]:
    return rows(db, "SELECT check_name, subject, detail FROM verify()")


# Append-only

SETS = {
    "usage_records": "total_cost = 0",
    "usage_records_2025_11": "total_cost = 0",
    "usage_records_default": "total_cost = 0",
    "credit_entries": "amount = 1",
    "credit_uses": "amount = 1",
    "payments": "amount = 2",
    "credit_notes": "reason = 'none'",
    "invoice_events": "detail = 'none'",
    "issued_documents": "number = number + 1",
    "invoices": "due_date = due_date + 1",
    "invoice_line_items": "amount = 0",
    "audit_log": "role = 'nobody'",
    "seals": "records = 1",
}


def attempts() -> list[str]:
    return [
        statement
        for table, change in SETS.items()
        for statement in (
            f"UPDATE billing.{table} SET {change}",
            f"DELETE FROM billing.{table}",
            f"TRUNCATE billing.{table} CASCADE",
        )
    ]


def let_through(db: Connection) -> list[str]:
    through = []
    for statement in attempts():
        try:
            with db.transaction():
                db.execute(statement.encode())
                through.append(statement)
                raise psycopg.Rollback
        except psycopg.Error as error:
            if error.sqlstate != "UB014":
                raise
    return through


def test_what_is_written_stays_written_whoever_asks(
    story: Connection, superuser: Connection
) -> None:
    figure(story, "SELECT seal()")
    for table in SETS:
        assert figure(story, f"SELECT count(*) FROM {table}") > 0, table
    assert let_through(story) == []
    assert let_through(superuser) == []
    # As a restore or a replica: no ordinary trigger fires, no key is looked up.
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("UPDATE public.tenants SET plan_id = 4 WHERE id = 1")
    assert let_through(superuser) == []
    superuser.execute("SET session_replication_role = origin")
    superuser.execute("UPDATE public.tenants SET plan_id = 1 WHERE id = 1")
    assert found(story) == []


def test_an_empty_table_may_be_truncated_by_who_restores_into_it(db: Connection) -> None:
    for table in SETS:
        if not table.endswith("11"):
            db.execute(f"TRUNCATE {table} CASCADE".encode())
    assert figure(db, "SELECT count(*) FROM audit_log") == 0


def test_a_month_is_kept_wherever_it_is(story: Connection, superuser: Connection) -> None:
    superuser.execute("SET session_replication_role = replica")

    def is_kept() -> bool:
        refused = 0
        for who in (story, superuser):
            for statement in attempts():
                if "usage_records_2025_11" in statement:
                    with pytest.raises(psycopg.Error) as error:
                        who.execute(statement.encode())
                    refused += error.value.sqlstate == "UB014"
        return refused == 6

    assert is_kept()
    story.execute("SELECT detach_month('2025-11-01')")
    assert is_kept()
    story.execute("SELECT attach_month('2025-11-01')")
    assert is_kept()
    # As restore makes it anew.
    story.execute("SELECT detach_month('2025-11-01')")
    story.execute("CREATE TABLE kept AS SELECT * FROM usage_records_2025_11")
    story.execute("DROP TABLE usage_records_2025_11")
    story.execute("SELECT create_month_table('2025-11-01')")
    story.execute("INSERT INTO usage_records_2025_11 SELECT * FROM kept")
    assert is_kept()
    story.execute("SELECT index_month_table('usage_records_2025_11')")
    story.execute("SELECT attach_month('2025-11-01')")
    assert is_kept()
    assert found(story) == []


GAPS = {
    "disabled": "ALTER TABLE payments DISABLE TRIGGER append_only",
    "still for a replica": "ALTER TABLE usage_records_default ENABLE TRIGGER append_only",
    "for a replica only": "ALTER TABLE invoices ENABLE REPLICA TRIGGER protect_invoice",
    "missing": "DROP TRIGGER append_only_truncate ON audit_log",
}


@pytest.mark.parametrize("problem", GAPS)
def test_a_trigger_that_does_not_fire_is_found_and_mended(db: Connection, problem: str) -> None:
    db.execute(GAPS[problem].encode())
    [(check, _, detail)] = found(db)
    assert (check, detail) == ("what is written stays written", problem)
    assert figure(db, "SELECT attach_guards()") == 1
    assert found(db) == []


# Tampering

SEALED = "what is sealed is as it was"
TAMPERINGS = {
    "a cost": (
        "UPDATE usage_records SET total_cost = total_cost - 0.01 WHERE source_id = 3",
        ("usage record 3", "it was another"),
    ),
    "a record that is gone": (
        "DELETE FROM usage_records WHERE source_id = 4",
        ("usage record 4", "it was there"),
    ),
    "a forged old record": (
        """
        INSERT INTO usage_records
        SELECT (jsonb_populate_record(r, '{"id": 1, "source_id": 1, "part": 9}')).*
        FROM usage_records AS r WHERE source_id = 5
        """,
        ("usage record 1", "it was"),
    ),
    "an entry of credit": (
        "UPDATE credit_entries SET reference = 'order 2' WHERE kind = 'purchase'",
        ("credit_entries 1", "it was another"),
    ),
    "an entry of the audit log": (
        "UPDATE audit_log SET role = 'somebody else' WHERE id = 1",
        ("audit_log 1", "it was another"),
    ),
    "an act that is gone": ("DELETE FROM audit_log WHERE id = 2", ("audit_log 2", "it was there")),
}


def with_triggers_off(db: Connection, statement: str) -> None:
    """As an owner who puts everything back afterwards."""
    for change in ("DISABLE", "ENABLE"):
        for (table,) in rows(db, "SELECT DISTINCT table_name::text FROM list_guards() ORDER BY 1"):
            db.execute(f"ALTER TABLE {table} {change} TRIGGER USER".encode())
        db.execute(statement.encode() if change == "DISABLE" else b"SELECT attach_guards()")


@pytest.mark.parametrize("name", TAMPERINGS)
def test_verify_names_what_was_changed(story: Connection, name: str) -> None:
    statement, (subject, detail) = TAMPERINGS[name]
    figure(story, "SELECT seal()")
    assert found(story) == []
    with_triggers_off(story, statement)
    named = [row[1:] for row in found(story) if row[0] == SEALED]
    assert [(who, what[: len(detail)]) for who, what in named] == [(subject, detail)]
    in_window = rows(story, "SELECT subject FROM verify_seals('2025-11-01', '2025-11-30')")
    assert in_window == ([(subject,)] if subject.startswith("usage") else [])


def test_what_is_forgotten_breaks_no_seal(story: Connection) -> None:
    figure(story, "SELECT seal()")
    with_triggers_off(
        story, "UPDATE usage_records SET destination = '1***', metadata = '{}', resource_id = '***'"
    )
    assert rows(story, "SELECT * FROM verify_seals()") == []


def test_a_chain_that_is_rewritten_is_found_by_a_hash_kept_elsewhere(story: Connection) -> None:
    figure(story, "SELECT seal()")
    kept = figure(story, "SELECT chain_hash FROM get_seal_head()")
    story.execute("SELECT grant_credit(1, 1, 'grant', 'later')")
    assert figure(story, "SELECT seal()") > 0
    assert rows(story, "SELECT * FROM verify_seal_head(%s)", [kept]) == []
    with_triggers_off(story, "UPDATE seals SET content_hash = sha256('') WHERE id = 1")
    assert (("seals are an unbroken chain", "seal 1")) in [row[:2] for row in found(story)]
    # All of it made anew, as only the owner can: nothing in the database says so.
    with_triggers_off(
        story,
        "DELETE FROM seals; UPDATE usage_records SET part = 2 WHERE source_id = 3; SELECT seal()",
    )
    assert rows(story, "SELECT * FROM verify_seals()") == []
    [(check, subject)] = rows(
        story, "SELECT check_name, subject FROM verify_seal_head(%s)", [kept.upper()]
    )
    assert (check, subject) == ("the chain has the hash kept elsewhere", kept)


# Sealing


def test_each_record_is_sealed_once_also_what_ends_late(
    story: Connection, connection: Connection
) -> None:
    connection.execute("UPDATE calls SET duration_seconds = 90 WHERE id = 1")  # stays open
    story.execute("UPDATE calls SET duration_seconds = 120 WHERE id = 2")
    assert figure(story, "SELECT seal(5)") == 5
    while figure(story, "SELECT seal(5)"):
        pass
    connection.commit()
    assert figure(story, "SELECT seal()") == 2
    assert figure(story, "SELECT seal()") == 0
    unsealed = "SELECT id FROM usage_records_2025_11 EXCEPT SELECT unnest(ids) FROM seals"
    assert rows(story, unsealed + " WHERE month = '2025-11-01'") == []
    assert figure(
        story, "SELECT count(*) = count(DISTINCT (series, i)) FROM seals, unnest(ids) AS i"
    )
    assert found(story) == []


def test_two_sealers_do_not_wait_and_an_old_snapshot_leaves_it(
    story: Connection, connection: Connection
) -> None:
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.execute("SELECT count(*) FROM seals")
    assert figure(story, "SELECT seal()") > 0
    assert figure(connection, "SELECT seal()") == 0
    connection.execute("SELECT * FROM maintain()")
    connection.commit()
    connection.isolation_level = IsolationLevel.READ_COMMITTED
    story.execute("SELECT grant_credit(1, 1, 'grant', 'more')")
    assert figure(connection, "SELECT seal()") >= 2  # the entry, and the act
    story.execute("SELECT grant_credit(1, 1, 'grant', 'still more')")
    assert figure(story, "SELECT seal()") == 0
    connection.rollback()
    assert figure(story, "SELECT seal()") >= 4
    assert found(story) == []


def test_records_of_another_cluster_may_be_of_transactions_to_come(story: Connection) -> None:
    with_triggers_off(
        story, "UPDATE usage_records SET xact = ((xact::text)::bigint + 1000000)::text::xid8"
    )
    assert figure(story, "SELECT seal()") > 10
    story.execute("UPDATE calls SET duration_seconds = 120 WHERE id = 2")
    assert figure(story, "SELECT seal()") == 2
    assert figure(story, "SELECT seal()") == 0
    assert rows(story, "SELECT * FROM verify_seals()") == []


def test_a_month_that_is_out_is_looked_at_when_it_is_back(story: Connection) -> None:
    figure(story, "SELECT seal()")
    story.execute("SELECT detach_month('2025-11-01')")
    story.execute("ALTER TABLE usage_records_2025_11 DISABLE TRIGGER USER")
    story.execute("UPDATE usage_records_2025_11 SET part = 3 WHERE source_id = 3")
    assert rows(story, "SELECT subject FROM verify_seals()") == []
    story.execute("SELECT attach_month('2025-11-01')")
    assert rows(story, "SELECT subject FROM verify_seals()") == [("usage record 3",)]


def test_maintain_seals_what_is_new_and_reads_nothing_else(story: Connection) -> None:
    story.execute("SELECT * FROM maintain()")
    story.execute("SELECT * FROM maintain()")  # what had no month of its own before
    sealed = figure(story, "SELECT count(*) FROM seals")
    assert sealed > 2
    story.execute("SELECT grant_credit(1, 1, 'grant', 'more')")
    story.execute("SELECT * FROM maintain()")
    assert figure(story, "SELECT count(*) FROM seals") == sealed
    story.execute(
        "UPDATE seal_rounds SET looked_at = looked_at - interval '2 hours', inserted = -1"
    )
    story.execute("SELECT * FROM maintain()")
    assert figure(story, "SELECT count(*) FROM seals") > sealed


def test_a_large_month_is_read_once_a_day_and_more_of_it_sealed(story: Connection) -> None:
    figure(story, "SELECT seal()")
    # Large by its pages, three records in each.
    story.execute("ALTER TABLE usage_records_2025_11 SET (fillfactor = 10)")
    calls = """
        INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)
        SELECT n, 1, 'completed', '2025-11-14 12:00:00+00', 60 FROM generate_series(%s, %s) AS n
        """
    story.execute(calls, [101, 55_100])
    assert figure(story, "SELECT pg_relation_size('usage_records_2025_11')") > 100_000_000

    def sealed_after(time: str) -> Any:
        # What was inserted is counted within a second, or when that is asked for.
        story.execute("SELECT pg_stat_force_next_flush()")
        story.execute("UPDATE seal_rounds SET looked_at = looked_at - %s::interval", [time])
        return figure(story, "SELECT seal(1000, interval '1 hour')")

    assert sealed_after("2 hours") == 0
    assert sealed_after("1 day") == 55_000
    story.execute(calls, [55_101, 55_107])
    assert sealed_after("2 hours") == 0
    assert sealed_after("1 day") == 7
    assert sealed_after("2 days") == 0
    assert rows(story, "SELECT * FROM verify_seals()") == []


def test_seals_outlive_dump_and_restore(
    story: Connection, database: str, cluster: Cluster, empty_database: str
) -> None:
    figure(story, "SELECT seal()")
    where = {name: str(value) for name, value in conninfo_to_dict(database).items()}
    environment = {"PGPASSWORD": where.pop("password", ""), "PATH": "/usr/bin:/bin"}
    dump = [cluster.psql.with_name("pg_dump"), "--no-owner", "--dbname", database]
    text = subprocess.run(dump, env=environment, capture_output=True, check=True, timeout=60).stdout
    load = [cluster.psql, "-qX", "-v", "ON_ERROR_STOP=1", "--dbname", empty_database]
    subprocess.run(load, env=environment, input=text, check=True, timeout=60, capture_output=True)
    with psycopg.connect(empty_database, autocommit=True) as copy:
        copy.execute("SET search_path = billing, public")
        assert rows(copy, "SELECT * FROM verify_seals()") == []
        assert rows(copy, "SELECT * FROM list_guard_gaps()") == []
        copy.execute("UPDATE calls SET duration_seconds = 120 WHERE id = 2")
        assert figure(copy, "SELECT seal()") == 2
        assert rows(copy, "SELECT * FROM verify_seals()") == []


# Acts: what is done, and (action, via, object, tenant) of the last entry that it leaves.

ACTS: dict[str, tuple[str, str | None, str, int | None]] = {
    "INSERT INTO pricing_plans (id, name, display_name) VALUES (9, 'gold', 'Gold')": (
        *("insert", None, "pricing_plans", None),
    ),
    "UPDATE pricing_plans SET monthly_base_fee = 5 WHERE id = 9": (
        *("update", None, "pricing_plans", None),
    ),
    "INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price)"
    " VALUES (1, 'fax', 'page', 0.1)": ("insert", None, "pricing_rates", 1),
    "SELECT import_deck(jsonb_agg(jsonb_build_object('line', n, 'prefix', n::text,"
    " 'unit_price', '0.1')), 'tenant:1', 'voice', 'minute', now() + interval '1 day')"
    " FROM generate_series(100, 140) AS n": (*("insert", "import_deck", "pricing_rates", 1),),
    "INSERT INTO plan_allowances VALUES (9, 'sms', 'message', '2026-01-01', 100, 0.01)": (
        *("insert", None, "plan_allowances", None),
    ),
    "INSERT INTO calendars (name, timezone) VALUES ('office', 'UTC')": (
        *("insert", None, "calendars", None),
    ),
    "INSERT INTO calendar_bands SELECT id, 'peak', 1, '08:00', '18:00' FROM calendars": (
        *("insert", None, "calendar_bands", None),
    ),
    "INSERT INTO calendar_holidays SELECT id, '2026-12-25' FROM calendars": (
        *("insert", None, "calendar_holidays", None),
    ),
    "DELETE FROM calendar_holidays": ("delete", None, "calendar_holidays", None),
    "SELECT grant_credit(1, 5, 'grant', 'gift')": ("insert", "grant_credit", "credit_entries", 1),
    "SELECT set_tenant_limits(1, p_spend_cap => 100)": (
        *("insert", "set_tenant_limits", "tenant_limits", 1),
    ),
    "SELECT set_alert_threshold(1, 'amount', 100)": (
        *("insert", "set_alert_threshold", "alert_thresholds", 1),
    ),
    "SELECT set_alert_target(1, 'webhook', 'https://example.org/s3cret', 'p4ss')": (
        *("insert", "set_alert_target", "alert_targets", 1),
    ),
    "INSERT INTO legal_entities (name) VALUES ('Ltd')": ("insert", None, "legal_entities", None),
    "INSERT INTO tax_rules (name, percent) VALUES ('VAT', 19)": ("insert", None, "tax_rules", None),
    "INSERT INTO coupons (code, description, percent) VALUES ('TEN', 'Ten', 10)": (
        *("insert", None, "coupons", None),
    ),
    "INSERT INTO tenant_coupons SELECT 1, id, '2025-01-01' FROM coupons": (
        *("insert", None, "tenant_coupons", 1),
    ),
    "INSERT INTO recurring_charges (tenant_id, description, unit_price, starts_on)"
    " VALUES (1, 'Number', 1, '2026-01-01')": ("insert", None, "recurring_charges", 1),
    "UPDATE dunning_steps SET days_overdue = 3 WHERE level = 1": (
        *("update", None, "dunning_steps", None),
    ),
    "INSERT INTO tenant_billing (tenant_id, billing_address) VALUES (1, 'Main Street 1')": (
        *("insert", None, "tenant_billing", 1),
    ),
    "INSERT INTO invoice_holds (tenant_id, source, reason) VALUES (2, 'operator', 'dispute')": (
        *("insert", None, "invoice_holds", 2),
    ),
    "UPDATE tenants SET plan_id = 2 WHERE id = 2": ("update", None, "public.tenants", 2),
    "UPDATE tenants SET timezone = 'Europe/Paris' WHERE id = 2": (
        *("update", None, "public.tenants", 2),
    ),
    "UPDATE tenants SET billing_cycle_day = 5 WHERE id = 2": (
        *("update", None, "public.tenants", 2),
    ),
    "INSERT INTO tenants (id) VALUES (3); UPDATE tenants SET currency = 'EUR' WHERE id = 3": (
        *("update", None, "public.tenants", 3),
    ),
    "SELECT generate_invoice(1, '2025-12-01')": ("insert", "generate_invoice", "invoices", 1),
    "SELECT void_invoice(max(id), 'not wanted') FROM invoices": (
        *("update", "void_invoice", "invoices", 1),
    ),
    "SELECT record_payment(id, 2, 'bank', 'more') FROM invoices WHERE status = 'pending'": (
        *("insert", "record_payment", "payments", 2),
    ),
    "SELECT grant_credit(2, 5, 'purchase', 'to pay back');"
    " SELECT refund_payment(id, 1, 'back') FROM payments WHERE reference = 'more'": (
        *("insert", "refund_payment", "payments", 2),
    ),
    "SELECT issue_credit_note(id, 1, 'sorry') FROM invoices WHERE status = 'pending'": (
        *("insert", "issue_credit_note", "credit_notes", 2),
    ),
    "SELECT apply_rerating(propose_rerating('2025-11-01', '2025-11-30'))": (
        *("update", "apply_rerating", "rerating_proposals", None),
    ),
    "SELECT unmeter_table('messages')": ("delete", "unmeter_table", "metered_tables", None),
    "SELECT meter_table('messages', 'measure_message', 'message_sid')": (
        *("insert", "meter_table", "metered_tables", None),
    ),
    "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
    " VALUES (77, 99, 'completed', now(), 60);"
    " SELECT dismiss_unrated(id, 'a test') FROM unrated_usage": (
        *("dismiss", "dismiss_unrated", "unrated_usage", 99),
    ),
    "SELECT detach_month('2025-11-01')": ("insert", "detach_month", "detached_months", None),
    "SELECT attach_month('2025-11-01')": ("delete", "attach_month", "detached_months", None),
    "SELECT detach_month('2025-11-01'); SELECT drop_month('2025-11-01', jsonb_build_object("
    "'sha256', repeat('a', 64), 'file', 'f', 'detached_at', d.detached_at))"
    " FROM detached_months AS d": (*("insert", "drop_month", "archives", None),),
    "SELECT grant_tenant_access(current_user::text, 1)": (
        *("insert", "grant_tenant_access", "tenant_members", 1),
    ),
    "SELECT set_retention('alerts', '30 days')": ("update", "set_retention", "retention", None),
    "SELECT note_act('forget', 'usage_records', NULL, 1, '{\"rows\": 3}', 'request 17')": (
        *("forget", None, "usage_records", 1),
    ),
}


def test_every_act_is_entered(story: Connection) -> None:
    left_nothing = {}
    for statement, expected in ACTS.items():
        last = figure(story, "SELECT COALESCE(max(id), 0) FROM audit_log")
        story.execute(statement.encode())
        entered = rows(
            story,
            "SELECT action, via, object, tenant_id FROM audit_log WHERE id > %s ORDER BY id",
            [last],
        )
        if expected not in entered:
            left_nothing[statement] = entered
    assert left_nothing == {}
    everything = figure(story, "SELECT string_agg(l::text, ' ') FROM audit_log AS l")
    for secret in ("s3cret", "p4ss", "Main Street"):
        assert secret not in everything
    reasons = {r for (r,) in rows(story, "SELECT reason FROM audit_log WHERE reason IS NOT NULL")}
    assert {"kindness", "sorry", "not wanted", "dispute", "a test", "request 17"} == reasons
    assert figure(story, "SELECT row_count FROM audit_log WHERE via = 'import_deck'") == 41
    assert figure(story, "SELECT count(DISTINCT (login, role)) FROM audit_log") == 1


# Tables whose changes are no act of an administrator.
EXEMPT = {
    # written by recording, summing, invoicing and alerting themselves
    *("usage_records", "usage_sums", "usage_deltas", "direct_usage", "unrated_usage"),
    *("resolved_prices", "price_sums_by_day", "tenant_terms", "included_grants"),
    *("credit_uses", "credit_expiries", "credit_accounts", "reservations"),
    *("alerts", "alert_checks", "alert_deliveries", "adjustments", "invoice_line_items"),
    *("invoice_events", "issued_documents", "number_series", "rerating_differences"),
    # of the housekeeping and of installation
    *("month_loads", "task_runs", "deployed_files", "yoyo_lock"),
    *("_yoyo_log", "_yoyo_migration", "_yoyo_version"),
    *("audit_log", "seals", "seal_rounds", "privacy_key", "forgotten_subjects"),
}


def test_every_table_is_watched_or_exempt(db: Connection) -> None:
    watched = {
        name
        for (name,) in rows(
            db,
            """
            SELECT tgrelid::regclass::text FROM pg_trigger
            WHERE tgfoid = 'note_change'::regproc AND tgenabled = 'O'
            GROUP BY tgrelid HAVING count(*) = 4
            """,
        )
    }
    tables = {
        name
        for (name,) in rows(
            db,
            """
            SELECT relname FROM pg_class
            WHERE relnamespace = 'billing'::regnamespace AND relkind IN ('r', 'p')
                AND NOT relispartition
            """,
        )
    }
    assert tables - watched == EXEMPT & tables
    assert watched <= tables - EXEMPT
    # Each of them is in an act of the list above.
    assert watched <= {act[2] for act in ACTS.values()}


def test_recording_leaves_no_act(story: Connection) -> None:
    last = figure(story, "SELECT max(id) FROM audit_log")
    story.execute("UPDATE calls SET duration_seconds = 99")
    story.execute("UPDATE tenants SET company_name = 'Another'")
    story.execute("UPDATE pricing_plans SET description = description")
    assert figure(story, "SELECT max(id) FROM audit_log") == last


def test_a_bulk_is_one_entry_and_says_what_all_have_in_common(story: Connection) -> None:
    story.execute("SET billing.reason = 'new carrier'")
    story.execute(
        "INSERT INTO pricing_rates (plan_id, channel, resource_type, prefix, unit_price,"
        " effective_from) SELECT 2, 'voice', 'minute', n::text, n, '2030-01-01'"
        " FROM generate_series(1000, 1999) AS n"
    )
    story.execute("UPDATE pricing_rates SET unit_price = 7, is_active = false WHERE plan_id = 2")
    story.execute("UPDATE pricing_rates SET is_active = false WHERE plan_id = 2")
    [made, changed] = Client(story).acts(action="pricing_rates")[::-1]
    assert (made.row_count, changed.row_count) == (1000, 1000)
    assert made.reason == changed.reason == "new carrier"
    assert made.new_values
    assert changed.new_values
    assert made.new_values["card"] == changed.new_values["card"] == -2
    assert "unit_price" not in made.new_values
    assert changed.new_values["unit_price"] == 7
    assert changed.old_values == {"is_active": True}


# By command


def run(database: str, *arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["-d", database, *map(str, arguments)])


def test_seal_verify_and_audit_by_command(story: Connection, database: str) -> None:
    done = run(database, "seal", "-f", "json")
    assert done.exit_code == 0, done.stderr
    head = json.loads(done.stdout)["chain_hash"]
    assert run(database, "seal").stdout.count(head) == 1
    assert run(database, "verify", "--against", head).exit_code == 0
    wrong = run(database, "verify", "--against", "0" * 64)
    assert wrong.exit_code == 1
    assert "the chain has the hash kept elsewhere" in wrong.stdout

    acts = json.loads(run(database, "audit", "--action", "record_payment", "-f", "json").stdout)
    assert [(act["object"], act["tenant_id"]) for act in acts] == [("invoices", 2), ("payments", 2)]
    assert "grant_credit" in run(database, "audit", "--tenant", 1, "--since", "2026-01-01").stdout
    assert run(database, "audit", "-f", "csv").stdout.startswith("id,at,login,role,")
    assert "no acts" in run(database, "audit", "--tenant", 99).stderr

"""Who may do what: roles of db/access, as people who log in with them find it."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from conftest import Cluster
from psycopg import Connection, sql
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyapi import Client, cli
from pyapi.deploy import find_roles, migrate, sql_folder, uninstall
from pyapi.embedded import project
from pyapi.errors import (
    DatabaseUnavailableError,
    DeployError,
    UnknownSourceError,
    UnknownTenantError,
)

NAMES = (f"access_test_{os.getpid()}_{number}" for number in itertools.count(1))
"""Roles are the cluster's, and other tests may be at work in it."""

Login = Callable[..., Connection]


@pytest.fixture
def login(cluster: Cluster, database: str, superuser: Connection) -> Iterator[Login]:
    """Log in as a new role that was granted others, and is dropped in the end."""
    made: list[tuple[str, Connection]] = []

    def log_in(*roles: str) -> Connection:
        name = next(NAMES)
        superuser.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' IN ROLE {}").format(
                sql.Identifier(name), sql.SQL(", ").join(map(sql.Identifier, roles))
            )
        )
        conninfo = make_conninfo(database, user=name, password="x")
        connection = psycopg.connect(conninfo, autocommit=True)
        made.append((name, connection))
        return connection

    yield log_in
    for name, connection in made:
        connection.close()
        superuser.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


@pytest.fixture
def platform(db: Connection) -> Connection:
    """Two tenants with a price, usage and credit each; the second on a plan with a card."""
    db.execute(
        """
        INSERT INTO tenants (id, company_name, plan_id) VALUES (7, 'Acme', 1), (8, 'Globex', 2);
        INSERT INTO pricing_rates (plan_id, tenant_id, channel, resource_type, unit_price)
        VALUES (2, NULL, 'sms', 'message', 0.02), (NULL, 7, 'sms', 'mms', 0.03),
               (NULL, 8, 'sms', 'mms', 0.04);
        INSERT INTO calls (tenant_id, call_sid, to_number, status, answered_at, duration_seconds)
        SELECT 7 + n % 2, 'CA' || n, '+442071838750', 'completed', now(), 60
          FROM generate_series(1, 10) AS n;
        SELECT grant_credit(7, 100, 'purchase', 'PO 1'), grant_credit(8, 200, 'purchase', 'PO 2');
        SELECT generate_invoice(t.id, p.period_start)
          FROM tenants AS t, get_billing_period(t.id) AS p;
        """
    )
    return db


def rows(connection: Connection, query: str, *values: object) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), values or None).fetchall()


def admit(connection: Connection, member: Connection, *tenants: int) -> None:
    for tenant in tenants:
        connection.execute("SELECT billing.grant_tenant_access(%s, %s)", [member.info.user, tenant])


REPORTS = (
    "SELECT * FROM billing.get_billing_period({})",
    "SELECT * FROM billing.get_current_period_usage({})",
    "SELECT * FROM billing.get_usage_history({}, current_date - 7, current_date + 1)",
    "SELECT * FROM billing.get_tenant_balance({})",
    "SELECT * FROM billing.get_invoices({})",
    "SELECT * FROM billing.get_statement({}, current_date - 7, current_date + 1)",
    "SELECT * FROM billing.quote({}, 'sms', 'message', 2)",
    "SELECT * FROM billing.quote_call({}, '+442071838750', 61)",
    "SELECT * FROM billing.explain_quote({}, 'sms', 'message', 2, NULL, date_trunc('day', now()))",
    "SELECT * FROM billing.list_credit_entries({})",
    "SELECT * FROM billing.list_credit_lots({})",
    "SELECT * FROM billing.list_alerts({})",
    "SELECT billing.allowance({})",
    "SELECT * FROM billing.require_tenant({})",
    "SELECT * FROM billing.usage_summaries WHERE tenant_id = {}",
    "SELECT * FROM billing.usage_records WHERE tenant_id = {} ORDER BY id",
    "SELECT * FROM billing.usage_disposition WHERE tenant_id = {} ORDER BY record_id",
    "SELECT * FROM billing.revenue WHERE tenant_id = {}",
    "SELECT * FROM billing.tenant_settings WHERE tenant_id = {}",
    "SELECT * FROM billing.read_tenants({})",
    "SELECT * FROM billing.credit_entries WHERE tenant_id = {}",
    "SELECT * FROM billing.invoices WHERE tenant_id = {}",
    "SELECT l.* FROM billing.invoices AS i, billing.get_invoice_lines(i.id) AS l"
    " WHERE i.tenant_id = {} ORDER BY l.id",
    "SELECT e.* FROM billing.invoice_line_items AS l, billing.explain_invoice_line(l.id) AS e"
    " WHERE l.tenant_id = {} ORDER BY e.record_id",
    "SELECT e.* FROM billing.usage_records AS r, billing.explain_rating(r.id) AS e"
    " WHERE r.tenant_id = {} ORDER BY r.id, e.step",
    "SELECT * FROM billing.pricing_rates WHERE tenant_id = {}",
)


def outcome(connection: Connection, query: str, tenant: int) -> object:
    """What a query comes to for a tenant: rows, or an SQLSTATE."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL timezone = 'UTC'")
        try:
            return rows(connection, query.replace("{}", str(tenant)))
        except psycopg.Error as error:
            return error.sqlstate


@pytest.mark.parametrize("is_api", [False, True], ids=["member", "api"])
def test_a_reader_sees_his_tenant_as_the_owner_does_and_no_other(
    platform: Connection, login: Login, is_api: bool
) -> None:
    if is_api:
        reader = login("billing_api")
        reader.execute("SET ROLE billing_tenant; SET billing.tenant_id = '7'")
    else:
        reader = login("billing_reader")
        admit(platform, reader, 7)
    for query in REPORTS:
        seen = outcome(platform, query, 7)
        if "list_alerts" not in query and "billing.revenue" not in query:
            assert seen, query
            assert isinstance(seen, list), query
        assert outcome(reader, query, 7) == seen, query
        assert outcome(reader, query, 8) == outcome(reader, query, 4711), query


def test_tables_and_views_hold_one_tenant_for_a_reader(platform: Connection, login: Login) -> None:
    reader = login("billing_reader")
    admit(platform, reader, 7)
    tables = rows(
        platform,
        """
        SELECT c.oid::regclass::text
          FROM pg_class AS c
          JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
         WHERE c.relnamespace = 'billing'::regnamespace AND c.relkind IN ('r', 'p', 'v')
         ORDER BY 1
        """,
    )
    seen = set()
    for (table,) in tables:
        try:
            seen |= set(rows(reader, f"SELECT DISTINCT tenant_id FROM billing.{table}"))
        except pg.InsufficientPrivilege:
            continue
    assert seen <= {(7,), (None,)}
    assert (7,) in seen
    assert rows(reader, "SELECT DISTINCT card FROM billing.resolved_prices ORDER BY 1") == [
        (0,),
        (7,),
    ]
    assert rows(reader, "SELECT id FROM billing.pricing_plans") == [(1,)]


def test_the_price_of_a_plan_is_seen_by_who_is_on_it(platform: Connection, login: Login) -> None:
    reader = login("billing_reader")
    admit(platform, reader, 8)
    (cost,) = rows(reader, "SELECT total_cost FROM billing.quote(8, 'sms', 'message', 1)")[0]
    assert cost == rows(platform, "SELECT 0.02::numeric")[0][0]


@pytest.mark.parametrize(
    "setting", ["", " ", "8", "7 OR true", "{7}", "-7", "7.0", "99999999999999999999", None]
)
def test_the_setting_of_an_api_names_one_tenant_or_none(
    platform: Connection, login: Login, setting: str | None
) -> None:
    api = login("billing_api")
    with api.transaction():
        api.execute("SET LOCAL ROLE billing_tenant")
        if setting is not None:
            api.execute("SELECT set_config('billing.tenant_id', %s, true)", [setting])
        expected = [(8,)] if setting == "8" else []
        assert rows(api, "SELECT DISTINCT tenant_id FROM billing.usage_records") == expected
        assert rows(api, "SELECT tenant_id FROM billing.tenant_settings") == expected


def test_the_setting_ends_with_the_transaction_and_means_nothing_to_others(
    platform: Connection, login: Login
) -> None:
    api = login("billing_api")
    with api.transaction():
        api.execute("SET LOCAL ROLE billing_tenant")
        api.execute("SELECT set_config('billing.tenant_id', '7', true)")
        assert rows(api, "SELECT DISTINCT tenant_id FROM billing.usage_records") == [(7,)]
    with pytest.raises(pg.InsufficientPrivilege):
        api.execute("SELECT FROM billing.usage_records")
    api.execute("SET ROLE billing_tenant")
    assert rows(api, "SELECT FROM billing.usage_records") == []

    reader = login("billing_reader")
    reader.execute("SET billing.tenant_id = '7'")
    assert rows(reader, "SELECT FROM billing.usage_records") == []
    assert rows(reader, "SELECT * FROM billing.tenant_settings") == []


def test_access_is_given_and_taken_by_an_administrator(platform: Connection, login: Login) -> None:
    admin, reader = login("billing_admin"), login("billing_reader")
    give, take = (f"SELECT billing.{verb}_tenant_access(%s, %s)" for verb in ("grant", "revoke"))
    assert rows(admin, give, reader.info.user, 7) == [(True,)]
    assert rows(admin, give, reader.info.user, 7) == [(False,)]
    assert rows(admin, give, reader.info.user, 8) == [(True,)]
    assert len(rows(reader, "SELECT FROM billing.usage_records")) == 10
    assert rows(reader, "SELECT granted_by FROM billing.tenant_members") == [(admin.info.user,)] * 2
    assert rows(admin, take, reader.info.user, 7) == [(1,)]
    assert rows(reader, "SELECT DISTINCT tenant_id FROM billing.usage_records") == [(8,)]
    assert rows(admin, take, reader.info.user, None) == [(1,)]
    assert rows(reader, "SELECT FROM billing.usage_records") == []

    for member, tenant, state in (
        ("nobody_of_that_name", 7, "UB011"),
        (str(reader.info.user) + "x" * 80, 7, "UB011"),
        ("billing_tenant", 7, "UB012"),
        (reader.info.user, 4711, "UB002"),
    ):
        with pytest.raises(psycopg.Error) as refused:
            admin.execute(give, [member, tenant])
        assert refused.value.sqlstate == state
    with pytest.raises(pg.InsufficientPrivilege):
        reader.execute(give, [reader.info.user, 7])
    with pytest.raises(pg.InsufficientPrivilege):
        admin.execute("INSERT INTO billing.tenant_members VALUES ('a', 7, 'b')")


def test_access_is_given_shown_and_taken_on_the_command_line(
    platform: Connection, login: Login, database: str
) -> None:
    reader = login("billing_reader")
    member = str(reader.info.user)

    def run(*arguments: object) -> str:
        done = CliRunner().invoke(cli.main, ["-d", database, "access", *map(str, arguments)])
        assert done.exit_code == 0, done.output
        return done.output

    assert run("grant", member, 7) == f"{member} sees tenant 7\n"
    assert run("grant", member, 7) == f"{member} sees tenant 7, as before\n"
    assert rows(reader, "SELECT DISTINCT tenant_id FROM billing.usage_records") == [(7,)]
    (shown,) = json.loads(run("list", "-f", "json"))
    assert (shown["member"], shown["tenant_id"], shown["is_reader"]) == (member, 7, True)
    assert run("revoke", member, "--all") == f"{member} no longer sees 1 tenant(s)\n"
    assert rows(reader, "SELECT FROM billing.usage_records") == []
    assert json.loads(run("roles", "-f", "json"))["roles"]["billing_reader"] == "there"
    unclear = CliRunner().invoke(cli.main, ["-d", database, "access", "revoke", member])
    assert unclear.exit_code == 2
    assert "name a tenant, or --all" in unclear.output


def test_a_writer_records_and_reserves_and_reads_no_records(
    platform: Connection, login: Login
) -> None:
    writer = login("billing_writer")
    platform.execute(
        sql.SQL("GRANT SELECT, INSERT, UPDATE ON calls TO {}").format(
            sql.Identifier(str(writer.info.user))
        )
    )
    writer.execute(
        "INSERT INTO calls (id, tenant_id, call_sid, status, duration_seconds)"
        " VALUES (99, 7, 'CA99', 'completed', 60)"
    )
    writer.execute("UPDATE calls SET duration_seconds = 120 WHERE id = 99")
    assert rows(writer, "SELECT billing.record_call_usage(99)") == [(0,)]
    assert rows(writer, "SELECT billing.record_usage(7, 'sms', 'message', 'SM1', 1) > 0") == [
        (True,)
    ]
    assert rows(writer, "SELECT billing.reserve_call(7, '+4420', 'k', 60)") == [(60,)]
    assert rows(writer, "SELECT billing.release_reservation('k')") == [(True,)]
    (quoted,) = rows(writer, "SELECT total_cost FROM billing.quote(8, 'sms', 'message', 1)")
    assert quoted == rows(platform, "SELECT 0.02::numeric")[0]
    for refused in (
        "SELECT FROM billing.usage_records",
        "SELECT FROM billing.invoices",
        "INSERT INTO billing.usage_sums DEFAULT VALUES",
        "SELECT billing.record_first_charge()",
        "SELECT billing.grant_credit(7, 1, 'purchase', 'mine')",
        "SELECT * FROM billing.maintain()",
    ):
        with pytest.raises((pg.InsufficientPrivilege, pg.UndefinedFunction)):
            writer.execute(refused.encode())
    assert rows(platform, "SELECT sum(total_cost) > 0 FROM usage_records WHERE source_id = 99") == [
        (True,)
    ]
    assert rows(platform, "SELECT * FROM verify()") == []


def test_an_analyst_sees_all_tenants_and_no_numbers(platform: Connection, login: Login) -> None:
    analyst = login("billing_analyst")
    assert rows(analyst, "SELECT DISTINCT tenant_id FROM billing.usage_records ORDER BY 1") == [
        (7,),
        (8,),
    ]
    assert len(rows(analyst, "SELECT FROM billing.usage_details")) == 10
    assert rows(analyst, "SELECT name FROM billing.tenant_settings ORDER BY 1") == [
        ("Acme",),
        ("Globex",),
    ]
    assert rows(analyst, "SELECT credit_balance FROM billing.get_tenant_balance(8)")
    assert rows(
        analyst, "SELECT FROM billing.simulate_plan(7, 'starter', current_date, current_date)"
    )
    for column in ("destination", "metadata", "resource_id", "*"):
        with pytest.raises(pg.InsufficientPrivilege):
            analyst.execute(f"SELECT {column} FROM billing.usage_records".encode())
    numbers = login("billing_analyst", "billing_numbers")
    assert len(rows(numbers, "SELECT * FROM billing.usage_records")) == 10
    only = login("billing_numbers")
    assert rows(only, "SELECT * FROM billing.usage_records") == []


def test_an_administrator_sees_whether_tables_are_metered(
    platform: Connection, login: Login
) -> None:
    """Of tables, and in schemas, that he has no right to."""
    platform.execute("CREATE SCHEMA of_the_application")
    platform.execute("CREATE TABLE of_the_application.sent (LIKE public.messages)")
    platform.execute(
        "SELECT billing.meter_table('of_the_application.sent', 'billing.measure_message')"
    )
    admin = login("billing_admin")
    health = "SELECT DISTINCT is_ok FROM billing.usage_health WHERE metric = 'triggers_off'"
    gaps = "SELECT table_name, trigger_name, problem FROM billing.list_trigger_gaps()"
    assert rows(admin, health) == [(True,)]
    assert rows(admin, gaps) == []
    platform.execute("ALTER TABLE of_the_application.sent DISABLE TRIGGER billing_meter_update")
    assert (False,) in rows(admin, health)
    assert rows(admin, gaps) == [("of_the_application.sent", "billing_meter_update", "disabled")]
    assert rows(platform, gaps) == rows(admin, gaps)


def test_an_administrator_runs_the_business(platform: Connection, login: Login) -> None:
    admin = login("billing_admin")
    for query in (
        "INSERT INTO billing.pricing_plans (name, display_name) VALUES ('gold', 'Gold')"
        " RETURNING id",
        "INSERT INTO billing.pricing_rates (tenant_id, channel, resource_type, unit_price)"
        " VALUES (8, 'email', 'message', 0.5) RETURNING id",
        "UPDATE billing.pricing_rates SET effective_until = now() + interval '1 day'"
        " WHERE tenant_id = 8 AND channel = 'email' RETURNING id",
        "SELECT * FROM billing.import_deck("
        """'[{"line": 2, "prefix": "44", "unit_price": "0.01"}]', 'tenant:7', 'voice', 'minute',"""
        " now() + interval '1 day')",
        "SELECT * FROM billing.export_deck('tenant:8', 'email', 'message')",
        "SELECT billing.grant_credit(7, 5, 'grant', 'P')",
        "SELECT billing.set_tenant_limits(7, 'prepaid', p_max_calls => 3)",
        "SELECT * FROM billing.maintain()",
        "SELECT * FROM billing.usage_health",
        "SELECT * FROM billing.get_aging()",
        "SELECT * FROM billing.reconcile(current_date - 1, current_date)",
        "SELECT * FROM billing.backfill_usage(current_date - 1, current_date)",
        "SELECT billing.propose_rerating(current_date - 1, current_date)",
        "SELECT * FROM billing.get_invoices(8)",
        "SELECT * FROM billing.list_alerts(NULL)",
        "INSERT INTO billing.tax_rules (name, percent) VALUES ('VAT', 20) RETURNING id",
    ):
        rows(admin, query)
    assert rows(admin, "SELECT total_cost FROM billing.quote(8, 'email', 'message', 1)") == rows(
        platform, "SELECT 0.5::numeric"
    )
    assert rows(admin, "SELECT * FROM billing.verify()") == []
    for refused in (
        "DELETE FROM billing.pricing_rates",
        "TRUNCATE billing.usage_records",
        "INSERT INTO billing.credit_entries DEFAULT VALUES",
        "UPDATE billing.invoices SET notes = ''",
        "SELECT billing.meter_table('public.calls', 'billing.measure_call')",
        "SELECT billing.drop_month('2025-01-01')",
        "SELECT billing.sweep_rows('calls', current_date, current_date, 0, 9, false)",
    ):
        with pytest.raises(pg.InsufficientPrivilege):
            admin.execute(refused.encode())


def test_a_trigger_function_of_ours_refuses_another_table(
    platform: Connection, login: Login
) -> None:
    """Even to who was given EXECUTE on it, as nobody should be."""
    forger = login("billing_writer")
    name = sql.Identifier(str(forger.info.user))
    platform.execute(sql.SQL("CREATE SCHEMA forged AUTHORIZATION CURRENT_USER"))
    platform.execute(sql.SQL("GRANT ALL ON SCHEMA forged TO {}").format(name))
    platform.execute(sql.SQL("GRANT SELECT ON calls, tenants TO {}").format(name))
    platform.execute(sql.SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA billing TO {}").format(name))
    before = rows(platform, "SELECT count(*) FROM usage_records")
    forger.execute(
        """
        CREATE TABLE forged.calls (LIKE public.calls);
        CREATE TRIGGER a AFTER INSERT ON forged.calls REFERENCING NEW TABLE AS new_rows
            FOR EACH STATEMENT EXECUTE FUNCTION billing.meter_calls();
        CREATE TABLE forged.tenants (LIKE public.tenants);
        CREATE TRIGGER a AFTER INSERT ON forged.tenants
            FOR EACH ROW EXECUTE FUNCTION billing.tenant_changed();
        """
    )
    with pytest.raises(psycopg.Error) as refused:
        forger.execute(
            "INSERT INTO forged.calls (id, tenant_id, direction, status, duration_seconds,"
            " metadata, created_at, updated_at)"
            " VALUES (1000, 8, 'outbound', 'completed', 60, '{}', now(), now())"
        )
    assert refused.value.sqlstate == "UB020"
    with pytest.raises(psycopg.Error) as refused:
        forger.execute(
            "INSERT INTO forged.tenants (id, plan_id, credit_balance, billing_cycle_day, timezone,"
            " currency, status, created_at) VALUES (8, 1, 0, 1, 'UTC', 'USD', 'active', now())"
        )
    assert refused.value.sqlstate == "UB020"
    assert rows(platform, "SELECT count(*) FROM usage_records") == before
    assert rows(platform, "SELECT FROM unrated_usage") == []


def test_tenants_may_be_renamed_and_updated(platform: Connection) -> None:
    platform.execute("ALTER TABLE tenants RENAME TO customers")
    platform.execute("UPDATE customers SET plan_id = 2 WHERE id = 7")
    assert rows(platform, "SELECT plan_id FROM customers WHERE id = 7") == [(2,)]
    assert rows(platform, "SELECT key FROM audit_log WHERE object = 'public.tenants'") == [("7",)]


def test_a_metered_table_that_is_renamed_goes_on_being_billed(platform: Connection) -> None:
    platform.execute("ALTER TABLE calls RENAME TO phone_calls")
    platform.execute("UPDATE phone_calls SET duration_seconds = 600 WHERE id = 1")
    assert rows(platform, "SELECT sum(quantity) FROM usage_records WHERE source_id = 1") == rows(
        platform, "SELECT 10::numeric"
    )
    assert rows(platform, "SELECT FROM unrated_usage") == []


# Deployment ---------------------------------------------------------------------------------------


def access_is_whole(connection: Connection) -> bool:
    (policies, rights) = rows(
        connection,
        "SELECT (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_class,"
        " aclexplode(relacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee"
        " WHERE relnamespace = 'billing'::regnamespace AND rolname LIKE 'billing%')",
    )[0]
    return policies > 100 and rights > 100


@pytest.mark.parametrize(
    "deed",
    [
        "GRANT SELECT ON billing.alert_targets TO billing_reader",
        "GRANT DELETE ON billing.usage_records TO PUBLIC",
        "GRANT SELECT (secret) ON billing.alert_targets TO billing_reader",
        "REVOKE SELECT ON billing.usage_records FROM billing_reader",
        "GRANT EXECUTE ON FUNCTION billing.drop_month TO billing_admin",
        "CREATE FUNCTION billing.open() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE billing.invoices DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own_tenants ON billing.invoices",
        "ALTER POLICY own_tenants ON billing.invoices USING (true)",
        "CREATE TABLE billing.mine (); GRANT SELECT ON billing.mine TO billing_analyst",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA billing GRANT SELECT ON TABLES TO billing_reader",
    ],
)
def test_migrate_mends_what_was_changed_by_hand(db: Connection, database: str, deed: str) -> None:
    rights = rights_of(db)
    assert not migrate(database)
    db.execute(deed.encode())
    assert migrate(database).reloaded == ("access/grants.sql", "access/policies.sql")
    assert rights_of(db) == rights
    assert not migrate(database)


def rights_of(connection: Connection) -> list[tuple[Any, ...]]:
    """Every right and policy in the schema, but of what a test made."""
    return rows(
        connection,
        """
        SELECT oid::regclass::text,
               COALESCE(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char",
                                           relowner))::text,
               relrowsecurity
          FROM pg_class
         WHERE relnamespace = 'billing'::regnamespace AND relname <> 'mine'
         UNION ALL
        SELECT oid::regprocedure::text, COALESCE(proacl, acldefault('f', proowner))::text, prosecdef
          FROM pg_proc
         WHERE pronamespace = 'billing'::regnamespace AND proname <> 'open'
         UNION ALL
        SELECT attrelid::regclass || '.' || attname, attacl::text, NULL
          FROM pg_attribute
         WHERE attacl IS NOT NULL
         UNION ALL
        SELECT polrelid::regclass || ' ' || polname, pg_get_expr(polqual, polrelid), NULL
          FROM pg_policy
         UNION ALL
        SELECT 'default', defaclacl::text, NULL FROM pg_default_acl
         ORDER BY 1, 2, 3
        """,
    )


def test_what_a_restore_without_roles_left_out_is_mended(db: Connection, database: str) -> None:
    rights = rights_of(db)
    db.execute(
        """
        DO $$
        DECLARE v text;
        BEGIN
            FOR v IN
                SELECT format('DROP POLICY %I ON %s', polname, polrelid::regclass) FROM pg_policy
                 UNION ALL
                SELECT format('REVOKE ALL ON %s FROM %I', c.oid::regclass, rolname)
                  FROM pg_class AS c, aclexplode(relacl) AS a
                  JOIN pg_roles AS r ON r.oid = a.grantee
                 WHERE relnamespace = 'billing'::regnamespace AND rolname LIKE 'billing%'
            LOOP
                EXECUTE v;
            END LOOP;
        END $$
        """
    )
    assert rights_of(db) != rights
    assert migrate(database)
    assert rights_of(db) == rights


def test_an_owner_without_createrole_is_told_what_to_run_and_goes_on(
    empty_database: str, superuser: Connection, tmp_path: Path
) -> None:
    """The files name other roles here: those of the house are there already."""
    folder = tmp_path / "db"
    shutil.copytree(sql_folder(), folder)
    prefix = next(NAMES)
    names = r"\bbilling_(?=(writer|reader|analyst|numbers|admin|tenant|api)\b)"
    for file in (*(folder / "access").iterdir(), *(folder / "functions").rglob("*.sql")):
        file.write_text(re.sub(names, f"{prefix}_", file.read_text()))
    steps: list[str] = []
    assert migrate(empty_database, folder=folder, on_step=steps.append)
    assert f"CREATE ROLE {prefix}_reader NOLOGIN;" in steps[-1]
    steps.clear()
    assert not migrate(empty_database, folder=folder, on_step=steps.append)
    assert not steps
    with psycopg.connect(empty_database, autocommit=True) as owner:
        found = find_roles(owner, folder)
        assert not found.existing
        assert rows(owner, "SELECT FROM pg_policy") == []
        for statement in found.statements:
            superuser.execute(statement.encode())
        try:
            assert not find_roles(owner, folder).statements
            assert migrate(empty_database, folder=folder)
            assert rows(
                owner,
                "SELECT has_table_privilege(%s, 'billing.invoices', 'SELECT')",
                f"{prefix}_reader",
            ) == [(True,)]
            uninstall(empty_database, drop_data=True, folder=folder)
        finally:
            for name in found.missing:
                superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_the_owner_need_not_log_in(empty_database: str, superuser: Connection) -> None:
    owner, deployer = next(NAMES), next(NAMES)
    with psycopg.connect(
        make_conninfo(
            superuser.info.dsn, dbname=_name(empty_database), password=superuser.info.password
        ),
        autocommit=True,
    ) as admin:
        admin.execute(
            f"CREATE ROLE {owner} NOLOGIN;"
            f"CREATE ROLE {deployer} LOGIN PASSWORD 'x' IN ROLE {owner};"
            f"GRANT CREATE ON DATABASE {_name(empty_database)} TO {owner};"
            f"GRANT CREATE ON SCHEMA public TO {owner}".encode()
        )
        conninfo = make_conninfo(empty_database, user=deployer, password="x")
        try:
            with pytest.raises(DeployError):
                migrate(conninfo, role="nobody_of_that_name")
            assert migrate(conninfo, role=owner)
            assert not migrate(conninfo, role=owner)
            assert rows(
                admin,
                "SELECT DISTINCT proowner::regrole::text FROM pg_proc"
                " WHERE pronamespace = 'billing'::regnamespace",
            ) == [(owner,)]
            admin.execute(
                f"SET ROLE {owner};"
                "CREATE FUNCTION billing.new() RETURNS int LANGUAGE sql AS 'SELECT 1';"
                "RESET ROLE".encode()
            )
            assert rows(
                admin,
                "SELECT has_function_privilege('billing_admin', 'billing.new()', 'EXECUTE')",
            ) == [(False,)]
            uninstall(conninfo, role=owner, drop_data=True)
            assert rows(admin, "SELECT FROM pg_default_acl") == []
        finally:
            admin.execute(
                f"DROP OWNED BY {owner}, {deployer}; DROP ROLE {owner}, {deployer}".encode()
            )


def _name(conninfo: str) -> str:
    return str(conninfo_to_dict(conninfo)["dbname"])


def test_uninstall_takes_every_right_back_and_migrate_gives_it_again(
    db: Connection, database: str
) -> None:
    rights = rights_of(db)
    uninstall(database)
    assert rows(db, "SELECT FROM pg_policy") == []
    assert (
        rows(
            db,
            "SELECT FROM pg_class, aclexplode(relacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee"
            " WHERE relnamespace = 'billing'::regnamespace AND rolname LIKE 'billing%'",
        )
        == []
    )
    assert migrate(database)
    assert rights_of(db) == rights


# Python and docs ----------------------------------------------------------------------------------


def test_a_client_becomes_a_tenant_and_is_itself_again(platform: Connection, login: Login) -> None:
    api = login("billing_api")
    client = Client(api)
    with client.as_tenant(7) as tenant:
        assert tenant.current_period_usage(7)[0].record_count == 5
    assert api.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with pytest.raises(UnknownTenantError), client.as_tenant(7) as tenant:
        tenant.current_period_usage(8)
    with api.transaction():
        for number in (7, 8):
            with client.as_tenant(number) as tenant:
                assert tenant.balance(number).credit_balance > 0
            assert rows(api, "SELECT current_setting('role')") == [("none",)]
            assert rows(api, "SELECT current_setting('billing.tenant_id')") == [("",)]


def test_the_page_on_access_runs(platform: Connection, cluster: Cluster, database: str) -> None:
    page = (project() / "docs" / "access.md").read_text(encoding="utf-8")
    statements = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    assert len(statements) >= 3
    done = subprocess.run(
        [
            cluster.psql,
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            cluster.admin_conninfo(_name(database)),
        ],
        input="\n".join(statements),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "voice" in done.stdout


def test_commands_work_for_the_role_they_are_for(
    database: str, platform: Connection, login: Login
) -> None:
    def run(role: str, *arguments: str) -> str:
        conninfo = make_conninfo(database, user=login(role).info.user, password="x")
        done = CliRunner().invoke(cli.main, ["-d", conninfo, *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    assert "issued" in run("billing_admin", "invoices", "run", "--period", "2025-11")
    assert rows(login("billing_admin"), "SELECT * FROM billing.list_trigger_gaps()") == []
    assert "granted seconds" in run("billing_writer", "reserve", "7", "+12025550100", "--key", "K")


def test_threads_that_share_a_client_do_not_share_a_tenant(
    database: str, platform: Connection, login: Login
) -> None:
    client = Client(make_conninfo(database, user=login("billing_api").info.user, password="x"))
    invoices = dict(rows(platform, "SELECT tenant_id, id FROM billing.invoices"))
    with client, ThreadPoolExecutor(1) as other:

        def read_the_others() -> int:
            with client.as_tenant(8) as tenant:
                return tenant.invoice(invoices[8]).tenant_id

        with client.as_tenant(7) as tenant:
            assert tenant.invoice(invoices[7]).tenant_id == 7
            found = other.submit(read_the_others)
            with pytest.raises(TimeoutError):
                found.result(0.5)
            assert tenant.invoice(invoices[7]).tenant_id == 7
            with pytest.raises(UnknownSourceError):
                tenant.invoice(invoices[8])
        assert found.result(30) == 8


def test_a_client_connects_anew_after_its_connection_was_lost(
    database: str, superuser: Connection
) -> None:
    with Client(database) as client:
        assert client.tenant_access() == []
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'irisx-usage'"
        )
        with pytest.raises(DatabaseUnavailableError):
            client.tenant_access()
        assert client.tenant_access() == []

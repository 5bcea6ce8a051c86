"""What a tenant's login, or an API that became one, tries in order to see another tenant."""

from __future__ import annotations

import re

import pytest
from attack import ACME, GLOBEX, MARKS, Attack, Attacks, Session, Target, login, two_tenants
from conftest import Cluster

attack = Attacks()
USAGE = f"SELECT resource_id FROM billing.usage_records WHERE tenant_id = {GLOBEX}"


def see_all(table: str) -> str:
    return f"CREATE POLICY weak ON billing.{table} USING (true);"


def visible_tenants(body: str, attributes: str = "") -> str:
    """The function that decides what is visible, with another body and nothing pinned."""
    return f"""
        CREATE OR REPLACE FUNCTION billing.visible_tenant_ids() RETURNS bigint[]
        LANGUAGE sql STABLE {attributes} AS $$ SELECT ARRAY({body}) $$;
        ALTER FUNCTION billing.visible_tenant_ids() RESET ALL;
        GRANT SELECT ON billing.tenant_members TO PUBLIC;
        ALTER TABLE billing.tenant_members DISABLE ROW LEVEL SECURITY;
    """


MEMBERS = "SELECT tenant_id FROM billing.tenant_members WHERE member = current_user"

# The setting and the role -------------------------------------------------------------------------


@attack("reader", visible_tenants("SELECT current_setting('billing.tenant_id', true)::bigint"))
def a_reader_names_another_tenant_in_the_setting(me: Session, target: Target) -> object:
    return me.run(f"SET billing.tenant_id = '{GLOBEX}'", USAGE)


@attack(
    "api",
    visible_tenants(
        "SELECT id FROM public.tenants"
        " WHERE COALESCE(current_setting('billing.tenant_id', true), '') IN (id::text, '')",
        "SECURITY DEFINER",
    ),
)
def a_request_leaves_the_setting_empty(me: Session, target: Target) -> object:
    anything = "SELECT resource_id FROM billing.usage_records"
    seen = me.run("SET ROLE billing_tenant", anything)
    seen += me.run("SET billing.tenant_id = ''", anything)
    # What a request before it set has ended with its transaction.
    me.run("BEGIN", f"SELECT set_config('billing.tenant_id', '{GLOBEX}', true)", "COMMIT")
    return seen + me.run(anything)


@attack(
    "api",
    visible_tenants(
        "SELECT unnest(regexp_matches(current_setting('billing.tenant_id', true), '[78]', 'g'))"
        "::bigint"
    ),
)
def a_request_sets_what_is_no_number(me: Session, target: Target) -> object:
    seen = []
    me.run("SET ROLE billing_tenant")
    for value in (
        "7,8", "{7,8}", "7;8", "7 OR true", "7' OR '8'='8", "*", "%", "NULL", "all", "8x", "8.9",
        "8e0", "--8", "$8", "18446744073709551624", "8\n7", "[8]", '"8"',
    ):  # fmt: skip
        quoted = value.replace("'", "''")
        if me.survive(f"SELECT set_config('billing.tenant_id', '{quoted}', false)") is None:
            seen += me.run("SELECT resource_id FROM billing.usage_records")
    return seen


@attack(
    "api",
    f"GRANT billing_admin TO {login('api')}; ALTER ROLE {login('api')} INHERIT",
    "42501",
    f"REVOKE billing_admin FROM {login('api')}",
)
def a_request_resets_its_role(me: Session, target: Target) -> object:
    me.run("SET ROLE billing_tenant", f"SET billing.tenant_id = '{ACME}'")
    return me.run("RESET ROLE", USAGE)


@attack(
    "reader",
    f"GRANT billing_analyst TO {login('reader')}",
    undone=f"REVOKE billing_analyst FROM {login('reader')}",
)
def a_reader_becomes_a_sibling(me: Session, target: Target) -> object:
    return become_others(me, {"billing_reader", login("reader")})


@attack(
    "api",
    f"GRANT billing_analyst TO {login('api')}",
    undone=f"REVOKE billing_analyst FROM {login('api')}",
)
def an_api_becomes_a_sibling(me: Session, target: Target) -> object:
    allowed = {"billing_api", "billing_tenant", "billing_reader", login("api")}
    return [
        *become_others(me, allowed),
        *become_others(me, allowed, "SET ROLE billing_tenant"),
    ]


@attack(
    "writer",
    f"GRANT billing_admin TO {login('writer')}",
    undone=f"REVOKE billing_admin FROM {login('writer')}",
)
def a_writer_becomes_a_sibling(me: Session, target: Target) -> object:
    return become_others(me, {"billing_writer", login("writer")})


def become_others(me: Session, allowed: set[str], first: str = "RESET ROLE") -> list[str]:
    """The roles that it can become beside those."""
    names = me.run("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1")
    assert len(names) > 10
    return [
        name
        for name in names
        if name not in allowed and me.survive("RESET ROLE", first, f"SET ROLE {name}") is None
    ]


@attack(
    "reader",
    f"ALTER ROLE {login('reader')} SUPERUSER",
    "42501",
    f"ALTER ROLE {login('reader')} NOSUPERUSER",
)
def a_reader_says_it_is_somebody_else(me: Session, target: Target) -> object:
    return me.run(f"SET SESSION AUTHORIZATION {login('rival')}", USAGE)


@attack(
    "reader",
    f"ALTER ROLE {login('reader')} BYPASSRLS",
    "42501",
    f"ALTER ROLE {login('reader')} NOBYPASSRLS",
)
def row_security_is_switched_off(me: Session, target: Target) -> object:
    return me.run("SET row_security = off", USAGE)


@attack(
    "reader",
    "GRANT INSERT ON billing.tenant_members TO PUBLIC;"
    "ALTER TABLE billing.tenant_members DISABLE ROW LEVEL SECURITY",
    "42501",
)
def a_reader_enters_itself_among_the_members(me: Session, target: Target) -> object:
    me.run(
        "INSERT INTO billing.tenant_members (member, tenant_id, granted_by)"
        f" VALUES ('{login('reader')}', {GLOBEX}, 'me')"
    )
    return me.run(USAGE)


@attack(
    "reader",
    "GRANT EXECUTE ON FUNCTION billing.grant_tenant_access TO PUBLIC;"
    "ALTER FUNCTION billing.grant_tenant_access SECURITY DEFINER",
    "42501",
)
def a_reader_grants_itself_access(me: Session, target: Target) -> object:
    me.run(f"SELECT billing.grant_tenant_access('{login('reader')}', {GLOBEX})")
    return me.run(USAGE)


@attack(
    "reader",
    f"GRANT {{owner}} TO {login('reader')}",
    undone=f"REVOKE {{owner}} FROM {login('reader')}",
)
def a_reader_changes_the_rules(me: Session, target: Target) -> object:
    return [
        statement
        for statement in (
            "CREATE POLICY mine ON billing.usage_records USING (true)",
            "ALTER TABLE billing.invoices DISABLE ROW LEVEL SECURITY",
            "ALTER VIEW billing.usage_summaries RESET (security_invoker)",
            "CREATE RULE mine AS ON SELECT TO billing.payments DO INSTEAD SELECT 1",
            "CREATE STATISTICS billing.mine ON tenant_id, total_amount FROM billing.invoices",
            "CREATE TABLE billing.mine ()",
            "CREATE TABLE reader.mine () INHERITS (billing.payments)",
            "CREATE OR REPLACE FUNCTION billing.visible_tenant_ids() RETURNS bigint[]"
            " LANGUAGE sql AS 'SELECT ARRAY[8]'",
            "ALTER DATABASE CURRENT_DATABASE SET billing.tenant_id = '8'".replace(
                "CURRENT_DATABASE", f'"{target.dbname}"'
            ),
            "ALTER ROLE billing_reader SET billing.tenant_id = '8'",
        )
        if me.survive(statement) != "42501" or None
    ]


# Names that hide ours -----------------------------------------------------------------------------


@attack("reader", visible_tenants(MEMBERS))
def an_operator_hides_the_one_that_compares_names(me: Session, target: Target) -> object:
    for left, right in (("name", "name"), ("text", "text"), ("text", "name"), ("name", "text")):
        me.run(
            f"CREATE OR REPLACE FUNCTION reader.yes({left}, {right}) RETURNS boolean"
            " LANGUAGE sql IMMUTABLE AS 'SELECT true'"
        )
        me.survive(f"CREATE OPERATOR reader.= (FUNCTION = reader.yes, LEFTARG = {left},"
                   f" RIGHTARG = {right})")  # fmt: skip
    return me.run("SET search_path = reader, pg_catalog, billing", USAGE)


@attack("reader", visible_tenants("SELECT tenant_id FROM tenant_members"))
def a_temporary_table_hides_the_members(me: Session, target: Target) -> object:
    me.run(
        "CREATE TEMPORARY TABLE tenant_members AS"
        f" SELECT current_user AS member, {GLOBEX}::bigint AS tenant_id",
        "SET search_path = pg_temp, pg_catalog, billing",
    )
    return me.run(USAGE)


# Ways round the policies --------------------------------------------------------------------------


@attack(
    "reader",
    "ALTER VIEW billing.usage_summaries SET (security_invoker = false);"
    "ALTER VIEW billing.daily_sums SET (security_invoker = false)",
)
def a_view_shows_more_than_its_tables(me: Session, target: Target) -> object:
    seen = []
    for view in me.run(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'billing'::regnamespace"
        " AND relkind = 'v' AND has_table_privilege(oid, 'SELECT')"
    ):
        rows = me.run(f"SELECT to_jsonb(v) FROM {view} AS v")
        seen += [row for row in rows if row.get("tenant_id") == GLOBEX or MARKS.search(str(row))]
    return seen


@attack(
    "reader",
    "CREATE MATERIALIZED VIEW billing.usage_by_month AS SELECT * FROM billing.usage_records;"
    "GRANT SELECT ON billing.usage_by_month TO billing_reader",
)
def a_materialized_view_keeps_rows_without_policies(me: Session, target: Target) -> object:
    views = me.run(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'm'"
        " AND has_table_privilege(oid, 'SELECT')"
    )
    return [row for view in views for row in me.run(f"TABLE {view}")]


PARTITIONS = (
    "SELECT inhrelid::regclass::text FROM pg_inherits"
    " WHERE inhparent = 'billing.usage_records'::regclass ORDER BY 1"
)


@attack(
    "reader",
    "DO $$ DECLARE t text; BEGIN FOR t IN " + PARTITIONS + " LOOP"
    " EXECUTE format('GRANT SELECT ON %s TO billing_reader', t); END LOOP; END $$;",
)
def a_partition_is_read_by_its_name(me: Session, target: Target) -> object:
    """A table's policies do not hold for its partitions, also those made later."""
    with target.session("owner") as owner:
        owner.run("SELECT billing.ensure_partition('2031-01-01')")
    partitions = me.run(PARTITIONS)
    assert len(partitions) > 4
    return [name for name in partitions if me.survive(f"SELECT FROM {name}") != "42501"]


@attack("reader", see_all("credit_entries"))
def a_table_is_copied(me: Session, target: Target) -> object:
    with me.connection.cursor().copy("COPY billing.credit_entries TO STDOUT") as copy:
        lines = [bytes(line) for line in copy]
    assert any(b"ACME" in line for line in lines)
    return [line for line in lines if b"GLOBEX" in line]


@attack(
    "api",
    "CREATE FUNCTION billing.weak() RETURNS bigint[] LANGUAGE sql IMMUTABLE AS"
    " $$ SELECT ARRAY[current_setting('billing.tenant_id')::bigint] $$;"
    "CREATE POLICY weak ON billing.usage_records USING (tenant_id = ANY (billing.weak()));",
)
def a_prepared_statement_outlives_its_tenant(me: Session, target: Target) -> object:
    me.run("SET ROLE billing_tenant", "SET plan_cache_mode = force_generic_plan")
    me.run(f"SET billing.tenant_id = '{GLOBEX}'", "PREPARE usage AS " + USAGE, "EXECUTE usage")
    me.told.clear()
    return me.run(f"SET billing.tenant_id = '{ACME}'", "EXECUTE usage")


# Leaks --------------------------------------------------------------------------------------------

LEAK = """
    DO $do$ BEGIN IF to_regprocedure('reader.leak(text, text)') IS NULL THEN
        CREATE FUNCTION reader.leak(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
        AS $$ BEGIN RAISE NOTICE 'saw % %', $1, $2; RETURN true; END $$;
        CREATE OPERATOR reader.<<<< (FUNCTION = reader.leak, LEFTARG = text, RIGHTARG = text,
            RESTRICT = scalarltsel);
    END IF; END $do$
"""


@attack("reader", "ALTER FUNCTION reader.leak LEAKPROOF")
def a_function_in_where_tells_what_it_is_given(me: Session, target: Target) -> object:
    me.run(
        LEAK,
        "SELECT FROM billing.usage_records WHERE reader.leak(resource_id, 'x')",
        "SELECT FROM billing.invoices WHERE reader.leak(parties::text, 'x')",
        "SELECT FROM billing.usage_records AS r INNER JOIN billing.usage_records AS x"
        " ON reader.leak(r.resource_id, x.resource_id)",
        "SELECT count(*) FILTER (WHERE reader.leak(resource_id, '')) FROM billing.usage_records",
    )
    return me.leaks()


@attack("reader", "ALTER FUNCTION reader.leak LEAKPROOF")
def an_operator_tells_what_statistics_hold(me: Session, target: Target) -> object:
    me.run(
        LEAK,
        "EXPLAIN SELECT FROM billing.usage_records WHERE resource_id OPERATOR(reader.<<<<) 'ZZZ'",
        "EXPLAIN SELECT FROM billing.credit_entries WHERE reference OPERATOR(reader.<<<<) 'ZZZ'",
        "EXPLAIN SELECT FROM billing.usage_summaries WHERE channel OPERATOR(reader.<<<<) 'ZZZ'",
    )
    return me.leaks()


@attack("reader", "ALTER TABLE billing.credit_entries DISABLE ROW LEVEL SECURITY")
def statistics_hold_what_others_have(me: Session, target: Target) -> object:
    me.run(
        "SELECT tablename, attname, most_common_vals, histogram_bounds FROM pg_stats"
        " WHERE schemaname IN ('billing', 'public')",
        "SELECT * FROM pg_stats_ext",
        "SELECT * FROM pg_sequences WHERE schemaname = 'billing'",
    )
    return me.leaks()


@attack("reader", see_all("usage_records"))
def an_error_quotes_what_it_stumbled_over(me: Session, target: Target) -> object:
    by_tenant = "FROM billing.usage_records ORDER BY tenant_id DESC"
    assert me.survive(f"SELECT (SELECT resource_id::integer) {by_tenant}") == "22P02"
    me.survive(f"SELECT resource_id::integer FROM billing.usage_records WHERE tenant_id = {GLOBEX}")
    return me.leaks()


@attack("reader", "".join(map(see_all, ("usage_records", "invoices", "invoice_line_items"))))
def an_id_of_another_tenant_is_told_from_none(me: Session, target: Target) -> object:
    """Whatever takes an id answers the same, or fails the same, as for one that there is not."""
    ids = target.superuser(
        f"""SELECT 'get_invoice', id FROM billing.invoices WHERE tenant_id = {GLOBEX}
        UNION ALL SELECT 'get_invoice_lines', id FROM billing.invoices WHERE tenant_id = {GLOBEX}
        UNION ALL SELECT 'get_credit_note', id FROM billing.credit_notes WHERE tenant_id = {GLOBEX}
        UNION ALL SELECT 'explain_invoice_line', id FROM billing.invoice_line_items
            WHERE tenant_id = {GLOBEX}
        UNION ALL SELECT 'explain_rating', id FROM billing.usage_records WHERE tenant_id = {GLOBEX}
        UNION ALL SELECT 'trace_record', id FROM billing.usage_records WHERE tenant_id = {GLOBEX}
        UNION ALL SELECT p.proname, {GLOBEX} FROM pg_proc AS p
            WHERE p.pronamespace = 'billing'::regnamespace AND p.proargnames[1] = 'p_tenant_id'
                AND p.pronargs - p.pronargdefaults = 1"""
    )
    told = []
    for function, number in ids:
        answers = []
        for value in (number, 999_999_999):
            me.told.clear()
            state = me.survive(f"SELECT * FROM billing.{function}({value})")
            told_of = [re.sub(rf"line \d+|\b{value}\b", "", text) for text in me.told]
            answers.append((state, told_of))
        if answers[0] != answers[1]:
            told.append((function, answers))
    me.told.clear()
    return told


@attack(
    "reader",
    "GRANT INSERT ON billing.credit_entries TO PUBLIC;"
    "CREATE POLICY weak ON billing.credit_entries FOR INSERT WITH CHECK (true)",
)
def a_unique_key_tells_what_is_taken(me: Session, target: Target) -> object:
    return [
        me.survive(
            "INSERT INTO billing.credit_entries (tenant_id, amount, kind, reference)"
            f" VALUES ({GLOBEX}, 1, 'grant', '{reference}')"
        )
        for reference in ("GLOBEX-ORDER", "GLOBEX-NO-ORDER")
    ] != ["42501", "42501"]


@attack(
    "reader",
    "GRANT INSERT ON billing.invoice_line_items TO PUBLIC;"
    "DROP TRIGGER protect_lines_inserted ON billing.invoice_line_items;"
    "CREATE POLICY weak ON billing.invoice_line_items FOR INSERT WITH CHECK (true)",
)
def a_foreign_key_tells_what_there_is(me: Session, target: Target) -> object:
    (taken,) = target.superuser(f"SELECT min(id) FROM billing.invoices WHERE tenant_id = {GLOBEX}")
    return [
        me.survive(
            "INSERT INTO billing.invoice_line_items"
            " (tenant_id, invoice_id, kind, description, quantity, amount)"
            f" VALUES ({GLOBEX}, {number}, 'usage', '', 1, 1)"
        )
        for number in (taken, 999_999_999)
    ] != ["42501", "42501"]


@attack("reader", "GRANT SELECT ON SEQUENCE billing.usage_records_id_seq TO PUBLIC", "42501")
def a_sequence_tells_how_much_there_is(me: Session, target: Target) -> object:
    return me.run("SELECT last_value FROM billing.usage_records_id_seq")


@pytest.mark.parametrize("tried", attack, ids=lambda tried: tried.name)
def test_attack(tried: Attack, cluster: Cluster) -> None:
    with cluster.database(cluster.prepared(two_tenants)) as conninfo:
        tried.try_on(Target.of(cluster, conninfo))

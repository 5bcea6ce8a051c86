"""What people with logins try in order to forge, change or take away what is written."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest
from attack import ACME, GLOBEX, Attack, Attacks, Session, Target, login, two_tenants
from conftest import Cluster
from psycopg import Connection

pytestmark = pytest.mark.newest

attack = Attacks()

RECORDS = "SELECT count(*) FROM billing.usage_records"
OWNER = "SELECT quote_ident(nspowner::regrole::text) FROM pg_namespace WHERE nspname = 'billing'"


def without_trigger(table: str, *names: str) -> str:
    return "".join(f"ALTER TABLE {table} DISABLE TRIGGER {name};" for name in names)


def rewritten(function: str, old: str, new: str) -> str:
    """The function with a piece of its text replaced."""
    return f"""
        DO $do$ DECLARE
            v_old text := pg_get_functiondef('billing.{function}'::regproc);
            v_new text := replace(v_old, $x${old}$x$, $x${new}$x$);
        BEGIN
            ASSERT v_new <> v_old, 'nothing to replace';
            EXECUTE v_new;
        END $do$;
    """


UNGUARDED = """
    DO $$ DECLARE t regclass; BEGIN
        FOR t IN SELECT relid FROM pg_partition_tree('billing.usage_records') ORDER BY level LOOP
            EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', t);
        END LOOP;
    END $$;
"""

# Code that runs as somebody else ------------------------------------------------------------------

ALL_TRIGGERS = """
    SELECT oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = 'billing'::regnamespace AND prorettype = 'trigger'::regtype ORDER BY 1
"""


@attack("writer", "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA billing TO PUBLIC")
def a_trigger_function_is_attached_to_ones_own_table(me: Session, target: Target) -> object:
    functions = me.run(ALL_TRIGGERS)
    assert len(functions) > 8
    me.run("CREATE TABLE writer.mine (id bigint)")
    attached = [
        name
        for name in functions
        if me.survive(f"CREATE TRIGGER t AFTER INSERT ON writer.mine EXECUTE FUNCTION {name}")
        is None
        and me.survive("DROP TRIGGER t ON writer.mine") is None
    ]
    me.run("DROP TABLE writer.mine")
    return attached


@attack("writer", "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA billing TO PUBLIC")
def what_is_within_is_called_directly(me: Session, target: Target) -> object:
    """Each stands for its stage; the matrix has them all."""
    return [
        call
        for call in (
            "write_records('{}')",
            "record_first_charges('calls', '{}')",
            "record_difference('calls', 1, '{}')",
            f"set_aside('calls', 1, 1::smallint, {GLOBEX}, 'UB001', 'x', '{{}}')",
            f"enter_credit({GLOBEX}, 1, 'grant', 'x')",
            f"lock_account({GLOBEX})",
            "merge_summaries()",
            "resolve_prices(0, 'voice', 'minute')",
            "issue_invoices('{}', '{}', now())",
            "settle_invoice(8, 1, 1, 0, 'x', 'x', now())",
            "attach_trigger('public.calls', 'x', 'x')",
            "replace_charges(1)",
            "create_month_table('2031-01-01')",
            "drop_month('2020-01-01')",
            "note_run('verify', now())",
        )
        if me.survive(f"SELECT billing.{call}") != "42501"
    ]


@attack(
    "writer",
    "ALTER FUNCTION billing.meter_calls() SET search_path = ''",
)
def a_temporary_type_hides_text(me: Session, target: Target) -> object:
    """The check of a domain runs wherever a value becomes one: in a trigger, as its owner."""
    target.superuser(
        "CREATE TABLE IF NOT EXISTS public.spoils (whose name)",
        "GRANT INSERT ON public.spoils TO PUBLIC",
    )
    me.run(
        "CREATE FUNCTION pg_temp.take(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS"
        " $$ BEGIN EXECUTE 'INSERT INTO public.spoils SELECT current_user'; RETURN true; END $$",
        "CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.take(VALUE))",
        "SET search_path = pg_temp, pg_catalog, public",
    )
    for name in ("numeric", "bool", "int8", "jsonb", "name", "measurement"):
        me.survive(f"CREATE DOMAIN pg_temp.{name} AS pg_catalog.text CHECK (pg_temp.take(VALUE))")
    me.survive("UPDATE public.calls SET status = 'nonsense', duration_seconds = 'NaN'"
               " WHERE tenant_id = 7")  # fmt: skip
    me.survive("INSERT INTO public.calls (tenant_id, status, duration_seconds)"
               " VALUES (404, 'completed', 60)")  # fmt: skip
    for function in me.run(
        "SELECT oid::regproc::pg_catalog.text FROM pg_proc WHERE prosecdef AND pronargs = 0"
        " AND prorettype <> 'trigger'::regtype AND pronamespace = 'billing'::regnamespace"
    ):
        me.survive(f"SELECT {function}()")
    return target.superuser(f"SELECT whose FROM public.spoils WHERE whose <> '{login('writer')}'")


# What is written stays ----------------------------------------------------------------------------


@attack("admin", "GRANT TRUNCATE ON ALL TABLES IN SCHEMA billing TO PUBLIC;"
        "ALTER TABLE billing.payments DISABLE TRIGGER ALL")  # fmt: skip
def a_table_is_truncated(me: Session, target: Target) -> object:
    tables = ("usage_records", "credit_entries", "invoices", "payments", "usage_sums")
    return [t for t in tables if me.survive(f"TRUNCATE billing.{t} CASCADE") is None]


@attack("owner", without_trigger("billing.payments", "append_only_truncate"), "UB014")
def the_owner_truncates_what_is_append_only(me: Session, target: Target) -> object:
    me.run("TRUNCATE billing.payments")
    return target.superuser("SELECT count(*) = 0 FROM billing.payments") == [True]


PAID = f"SELECT id FROM billing.invoices WHERE tenant_id = {ACME} AND status <> 'draft'"
CHEAPER = f"UPDATE billing.invoices SET subtotal = 0, tax = 0, total_amount = 0 WHERE id = ({PAID})"


@attack(
    "admin",
    "GRANT UPDATE ON billing.invoices TO PUBLIC; DROP TRIGGER protect_invoice ON billing.invoices;"
    "CREATE POLICY weak ON billing.invoices USING (true)",
    "42501",
)
def an_issued_invoice_is_edited(me: Session, target: Target) -> object:
    me.run(CHEAPER)
    return target.superuser(
        f"SELECT id FROM billing.invoices WHERE id = ({PAID}) AND total_amount = 0"
    )


@attack("owner", "DROP TRIGGER protect_invoice ON billing.invoices", "UB014")
def the_owner_edits_an_issued_invoice(me: Session, target: Target) -> object:
    me.run(CHEAPER)
    return target.superuser(
        f"SELECT id FROM billing.invoices WHERE id = ({PAID}) AND total_amount = 0"
    )


@attack(
    "owner",
    without_trigger(
        "billing.invoice_line_items", "protect_lines_deleted", "protect_lines_inserted"
    ),
)
def the_owner_edits_its_lines(me: Session, target: Target) -> object:
    return [
        statement
        for statement in (
            f"INSERT INTO billing.invoice_line_items"
            f" (tenant_id, invoice_id, kind, description, quantity, amount)"
            f" SELECT tenant_id, id, 'adjustment', 'x', 1, -5 FROM billing.invoices"
            f" WHERE id = ({PAID})",
            f"UPDATE billing.invoice_line_items SET amount = 0 WHERE invoice_id = ({PAID})",
            f"DELETE FROM billing.invoice_line_items WHERE invoice_id = ({PAID})",
        )
        if me.survive(statement) != "UB014"
    ]


@attack(
    "admin",
    f"GRANT {{owner}} TO {login('admin')}",
    undone=f"REVOKE {{owner}} FROM {login('admin')}",
)
def triggers_are_disabled(me: Session, target: Target) -> object:
    return [
        statement
        for statement in (
            "ALTER TABLE billing.usage_records DISABLE TRIGGER append_only",
            "ALTER TABLE billing.invoices DISABLE TRIGGER USER",
            "DROP TRIGGER protect_invoice ON billing.invoices",
            "ALTER TABLE public.calls DISABLE TRIGGER billing_meter_update",
            "ALTER FUNCTION billing.refuse_change() RENAME TO harmless",
        )
        if me.survive(statement) != "42501"
    ]


@attack(
    "writer",
    f"GRANT SET ON PARAMETER session_replication_role TO {login('writer')}",
    "42501",
    f"REVOKE SET ON PARAMETER session_replication_role FROM {login('writer')}",
)
def triggers_sleep_as_on_a_replica(me: Session, target: Target) -> object:
    before = target.superuser(RECORDS)
    me.run(
        "SET session_replication_role = replica",
        "INSERT INTO public.calls (tenant_id, status, initiated_at, duration_seconds)"
        f" VALUES ({ACME}, 'completed', now(), 60)",
    )
    return target.superuser(RECORDS) == before


@attack(
    "reader",
    UNGUARDED + "GRANT UPDATE ON billing.usage_records TO PUBLIC;"
    "CREATE POLICY weak ON billing.usage_records USING (true);",
    "42501",
)
def a_record_is_moved_to_another_tenant(me: Session, target: Target) -> object:
    me.run(f"UPDATE billing.usage_records SET tenant_id = {GLOBEX} WHERE tenant_id = {ACME}")
    return target.superuser(RECORDS + f" WHERE tenant_id = {ACME}") == [0]


@attack("owner", UNGUARDED, "UB014")
def the_owner_moves_a_record(me: Session, target: Target) -> object:
    me.run(f"UPDATE billing.usage_records SET tenant_id = {GLOBEX} WHERE tenant_id = {ACME}")
    return target.superuser(RECORDS + f" WHERE tenant_id = {ACME}") == [0]


@attack("admin", "DROP TRIGGER check_rate ON billing.pricing_rates", "UB013")
def a_price_that_has_begun_is_changed(me: Session, target: Target) -> object:
    me.run("UPDATE billing.pricing_rates SET unit_price = 0 WHERE tenant_id = 7")
    return target.superuser(
        "SELECT id FROM billing.pricing_rates WHERE tenant_id = 7 AND unit_price = 0"
    )


@attack("admin", "ALTER FUNCTION billing.check_rate() RESET search_path;"
        "ALTER FUNCTION billing.check_rate() RESET ALL", "UB013")  # fmt: skip
def an_operator_hides_the_one_that_compares_prices(me: Session, target: Target) -> object:
    """A trigger that runs as its caller looks operators up along the caller's path."""
    me.run(
        "GRANT USAGE ON SCHEMA admin TO PUBLIC",
        "CREATE OR REPLACE FUNCTION admin.never(timestamptz, timestamptz) RETURNS boolean"
        " LANGUAGE sql IMMUTABLE AS 'SELECT false'",
    )
    me.survive(
        "CREATE OPERATOR admin.<= (FUNCTION = admin.never, LEFTARG = timestamptz,"
        " RIGHTARG = timestamptz)"
    )
    me.run("SET search_path = admin, pg_catalog, billing, public")
    return me.run(
        "UPDATE billing.pricing_rates SET unit_price = 0 WHERE tenant_id = 7 RETURNING id"
    )


@attack("writer", rewritten("covers", "SELECT", "SELECT true OR"))
def usage_is_backdated_into_a_closed_period(me: Session, target: Target) -> object:
    """It is billed by an adjustment of the next invoice; the issued one stays as it is."""
    print_of = (
        "SELECT i.*::text, (SELECT string_agg(l::text, '') FROM billing.invoice_line_items AS l"
        f" WHERE l.invoice_id = i.id) FROM billing.invoices AS i WHERE i.id = ({PAID})"
    )
    adjusted = (
        "SELECT billing.dismiss_unrated(id, 'x') FROM billing.unrated_usage"
        " WHERE resolved_at IS NULL",
        "SELECT billing.generate_invoice(7,"
        " (date_trunc('month', now()) - interval '1 month')::date)",
        "SELECT sum(amount) FROM billing.adjustments WHERE tenant_id = 7",
    )
    before, (owed,) = target.superuser(print_of), target.superuser(*adjusted)
    me.run(
        "INSERT INTO public.calls (tenant_id, call_sid, status, initiated_at, duration_seconds)"
        f" VALUES ({ACME}, 'CLOSED' || clock_timestamp(), 'completed',"
        " date_trunc('month', now()) - interval '40 days', 3600)"
    )
    after, (owes,) = target.superuser(print_of), target.superuser(*adjusted)
    return before != after or owes - owed < Decimal("0.5")


# Amounts ------------------------------------------------------------------------------------------

AMOUNTS = (
    "'NaN'", "'Infinity'", "'-Infinity'", "-1", "0", "NULL", "-0.0000000001", "1e-11", "1e131000",
    "1e20",
)  # fmt: skip


@attack(
    "admin",
    rewritten(
        "grant_credit",
        "IF (p_amount > 0",
        "IF p_amount > 0 IS NOT NULL THEN NULL; ELSIF (p_amount > 0",
    )
    + "ALTER TABLE billing.credit_entries DROP CONSTRAINT credit_entries_amount_is_finite",
)
def credit_is_no_amount(me: Session, target: Target) -> object:
    return [
        amount
        for amount in AMOUNTS
        if me.survive(f"SELECT billing.grant_credit(7, {amount}, 'grant', 'A' || {amount})")
        not in ("UB003", "UB012")
    ]


@attack(
    "owner", "ALTER TABLE billing.credit_entries DROP CONSTRAINT credit_entries_amount_is_finite"
)
def the_owner_enters_what_is_no_amount(me: Session, target: Target) -> object:
    return [
        amount
        for amount in ("'NaN'", "'Infinity'", "'-Infinity'", "0", "NULL")
        if me.survive(
            "INSERT INTO billing.credit_entries (tenant_id, amount, kind, reference)"
            f" VALUES (7, {amount}, 'grant', 'B{amount[1:]}')".replace("'')", "')")
        )
        not in ("23514", "23502")
    ]


@attack("reader", "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA billing TO PUBLIC")
def a_tenant_gives_itself_something(me: Session, target: Target) -> object:
    """Whatever gives credit, takes a debt away or prices anew refuses before it looks."""
    return [
        call
        for call in (
            "grant_credit(7, 1, 'grant', 'mine')",
            "spend_credit(7, 1, 'adjustment', 'mine')",
            f"void_invoice(({PAID}), 'mine')",
            f"issue_credit_note(({PAID}), 1, 'mine')",
            f"record_payment(({PAID}), 1, 'cash', 'mine')",
            "set_tenant_limits(7)",
            "propose_rerating('2026-01-01', '2026-01-02')",
            "apply_rerating(1)",
            "dismiss_unrated(1, 'mine')",
            "record_usage(7, 'sms', 'message', 'mine', 1)",
            "reserve_call(8, '+1555', 'mine')",
            "release_reservation('GLOBEX-KEY')",
            "unmeter_table('public.calls')",
            "maintain()",
        )
        if me.survive(f"SELECT billing.{call}") != "42501"
    ]


@pytest.mark.parametrize("tried", attack, ids=lambda tried: tried.name)
def test_attack(tried: Attack, cluster: Cluster) -> None:
    with cluster.database(cluster.prepared(two_tenants)) as conninfo:
        tried.try_on(Target.of(cluster, conninfo))


# What is allowed, and seen ------------------------------------------------------------------------


def faults(books: Connection) -> list[tuple[str]]:
    """What verify() finds beside the two messages that are set aside."""
    return books.execute(
        "SELECT check_name FROM verify() WHERE check_name <> 'usage is rated'"
    ).fetchall()


@pytest.fixture
def books(cluster: Cluster) -> Connection:
    with (
        cluster.database(cluster.prepared(two_tenants)) as conninfo,
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):
        yield connection


def test_a_row_that_moves_to_another_tenant_takes_its_charge_along(books: Connection) -> None:
    """The rows are the application's: both sides of the move are in the records."""
    owed = "SELECT tenant_id, sum(total_cost) FROM usage_records GROUP BY 1 ORDER BY 1"
    before = dict(books.execute(owed).fetchall())
    books.execute("UPDATE calls SET tenant_id = 8 WHERE id = 74")
    after = dict(books.execute(owed).fetchall())
    assert after[7] < before[7]
    assert after[8] > before[8]
    moved = books.execute(
        "SELECT tenant_id, kind FROM usage_records WHERE source_table = 'calls' AND source_id = 74"
    ).fetchall()
    assert sorted(moved) == [(7, "charge"), (7, "reversal"), (8, "charge")]
    assert faults(books) == []


def test_a_writer_that_says_it_is_nested_is_billed_all_the_same(books: Connection) -> None:
    """The one setting that the path of recording reads decides on how, not on whether."""
    books.execute("SET billing.is_nested = 'on'")
    books.execute(
        "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
        " VALUES (1, 7, 'completed', now(), 60)"
    )
    books.execute("UPDATE calls SET duration_seconds = 120 WHERE id = 1")
    minutes = books.execute("SELECT sum(quantity) FROM usage_records WHERE source_id = 1")
    assert minutes.fetchone() == (2,)
    assert faults(books) == []


def test_triggers_that_the_owner_of_calls_disables_are_missed(books: Connection) -> None:
    books.execute("ALTER TABLE calls DISABLE TRIGGER billing_meter_insert")
    books.execute(
        "INSERT INTO calls (id, tenant_id, status, initiated_at, duration_seconds)"
        " VALUES (1, 7, 'completed', now(), 60)"
    )
    health = books.execute("SELECT is_ok FROM usage_health WHERE metric = 'triggers_off'"
                           " AND subject = 'calls'")  # fmt: skip
    assert health.fetchone() == (False,)
    assert faults(books) != []

"""SQL, format directives and quotes in whatever takes text: names of tables and columns, arguments
of functions, what rows hold. CSV is tested with the exports; there are no documents yet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from attack import two_tenants
from conftest import Cluster
from psycopg import Connection, sql

pytestmark = pytest.mark.newest

CANARY = "nextval('public.canary')"
PAYLOADS = (
    f"x'||{CANARY}||'",
    f"x'); SELECT {CANARY}; --",
    f'x"; SELECT {CANARY}; --',
    f"(SELECT {CANARY})",
    f"$body$; SELECT {CANARY}; $body$ $$ $1",
    f"\\'; SELECT {CANARY}; --",
    "%s %I %L %1$s %% %n %",
)

# A plausible value by the name of a parameter, and by its type.
NAMED = {
    "p_card": "tenant:7",
    "p_channel": "voice",
    "p_resource_type": "minute",
    "p_currency": "USD",
    "p_timezone": "UTC",
    "p_interval": "day",
    "p_plan_name": "starter",
    "p_source_table": "calls",
    "p_charge_model": "per_unit",
    "p_model": "per_unit",
    "p_basis": "amount",
    "p_table": "public.calls",
    "p_definition": "AFTER INSERT ON public.calls EXECUTE FUNCTION billing.refuse_change()",
}
TYPED = {
    "text": "purchase",
    "name": "postgres",
    "bigint": "7",
    "integer": "7",
    "smallint": "1",
    "numeric": "1",
    "boolean": "true",
    "date": "2026-11-01",
    "timestamp with time zone": "now",
    "interval": "1 day",
    "jsonb": "{}",
    "text[]": "{}",
    "bigint[]": "{7}",
    "regclass": "public.calls",
    "regproc": "billing.measure_call",
}
# What is SQL by its very nature: a definition, a condition, a name ready to stand in a statement.
# Nobody but the owner may call these (test_what_takes_sql_is_the_owners).
IS_SQL = {
    ("attach_trigger", "p_definition"),
    ("show_to_tenants", "p_using"),
    ("compare_rows", "p_source_table"),
    ("day_ids", "p_source_table"),
    ("load_rows", "p_source_table"),
    ("record_new_rows", "p_source_table"),
    ("sweep_rows", "p_source_table"),
    ("window_ids", "p_source_table"),
}
TEXTS = {"text", "name", "text[]", "jsonb", "regclass", "regproc"}

FUNCTIONS = """
    SELECT proname, proargnames[1:pronargs], proargtypes::regtype[]::text[] FROM pg_proc
    WHERE pronamespace = 'billing'::regnamespace AND prokind = 'f'
        AND prorettype <> 'trigger'::regtype AND provariadic = 0 AND pronargs > 0
    ORDER BY proname
"""


@pytest.fixture
def owner(cluster: Cluster) -> Iterator[Connection]:
    with (
        cluster.database(cluster.prepared(two_tenants)) as conninfo,
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):
        connection.execute("CREATE SEQUENCE public.canary; SET statement_timeout = '10s'")
        yield connection


def sang(connection: Connection) -> bool:
    """Whether anybody drew from the canary: no rollback takes that back."""
    return connection.execute("SELECT is_called FROM public.canary").fetchone() == (True,)


def calls_that_run_text(connection: Connection, only: str = "") -> list[str]:
    """Each function with each payload in each argument that takes text, one at a time."""
    found = []
    tried = 0
    for name, parameters, types in connection.execute(FUNCTIONS).fetchall():
        if not set(types) <= TYPED.keys() or only not in ("", name):
            continue
        sane = [NAMED.get(p, TYPED[t]) for p, t in zip(parameters, types, strict=True)]
        marks = ", ".join(f"%s::{t}" for t in types)
        query = f"SELECT * FROM billing.{name}({marks})".encode()
        for (position, given), payload in itertools.product(enumerate(types), PAYLOADS):
            if given not in TEXTS or (name, parameters[position]) in IS_SQL:
                continue
            text: Any = payload
            if given == "text[]":
                text = [payload]
            elif given == "jsonb":
                text = psycopg.types.json.Jsonb({"to": payload, payload: payload})
            values = [*sane[:position], text, *sane[position + 1 :]]
            tried += 1
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(query, values)
            except psycopg.Error as error:
                # A name that is none is a syntax error before it is anything of ours.
                if given in ("regclass", "regproc"):
                    continue
                if error.sqlstate == "42601" or "format()" in str(error):
                    found.append(f"{name}({parameters[position]}): {error}")
    assert tried > (0 if only else 500)
    return found


def test_no_argument_of_a_function_is_run_or_taken_for_a_format(owner: Connection) -> None:
    assert calls_that_run_text(owner) == []
    assert not sang(owner)


def test_what_takes_sql_is_the_owners(owner: Connection) -> None:
    granted = owner.execute(
        "SELECT proname FROM pg_proc CROSS JOIN LATERAL aclexplode(proacl) AS a"
        " WHERE pronamespace = 'billing'::regnamespace AND proname = ANY(%s)"
        " AND (a.grantee <> proowner OR prosecdef)",
        [[name for name, _ in IS_SQL]],
    ).fetchall()
    assert granted == []


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        ("attach_trigger", "CREATE OR REPLACE TRIGGER %I %s", "CREATE OR REPLACE TRIGGER %s %s"),
        ("refuse_terms", "DETAIL = p_detail", "DETAIL = format(p_detail)"),
    ],
)
def test_it_would_be_seen(owner: Connection, function: str, old: str, new: str) -> None:
    text = owner.execute(
        "SELECT pg_get_functiondef(%s::regproc)", [f"billing.{function}"]
    ).fetchone()
    assert text
    assert old in text[0]
    owner.execute(text[0].replace(old, new).encode())
    assert calls_that_run_text(owner, function) != []


def meter_what_has_a_hostile_name(connection: Connection, payload: str) -> None:
    """Schema, table, columns, function and parameters are all called so; a row is billed."""
    name = sql.Identifier(payload[:55])
    column = sql.Identifier("p_" + payload[:50]), sql.Identifier(payload[:50])
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
    table = sql.SQL("{}.{}").format(name, name)
    connection.execute(
        sql.SQL("CREATE TABLE {} (id bigint NOT NULL, tenant_id bigint, {} text)").format(
            table, column[1]
        )
    )
    connection.execute(
        sql.SQL(
            "CREATE FUNCTION {}(p_id bigint, p_tenant_id bigint, {} text)"
            " RETURNS SETOF billing.measurement LANGUAGE sql IMMUTABLE AS"
            " 'SELECT ($1, 1, $2, ''sms'', ''message'', $3, 1, NULL, ''2026-11-01'')"
            "::billing.measurement'"
        ).format(table, column[0])
    )
    as_text = table.as_string(connection)
    connection.execute(
        "SELECT meter_table(%s::regclass, %s::regproc, %s)", [as_text, as_text, payload[:50]]
    )
    connection.execute(
        sql.SQL("INSERT INTO {} VALUES (1, 7, {})").format(table, sql.Literal(payload))
    )
    connection.execute(sql.SQL("UPDATE {} SET {} = 'y'").format(table, column[1]))
    connection.execute("SELECT FROM reconcile('2026-10-30', '2026-11-02')")
    connection.execute("SELECT FROM list_trigger_gaps()")
    assert connection.execute(
        "SELECT sum(quantity) FROM usage_records WHERE source_table = source_table_name(%s)",
        [as_text],
    ).fetchone() == (1,)
    connection.execute("SELECT unmeter_table(%s)", [as_text])
    connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_table_of_a_hostile_name_is_metered_like_any_other(
    owner: Connection, payload: str
) -> None:
    meter_what_has_a_hostile_name(owner, payload)
    assert not sang(owner)


def test_a_hostile_column_would_be_seen(owner: Connection) -> None:
    text = owner.execute("SELECT pg_get_functiondef('billing.compose_measure_call'::regproc)")
    (body,) = text.fetchone() or ("",)
    assert "'%I => '" in body
    owner.execute(body.replace("'%I => '", "'%s => '").replace("'r.%I::'", "'r.%s::'").encode())
    with pytest.raises(psycopg.Error):
        meter_what_has_a_hostile_name(owner, PAYLOADS[2])


def test_what_rows_hold_is_kept_as_it_is(owner: Connection) -> None:
    """From the application's row to the line of an invoice, and through every report."""
    for number, payload in enumerate(PAYLOADS, 1000):
        owner.execute(
            "INSERT INTO calls (id, tenant_id, call_sid, from_number, to_number, status,"
            " hangup_cause, initiated_at, duration_seconds, metadata)"
            " VALUES (%(n)s, 7, %(t)s, %(t)s, %(t)s, 'completed', %(t)s, now(), 60,"
            " jsonb_build_object(%(t)s::text, %(t)s::text))",
            {"n": number, "t": payload},
        )
        owner.execute(
            "INSERT INTO messages (id, tenant_id, message_sid, channel, status, to_address, body,"
            " error_code, sent_at)"
            " VALUES (%(n)s, 7, %(t)s, %(t)s, 'sent', %(t)s, %(t)s, %(t)s, now())",
            {"n": number, "t": payload},
        )
        owner.execute("UPDATE calls SET duration_seconds = 120 WHERE id = %s", [number])
        owner.execute("SELECT record_usage(7, 'sms', 'message', %s || 'direct', 1)", [payload])
        owner.execute("SELECT grant_credit(7, 1, 'grant', %s)", [payload])
        owner.execute("SELECT reserve_call(7, %s, %s, 60)", [payload, payload])
        owner.execute(
            "INSERT INTO pricing_rates (tenant_id, channel, resource_type, unit_price, description)"
            " VALUES (7, %s, %s, 1, %s)",
            [payload, payload, payload],
        )
        owner.execute(
            "INSERT INTO recurring_charges (tenant_id, description, unit_price, starts_on)"
            " VALUES (7, %s, 1, '2026-01-01')",
            [payload],
        )
    owner.execute("SELECT maintain()")
    for (entry,) in owner.execute("SELECT id FROM unrated_usage").fetchall():
        owner.execute("SELECT dismiss_unrated(%s, 'hostile')", [entry])
    owner.execute("SELECT generate_invoice(7, date_trunc('month', now())::date)")
    for query in (
        "verify()", "get_invoices(7)", "list_credit_entries(7)",
        "get_statement(7, '2026-01-01', now()::date)",
        "get_current_period_usage(7)", "simulate_plan(7, 'starter', '2026-01-01', now()::date)",
        "usage_health", "usage_disposition",
    ):  # fmt: skip
        owner.execute(f"SELECT * FROM {query}".encode())
    kept = owner.execute(
        "SELECT count(*) FROM usage_records WHERE resource_id = ANY(%s) AND kind = 'charge'",
        [list(PAYLOADS)],
    ).fetchone()
    assert kept == (2 * len(PAYLOADS),)
    described = owner.execute(
        "SELECT count(DISTINCT description) FROM invoice_line_items WHERE description = ANY(%s)",
        [list(PAYLOADS)],
    ).fetchone()
    assert described == (len(PAYLOADS),)
    assert not sang(owner)

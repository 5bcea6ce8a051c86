"""Bad input: values that no application should send, through every door.

Rows of calls and messages by INSERT, COPY, UPDATE, upsert and MERGE; every function of schema
billing with every type of argument; names of tables; the command line. The application's write
never fails, each of its rows is recorded rightly or set aside or worth nothing, functions raise
errors of class UB and no others, and no message tells what a row holds.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from click.testing import CliRunner
from psycopg import sql
from psycopg.types.json import Jsonb

from campaigns.load import CounterExample

Connection = psycopg.Connection[tuple[Any, ...]]

# Values -------------------------------------------------------------------------------------------

TENANT = 1
SECRET = "PRIVATE-4930123456"
"""Stands in bodies and numbers; in no message, reason or context."""
TEXTS = [
    None, "", " ", "+", "++--", "0", "+1 (202) 555-0123", "1800FLOWERS", "9" * 5000, SECRET,
    "\u202e44\u0661", "\U0001f4de", "sip:44@example.org", "44'; DROP TABLE calls; --", "%s",
    "\\", "\t\n", "Z\u0301\u0327" * 50, "$body$", "NULL", "\x01", "\ufffe", "'", '"',
]  # fmt: skip
TIMES = [
    None, "-infinity", "infinity", "0001-01-01 BC", "4713-01-02 BC", "294276-12-31 23:59:59+00",
    "0099-12-31", "1969-12-31 23:59:59.999999+00", "9999-12-31 23:59:59.999999+00", "2026-02-28",
    "2262-04-12", "2025-10-26 01:30:00+00", "1582-10-10",
]  # fmt: skip
NUMBERS = [
    None, "NaN", "Infinity", "-Infinity", "-1", "-0.0000001", "0", "0.0", "1e-20", "20.6", "60",
    "2678400", "2678401", "1e9", "1e100", "1" + "0" * 1000, "0." + "3" * 500,
    "9" * 60 + "." + "9" * 60, "-0", "1e-1000",
]  # fmt: skip
TENANTS = [None, 0, -1, TENANT, TENANT, 404, 2**63 - 1, -(2**63)]
METADATA: list[Any] = [
    {}, [], "x", {"to": None}, {"a": "\u2028\ud7ff" * 9}, {"to": {"to": []}}, 1e308, "\\u0000",
]  # fmt: skip
BOMBS = ['{"blob": "' + "x" * 3_000_000 + '"}', "[" * 1000 + "]" * 1000, "[" + "1," * 99_999 + "1]"]
"""As metadata: 3 MB, a thousand levels, a hundred thousand elements."""

STATUSES = ["completed", "COMPLETED", "", "exploded", "failed", "\u0441ompleted"]
SENT = ["sent", "delivered", "read", "Sent", "", "exploded", "failed"]
CHANNELS = ["sms", "email", "whatsapp", "social", "", "telepathy", "SMS", "voice", "x" * 999]
RECIPIENTS: list[Any] = [None, [], [None], [None, None, "a@example.org"], [""], ["a"] * 1000]
MEDIA: list[Any] = [None, *([], {}, "", None, 0, ["u"], {"0": "u"}, [None])]
DIRECTIONS = ["outbound", "outbound", "outbound", "inbound", "", "OUTBOUND", "sideways"]
COLUMNS: dict[str, dict[str, list[Any]]] = {
    "calls": {
        "tenant_id": TENANTS,
        "direction": DIRECTIONS,
        "from_number": TEXTS,
        "to_number": TEXTS,
        "status": STATUSES,
        "initiated_at": TIMES,
        "answered_at": TIMES,
        "ended_at": TIMES,
        "duration_seconds": NUMBERS,
        "billable_seconds": NUMBERS,
        "hangup_cause": TEXTS,
        "metadata": [Jsonb(value) for value in METADATA],
    },
    "messages": {
        "tenant_id": TENANTS,
        "channel": CHANNELS,
        "direction": DIRECTIONS,
        "from_address": TEXTS,
        "to_address": TEXTS,
        "recipients": RECIPIENTS,
        "body": [None, "", SECRET, "\U0001f600" * 100, "\x02" * 1601],
        "media_urls": [MEDIA[0], *(Jsonb(value) for value in MEDIA[1:])],
        "num_segments": [None, 0, -1, 2**31 - 1],
        "status": SENT,
        "sent_at": TIMES,
        "delivered_at": TIMES,
        "error_code": TEXTS,
        "metadata": [Jsonb(value) for value in METADATA],
    },
}
"""What each column of the application's tables may hold, and should better not."""
SANE: dict[str, dict[str, Any]] = {
    "calls": {
        "tenant_id": TENANT,
        "direction": "outbound",
        "from_number": None,
        "to_number": "+15559876543",
        "status": "completed",
        "initiated_at": "2026-05-01",
        "answered_at": None,
        "ended_at": None,
        "duration_seconds": 60,
        "billable_seconds": None,
        "hangup_cause": None,
        "metadata": Jsonb({}),
    },
    "messages": {
        "tenant_id": TENANT,
        "channel": "sms",
        "direction": "outbound",
        "from_address": None,
        "to_address": "+15559876543",
        "recipients": None,
        "body": "hello",
        "media_urls": None,
        "num_segments": None,
        "status": "sent",
        "sent_at": "2026-05-01",
        "delivered_at": None,
        "error_code": None,
        "metadata": Jsonb({}),
    },
}
DESERVES = {
    "calls": "direction = 'outbound' AND status = 'completed'"
    " AND COALESCE(billable_seconds, duration_seconds) <> 0",
    "messages": "direction = 'outbound'"
    " AND status IN ('sent', 'delivered', 'read', 'opened', 'clicked')",
}


@dataclass
class Figures:
    """What was done, for people."""

    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


def hostile_row(table: str, rng: random.Random, doses: int) -> dict[str, Any]:
    """A billable row with so many values that are not sane."""
    names = rng.sample(sorted(COLUMNS[table]), doses)
    return SANE[table] | {name: rng.choice(COLUMNS[table][name]) for name in names}


# Rows ---------------------------------------------------------------------------------------------

SET_UP = """
INSERT INTO public.tenants (id, timezone) VALUES (1, 'Pacific/Kiritimati')
ON CONFLICT (id) DO NOTHING
"""
ACCOUNTED = """
SELECT s.id, {deserves}, COALESCE(r.standing, 0), u.states
FROM public.{table} AS s
LEFT JOIN (
    SELECT source_id, sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END) AS standing
    FROM billing.usage_records WHERE source_table = '{table}' GROUP BY source_id
) AS r ON r.source_id = s.id
LEFT JOIN (
    SELECT source_id, array_agg(sqlstate) AS states
    FROM billing.unrated_usage WHERE source_table = '{table}'
        AND resolved_at IS NULL GROUP BY source_id
) AS u ON u.source_id = s.id
WHERE CASE WHEN {deserves}
    THEN COALESCE(r.standing, 0) NOT IN (0, 1) OR (COALESCE(r.standing, 0) = 0 AND u.states IS NULL)
    ELSE COALESCE(r.standing, 0) <> 0 OR u.states IS NOT NULL
END
LIMIT 5
"""
VERIFIED = """
SELECT check_name, subject, detail FROM billing.verify()
WHERE check_name <> 'usage is rated'
LIMIT 5
"""
MENDED = """
SELECT * FROM billing.verify() WHERE detail NOT LIKE '%the row was deleted before it was rated%'
LIMIT 5
"""
TOLD = """
SELECT id, reason, context FROM billing.unrated_usage
WHERE concat(reason, context::text) ~ 'PRIVATE|4930123456' OR COALESCE(sqlstate, '') !~ '^.{5}$'
LIMIT 5
"""


def assert_accounted_for(connection: Connection) -> None:
    """Every row that deserves something is charged once or set aside, every other is neither; what
    stands is what verify() says it should be. A charge stands until its row's new state can be
    recorded: then there is both."""
    for table, deserves in DESERVES.items():
        query = ACCOUNTED.format(table=table, deserves=deserves)
        if found := connection.execute(query.encode()).fetchall():
            raise CounterExample(
                f"{table} not accounted for (id, deserves, charges, aside): {found}"
            )
    for query in (VERIFIED, TOLD):
        if found := connection.execute(query.encode()).fetchall():
            raise CounterExample(f"{found}")


def write_rows(connection: Connection, rng: random.Random, size: int, figures: Figures) -> None:
    """A batch of rows, written in some way, changed in some others; rolled back in the end."""
    table = rng.choice(sorted(COLUMNS))
    doses = [rng.randint(1, 8) for _ in range(size)]
    rows = [hostile_row(table, rng, count) for count in doses]
    if rng.random() < 0.05:
        rows = rows[:20]
        for row in rows:
            if rng.random() < 0.2:
                row["metadata"] = rng.choice(BOMBS)
    with connection.transaction(force_rollback=True):
        try:
            rng.choice([_copy, _insert, _insert_many])(connection, table, rows)
            change = rng.choice([_update, _upsert, _merge, _update_all])
            changed = change(connection, table, rng)
        except psycopg.Error as error:
            raise CounterExample(f"the write to {table} failed: {error.sqlstate} {error}") from None
        assert_accounted_for(connection)
        connection.execute("SELECT billing.retry_unrated(100000)")
        assert_accounted_for(connection)
        if rng.random() < 0.2:
            _mend(connection, table)
            connection.execute("SELECT billing.retry_unrated(100000)")
            if found := connection.execute(MENDED.encode()).fetchall():
                raise CounterExample(f"mended, and still: {found}")
    figures.counts["values in rows"] += sum(doses[: len(rows)]) + changed
    figures.counts["rows"] += len(rows)


def _copy(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, SANE[table]))
    query = sql.SQL("COPY public.{} ({}) FROM STDIN").format(sql.Identifier(table), columns)
    with connection.cursor().copy(query) as copy:
        for row in rows:
            copy.write_row([row[name] for name in SANE[table]])


def _insert(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    query = _insertion(table)
    for row in rows:
        connection.execute(query, list(row.values()))


def _insert_many(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    """In one statement, from a table of the session's own."""
    name = sql.Identifier(table)
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE waiting ON COMMIT DROP AS SELECT * FROM public.{} LIMIT 0")
        .format(name)
    )  # fmt: skip
    columns = sql.SQL(", ").join(map(sql.Identifier, SANE[table]))
    with connection.cursor().copy(
        sql.SQL("COPY pg_temp.waiting ({}) FROM STDIN").format(columns)
    ) as copy:
        for row in rows:
            copy.write_row([row[column] for column in SANE[table]])
    connection.execute(
        sql.SQL("INSERT INTO public.{} ({columns}) SELECT {columns} FROM pg_temp.waiting").format(
            name, columns=columns
        )
    )
    connection.execute("DROP TABLE pg_temp.waiting")


def _insertion(table: str) -> sql.Composed:
    return sql.SQL("INSERT INTO public.{} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, SANE[table])),
        sql.SQL(", ").join([sql.Placeholder()] * len(SANE[table])),
    )


def _update(connection: Connection, table: str, rng: random.Random) -> int:
    """Row by row; as the others below, how many values that were."""
    query = sql.SQL("SELECT id FROM public.{} LIMIT 60").format(sql.Identifier(table))
    ids = [row_id for (row_id,) in connection.execute(query)]
    for row_id in ids:
        changes = {
            name: rng.choice(COLUMNS[table][name]) for name in rng.sample(sorted(COLUMNS[table]), 3)
        }
        connection.execute(
            sql.SQL("UPDATE public.{} SET {} WHERE id = %s").format(
                sql.Identifier(table), _assignments(changes)
            ),
            [*changes.values(), row_id],
        )
    return 3 * len(ids)


def _update_all(connection: Connection, table: str, rng: random.Random) -> int:
    """The whole table, twice: to something hostile, and most of it to something sane."""
    written = 0
    for where, values in (("id %% 3 = 0", COLUMNS[table]), ("id %% 5 <> 0", None)):
        name = rng.choice(sorted(COLUMNS[table]))
        value = rng.choice(values[name]) if values else SANE[table][name]
        written += connection.execute(
            sql.SQL("UPDATE public.{} SET {} WHERE {}").format(
                sql.Identifier(table), _assignments({name: value}), sql.SQL(where)
            ),
            [value],
        ).rowcount
    return written


def _upsert(connection: Connection, table: str, rng: random.Random) -> int:
    """The same ids again, with other values."""
    changes = {
        name: rng.choice(COLUMNS[table][name]) for name in rng.sample(sorted(COLUMNS[table]), 3)
    }
    return (
        3
        * connection.execute(
            sql.SQL(
                "INSERT INTO public.{0} (id, metadata) SELECT id, '{{}}' FROM public.{0} LIMIT 200"
                " ON CONFLICT (id) DO UPDATE SET {1}"
            ).format(sql.Identifier(table), _assignments(changes)),
            list(changes.values()),
        ).rowcount
    )


def _merge(connection: Connection, table: str, rng: random.Random) -> int:
    changes = {
        name: rng.choice(COLUMNS[table][name]) for name in rng.sample(sorted(COLUMNS[table]), 3)
    }
    return (
        3
        * connection.execute(
            sql.SQL(
                "MERGE INTO public.{0} AS t USING (SELECT id FROM public.{0} LIMIT 200) AS s"
                " ON s.id = t.id WHEN MATCHED AND t.id %% 7 = 0 THEN DELETE"
                " WHEN MATCHED THEN UPDATE SET {1}"
            ).format(sql.Identifier(table), _assignments(changes)),
            list(changes.values()),
        ).rowcount
    )


def _mend(connection: Connection, table: str) -> None:
    connection.execute(
        sql.SQL("UPDATE public.{} SET {}").format(sql.Identifier(table), _assignments(SANE[table])),
        list(SANE[table].values()),
    )


def _assignments(changes: dict[str, Any]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in changes)


# Functions ----------------------------------------------------------------------------------------

FUNCTIONS = """
SELECT p.proname, p.proargtypes::regtype[]::text[], p.pronargdefaults, p.proretset
FROM pg_proc AS p
WHERE p.pronamespace = 'billing'::regnamespace AND p.prorettype <> 'trigger'::regtype
ORDER BY p.proname
"""
TERMS: list[Any] = [
    {}, None, [], "x", 0, {"unit_price": "NaN"}, {"unit_price": 1}, {"unit_price": -1},
    {"unit_price": "1e400"}, {"unit_price": 1, "per": 0}, {"steps": []}, {"steps": [{}]},
    {"steps": [{"from": 0, "unit_price": 1, "per": 60, "increment": 1e-9}]},
    {"tiers": []}, {"tiers": [{"up_to": None, "unit_price": 1}]}, {"tiers": {"up_to": 1}},
    {"tiers": [{"up_to": 1, "unit_price": 1}, {"up_to": 1, "unit_price": 2}]},
    {"package_size": 0, "package_price": 1}, {"package_size": 1e-20, "package_price": 1},
    {"rate": 5, "free_events": 1e30}, {"bands": [{}]}, {"bands": {"peak": {"unit_price": "x"}}},
    [{"prefix": "44", "price": "0.01"}], [{"prefix": "44"}], [{"prefix": None, "price": "1"}],
    [["44", "0,01"]], [{"prefix": "4" * 99, "price": "-1", "line": 1}],
    [{"prefix": "44", "price": "0.01", "line": 2**40}],
]  # fmt: skip
WORDS = [
    "voice", "sms", "minute", "message", "default", "plan:starter", "tenant:1", "tenant:x",
    "tenant:",
    "plan:", "per_unit", "stepped", "graduated", "volume", "package", "percentage", "day", "week",
    "month", "hour", "USD", "EUR", "usd", "UTC", "Europe/Berlin", "Nowhere/There", "calls",
    "messages",
    "public.calls", "starter", "grant", "purchase", "2025-11-01",
]  # fmt: skip
DAYS = ["2025-11-01", "2025-11-14", "2025-11-30", "2025-01-31", "2024-02-29", "2026-05-01"]
VALUES: dict[str, list[Any]] = {
    "bigint": [None, 0, -1, 1, 2, 2**63 - 1, -(2**63)],
    "integer": [None, 0, -1, 1, 31, 2**31 - 1, -(2**31)],
    "smallint": [None, 0, -1, 1, 2**15 - 1],
    "numeric": NUMBERS,
    "text": [*TEXTS, *WORDS],
    "boolean": [None, True, False],
    "interval": [None, "0", "-1 day", "1 microsecond", "178000000 years", "1 mon"],
    "jsonb": [Jsonb(value) for value in [*TERMS, *METADATA]],
    "date": [None, "infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", *DAYS, *DAYS],
    "timestamp with time zone": [*TIMES, *DAYS],
    "timestamp without time zone": [
        None, "infinity", "-infinity", "0001-01-01 BC", "294276-12-31", *DAYS
    ],
    "text[]": [None, [], [None], [""], ["peak", "off"], ["x"] * 1000],
    "bigint[]": [None, [], [None], [1], [2**63 - 1, -1], list(range(1000))],
    "regclass": [None, "public.calls", "public.tenants", "billing.usage_records",
                 "billing.usage_summaries", "billing.usage_records_id_seq", "pg_catalog.pg_class"],
    "regproc": [None, "billing.measure_call", "billing.measure_email", "billing.verify",
                "pg_catalog.version"],
    "billing.measurement": [
        None, "(,,,,,,,,)", "(1,1,1,voice,minute,CA1,60,,2025-11-14)",
        "(1,1,404,x,y,z,NaN,,infinity)",
        "(1,1,1,sms,message,,-1,4930123456,)",
    ],
    "billing.pricing_rates": [None],
    "billing.period_charge": [None],
    "billing.usage_records": [None],
}  # fmt: skip
"""By type. Composite types also get values made of these."""
PUBLIC = frozenset(
    [
        "charge",
        "quote",
        "quote_call",
        "sms_segments",
        "record_usage",
        "record_call_usage",
        "record_message_usage",
        "record_email_usage",
        "record_whatsapp_usage",
        "record_row",
        "record_rows",
        "backfill_usage",
        "reconcile",
        "get_billing_period",
        "get_current_period_usage",
        "get_usage_history",
        "get_tenant_balance",
        "grant_credit",
        "generate_invoice",
        "get_invoice",
        "get_invoices",
        "get_invoice_lines",
        "retry_unrated",
        "dismiss_unrated",
        "verify",
        "run_verify",
        "maintain",
        "meter_table",
        "unmeter_table",
        "import_deck",
        "compare_deck",
        "export_deck",
        "list_rates",
        "diff_rates",
        "find_rate_gaps",
        "find_rate",
        "propose_rerating",
        "get_rerating",
        "apply_rerating",
        "simulate_plan",
        "explain_quote",
        "explain_quote_call",
        "explain_rating",
        "attach_month",
        "detach_month",
        "merge_summaries",
        "announce_unrated",
        "list_trigger_gaps",
        "allowance",
        "claim_deliveries",
        "drop_month",
        "ensure_partition",
        "ensure_partitions",
        "expire_due_credit",
        "explain_charge",
        "explain_invoice_line",
        "explain_quote_measured",
        "finalize_invoice",
        "get_aging",
        "get_credit_note",
        "get_statement",
        "grant_due_credits",
        "issue_credit_note",
        "issue_invoices",
        "list_alerts",
        "list_credit_entries",
        "list_credit_lots",
        "mark_overdue",
        "quote_measured",
        "raise_alerts",
        "record_payment",
        "refund_payment",
        "release_reservation",
        "reserve_call",
        "reserve_usage",
        "run_invoices",
        "set_alert_target",
        "set_alert_threshold",
        "set_tenant_limits",
        "spend_credit",
        "trace_record",
        "void_invoice",
    ]
)
"""What applications and operators call. What only our own functions call is checked before that: it
may refuse in PostgreSQL's words, but not break."""
ENDLESS = "infinity"
"""Days that only functions that check them are given: others would count to there."""


def call_function(
    connection: Connection, function: Sequence[Any], rng: random.Random, figures: Figures
) -> None:
    """With hostile arguments, rolled back in the end."""
    name, types, defaults, is_set = function
    count = len(types) - rng.randint(0, defaults)
    arguments = [_argument(connection, its_type, rng) for its_type in types[:count]]
    if name not in PUBLIC and any(ENDLESS in str(argument) for argument in arguments):
        return
    call = sql.SQL("SELECT {} billing.{}({})").format(
        sql.SQL("* FROM" if is_set else ""),
        sql.Identifier(name),
        sql.SQL(", ").join(sql.SQL(f"%s::{its_type}") for its_type in types[:count]),
    )
    figures.counts["values in calls"] += count
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(call, arguments)
        figures.counts["calls that answered"] += 1
    except psycopg.Error as error:
        figures.counts["calls refused"] += 1
        told = f"{error.diag.message_primary} {error.diag.message_detail} {error.diag.message_hint}"
        _check_refusal(name, error, told, arguments)


def _check_refusal(name: str, error: psycopg.Error, told: str, arguments: list[Any]) -> None:
    state = error.sqlstate or ""
    if state.startswith("UB"):
        return
    # Of values that are not of their type PostgreSQL speaks before our code sees them.
    is_ours = re.search(r"(PL/pgSQL|SQL) function ", error.diag.context or "") is not None
    if state.startswith("22") and not is_ours:
        return
    if name not in PUBLIC and state[:2] not in ("XX", "53", "58", ""):
        return
    raise CounterExample(
        f"{name}({', '.join(repr(argument)[:60] for argument in arguments)}): {state} {told}"
        f"\n{error.diag.context}"
    )


def _argument(connection: Connection, its_type: str, rng: random.Random) -> Any:
    if its_type in VALUES and (VALUES[its_type] != [None] or rng.random() < 0.2):
        return rng.choice(VALUES[its_type])
    element = its_type.removesuffix("[]")
    if element != its_type:
        if rng.random() < 0.2:
            return rng.choice([None, "{}"])
        quoted = [
            "NULL" if value is None else json.dumps(value)
            for value in (_argument(connection, element, rng) for _ in range(rng.randint(1, 3)))
        ]
        return "{%s}" % ",".join(quoted)  # noqa: UP031
    if "." not in its_type:
        return None  # A type that no value was thought of for.
    return _composite(connection, its_type, rng)


def _composite(connection: Connection, its_type: str, rng: random.Random) -> str:
    """A row of the type, as text, of values that its columns' types allow."""
    query = """
        SELECT format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL)
        FROM pg_attribute AS a
        INNER JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
    """
    fields = []
    for (column,) in connection.execute(query, [its_type]).fetchall():
        values = VALUES.get(column, [None])
        value = rng.choice(values)
        if isinstance(value, Jsonb):
            value = json.dumps(value.obj)
        if value is None or not isinstance(value, (str, int, bool)):
            fields.append("")
        else:
            fields.append('"' + str(value).replace("\\", "\\\\").replace('"', '""') + '"')
    return f"({','.join(fields)})"


# Names --------------------------------------------------------------------------------------------

NAMES = [
    "plain", "Mixed Case", 'quo"te', "apo'strophe", "$body$", "$$", "%s", "%1$L", "a.b", "select",
    "x" * 63,
    "\u00e4\u00f6\u00fc\u00df" * 7, "semi;colon", "new_rows", "calls", "line\nbreak",
    "back\\slash", "\U0001f4de", " ",
]  # fmt: skip


def meter_names(connection: Connection, rng: random.Random, figures: Figures) -> None:
    """A table with a hostile name in a schema with one, metered, written to, and let go."""
    schema, table, column = (rng.choice(NAMES) for _ in range(3))
    if (schema, table) == ("public", "calls"):
        return
    with connection.transaction(force_rollback=True):
        where = sql.Identifier(schema, table)
        column_name = column if column not in ("id", "tenant_id") else "x"
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        connection.execute(
            sql.SQL(
                "CREATE TABLE {} (id bigint NOT NULL, tenant_id bigint, status text, call_sid text,"
                " direction text, answered_at timestamptz, duration_seconds numeric, {} text) {}"
            ).format(
                where,
                sql.Identifier(column_name),
                sql.SQL("PARTITION BY HASH (id)" if rng.random() < 0.3 else ""),
            )
        )
        query = sql.SQL("SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass")
        if connection.execute(query, [where.as_string(connection)]).fetchone() == (True,):
            part = sql.Identifier(schema, "part of it")
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {} PARTITION OF {} FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
                ).format(part, where)
            )
        names = [where.as_string(connection)]
        connection.execute(
            "SELECT billing.meter_table(%s::regclass, 'billing.measure_call', 'call_sid')", names
        )
        connection.execute(
            sql.SQL("INSERT INTO {} VALUES (1, 1, 'ringing', 'X1', 'outbound', '2026-05-01', 60)")
            .format(where)
        )  # fmt: skip
        connection.execute(sql.SQL("UPDATE {} SET status = 'completed'").format(where))
        connection.execute(sql.SQL("UPDATE {} SET duration_seconds = 61").format(where))
        charged = connection.execute(
            "SELECT sum(seconds) FROM billing.usage_records"
            " WHERE source_table = billing.source_table_name(%s::regclass)",
            names,
        ).fetchone()
        if charged != (61,):
            raise CounterExample(f"{names} recorded {charged} s")
        if found := connection.execute("SELECT * FROM billing.verify() LIMIT 5").fetchall():
            raise CounterExample(f"{names}: {found}")
        connection.execute(
            "SELECT billing.record_row(source_table, 1) FROM billing.metered_tables"
            " WHERE source_table = billing.source_table_name(%s::regclass)",
            names,
        )
        connection.execute("SELECT billing.reconcile('2026-05-01', '2026-05-02')")
        connection.execute("SELECT billing.unmeter_table(%s::regclass)", names)
    figures.counts["tables with hostile names"] += 1


# The command line ---------------------------------------------------------------------------------

WITHOUT = ("demo", "migrate", "uninstall")
"""Commands that do not ask the database a question."""


def run_command(conninfo: str, rng: random.Random, figures: Figures) -> None:
    """Some command, some of its options, each with a hostile value: no traceback, status 0 to 2."""
    import click

    from pyapi.cli import main

    path: list[str] = []
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        name = rng.choice([n for n in command.list_commands(context) if n not in WITHOUT])
        path.append(name)
        found = command.get_command(context, name)
        assert found is not None
        command = found
    arguments = ["-d", conninfo, *path]
    texts = [
        str(value)
        for value in [*TEXTS, *WORDS, *TIMES, *NUMBERS[:12], *TENANTS]
        if value is not None
    ]
    texts = [text for text in texts if "\x00" not in text and len(text) < 6000]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            if rng.random() < 0.6 and not parameter.required:
                continue
            arguments.append(parameter.opts[-1])
            if not parameter.is_flag:
                arguments += [rng.choice(texts) for _ in range(parameter.nargs)]
        else:
            arguments += [rng.choice(texts) for _ in range(max(parameter.nargs, 1))]
    figures.counts["commands"] += 1
    figures.counts["values in commands"] += len(arguments) - 2 - len(path)
    result = CliRunner().invoke(main, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise CounterExample(f"{arguments[2:]}: {result.exception!r}") from result.exception
    if result.exit_code not in (0, 1, 2):
        raise CounterExample(f"{arguments[2:]}: status {result.exit_code}")


# All together -------------------------------------------------------------------------------------


def campaign(
    conninfo: str,
    seed: int,
    values: int,
    size: int = 300,
    on_values: Callable[[int], object] = lambda count: None,
    is_over: Callable[[], bool] = lambda: False,
) -> Figures:
    """So many values into a migrated database. Raises CounterExample."""
    figures = Figures()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(SET_UP.encode())
        connection.execute("SET statement_timeout = '20s'")
        functions = connection.execute(FUNCTIONS.encode()).fetchall()
        number = 0
        while _sum(figures) < values and not is_over():
            before = _sum(figures)
            rng = random.Random(f"{seed} {number}")
            try:
                write_rows(connection, rng, size, figures)
                for _ in range(size // 3):
                    call_function(connection, rng.choice(functions), rng, figures)
                meter_names(connection, rng, figures)
                run_command(conninfo, rng, figures)
            except CounterExample as error:
                raise CounterExample(f"{error}\n(round {number} of seed {seed})") from None
            number += 1
            on_values(_sum(figures) - before)
    return figures


def _sum(figures: Figures) -> int:
    return sum(count for name, count in figures.counts.items() if name.startswith("values"))

"""Whatever the application writes, its write succeeds, and every row is accounted for.

Each row is recorded, or open in unrated_usage with its SQLSTATE, or not billable; verify() reports
those that are set aside and nothing else.
"""

from __future__ import annotations

import itertools
import random
from decimal import Decimal
from typing import Any

import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

TENANT = 1
DEEP = "[" * 1000 + "]" * 1000
TEXTS = [
    None, "", " ", "+", "++--", "0", "+1 (202) 555-0123", "1800FLOWERS", "9" * 5000,
    "\u202e44\u0661", "\U0001f4de", "sip:44@example.org", "44'; DROP TABLE calls; --", "%s",
    "\\", "\t\n", "Z\u0301\u0327" * 50,
]  # fmt: skip
TIMES = [
    None, "-infinity", "infinity", "0001-01-01 BC", "4713-01-02 BC", "294276-12-31 23:59:59+00",
    "0099-12-31", "1969-12-31 23:59:59.999999+00", "9999-12-31 23:59:59.999999+00", "2026-02-28",
    "2262-04-12",
]  # fmt: skip
NUMBERS = [
    None, "NaN", "Infinity", "-Infinity", "-1", "-0.0000001", "0", "0.0", "1e-20", "20.6", "60",
    "2678400", "2678401", "1e9", "1e100", "1" + "0" * 1000, "0." + "3" * 500,
    "9" * 60 + "." + "9" * 60,
]  # fmt: skip
TENANTS = [None, 0, -1, TENANT, TENANT, 404, 2**63 - 1, -(2**63)]
METADATA: list[Any] = [
    {},
    None,
    [],
    "x",
    {"to": None},
    {"a": "\u2028\ud7ff" * 9},
    {"blob": "x" * 5_000_000},
]
VALUES: dict[str, dict[str, list[Any]]] = {
    "calls": {
        "tenant_id": TENANTS,
        "direction": ["outbound", "inbound", "", "OUTBOUND", "sideways"],
        "from_number": TEXTS,
        "to_number": TEXTS,
        "status": ["completed", "COMPLETED", "", "exploded", "failed", "\u0441ompleted"],
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
        "channel": [
            "sms",
            "email",
            "whatsapp",
            "social",
            "",
            "telepathy",
            "SMS",
            "voice",
            "x" * 9999,
        ],
        "direction": ["outbound", "inbound", "", "both"],
        "from_address": TEXTS,
        "to_address": TEXTS,
        "recipients": [None, [], [None], [None, None, "a@example.org"], [""], ["a"] * 10_000],
        "body": [None, "", "x" * 5_000_000, "\U0001f600" * 100],
        "media_urls": [None, *(Jsonb(v) for v in ([], {}, "", None, 0, ["u"], {"0": "u"}, [None]))],
        "num_segments": [None, 0, -1, 2**31 - 1],
        "status": ["sent", "delivered", "read", "Sent", "", "exploded", "failed"],
        "sent_at": TIMES,
        "delivered_at": TIMES,
        "metadata": [Jsonb(value) for value in METADATA],
    },
}
BILLABLE = {
    "calls": {
        "tenant_id": TENANT,
        "direction": "outbound",
        "status": "completed",
        "initiated_at": "2026-05-01",
        "duration_seconds": 60,
    },
    "messages": {
        "tenant_id": TENANT,
        "channel": "sms",
        "direction": "outbound",
        "status": "sent",
        "sent_at": "2026-05-01",
    },
}


@pytest.fixture(autouse=True)
def tenant(db: Connection) -> None:
    db.execute("INSERT INTO tenants (id, timezone) VALUES (%s, 'Pacific/Kiritimati')", [TENANT])


def insert(db: Connection, table: str, given: dict[str, Any]) -> int:
    names = ", ".join(given)
    marks = ", ".join(["%s"] * len(given))
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id"
    row = db.execute(statement.encode(), list(given.values())).fetchone()
    assert row
    return int(row[0])


def update(db: Connection, table: str, row_id: int, given: dict[str, Any]) -> None:
    changes = ", ".join(f"{name} = %s" for name in given)
    statement = f"UPDATE {table} SET {changes} WHERE id = %s"
    assert db.execute(statement.encode(), [*given.values(), row_id]).rowcount == 1


def assert_accounted_for(db: Connection) -> None:
    """Every row that deserves something is recorded or set aside; verify() tells the latter."""
    for table, measure in (
        (
            "calls",
            "direction = 'outbound' AND status = 'completed' "
            "AND COALESCE(billable_seconds, duration_seconds) <> 0",
        ),
        (
            "messages",
            "direction = 'outbound' "
            "AND status IN ('sent', 'delivered', 'read', 'opened', 'clicked')",
        ),
    ):
        rows = db.execute(
            f"""
            SELECT s.id, {measure},
                   COALESCE((SELECT sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END)
                      FROM usage_records WHERE source_table = '{table}' AND source_id = s.id), 0),
                   ARRAY(SELECT sqlstate FROM unrated_usage AS u WHERE source_table = '{table}'
                            AND source_id = s.id AND resolved_at IS NULL)
              FROM {table} AS s
            """.encode()
        ).fetchall()
        for row_id, is_billable, recorded, aside in rows:
            where = (table, row_id, is_billable, recorded, aside)
            if is_billable:
                # What was recorded stands until what the row says now can be recorded.
                assert recorded in (0, 1), where
                assert recorded or aside, where
            else:
                assert (recorded, aside) == (0, []), where
            assert all(len(state or "") == 5 for state in aside), where
    verified = db.execute("SELECT check_name, subject FROM verify() ORDER BY 2").fetchall()
    unrated = db.execute(
        """
        SELECT 'usage is rated', source_table || ' ' || source_id FROM unrated_usage
         WHERE resolved_at IS NULL ORDER BY 2
        """
    ).fetchall()
    assert verified == unrated


@pytest.mark.parametrize("table", VALUES)
def test_one_hostile_value_in_a_billable_row(db: Connection, table: str) -> None:
    """Inserted so, updated to it, and mended again: then nothing is left over."""
    ids = []
    for name, values in VALUES[table].items():
        for value in values:
            row = BILLABLE[table] | {name: value}
            if name in ("direction", "status", "metadata") and value is None:
                continue
            ids.append(insert(db, table, row))
            row_id = insert(db, table, BILLABLE[table])
            update(db, table, row_id, {name: value})
            ids.append(row_id)
    assert_accounted_for(db)
    db.execute("SELECT retry_unrated(100000)")
    assert_accounted_for(db)
    sane = BILLABLE[table] | (
        {"billable_seconds": None, "answered_at": None}
        if table == "calls"
        else {"recipients": None}
    )
    for row_id in ids:
        update(db, table, row_id, sane)
    assert_accounted_for(db)
    assert db.execute("SELECT * FROM verify()").fetchall() == []


@pytest.mark.parametrize("table", VALUES)
def test_hostile_values_together(db: Connection, table: str) -> None:
    rng = random.Random(7)
    small = {name: [v for v in values if not _is_big(v)] for name, values in VALUES[table].items()}
    ids = []
    for _ in range(300):
        row = {name: rng.choice(values) for name, values in small.items() if rng.random() < 0.7}
        for name in ("direction", "status"):
            if rng.random() < 0.6:
                row[name] = BILLABLE[table][name]
        ids.append(insert(db, table, row))
    assert_accounted_for(db)
    for row_id in ids:
        names = rng.sample(sorted(small), 3)
        update(db, table, row_id, {name: rng.choice(small[name]) for name in names})
    assert_accounted_for(db)
    # All in one statement, in which most rows are worth something.
    given = {name: BILLABLE[table][name] for name in ("direction", "status")}
    changes = ", ".join(f"{name} = '{value}'" for name, value in given.items())
    db.execute(f"UPDATE {table} SET {changes}".encode())
    assert_accounted_for(db)
    db.execute(f"UPDATE {table} SET tenant_id = {TENANT}".encode())
    assert_accounted_for(db)
    assert [row for row in db.execute("SELECT * FROM maintain()") if row[1] < 0] == []
    assert_accounted_for(db)


def _is_big(value: Any) -> bool:
    return len(str(getattr(value, "obj", value))) > 100_000


def test_metadata_a_thousand_levels_deep(db: Connection) -> None:
    row_id = insert(db, "calls", BILLABLE["calls"] | {"metadata": DEEP})
    update(db, "calls", row_id, {"metadata": DEEP.replace("[]", '[{"to": "1"}]')})
    update(db, "calls", row_id, {"duration_seconds": 61})
    assert_accounted_for(db)
    assert db.execute("SELECT * FROM verify()").fetchall() == []


def test_a_statement_of_which_one_row_is_hostile(db: Connection) -> None:
    """The others are recorded as if it were not there, in small and in large statements."""
    for size, (name, value) in itertools.product(
        (2, 8, 9, 500),
        [("tenant_id", None), ("tenant_id", 404), ("duration_seconds", Decimal("NaN")),
         ("answered_at", "infinity"), ("answered_at", "294276-12-31 23:59:59+00")],
    ):  # fmt: skip
        ids = [insert(db, "calls", BILLABLE["calls"] | {"status": "ringing"}) for _ in range(size)]
        bad = ids[size // 2]
        update(db, "calls", bad, {name: value})
        db.execute("UPDATE calls SET status = 'completed' WHERE id = ANY(%s)", [ids])
        counted = db.execute(
            """
            SELECT (SELECT count(*) FROM usage_records
                     WHERE source_table = 'calls' AND source_id = ANY(%(ids)s)),
                   (SELECT array_agg(source_id) FROM unrated_usage WHERE source_id = ANY(%(ids)s))
            """,
            {"ids": ids},
        ).fetchone()
        assert counted == (size - 1, [bad]), (size, name, value)
    assert_accounted_for(db)


def test_a_month_that_was_detached_is_set_aside(db: Connection) -> None:
    this_month = {"initiated_at": "now"}
    row_id = insert(db, "calls", BILLABLE["calls"] | this_month)
    db.execute("SELECT detach_month(usage_date) FROM usage_records WHERE source_id = %s", [row_id])
    update(db, "calls", row_id, {"duration_seconds": 61})
    late = insert(db, "calls", BILLABLE["calls"] | this_month)
    states = db.execute("SELECT source_id, sqlstate FROM unrated_usage ORDER BY 1").fetchall()
    assert states == [(row_id, "UB006"), (late, "UB006")]
    db.execute("SELECT attach_month(month) FROM detached_months")
    db.execute("SELECT retry_unrated(10)")
    assert db.execute("SELECT * FROM verify()").fetchall() == []
    assert_accounted_for(db)


def test_a_trigger_of_the_application_that_changes_the_row_again(db: Connection) -> None:
    """Its update runs inside ours to come: what counts is how the row ends up."""
    db.execute(
        """
        CREATE FUNCTION public.settle_call() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE public.calls SET billable_seconds = 30, answered_at = '2026-03-01', tenant_id = 2
             WHERE id = NEW.id;
            RETURN NULL;
        END $$;
        CREATE TRIGGER a_settle_call AFTER INSERT OR UPDATE OF status ON public.calls FOR EACH ROW
        WHEN (NEW.status = 'completed') EXECUTE FUNCTION public.settle_call();
        INSERT INTO tenants (id) VALUES (2);
        """
    )
    row_id = insert(db, "calls", BILLABLE["calls"] | {"status": "ringing"})
    update(db, "calls", row_id, {"status": "completed"})
    insert(db, "calls", BILLABLE["calls"])
    assert_accounted_for(db)
    net = """
        SELECT tenant_id, usage_date::text, sum(seconds) FROM usage_records GROUP BY 1, 2
        HAVING sum(seconds) <> 0
        """
    assert db.execute(net).fetchall() == [(2, "2026-03-01", 60)]
    assert db.execute("SELECT * FROM verify()").fetchall() == []
